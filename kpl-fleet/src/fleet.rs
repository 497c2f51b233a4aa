//! The options of a worker of a fleet, and its start.

use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kpl_core::{FromKplRecordOwned, InvalidOption, Received, Undecodable};
use kpl_handler::{Concurrency, DeadLetters, Error, Failures, OnFailure, ShardRecords};
use kpl_stream::client::ReadClient;
use kpl_stream::reader::{ReaderBuilder, Start};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::driver::{self, Worker};
use crate::engine::{self, Engine};
use crate::error::FleetError;
use crate::kind::{Kind, Options, PerRecord, PerShard, Retries};
use crate::lease::Checkpoint;
use crate::metrics::Metrics;
use crate::store::LeaseStore;

/// A worker of a fleet: processes that share the shards of a stream among them.
///
/// ```no_run
/// use kpl::KplRecord;
/// use kpl_fleet::{Fleet, FleetError, Received};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json)]
/// struct Click {
///     #[kpl(partition_key)]
///     user: String,
///     url: String,
/// }
/// # async fn store(_: Click) -> Result<(), std::io::Error> { Ok(()) }
/// # async fn stop() {}
///
/// #[tokio::main]
/// async fn main() -> Result<(), FleetError> {
///     let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
///     Fleet::<Click>::builder("billing", "clicks")
///         .load_aws_config(&config)
///         .until(stop()) // SIGTERM or Ctrl-C: the first example of this crate has the code
///         .run(|click: Received<Click>| async move { store(click.value).await })
///         .await
/// }
/// ```
#[must_use = "a fleet does nothing until it runs"]
pub struct Fleet<T, K = ()> {
    builder: FleetBuilder<T>,
    kind: K,
}

impl<T> Fleet<T> {
    /// Returns a builder for a worker of an application that reads a stream, given its name or ARN. All workers of the
    /// application share its leases.
    pub fn builder(application: impl Into<String>, stream: impl Into<String>) -> FleetBuilder<T, (), ()> {
        let (stop, _) = watch::channel(false);
        FleetBuilder {
            reader: kpl_stream::Reader::builder(),
            leases: (),
            settings: Settings {
                application: application.into(),
                stream: stream.into(),
                start: Start::default(),
                worker: None,
                failover: Duration::from_secs(10),
                look_interval: Duration::from_secs(1),
                max_leases: usize::MAX,
                max_steals: 1,
                options: Options {
                    on_failure: OnFailure::default(),
                    dead_letters: DeadLetters::none(),
                    save_after: 10_000,
                    save_interval: Duration::from_secs(5),
                    max_unfinished: const { NonZeroUsize::new(1000).unwrap() },
                },
                stop: Arc::new(stop),
                until: Box::pin(std::future::pending()),
            },
        }
    }
}

/// The options of a worker. [`run`](Self::run) runs it with a function for each record.
#[must_use = "a builder does nothing until it runs"]
pub struct FleetBuilder<T, C = Arc<dyn ReadClient>, L = Arc<dyn LeaseStore>> {
    reader: ReaderBuilder<T, C>,
    leases: L,
    settings: Settings,
}

/// What does not depend on the types of the client and the store.
struct Settings {
    application: String,
    stream: String,
    start: Start,
    worker: Option<Arc<str>>,
    failover: Duration,
    look_interval: Duration,
    max_leases: usize,
    max_steals: usize,
    options: Options,
    stop: Arc<watch::Sender<bool>>,
    until: Until,
}

type Until = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Stops a worker: see [`FleetBuilder::stop_handle`].
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<watch::Sender<bool>>);

