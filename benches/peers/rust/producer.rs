//! kpl-stream: `producer SHAPE URL [CERTIFICATE]`. See ../measure.py.
#![forbid(unsafe_code)]

mod say;
mod shape;

use std::fs;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kpl::RawRecord;
use kpl_stream::{Delivery, Producer, StreamProducer};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep_until;

use self::say::{orders, say};
use self::shape::{User, load, percentiles};

async fn config(url: &str, certificate: Option<&str>) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new("us-east-1"));
    let Some(certificate) = certificate else {
        return loader.load().await;
    };
    let certificate = fs::read(certificate).expect("the certificate is readable");
    let trust = TrustStore::empty().with_pem_certificate(certificate);
    let context = TlsContext::builder().with_trust_store(trust).build();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context.expect("the certificate is valid"))
        .build_https();
    loader.http_client(http).load().await
}

/// Returns whether the record was written, and since when it was under way.
async fn outcome(delivery: Delivery<RawRecord>, since: Instant) -> (bool, Instant) {
    (delivery.await.is_ok(), since)
}

/// Sends the records of a shape, again and again, and waits for every outcome. An order has `seconds` and `outstanding`, the most records
/// without an outcome, and may have `rate`, how many records are sent each second, and `count`, the most that are sent.
async fn send(stream: &StreamProducer<RawRecord>, users: &[User], order: &Value) -> Value {
    let limit = Duration::from_secs_f64(order["seconds"].as_f64().expect("a number"));
    let outstanding = order["outstanding"].as_u64().expect("a number") as usize;
    let (rate, count) = (order["rate"].as_f64(), order["count"].as_u64().unwrap_or(u64::MAX));
    let places = Semaphore::new(outstanding);
    let (deliveries, mut accepted) = mpsc::unbounded_channel();
    let begin = Instant::now();
    let waiting = async {
        let (mut pending, mut times, mut failed) = (FuturesUnordered::new(), Vec::new(), 0);
        loop {
            tokio::select! {
                Some((delivery, since)) = accepted.recv() => pending.push(outcome(delivery, since)),
                Some((sent, since)) = pending.next() => {
                    places.add_permits(1);
                    if sent { times.push(since.elapsed().as_secs_f64()) } else { failed += 1 }
                }
                else => break (times, failed),
            }
        }
    };
    let sending = async {
        let deliveries = deliveries;
        for (number, (key, data)) in (0..count).zip(users.iter().cycle()) {
            let due = rate.map(|rate| begin + Duration::from_secs_f64(number as f64 / rate));
            if due.unwrap_or_else(Instant::now) >= begin + limit {
                break;
            }
            if let Some(due) = due
                && due > Instant::now()
            {
                sleep_until(due.into()).await;
            }
            places.acquire().await.expect("it stays open").forget();
            let since = due.unwrap_or_else(Instant::now);
            let delivery = stream.send(RawRecord::new(key, data.as_slice())).await;
            let _ = deliveries.send((delivery.expect("the record is accepted"), since));
        }
    };
    let ((times, failed), ()) = tokio::join!(waiting, sending);
    let (seconds, records) = (begin.elapsed().as_secs_f64(), times.len());
    let (p50, p99) = percentiles(times);
    json!({ "records": records, "failed": failed, "seconds": seconds, "p50": p50, "p99": p99 })
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, url) = (&arguments[0], &arguments[1]);
    let users: Vec<User> = load(path).into_iter().flat_map(|(_, users)| users).collect();
    // The service takes more than Kinesis does. All other options are the defaults, which are the KPL's.
    let producer = Producer::builder()
        .load_aws_config(&config(url, arguments.get(2).map(String::as_str)).await)
        .rate_limit(1_000_000)
        .build()
        .expect("the options are valid");
    let stream = producer.stream::<RawRecord>("peers").await.expect("the stream opens");
    say("ready");
    for order in orders() {
        let order = serde_json::from_str(&order).expect("an order is JSON");
        say(send(&stream, &users, &order).await);
    }
    producer.close(Duration::from_secs(30)).await.expect("nothing is left");
}
