//! Measures the producer under overload and in outages, beside a server in this process that limits and fails. Each figure
//! is a line with what was measured and what is wanted; if one falls short, the example exits with 1.
//!
//! ```text
//! cargo run --release -p kpl-stream --example overload
//! cargo run --release -p kpl-stream --example overload -- limit memory
//! ```

mod errors;
mod limit;
mod memory;
mod order;
mod outage;
mod report;
mod time;
mod told;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use kpl_testkit::throttling::ThrottlingServer;

use self::report::Report;

/// What can go wrong while measuring.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long the server takes to answer.
const LATENCY: Duration = Duration::from_millis(10);

/// The groups of figures, which the arguments choose from.
const GROUPS: [&str; 7] = ["order", "limit", "memory", "outage", "time", "errors", "told"];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        // This process is one whose memory is measured.
        Some((first, rest)) if first == memory::CHILD => memory::child(rest).await.map(|()| true),
        Some((first, rest)) if first == outage::CHILD => outage::child(rest).map(|()| true),
        _ => measure(&arguments).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("overload: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether no figure falls short.
async fn measure(chosen: &[String]) -> Result<bool> {
    if let Some(unknown) = chosen.iter().find(|name| !GROUPS.contains(&name.as_str())) {
        return Err(format!("{unknown} is not one of {}", GROUPS.join(", ")).into());
    }
    if cfg!(debug_assertions) {
        println!("This is a debug build: use --release, or the speed of the example itself may be what is measured.\n");
    }
    let server = ThrottlingServer::start_with_latency(LATENCY);
    let mut report = Report::default();
    for group in GROUPS {
        if !chosen.is_empty() && !chosen.iter().any(|name| name == group) {
            continue;
        }
        report.group(group);
        match group {
            "order" => order::measure(&server, &mut report).await?,
            "limit" => limit::measure(&server, &mut report).await?,
            "memory" => memory::measure(&server, &mut report).await?,
            "outage" => outage::measure(&mut report).await?,
            "time" => time::measure(&mut report)?,
            "errors" => errors::measure(&server, &mut report).await?,
            _ => told::measure(&server, &mut report).await?,
        }
    }
    Ok(report.finish())
}
