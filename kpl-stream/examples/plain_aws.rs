//! Sends a thousand records to a stream of yours, and prints where each was written.
//!
//! ```text
//! cargo run -p kpl-stream --example plain_aws -- STREAM    # as AWS_REGION, AWS_PROFILE ... say
//! cargo run -p kpl-stream --example plain_aws              # a server in this process instead
//! ```

use std::error::Error;
use std::time::Duration;

use kpl::KplRecord;
use kpl_stream::Producer;
use kpl_testkit::server::config_and_stream;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    url: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (config, stream) = config_and_stream().await;
    let producer = Producer::builder().load_aws_config(&config).build()?;
    let clicks = producer.stream::<Click>(&stream).await?;

    let mut deliveries = Vec::new();
    for number in 0..1000 {
        let click = Click {
            user: format!("user-{}", number % 50),
            url: format!("/articles/{number}"),
        };
        deliveries.push(clicks.send(click).await?); // waits for room, not for the service
    }
    for delivery in deliveries {
        match delivery.await {
            Ok(receipt) => println!(
                "{} {}:{} after {} attempts",
                receipt.shard_id(),
                receipt.sequence_number(),
                receipt.sub_sequence_number(),
                receipt.attempts().len()
            ),
            Err(error) => eprintln!("{error}: {:?}", error.record),
        }
    }
    producer.close(Duration::from_secs(30)).await?;
    Ok(())
}
