//! The reader of kpl-stream: `reader URL`. See ../measure.py.
#![forbid(unsafe_code)]

mod say;

use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region};
use kpl::RawRecord;
use kpl_stream::reader::{Reader, Start};
use serde_json::{Value, json};

use self::say::{orders, say};

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).expect("reader URL");
    let loader = aws_config::defaults(BehaviorVersion::latest()).endpoint_url(url);
    let config = loader.region(Region::new("us-east-1")).load().await;
    let mut reader = Reader::<RawRecord>::builder()
        .load_aws_config(&config)
        .start(Start::TrimHorizon)
        .poll_interval(Duration::from_millis(200))
        .build("peers")
        .await
        .expect("the stream is read");
    say("ready");
    for order in orders() {
        let order: Value = serde_json::from_str(&order).expect("an order is JSON");
        let count = order["count"].as_u64().expect("a number");
        let (begin, mut bytes) = (Instant::now(), 0);
        for _ in 0..count {
            let record = reader
                .next()
                .await
                .expect("a stream never ends")
                .expect("it is readable");
            bytes += record.value.size();
        }
        let seconds = begin.elapsed().as_secs_f64();
        say(json!({ "records": count, "bytes": bytes, "seconds": seconds }));
    }
}
