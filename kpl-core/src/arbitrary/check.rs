//! Checks what is read from a batch.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::{Damage, Refused};
use crate::wire::AggregatedRecord;
use crate::{AggregateError, Deaggregated, Deaggregator, FromKplRecord, KinesisRecord, KplRecord, Tags};

/// A Kinesis record, and what is known about it.
pub(super) struct Source<'v, 's> {
    pub(super) record: KinesisRecord<'s>,
    pub(super) damages: &'v [Damage],
    /// For each user record the index of its value, if it must come back. `None` means that nothing is known.
    pub(super) contents: Option<&'v [Option<usize>]>,
}

/// The values that were sent, and the name for one of them in the message of a panic.
pub(super) struct Sent<'v, T> {
    pub(super) values: &'v [T],
    pub(super) name: &'static str,
}

/// Reads a batch. Every user record must be returned once and in order, as a value or as an error, with its bytes, and
/// if its value is known, as that value. Returns the values that were not known.
#[track_caller]
pub(super) fn check<'s, T>(sources: &[Source<'_, 's>], sent: &Sent<'_, T>, same: impl Fn(&T, &T) -> bool) -> Vec<T>
where
    T: KplRecord + FromKplRecord<'s> + fmt::Debug,
{
    let batch: Vec<KinesisRecord<'s>> = sources.iter().map(|source| source.record).collect();
    let mut unknown = Vec::new();
    let mut records = Deaggregator::<T>::new().records(&batch);
    let mut user_records = 0;
    for (place, source) in sources.iter().enumerate() {
        let damages = source.damages;
        let payloads = payloads(source.record.data);
        if let Some(contents) = source.contents {
            let (len, expected) = (payloads.len(), contents.len());
            assert!(
                len == expected,
                "Kinesis record {place} holds {len} user records instead of {expected}; damages: {damages:?}"
            );
        }
        for (sub, payload) in payloads.into_iter().enumerate() {
            user_records += 1;
            let value = source
                .contents
                .and_then(|contents| contents.get(sub).copied().flatten());
            let value = value.and_then(|at| Some((at, sent.values.get(at)?)));
            let Some(item) = records.next() else {
                panic!("user record {sub} of Kinesis record {place} did not come out; damages: {damages:?}");
            };
            let (at, data) = match &item {
                Ok(received) => (
                    (
                        received.record.kinesis_record_index,
                        received.record.sub_sequence_number,
                    ),
                    received.record.data,
                ),
                Err(error) => (
                    (error.kinesis_record_index(), error.sub_sequence_number()),
                    error.data(),
                ),
            };
            let expected = (place, sub as u64);
            assert!(
                at == expected,
                "{at:?} came out where {expected:?} must; damages: {damages:?}"
            );
            assert!(
                data == payload,
                "user record {sub} of Kinesis record {place} came out as b\"{}\" instead of b\"{}\"; damages: {damages:?}",
                data.escape_ascii(),
                payload.escape_ascii()
            );
            match (item, value) {
                (Ok(received), Some((at, value))) => {
                    check_value(&received, &format!("{} {at}", sent.name), value, &same, damages)
                }
                (Ok(received), None) => unknown.push(received.value),
                (Err(error), None) => drop(error.to_string()),
                (Err(error), Some((at, value))) => panic!(
                    "{} {at} does not come back: {error}\n  sent: {value:?}\n  payload: b\"{}\"{}",
                    sent.name,
                    payload.escape_ascii(),
                    Beside(damages)
                ),
            }
        }
    }
    assert!(records.next().is_none(), "more came out than went in");
    let counts = records.counts();
    assert!(
        counts.user_records == user_records && counts.delivered + counts.failed == user_records,
        "{user_records} user records went in: {counts:?}"
    );
    unknown
}

/// Panics if there is a value that its codec cannot write: such a value is lost.
#[track_caller]
pub(super) fn check_written<T: fmt::Debug>(refused: &[Refused<T>], name: &str) {
    for Refused { value, error } in refused {
        assert!(
            !matches!(error, AggregateError::Payload(_)),
            "{name} cannot be written: {error}\n  the value: {value:?}"
        );
    }
}

/// Returns the payloads of the user records in some data.
fn payloads(data: &[u8]) -> Vec<&[u8]> {
    match AggregatedRecord::parse(data) {
        Ok(aggregate) => aggregate.records().map(|record| record.data).collect(),
        Err(_) => vec![data],
    }
}

#[track_caller]
fn check_value<T: KplRecord + fmt::Debug>(
    received: &Deaggregated<'_, T>,
    name: &str,
    sent: &T,
    same: impl Fn(&T, &T) -> bool,
    damages: &[Damage],
) {
    let Deaggregated { value, record } = received;
    assert!(
        same(sent, value),
        "{name} comes back as another one\n  sent: {sent:?}\n  back: {value:?}\n  payload: b\"{}\"{}",
        record.data.escape_ascii(),
        Beside(damages)
    );
    let mut buffer = String::new();
    let key = sent.partition_key(&mut buffer).ok();
    assert!(
        record.partition_key.is_none() || record.partition_key == key,
        "{name} has now the partition key {key:?}, and was sent under {:?}\n  sent: {sent:?}{}",
        record.partition_key,
        Beside(damages)
    );
    if !record.aggregated {
        return;
    }
    let hash_key = sent.explicit_hash_key().ok().flatten();
    assert!(
        record.explicit_hash_key == hash_key,
        "{name} has now the explicit hash key {hash_key:?}, and was sent with {:?}\n  sent: {sent:?}{}",
        record.explicit_hash_key,
        Beside(damages)
    );
    let mut tags = Tags::new();
    let written = sent.tags(&mut tags);
    assert!(
        written.is_ok() && record.tags() == tags,
        "{name} has now the tags {:?}, and was sent with {:?}\n  sent: {sent:?}{}",
        record.tags().iter().collect::<Vec<_>>(),
        tags.iter().collect::<Vec<_>>(),
        Beside(damages)
    );
}

/// Displays the damages of the Kinesis record, if there are any.
struct Beside<'a>(&'a [Damage]);

impl fmt::Display for Beside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            damages => write!(f, "\n  beside: {damages:?}"),
        }
    }
}