impl StopHandle {
    /// Tells the worker to stop: what is being handled is finished, checkpoints are made, and the leases are given up, so that
    /// other workers take them at their next look at the table. [`run`](Fleet::run) returns then.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl<T, C, L> FleetBuilder<T, C, L> {
    /// Uses the AWS SDK for the stream, and for leases the table of DynamoDB that has the name of the application, as the KCL
    /// does. `config` has the region, the credentials and the endpoint.
    #[cfg(feature = "aws")]
    #[cfg_attr(docsrs, doc(cfg(feature = "aws")))]
    pub fn load_aws_config(self, config: &aws_types::SdkConfig) -> FleetBuilder<T> {
        let leases = crate::store::DynamoLeases::new(config, &self.settings.application);
        self.client(kpl_stream::aws::AwsClient::new(config)).leases(leases)
    }

    /// Sets a client of your own for the stream.
    pub fn client(self, client: impl ReadClient) -> FleetBuilder<T, Arc<dyn ReadClient>, L> {
        FleetBuilder {
            reader: self.reader.client(client),
            leases: self.leases,
            settings: self.settings,
        }
    }

    /// Sets where leases are kept.
    pub fn leases(self, leases: impl LeaseStore) -> FleetBuilder<T, C> {
        FleetBuilder {
            leases: Arc::new(leases),
            reader: self.reader,
            settings: self.settings,
        }
    }

    /// Sets how the shards are read: by [fan-out](ReaderBuilder::fan_out), for example, or at which
    /// [interval](ReaderBuilder::poll_interval). Positions and a start that are set there have no effect. The workers of an
    /// application share one consumer for fan-out.
    pub fn reader<D>(self, change: impl FnOnce(ReaderBuilder<T, C>) -> ReaderBuilder<T, D>) -> FleetBuilder<T, D, L> {
        FleetBuilder {
            reader: change(self.reader),
            leases: self.leases,
            settings: self.settings,
        }
    }

    /// Sets where the first worker of an application starts. The default is [`Start::TrimHorizon`]. It has no effect once there
    /// are leases, except that all workers need the same time for [`Start::At`].
    ///
    /// With [`Start::Latest`], and as with the KCL, a shard of which nothing was handled is read from its latest record by each
    /// worker that takes it: what arrives between two workers is left out. This ends with the first checkpoint of the shard.
    pub fn start(mut self, start: Start) -> Self {
        self.settings.start = start;
        self
    }

    /// Sets the name of this worker in the table. No other worker of the application that runs may have it. The default is
    /// random.
    pub fn worker(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.worker = Some(name.into());
        self
    }

    /// Sets how long a lease must have stood still before another worker takes it. The default is 10 seconds, as with the KCL; the
    /// least is 1 second. All workers of an application, also those of the KCL, must have the same.
    ///
    /// A worker renews each lease three times in this time. If it cannot, it ends the handling of the shard before the time
    /// is over.
    pub fn failover(mut self, time: Duration) -> Self {
        self.settings.failover = time;
        self
    }

    /// Sets how long to wait after a look at all leases before the next. The default is 1 second. This is how long a lease that
    /// was given up may wait for a worker; what the looks cost is in the
    /// [guide](https://docs.rs/crate/kpl-fleet/latest).
    pub fn look_interval(mut self, interval: Duration) -> Self {
        self.settings.look_interval = interval;
        self
    }

    /// Sets how many shards this worker has at most. By default there is no limit: it has its share of them. If all workers
    /// together may have fewer shards than there are, some shards are not read.
    pub fn max_leases(mut self, leases: NonZeroUsize) -> Self {
        self.settings.max_leases = leases.get();
        self
    }

    /// Sets how many leases this worker takes at a time from the worker that has most, so that all have about as many. The
    /// default is 1 with each look. With 0, it takes only what no worker has.
    pub fn max_steals(mut self, leases: usize) -> Self {
        self.settings.max_steals = leases;
        self
    }

