//! User records with any content.

use std::ptr;

use kpl_core::{
    Counts, DeaggregateError, DeaggregateErrorKind, Deaggregator, FromKplRecord, KinesisRecord, MalformedPolicy,
    ReadError, UserRecord,
};

use crate::input::Entry;
use crate::problems::Stop;

/// The value of a user record whose data is not decoded.
#[derive(Debug)]
pub(crate) struct Untyped;

impl<'de> FromKplRecord<'de> for Untyped {
    const MALFORMED: MalformedPolicy = MalformedPolicy::Deliver;

    fn from_user_record(_: &UserRecord<'_, 'de>) -> Result<Self, ReadError> {
        Ok(Self)
    }
}

/// Unpacks records, and passes on each user record, or why its keys cannot be resolved, with the index of the record
/// that it was in, and that record.
pub(crate) fn each(
    deaggregator: &Deaggregator<Untyped>,
    entries: &[Entry],
    mut take: impl FnMut(usize, &Entry, Result<&UserRecord<'_, '_>, &DeaggregateError>) -> Result<(), Stop>,
) -> Result<Counts, Stop> {
    let batch: Vec<KinesisRecord<'_>> = entries.iter().map(Entry::kinesis_record).collect();
    let mut records = deaggregator.records(&batch);
    let mut index = 0;
    for received in &mut records {
        match &received {
            Ok(received) => {
                let is_other = |outer: &KinesisRecord<'_>| !ptr::eq(outer, received.record.kinesis_record);
                while batch.get(index).is_some_and(is_other) {
                    index += 1;
                }
            }
            Err(error) => index = error.kinesis_record_index(),
        }
        if let Some(entry) = entries.get(index) {
            take(index, entry, received.as_ref().map(|received| &received.record))?;
        }
    }
    Ok(records.counts())
}

/// Comes before the reason why a record is malformed.
pub(crate) const MALFORMED: &str = "it carries the magic of an aggregated record but is malformed";

/// Says why the keys of a user record cannot be resolved.
pub(crate) fn reason(kind: &DeaggregateErrorKind) -> String {
    match kind {
        DeaggregateErrorKind::PartitionKeyIndex { index, len } => {
            format!(
                "partition key index {index} is outside its table, which has {}",
                keys(*len)
            )
        }
        DeaggregateErrorKind::ExplicitHashKeyIndex { index, len } => {
            format!(
                "explicit hash key index {index} is outside its table, which has {}",
                keys(*len)
            )
        }
        DeaggregateErrorKind::ExplicitHashKey { text } => {
            format!("explicit hash key {text:?} is not a number from 0 to 2^128-1")
        }
        DeaggregateErrorKind::Malformed(reason) => reason.to_string(),
        DeaggregateErrorKind::Read(error) => error.to_string(),
        other => format!("{other:?}"),
    }
}

/// Says why the keys of a user record cannot be resolved, with its partition key: that may be known although the
/// explicit hash key is not.
pub(crate) fn reason_with_key(error: &DeaggregateError) -> String {
    let reason = reason(error.kind());
    match error.partition_key() {
        Some(key) => format!("{reason} (its partition key is {key:?})"),
        None => reason,
    }
}

fn keys(len: usize) -> String {
    match len {
        1 => "1 key".into(),
        len => format!("{len} keys"),
    }
}
