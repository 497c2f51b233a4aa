//! Memory is the budget: what a process grows by while its producer is full, in each state that records can be in.
//!
//! The producer runs in a process of its own, which is this example again, so that nothing else counts.

use std::fmt;
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use kpl_core::RawRecord;
use kpl_stream::{Options, Producer, StreamProducer};
use kpl_testkit::aws;
use kpl_testkit::throttling::{Fault, ThrottlingServer};

use crate::Result;
use crate::report::{Report, mib};

/// The first argument of the process whose memory is measured.
pub(crate) const CHILD: &str = "--memory";

/// Where Linux shows how much memory a process has.
const STATUS: &str = "/proc/self/status";

/// How long a full producer is observed: longer than a request may take, so that it is sent again.
const OBSERVED: Duration = Duration::from_secs(8);

/// The same while the shards are not listed: less than that, because afterwards records are sent one by one.
const OBSERVED_UNLISTED: Duration = Duration::from_secs(5);

/// How many processes run at once.
const AT_ONCE: usize = 4;

/// A stream that only answers, to warm the connection up.
const WARM: &str = "warm";

/// Keys have this many bytes, which are part of a record's size.
const KEY: usize = 8;

/// What the records do while their memory is measured.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// They wait for the shards to be listed.
    Buffered,
    /// They are in requests without answers.
    InFlight,
    /// Every entry is refused.
    EntriesRefused,
    /// Every request fails.
    RequestsFail,
}

const STATES: [State; 4] = [
    State::Buffered,
    State::InFlight,
    State::EntriesRefused,
    State::RequestsFail,
];

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Buffered => "buffered",
            Self::InFlight => "in flight",
            Self::EntriesRefused => "every entry refused",
            Self::RequestsFail => "every request 503",
        })
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let state = STATES.into_iter().find(|state| state.to_string() == text);
        state.ok_or_else(|| format!("{text} is not a state"))
    }
}

pub(crate) async fn measure(server: &ThrottlingServer, report: &mut Report) -> Result<()> {
    if let Err(error) = resident() {
        report.skip("RSS", error);
        return Ok(());
    }
    server.create_stream(WARM, 1, None);
    let mut cases = Vec::new();
    for state in STATES {
        for (bytes, size) in [(20, "20 B"), (1000, "1 KB"), (50_000, "50 KB"), (1 << 20, "1 MiB")] {
            for kept in [true, false] {
                cases.push((state, bytes, size, kept));
            }
        }
    }
    let running = cases.into_iter().map(|(state, bytes, size, kept)| async move {
        let name = format!("memory-{state}-{bytes}-{kept}").replace(' ', "-");
        server.create_stream(&name, 4, None);
        match state {
            State::Buffered => server.fail_listings(&name, Some(Fault::NoAnswer)),
            State::InFlight => server.fail_puts(&name, Some(Fault::NoAnswer)),
            State::EntriesRefused => server.fail_puts(&name, Some(Fault::EveryEntry)),
            State::RequestsFail => server.fail_puts(&name, Some(Fault::Unavailable)),
        }
        let arguments = [
            CHILD,
            server.url(),
            &name,
            &state.to_string(),
            &bytes.to_string(),
            &kept.to_string(),
        ];
        let printed = run_again(&arguments).await?;
        let deliveries = if kept { "kept" } else { "dropped" };
        let name = format!("{size}, {state}, deliveries {deliveries}");
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((name, printed, bytes, kept))
    });
    let budget = Options::default().max_buffered_bytes as f64;
    let mut running = futures_util::stream::iter(running).buffered(AT_ONCE);
    while let Some(one) = running.next().await {
        let (name, printed, bytes, kept) = one?;
        let [grown, records] = printed[..] else {
            return Err("the process printed something else".into());
        };
        let callers = match kept {
            true => format!(
                ", of which the records of the deliveries {}",
                mib(records * f64::from(bytes))
            ),
            false => String::new(),
        };
        let times = grown / budget;
        report.figure(
            name,
            format_args!("{times:.2} x: {}{callers}", mib(grown)),
            "<= 1.25 x",
            times <= 1.25,
        );
    }
    Ok(())
}

/// Runs this example with other arguments. Returns the numbers that it prints.
pub(crate) async fn run_again(arguments: &[&str]) -> Result<Vec<f64>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}: {}", arguments.join(" "), output.status, said.trim()).into());
    }
    let printed = String::from_utf8(output.stdout)?;
    let numbers = printed.split_whitespace().map(str::parse);
    Ok(numbers.collect::<std::result::Result<_, _>>()?)
}

/// Fills a producer. Prints how many bytes the process grew by, and how many records there are.
pub(crate) async fn child(arguments: &[String]) -> Result<()> {
    let [url, name, state, bytes, kept] = arguments else {
        return Err("the arguments are a URL, a stream, a state, a size, and whether deliveries are kept".into());
    };
    let (state, bytes, kept): (State, usize, bool) = (state.parse()?, bytes.parse()?, kept.parse()?);
    let producer = Producer::builder()
        .load_aws_config(&aws::config(url, "memory").await)
        .build()?;
    let warm = producer.stream(WARM).await?;
    warm.send(RawRecord::new("key", "data")).await?.await?;
    let stream = producer.stream_unchecked(name).await?;
    if state != State::Buffered {
        stream.state().await?;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let idle = resident()?;

    let mut deliveries = Vec::new();
    let (mut most, mut records) = (0, 0_u64);
    let started = Instant::now();
    let observed = if state == State::Buffered {
        OBSERVED_UNLISTED
    } else {
        OBSERVED
    };
    while started.elapsed() < observed {
        fill(&stream, bytes, kept.then_some(&mut deliveries), &mut records);
        most = most.max(resident()?);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{} {records}", most.saturating_sub(idle));
    Ok(())
}

/// Sends records until there is no room.
fn fill(
    stream: &StreamProducer<RawRecord>,
    bytes: usize,
    mut deliveries: Option<&mut Vec<kpl_stream::Delivery<RawRecord>>>,
    records: &mut u64,
) {
    loop {
        let record = RawRecord::new(format!("{records:0KEY$}"), vec![b'.'; bytes - KEY]);
        let Ok(delivery) = stream.try_send(record) else {
            return;
        };
        *records += 1;
        if let Some(deliveries) = &mut deliveries {
            deliveries.push(delivery);
        }
    }
}

/// Returns how many bytes of this process are in memory.
pub(crate) fn resident() -> Result<u64> {
    let status = std::fs::read_to_string(STATUS).map_err(|error| format!("{STATUS} cannot be read: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kib: u64 = kib.ok_or_else(|| format!("{STATUS} has no VmRSS"))?.trim().parse()?;
    Ok(kib * 1024)
}