    /// Sets what happens to the records after one that failed. The default is [`OnFailure::Stop`]: the worker stops, and ends
    /// with the error. With [`OnFailure::Continue`] the record that failed is logged and passed over.
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.settings.options.on_failure = on_failure;
        self
    }

    /// Passes records that cannot be decoded to your function: their raw bytes, the reason and the place. Such a record
    /// is done when the function returns `Ok`, and has failed if it returns an error. Without this, a record that cannot
    /// be decoded is a failure like any other.
    pub fn dead_letters<F, Fut, E>(mut self, f: F) -> Self
    where
        F: Fn(Undecodable) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        self.settings.options.dead_letters = DeadLetters::new(f);
        self
    }

    /// Sets after how many records of a shard a checkpoint is made, if the [interval](Self::save_interval) is not over before.
    /// The default is 10,000. 0 counts as 1.
    pub fn save_after(mut self, records: usize) -> Self {
        self.settings.options.save_after = records;
        self
    }

    /// Sets how long records that were handled may wait for a checkpoint. The default is 5 seconds. A checkpoint renews the lease
    /// as well.
    pub fn save_interval(mut self, interval: Duration) -> Self {
        self.settings.options.save_interval = interval;
        self
    }

    /// Sets how many records of a shard may be in memory that are not finished, or come after one that is not. The default is
    /// 1,000; the limit of [`Concurrency`] counts if it is higher.
    pub fn max_unfinished(mut self, records: NonZeroUsize) -> Self {
        self.settings.options.max_unfinished = records;
        self
    }

    /// Stops the worker when a future completes, whatever its output, as a [`StopHandle`] does.
    pub fn until<S>(mut self, stop: S) -> Self
    where
        S: Future + Send + 'static,
    {
        self.settings.until = Box::pin(async move { drop(stop.await) });
        self
    }

    /// Returns a handle that stops the worker.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.settings.stop))
    }
}

