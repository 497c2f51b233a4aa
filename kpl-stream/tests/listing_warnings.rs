//! What is logged when shards cannot be listed.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kpl_core::{HashKeyRange, Shard};
use kpl_stream::Options;
use kpl_stream::client::{RequestError, StreamDescription};
use kpl_stream::pipeline::{Output, Pipeline};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps the messages of warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

type Answer = Result<(Vec<Shard>, StreamDescription), RequestError>;

/// Returns the warnings while shards are listed with these answers.
fn warnings(answers: Vec<Answer>) -> Vec<String> {
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
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
    });
    warnings.0.lock().unwrap().clone()
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
