//! Keeps the order of the records of each partition key, and shows it by reading them back.
//!
//! ```text
//! cargo run -p kpl-stream --example ordered_keys -- STREAM    # as AWS_REGION, AWS_PROFILE ... say
//! cargo run -p kpl-stream --example ordered_keys              # a server in this process instead
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kpl::KplRecord;
use kpl_stream::Producer;
use kpl_stream::reader::{Reader, ReaderError, Start};
use kpl_testkit::server::config_and_stream;
use serde::{Deserialize, Serialize};

const ACCOUNTS: u64 = 20;
const BOOKINGS: u64 = 100;

#[derive(Debug, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Booking {
    #[kpl(partition_key)]
    account: String,
    /// Other records in the stream are not from this run.
    run: u64,
    number: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (config, stream) = config_and_stream().await;
    let producer = Producer::builder().load_aws_config(&config).ordered(true).build()?;
    let bookings = producer.stream::<Booking>(&stream).await?;

    let started = SystemTime::now();
    let run = u64::try_from(started.duration_since(UNIX_EPOCH)?.as_nanos())?;
    let mut deliveries = Vec::new();
    for number in 0..BOOKINGS {
        for account in 0..ACCOUNTS {
            let account = format!("account-{account}");
            deliveries.push(bookings.send(Booking { account, run, number }).await?);
        }
    }
    for delivery in deliveries {
        delivery.await?;
    }
    producer.close(Duration::from_secs(30)).await?;

    let mut reader = Reader::<Booking>::builder()
        .load_aws_config(&config)
        .start(Start::At(started - Duration::from_secs(60)))
        .build(&stream)
        .await?;
    let mut next: HashMap<String, u64> = HashMap::new();
    let mut left = ACCOUNTS * BOOKINGS;
    while left > 0 {
        let booking = match reader.next().await.ok_or("the stream ended")? {
            Ok(record) => record.value,
            Err(ReaderError::Record(_)) => continue, // someone else's
            Err(error) => return Err(error.into()),
        };
        if booking.run != run {
            continue;
        }
        let next = next.entry(booking.account).or_default();
        // A smaller number is a record that was written twice.
        if booking.number > *next {
            return Err(format!("{} came before {next}", booking.number).into());
        }
        if booking.number == *next {
            *next += 1;
            left -= 1;
        }
    }
    println!("{BOOKINGS} bookings of each of {ACCOUNTS} accounts came in their order.");
    Ok(())
}
