//! A worker that appends a line to a file for each record that it has handled, as the example `recorder` in kpl-kcl does, so that
//! both can share the shards of a stream.
//!
//! `RECORDER_FILE` names the file, which all processes share: their lines are in the order in which the records were handled.
//! `RECORDER_PAUSE` is how many milliseconds a record takes, and `RECORDER_FAILOVER` is the failover time in milliseconds. The
//! arguments are the application and the stream. `RECORDER_NAME`, if it is set, is the worker's name, and stands in the lines instead of
//! the number of the process. `AWS_ENDPOINT_URL_KINESIS` and `AWS_ENDPOINT_URL_DYNAMODB` are the servers.
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::time::Duration;

use aws_config::BehaviorVersion;
use kpl::KplRecord;
use kpl_fleet::{Concurrency, Fleet, Received};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Reading {
    #[kpl(partition_key)]
    sensor: String,
    counter: u64,
}

struct Recorder {
    name: String,
    file: File,
    pause: Duration,
}

impl Recorder {
    async fn record(&self, reading: Received<Reading>) -> Result<(), Box<dyn Error + Send + Sync>> {
        tokio::time::sleep(self.pause).await;
        let position = reading.position().ok_or("a record without a position")?;
        let shard = reading.shard_id().ok_or("a record without a shard")?;
        let Reading { sensor, counter } = &reading.value;
        let name = &self.name;
        // One write: lines of other processes do not come in between.
        (&self.file).write_all(format!("{name} {shard} {position} {sensor} {counter}\n").as_bytes())?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let (application, stream) = arguments
        .next()
        .zip(arguments.next())
        .ok_or("fleet_recorder APPLICATION STREAM")?;
    let millis = |name: &str, default| -> Result<Duration, Box<dyn Error>> {
        let value = std::env::var(name).map_or(Ok(default), |text| text.parse())?;
        Ok(Duration::from_millis(value))
    };
    let (pause, failover) = (millis("RECORDER_PAUSE", 0)?, millis("RECORDER_FAILOVER", 10_000)?);
    let file = std::env::var_os("RECORDER_FILE").ok_or("RECORDER_FILE is not set")?;
    let file = OpenOptions::new().create(true).append(true).open(file)?;
    let name = std::env::var("RECORDER_NAME").unwrap_or_else(|_| std::process::id().to_string());
    let recorder: &Recorder = Box::leak(Box::new(Recorder { name, file, pause }));
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Fleet::<Reading>::builder(application, stream)
        .load_aws_config(&config)
        .worker(&*recorder.name)
        .failover(failover)
        .save_after(100)
        .until(async move { terminated.recv().await })
        .per_record(|reading| recorder.record(reading))
        .concurrency(Concurrency::ByPartitionKey(const { NonZeroUsize::new(8).unwrap() }))
        .run()
        .await?;
    Ok(())
}
