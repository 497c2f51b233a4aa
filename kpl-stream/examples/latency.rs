//! Measures how long a record takes from the call that puts it to the program that reads it, with GetRecords and with
//! enhanced fan-out, on a server in this process. Ends with 1 if half of the records take longer with fan-out than
//! twice the time between two events of the server.
//!
//! ```text
//! cargo run -p kpl-stream --example latency
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kpl_core::RawRecord;
use kpl_stream::reader::{Reader, ReaderBuilder, Start};
use kpl_testkit::server::Server;

const RECORDS: usize = 150;

/// How long ferrokinesis 0.7 waits after one event of a subscription before the next.
const EVENT_INTERVAL: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    let builder = || {
        Reader::<RawRecord>::builder()
            .load_aws_config(server.config())
            .start(Start::Latest)
    };
    let ways: [(&str, ReaderBuilder<RawRecord>); 3] = [
        ("GetRecords, every second (default)", builder()),
        (
            "GetRecords, every 200 ms",
            builder().poll_interval(Duration::from_millis(200)),
        ),
        ("SubscribeToShard (fan-out)", builder().fan_out("latency")),
    ];
    let begin = Instant::now();
    let mut names = Vec::new();
    let mut reading = Vec::new();
    for (name, builder) in ways {
        names.push(name);
        reading.push(tokio::spawn(latencies(builder.build("clicks").await?, begin)));
    }

    for number in 0..RECORDS {
        // At random, so that it does not keep step with those who ask.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(20..130))).await;
        let key = format!("user-{}", number % 50);
        let put = begin.elapsed().as_nanos().to_string();
        server.put_record("clicks", &key, put.as_bytes()).await;
    }

    println!("{RECORDS} records, one about every 75 ms, 2 shards; from put to the program that reads, in ms\n");
    println!("{:<36} {:>7} {:>7} {:>7}", "", "p50", "p90", "p99");
    let mut median = Duration::MAX;
    for (name, reading) in names.into_iter().zip(reading) {
        let sorted = tokio::time::timeout(Duration::from_secs(20), reading).await??;
        let mut sorted = sorted.map_err(|error| format!("{name}: {error}"))?;
        sorted.sort_unstable();
        let [p50, p90, p99] = [50, 90, 99].map(|percent| percentile(&sorted, percent));
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "{name:<36} {:>7.1} {:>7.1} {:>7.1}",
            millis(p50),
            millis(p90),
            millis(p99)
        );
        // Fan-out is the last.
        median = p50;
    }

    let most = 2 * EVENT_INTERVAL;
    let is_met = median <= most;
    println!(
        "\nFan-out, p50: at most {most:?}, twice the time between two events of the server: {}",
        if is_met { "met" } else { "not met" }
    );
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns how long each record took that was put since `begin`.
async fn latencies(mut reader: Reader<RawRecord>, begin: Instant) -> Result<Vec<Duration>, String> {
    let mut latencies = Vec::with_capacity(RECORDS);
    while latencies.len() < RECORDS {
        let Some(record) = reader.next().await else {
            return Err(format!("{} records are missing", RECORDS - latencies.len()));
        };
        let arrived = begin.elapsed();
        let record = record.map_err(|error| error.to_string())?;
        let put = std::str::from_utf8(&record.value.data).map_err(|error| error.to_string())?;
        let put = put.parse().map_err(|_| format!("{put} is not a time"))?;
        latencies.push(arrived.saturating_sub(Duration::from_nanos(put)));
    }
    Ok(latencies)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or(Duration::MAX)
}
