//! Making a producer: its client and its options.

use std::sync::Arc;
use std::time::Duration;

use super::Producer;
use super::options::Options;
use crate::client::WriteClient;

/// Sets the client and the options of a [`Producer`]. The options are named after the KPL's.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::time::Duration;
/// use kpl_stream::Producer;
///
/// let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
/// let producer = Producer::builder()
///     .load_aws_config(&config)
///     .record_max_buffered_time(Duration::from_millis(250))
///     .ordered(true)
///     .build();
/// # drop(producer);
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProducerBuilder<C = Arc<dyn WriteClient>> {
    client: C,
    options: Options,
}

impl Producer {
    /// Starts to build a producer.
    pub fn builder() -> ProducerBuilder<()> {
        ProducerBuilder {
            client: (),
            options: Options::default(),
        }
    }
}

impl<C> ProducerBuilder<C> {
    /// Sends through the AWS SDK, with the region, the credentials and the endpoint of `config`.
    #[cfg(feature = "aws")]
    #[cfg_attr(docsrs, doc(cfg(feature = "aws")))]
    pub fn load_aws_config(self, config: &aws_types::SdkConfig) -> ProducerBuilder {
        self.client(crate::aws::AwsClient::new(config))
    }

    /// Sends through a client of your own.
    pub fn client(self, client: impl WriteClient) -> ProducerBuilder {
        ProducerBuilder {
            client: Arc::new(client),
            options: self.options,
        }
    }

    /// Sets all options at once.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Whether many user records travel as one Kinesis record. Default: yes.
    pub const fn aggregation_enabled(mut self, enabled: bool) -> Self {
        self.options.aggregation_enabled = enabled;
        self
    }

    /// The most user records in one Kinesis record. Default: as many as fit.
    pub const fn aggregation_max_count(mut self, user_records: usize) -> Self {
        self.options.aggregation_max_count = user_records;
        self
    }

    /// The most bytes of an aggregated record, its partition key included. Default 51,200, at most 10 MiB. A user record that
    /// is larger goes alone.
    pub const fn aggregation_max_size(mut self, bytes: usize) -> Self {
        self.options.aggregation_max_size = bytes;
        self
    }

    /// The most Kinesis records in one request. Default 500, which is all that the service takes.
    pub const fn collection_max_count(mut self, kinesis_records: usize) -> Self {
        self.options.collection_max_count = kinesis_records;
        self
    }

    /// The most bytes of the records of one request. Default 5 MiB; the service takes 10 MiB. A record that is larger goes
    /// alone.
    pub const fn collection_max_size(mut self, bytes: usize) -> Self {
        self.options.collection_max_size = bytes;
        self
    }

    /// How long a record may wait for others to travel with. Default 100 ms.
    pub const fn record_max_buffered_time(mut self, time: Duration) -> Self {
        self.options.record_max_buffered_time = time;
        self
    }

    /// How long a record is tried: afterwards it fails as expired. Default 30 s.
    pub const fn record_ttl(mut self, time: Duration) -> Self {
        self.options.record_ttl = time;
        self
    }

    /// How much is sent to a shard, in percent of what it takes (1,000 records and 1 MiB in a second). Default 150, so that a
    /// shard is used in full although other producers use it as well.
    pub const fn rate_limit(mut self, percent: u32) -> Self {
        self.options.rate_limit = percent;
        self
    }

    /// Whether a record fails at once when the service has no room for it, instead of being tried again. Default: no.
    pub const fn fail_if_throttled(mut self, fail: bool) -> Self {
        self.options.fail_if_throttled = fail;
        self
    }

    /// The most requests under way at once. Default 24.
    pub const fn max_connections(mut self, requests: usize) -> Self {
        self.options.max_connections = requests;
        self
    }

    /// How long the service may take for an answer. Default 6 s. Afterwards nobody knows whether the records were written, and
    /// they are sent again.
    pub const fn request_timeout(mut self, time: Duration) -> Self {
        self.options.request_timeout = time;
        self
    }

    /// The most bytes of a user record, its partition key and its payload. Default 1 MiB, at most 10 MiB, which only streams
    /// take whose maximum record size was raised.
    pub const fn max_user_record_size(mut self, bytes: usize) -> Self {
        self.options.max_user_record_size = bytes;
        self
    }

    /// The budget of all streams together: keys and payloads of records without an outcome, and
    /// [`OVERHEAD`](crate::OVERHEAD) for each. Default 64 MiB. Beyond it senders wait.
    ///
    /// The process takes up to some times as much: packed records and requests are copies, and each sender keeps its
    /// record.
    pub const fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.options.max_buffered_bytes = bytes;
        self
    }

    /// The most records without an outcome, of all streams together. Default 500,000.
    pub const fn max_buffered_records(mut self, records: usize) -> Self {
        self.options.max_buffered_records = records;
        self
    }

    /// Whether records with the same partition key keep their order: a later one is never on its way while an earlier one is.
    /// Default: no. A key then gets at most one Kinesis record for each round trip.
    pub const fn ordered(mut self, ordered: bool) -> Self {
        self.options.ordered = ordered;
        self
    }

    /// What happens to an aggregate that ended in a shard that does not own all of its records, because the shards changed.
    /// Default, no: all of its records are sent again, because readers that filter by hash key range, as the KCL does, drop
    /// it whole. Yes: only the strays are sent again, for readers that do not filter.
    pub const fn resend_strays_only(mut self, only: bool) -> Self {
        self.options.resend_strays_only = only;
        self
    }

    /// How often shards are listed although nothing says that they changed. Default 60 s.
    pub const fn shard_refresh_interval(mut self, time: Duration) -> Self {
        self.options.shard_refresh_interval = time;
        self
    }
}

impl ProducerBuilder {
    /// Makes the producer. It starts with its first stream, which also checks the options.
    #[must_use]
    pub fn build(self) -> Producer {
        Producer::new(self.options, self.client)
    }
}
