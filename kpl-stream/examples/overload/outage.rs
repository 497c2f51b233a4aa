//! A long outage: the memory of records that are refused again and again does not grow.
//!
//! The pipeline alone, in a process of its own, with a clock that jumps to when something happens next.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kpl_core::RawRecord;
use kpl_stream::client::{EntryError, PutResult, RequestError, StreamDescription};
use kpl_stream::pipeline::{Output, Pipeline, RequestId};
use kpl_stream::{EncodedRecord, Options};
use kpl_testkit::even_shards;

use crate::Result;
use crate::memory::{resident, run_again};
use crate::report::{Report, mib};

/// The first argument of the process whose memory is measured.
pub(crate) const CHILD: &str = "--outage";

const RECORDS: u32 = 100_000;
const OUTAGE: Duration = Duration::from_secs(20 * 60);
const LATENCY: Duration = Duration::from_millis(5);

/// What the process grows by until then is what is compared.
const START: Duration = Duration::from_secs(1);

/// How the service refuses.
const REFUSALS: [(&str, &str); 2] = [("requests", "every request 503"), ("entries", "every entry throttled")];

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    if let Err(error) = resident() {
        report.skip("RSS", error);
        return Ok(());
    }
    let running = REFUSALS.map(|(refused, name)| async move { (name, run_again(&[CHILD, refused]).await) });
    for (name, printed) in futures_util::future::join_all(running).await {
        let [start, most] = printed?[..] else {
            return Err("the process printed something else".into());
        };
        report.figure(
            format_args!("100,000 records of 10 B, TTL 1 h, {name} for 20 minutes"),
            format_args!("{} at the start, then at most {}", mib(start), mib(most)),
            format_args!("<= {}", mib(start * 1.25)),
            most <= start * 1.25,
        );
    }
    Ok(())
}

/// Prints how many bytes the process grew by at the start, and the most it grew by.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let entries_refused = match arguments {
        [refused] if refused == "entries" => true,
        [refused] if refused == "requests" => false,
        _ => return Err("the argument is what is refused".into()),
    };
    let idle = resident()?;
    let mut options = Options::default();
    options.record_ttl = Duration::from_secs(3600);
    let started = Instant::now();
    let mut pipeline = Pipeline::new(options, 1)?;
    let stream = pipeline.open("clicks", started);
    for number in 0..RECORDS {
        let record = EncodedRecord::new(&RawRecord::new(number.to_string(), "0123456789"))?;
        pipeline.push(stream, [(record, number)], started);
    }

    // The requests without an answer: when it is due, and how many entries each has.
    let mut answers: VecDeque<(Instant, RequestId, usize)> = VecDeque::new();
    let mut now = started;
    let (mut at_start, mut most) = (0, 0);
    let mut next_look = started;
    while now < started + OUTAGE {
        while let Some(output) = pipeline.poll(now) {
            match output {
                Output::ListShards { id, .. } => {
                    pipeline.listed(id, Ok((even_shards(4), StreamDescription::default())), now);
                }
                Output::PutRecords { id, entries, .. } => answers.push_back((now + LATENCY, id, entries.len())),
                Output::Resolved(_) => return Err("a record has an outcome".into()),
                _ => {}
            }
        }
        let answer = answers.front().map(|(at, ..)| *at);
        let next = pipeline.wake_at(now).into_iter().chain(answer).min();
        now = next.ok_or("nothing is left to do")?.max(now + Duration::from_micros(1));
        while let Some((_, id, count)) = answers.pop_front_if(|(at, ..)| *at <= now) {
            pipeline.answered(id, refusal(entries_refused, count), now);
        }
        if now >= next_look {
            next_look = now + Duration::from_millis(100);
            let grown = resident()?.saturating_sub(idle);
            most = most.max(grown);
            if now < started + START {
                at_start = most;
            }
        }
    }
    println!("{at_start} {most}");
    Ok(())
}

fn refusal(entries_refused: bool, count: usize) -> std::result::Result<Vec<PutResult>, RequestError> {
    if !entries_refused {
        return Err(RequestError::unanswered("503", "Service Unavailable"));
    }
    let refused = || EntryError::new("ProvisionedThroughputExceededException", "Rate exceeded for a shard.");
    Ok((0..count).map(|_| Err(refused())).collect())
}
