//! What is logged when shards cannot be listed.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use kpl_core::{HashKeyRange, Shard};
use kpl_stream::Options;
use kpl_stream::client::{RequestError, StreamDescription};
use kpl_stream::pipeline::{Output, Pipeline};
use kpl_testkit::log::Log;
use tracing::Level;

type Answer = Result<(Vec<Shard>, StreamDescription), RequestError>;

/// Returns the warnings while shards are listed with these answers.
fn warnings(answers: Vec<Answer>) -> Vec<String> {
    Log::of(Level::WARN, || {
        let mut now = Instant::now();
        let mut pipeline = Pipeline::<()>::new(Options::default(), 7).unwrap();
        pipeline.open("clicks", now);
        for answer in answers {
            let id = loop {
                match pipeline.poll(now) {
                    Some(Output::ListShards { id, .. }) => break id,
                    Some(_) => {}
                    None => now = pipeline.wake_at(now).unwrap().max(now + Duration::from_millis(1)),
                }
            };
            pipeline.listed(id, answer, now);
        }
    })
}

fn denied() -> Answer {
    Err(RequestError::refused("AccessDeniedException", "not authorized"))
}

fn unreachable() -> Answer {
    Err(RequestError::not_sent(
        "DispatchFailure",
        "cannot connect to http://localhost",
    ))
}

fn shards() -> Answer {
    let shard = Shard::new("shardId-000000000000", HashKeyRange::FULL);
    Ok((vec![shard], StreamDescription::default()))
}

const DENIED: &str = "its shards cannot be listed, so records are sent one by one, not aggregated (grant \
                      kinesis:ListShards): AccessDeniedException: not authorized";
const UNREACHABLE: &str = "its shards cannot be listed, so records are sent one by one, not aggregated: \
                           DispatchFailure: cannot connect to http://localhost";
const LAST_LIST: &str = "shards cannot be listed: the last list is used";

#[test]
fn a_stream_whose_shards_may_not_be_listed_is_warned_of_once() {
    assert_eq!(warnings((0..20).map(|_| denied()).collect()), [DENIED]);
}

#[test]
fn there_is_another_warning_after_shards_could_be_listed() {
    let answers = vec![
        denied(),
        denied(),
        shards(),
        denied(),
        denied(),
        shards(),
        unreachable(),
    ];
    assert_eq!(warnings(answers), [DENIED, LAST_LIST, LAST_LIST]);
}

#[test]
fn an_outage_and_a_missing_permission_are_warned_of_separately() {
    let answers = vec![unreachable(), unreachable(), denied(), denied()];
    assert_eq!(warnings(answers), [UNREACHABLE, DENIED]);
}

#[test]
fn shards_with_a_gap_between_them_are_warned_of_as_well() {
    let range = HashKeyRange::new(1.into(), u128::MAX.into()).unwrap();
    let gap = Ok((
        vec![Shard::new("shardId-000000000000", range)],
        StreamDescription::default(),
    ));
    let warnings = warnings(vec![gap]);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("not aggregated: InvalidShardMap: "),
        "{warnings:?}"
    );
}
