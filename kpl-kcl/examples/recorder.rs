//! A record processor that appends a line to a file for each record that it has handled: `.ci/kcl` starts it below a real daemon, kills
//! both, and checks the lines.
//!
//! `RECORDER_FILE` names the file, which all processes share: their lines are in the order in which the records were handled.
//! `RECORDER_PAUSE` is how many milliseconds a record takes. `RECORDER_NAME`, if it is set, stands in the lines instead of the number of
//! the process.
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::time::Duration;

use kpl::KplRecord;
use kpl_kcl::{Concurrency, Handler, Received};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Reading {
    #[kpl(partition_key)]
    sensor: String,
    counter: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::var_os("RECORDER_FILE").ok_or("RECORDER_FILE is not set")?;
    let file = OpenOptions::new().create(true).append(true).open(file)?;
    let pause = std::env::var("RECORDER_PAUSE").map_or(Ok(0), |pause| pause.parse())?;
    let name = std::env::var("RECORDER_NAME").unwrap_or_else(|_| std::process::id().to_string());
    let recorder = Recorder {
        name,
        file,
        pause: Duration::from_millis(pause),
    };
    let recorder: &Recorder = Box::leak(Box::new(recorder));
    Handler::per_record(|reading| recorder.record(reading))
        .concurrency(Concurrency::ByPartitionKey(const { NonZeroUsize::new(8).unwrap() }))
        .checkpoint_after(100)
        .run()
        .await?;
    Ok(())
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
        if *counter == 0 {
            // Standard output belongs to the protocol, and this does not get there.
            println!("printed: the first record of {sensor}");
        }
        Ok(())
    }
}