impl<T> FleetBuilder<T>
where
    T: FromKplRecordOwned + Send + Sync + 'static,
{
    /// Calls `f` with each record of the shards that this worker has, one after another in each shard, until the worker is told
    /// to stop: [`per_record`](Self::per_record) and [`Fleet::run`].
    ///
    /// # Errors
    ///
    /// As [`Fleet::run`].
    pub async fn run<F, Fut, E>(self, f: F) -> Result<(), FleetError>
    where
        F: Fn(Received<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error> + Send + 'static,
    {
        self.per_record(f).run().await
    }

    /// Calls `f` with each record of the shards that this worker has.
    pub fn per_record<F, Fut, E>(self, f: F) -> Fleet<T, PerRecord<T, F>>
    where
        F: Fn(Received<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error> + Send + 'static,
    {
        Fleet {
            kind: PerRecord::new(f),
            builder: self,
        }
    }

    /// Calls `f` with all records of a shard that are at hand, in order, again and again.
    ///
    /// `f` returns [`Failures`], or `()` if all are done. If it returns an error, all of them have failed. Records that
    /// cannot be decoded go to the [`dead letters`](Self::dead_letters) before `f` is called with the others.
    pub fn per_shard<F, Fut, R, E>(self, f: F) -> Fleet<T, PerShard<F>>
    where
        F: Fn(ShardRecords<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: Into<Failures> + Send + 'static,
        E: Into<Error> + Send + 'static,
    {
        Fleet {
            kind: PerShard::new(f),
            builder: self,
        }
    }
}

impl<T, F> Fleet<T, PerRecord<T, F>> {
    /// Sets how many records of a shard are handled concurrently. The default is [`Concurrency::Sequential`]. Each shard is
    /// handled in a task of its own.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.kind.concurrency = concurrency;
        self
    }

    /// Sets how many times more the function is called with a record for which it fails, before the record has failed.
    /// The default is 0. The function is called with a clone each time but the last.
    ///
    /// Between the calls are pauses that grow from 100 ms to 5 s, with jitter, and each failure before the last is logged as
    /// a `tracing` warning.
    pub fn retries(mut self, count: u32) -> Self
    where
        T: Clone,
    {
        let copy = Received::clone;
        self.kind.retries = Some(Retries { count, copy });
        self
    }
}

impl<T, K> Fleet<T, K>
where
    T: FromKplRecordOwned + Send + Sync + 'static,
    K: Kind<T>,
{
    /// Takes a share of the shards and handles their records, until the worker is told to stop, a record fails, or something
    /// else keeps it from going on. Then what is being handled is finished, checkpoints are made, and the leases are given up.
    ///
    /// If the future is dropped, handling is broken off, and the leases expire.
    ///
    /// # Errors
    ///
    /// [`FleetError::Shard`] if a record failed, unless failures are passed over, or if the stream cannot be read;
    /// [`FleetError::Leases`] if the table cannot be used, or the KCL 3 leads the application; [`FleetError::Option`] if an
    /// option is out of its range.
    ///
    /// # Panics
    ///
    /// Panics if the function panics, or the code of `T` that converts a record to a value, and outside of a tokio runtime
    /// with time enabled.
    pub async fn run(self) -> Result<(), FleetError> {
        let Self { builder, kind } = self;
        let FleetBuilder {
            reader,
            leases,
            settings,
        } = builder;
        settings.check()?;
        let (stop, until) = (settings.stop, settings.until);
        let mut stopped = stop.subscribe();
        // What runs in it ends when it is dropped.
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            until.await;
            stop.send_replace(true);
            std::future::pending().await
        });
        let worker = settings
            .worker
            .unwrap_or_else(|| format!("kpl-{:032x}", fastrand::u128(..)).into());
        let (initial, start_time) = match settings.start {
            Start::TrimHorizon => (Checkpoint::TrimHorizon, None),
            Start::At(time) => (Checkpoint::AtTimestamp, Some(time.into())),
            _ => (Checkpoint::Latest, None),
        };
        let readers = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
            prepared = async {
                driver::prepare(&*leases).await?;
                Ok::<_, FleetError>(reader.build_single(settings.stream).await?)
            } => prepared?,
        };
        let mut options = engine::Options::new(worker, initial);
        options.failover = settings.failover;
        options.look_interval = settings.look_interval;
        options.max_leases = settings.max_leases;
        options.max_steals = settings.max_steals;
        options.seed = fastrand::u64(..);
        tracing::info!(
            worker = &*options.worker,
            application = settings.application,
            "the worker starts"
        );
        let metrics = Metrics::new(&settings.application, &options.worker);
        tasks.spawn(driver::run(Worker {
            engine: Engine::new(options, driver::now()),
            leases,
            readers: Arc::new(readers),
            kind: Arc::new(kind),
            metrics,
            options: settings.options,
            start_time,
            timeout: settings.failover / 4,
            stop: stopped,
        }));
        match tasks.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Cannot happen: nothing else ends the tasks.
            _ => Ok(()),
        }
    }
}

impl Settings {
    fn check(&self) -> Result<(), InvalidOption> {
        if self.application.is_empty() {
            return Err(InvalidOption::new("application", "empty", "a name"));
        }
        let least = Duration::from_secs(1);
        if self.failover < least {
            let failover = format_args!("{:?}", self.failover);
            return Err(InvalidOption::new("failover", failover, "at least 1 second"));
        }
        if self.look_interval.is_zero() || self.look_interval > self.failover {
            let interval = format_args!("{:?}", self.look_interval);
            let expected = "longer than zero, and not longer than the failover time";
            return Err(InvalidOption::new("look_interval", interval, expected));
        }
        Ok(())
    }
}

impl<T, C, L> fmt::Debug for FleetBuilder<T, C, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetBuilder")
            .field("application", &self.settings.application)
            .field("stream", &self.settings.stream)
            .field("start", &self.settings.start)
            .field("worker", &self.settings.worker)
            .field("failover", &self.settings.failover)
            .field("look_interval", &self.settings.look_interval)
            .field("max_leases", &self.settings.max_leases)
            .field("max_steals", &self.settings.max_steals)
            .field("options", &self.settings.options)
            .finish_non_exhaustive()
    }
}

impl<T, K: fmt::Debug> fmt::Debug for Fleet<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("builder", &self.builder)
            .field("kind", &self.kind)
            .finish()
    }
}
