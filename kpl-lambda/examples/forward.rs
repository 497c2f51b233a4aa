//! Forwards user records into another stream: takes them out of their aggregates, transforms them and aggregates them
//! again. It answers when every record has an outcome, and names the Kinesis records of those that were not written.

use std::time::Duration;

use kpl_lambda::handler::PerBatch;
use kpl_lambda::{BoxFuture, Error, Failures, Handler, Received};
use kpl_stream::{Producer, StreamProducer};
use serde::{Deserialize, Serialize};

/// A record of the source stream.
#[derive(Debug, Serialize, Deserialize, kpl::KplRecord)]
#[kpl(codec = kpl::codec::Json)]
pub(crate) struct Click {
    #[kpl(partition_key)]
    pub(crate) user: String,
    pub(crate) url: String,
}

/// A record of the target stream: keyed by page, and without the query string.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, kpl::KplRecord)]
#[kpl(codec = kpl::codec::Json)]
pub(crate) struct Visit {
    #[kpl(partition_key)]
    pub(crate) page: String,
    pub(crate) user: String,
}

impl From<Click> for Visit {
    fn from(Click { user, url }: Click) -> Self {
        let page = url.split('?').next().unwrap_or_default().to_owned();
        Self { page, user }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let target = std::env::var("TARGET_STREAM").map_err(|error| format!("TARGET_STREAM: {error}"))?;
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let producer = Producer::builder()
        .load_aws_config(&config)
        // Less than the function's timeout, so that it answers in any case.
        .record_ttl(Duration::from_secs(20))
        .build()?;
    handler(producer, &target).await?.run().await
}

/// The type of handler that [`handler`] returns.
pub(crate) type Forwarder<F> = Handler<Click, PerBatch<F>>;

/// Returns a handler that forwards into the stream `target`.
pub(crate) async fn handler(
    producer: Producer,
    target: &str,
) -> Result<Forwarder<impl Fn(Vec<Received<Click>>) -> BoxFuture<'static, Result<Failures, Error>> + use<>>, Error> {
    let stream = producer.stream::<Visit>(target).await?;
    Ok(Handler::per_batch(move |clicks| {
        let forwarded = forward(producer.clone(), stream.clone(), clicks);
        Box::pin(forwarded) as BoxFuture<'static, _>
    }))
}

async fn forward(
    producer: Producer,
    stream: StreamProducer<Visit>,
    clicks: Vec<Received<Click>>,
) -> Result<Failures, Error> {
    let mut failures = Failures::none();
    let mut deliveries = Vec::with_capacity(clicks.len());
    for click in clicks {
        let (click, record) = click.into_parts();
        match stream.send(click.into()).await {
            Ok(delivery) => deliveries.push((record, delivery)),
            Err(error) => {
                eprintln!("{error}: {:?}", error.record);
                failures.add(&record);
            }
        }
    }
    // Lambda freezes the process after the answer: nothing may be in flight then.
    producer.flush().await;
    for (record, delivery) in deliveries {
        if let Err(error) = delivery.await {
            eprintln!("{error}: {:?}", error.record);
            failures.add(&record);
        }
    }
    Ok(failures)
}
