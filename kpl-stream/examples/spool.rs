//! Keeps what is sent during an outage on the disk, ends, and lets another producer send it.
//!
//! ```text
//! cargo run -p kpl-stream --example spool
//! ```

use std::error::Error;
use std::time::Duration;

use kpl::KplRecord;
use kpl_stream::spool::Spool;
use kpl_stream::{Producer, Reader, Received};
use kpl_testkit::server::Server;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    number: u32,
}

const CLICKS: u32 = 10_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("kpl-spool-example-{}", std::process::id()));
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;

    // No service can be reached here, and this producer does not wait for one.
    let nowhere = kpl_testkit::aws::config("http://127.0.0.1:1", "AKIDEXAMPLE").await;
    let spool = Spool::dir(&folder).open()?;
    let producer = Producer::builder().load_aws_config(&nowhere).spool(spool).build()?;
    let clicks = producer.stream_unchecked::<Click>("clicks").await?;
    for number in 0..CLICKS {
        let user = format!("user-{}", number % 50);
        // `spool` would wait until each one is on the disk; this waits once, below.
        clicks.try_spool(Click { user, number })?;
    }
    producer.sync_spool().await;
    println!("stored: {:?}", producer.spooled().unwrap_or_default());
    if let Err(error) = producer.close(Duration::ZERO).await {
        println!("closed: {error}");
    }

    // Here it can be reached. What is left is sent first; nothing has to be opened for that.
    let spool = Spool::dir(&folder)
        .on_outcome(|outcome| {
            if let Err(failure) = outcome.result {
                eprintln!("{failure}: {:?}", outcome.record); // the place for a dead letter queue
            }
        })
        .open()?;
    println!("left by the one before: {} records", spool.pending());
    let producer = Producer::builder()
        .load_aws_config(server.config())
        .spool(spool)
        .build()?;
    producer.close(Duration::from_secs(60)).await?;

    let mut reader = Reader::<Click>::builder()
        .load_aws_config(server.config())
        .build("clicks")
        .await?;
    let mut numbers = vec![0_u32; CLICKS as usize];
    while numbers.contains(&0) {
        let click: Received<Click> = reader.next().await.ok_or("the stream has ended")??;
        if let Some(count) = numbers.get_mut(click.value.number as usize) {
            *count += 1;
        }
    }
    println!("read: all of the {CLICKS} records");
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
