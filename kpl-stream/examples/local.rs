//! Sends 200,000 records to a server in this process while one of its shards is split, reads them back and checks each.
//!
//! ```text
//! cargo run -p kpl-stream --example local
//! ```

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use indicatif::{ProgressBar, ProgressStyle};
use kpl::KplRecord;
use kpl_core::{SealedRecord, Shard};
use kpl_stream::aws::AwsClient;
use kpl_stream::client::{PutResult, RequestError, StreamDescription, WriteClient};
use kpl_stream::reader::Reader;
use kpl_stream::{Delivery, Producer, Receipt, StreamProducer};
use kpl_testkit::server::Server;
use serde::{Deserialize, Serialize};

const RECORDS: u32 = 200_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    url: String,
    number: u32,
}

fn click(number: u32) -> Click {
    Click {
        user: format!("user-{}", number % 5_000),
        url: format!("/articles/{}/comments", number % 777),
        number,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Arc::new(Server::builder().enforce_limits().start().await);
    server.create_stream("clicks", 4).await;
    let config = server.config();

    let counted = Arc::new(Counts::default());
    let producer = Producer::builder()
        .client(Counting {
            client: AwsClient::new(config),
            counts: Arc::clone(&counted),
        })
        .record_ttl(Duration::from_secs(120))
        .build()?;
    let stream = producer.stream::<Click>("clicks").await?;

    let started = Instant::now();
    let bar = bar("sent")?;
    let sending = tokio::spawn(send(stream));
    let split = tokio::spawn(split_later(Arc::clone(&server)));
    let mut receipts: Vec<Receipt> = Vec::with_capacity(RECORDS as usize);
    for delivery in sending.await? {
        receipts.push(delivery.await?);
        bar.inc(1);
    }
    producer.close(Duration::from_secs(30)).await?;
    let took = started.elapsed();
    bar.finish();
    split.await?;

    let bar = self::bar("read")?;
    let mut found = vec![0_u32; RECORDS as usize];
    let mut left = RECORDS;
    let mut reader = Reader::<Click>::builder()
        .load_aws_config(config)
        .fetch_interval(Duration::from_millis(20))
        .build("clicks")
        .await?;
    while left > 0 {
        let record = tokio::time::timeout(Duration::from_secs(30), reader.next()).await;
        let Some(record) = record.map_err(|_| format!("{left} records are missing"))? else {
            break;
        };
        let click = record?.value;
        let number = click.number as usize;
        let times = found.get_mut(number).ok_or("a record that was never sent")?;
        if click != self::click(click.number) {
            return Err(format!("record {number} was changed: {click:?}").into());
        }
        if *times == 0 {
            left -= 1;
            bar.inc(1);
        }
        *times += 1;
    }
    bar.finish();
    if left > 0 {
        return Err(format!("{left} records are missing").into());
    }
    summary(&receipts, &found, &counted, took);
    Ok(())
}

fn bar(what: &'static str) -> Result<ProgressBar, Box<dyn Error>> {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len}")?;
    Ok(ProgressBar::new(RECORDS.into()).with_style(style).with_message(what))
}

async fn send(stream: StreamProducer<Click>) -> Vec<Delivery<Click>> {
    let mut deliveries = Vec::with_capacity(RECORDS as usize);
    for number in 0..RECORDS {
        match stream.send(click(number)).await {
            Ok(delivery) => deliveries.push(delivery),
            Err(error) => eprintln!("{error}: {:?}", error.record),
        }
    }
    deliveries
}

/// Splits the first shard in its middle while records are on their way.
async fn split_later(server: Arc<Server>) {
    tokio::time::sleep(Duration::from_millis(1500)).await;
    server.split("clicks", "shardId-000000000000").await;
}

fn summary(receipts: &[Receipt], found: &[u32], counted: &Counts, took: Duration) {
    let kinesis_records: HashSet<(&str, &str)> = receipts
        .iter()
        .map(|receipt| (receipt.shard_id(), receipt.sequence_number()))
        .collect();
    let mut shards: Vec<&str> = receipts.iter().map(Receipt::shard_id).collect();
    shards.sort_unstable();
    shards.dedup();
    let retries: usize = receipts.iter().map(|receipt| receipt.attempts().len() - 1).sum();
    let retried = receipts.iter().filter(|receipt| receipt.attempts().len() > 1).count();
    let again: u32 = found.iter().map(|times| times - 1).sum();
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let payload: usize = (0..RECORDS).map(payload_size).sum();
    let units = count(&counted.payload_units);
    let seconds = took.as_secs_f64();
    println!("records                   {:>9}", receipts.len());
    println!("Kinesis records           {:>9}", kinesis_records.len());
    println!("  with those sent again   {:>9}", count(&counted.records));
    println!("requests                  {:>9}", count(&counted.requests));
    println!("retries                   {retries:>9}   of {retried} records");
    println!("shards that took records  {:>9}", shards.len());
    println!(
        "throughput                {:>9.0}   records per second",
        receipts.len() as f64 / seconds
    );
    println!(
        "bytes sent                {:>9}   {:.3} for each of the records' own {payload}",
        count(&counted.bytes),
        count(&counted.bytes) as f64 / payload as f64
    );
    println!(
        "PUT payload units         {units:>9}   instead of {RECORDS}: {:.1} % saved",
        100.0 * (1.0 - units as f64 / f64::from(RECORDS))
    );
    println!("read more than once       {again:>9}   of aggregates that ended in a wrong shard and were sent again");
    println!(
        "\nNothing lost: each of {} records was read back as it was sent.",
        found.len()
    );
}

/// Key and payload.
fn payload_size(number: u32) -> usize {
    let click = click(number);
    let payload = click.payload(&mut Vec::new()).map_or(0, <[u8]>::len);
    click.user.len() + payload
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    records: AtomicUsize,
    bytes: AtomicUsize,
    payload_units: AtomicUsize,
}

/// A client that counts what it sends.
#[derive(Debug)]
struct Counting {
    client: AwsClient,
    counts: Arc<Counts>,
}

impl WriteClient for Counting {
    fn put_records<'a>(
        &'a self,
        stream: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
        let counts = &self.counts;
        counts.requests.fetch_add(1, Ordering::Relaxed);
        counts.records.fetch_add(entries.len(), Ordering::Relaxed);
        for entry in &entries {
            let size = entry.data.len() + entry.partition_key.as_str().len();
            counts.bytes.fetch_add(size, Ordering::Relaxed);
            counts
                .payload_units
                .fetch_add(size.div_ceil(25 * 1024), Ordering::Relaxed);
        }
        self.client.put_records(stream, entries)
    }

    fn open_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>> {
        self.client.open_shards(stream)
    }

    fn describe_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
        self.client.describe_stream(stream)
    }
}
