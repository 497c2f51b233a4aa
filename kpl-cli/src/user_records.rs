//! User records with any content.

use kpl_core::{Counts, DeaggregateError, DeaggregateErrorKind, Deaggregator, KinesisRecord, Malformed, UserRecord};

use crate::input::Entry;
use crate::problems::Stop;

/// Unpacks records, and passes on each user record, or why its keys cannot be resolved, with the index of the record that it
/// was in, and that record.
pub(crate) fn each<'e>(
    deaggregator: &Deaggregator<UserRecord<'e>>,
    entries: &'e [Entry],
    mut take: impl FnMut(usize, &Entry, Result<&UserRecord<'_>, &DeaggregateError>) -> Result<(), Stop>,
) -> Result<Counts, Stop> {
    let batch: Vec<KinesisRecord<'e>> = entries.iter().map(Entry::kinesis_record).collect();
    let mut records = deaggregator.records(&batch);
    for received in &mut records {
        let index = match &received {
            Ok(received) => received.record.kinesis_record_index,
            Err(error) => error.kinesis_record_index(),
        };
        if let Some(entry) = entries.get(index) {
            take(index, entry, received.as_ref().map(|received| &received.record))?;
        }
    }
    Ok(records.counts())
}

/// Why a record that carries the magic is not an aggregate, as a sentence.
pub(crate) fn not_an_aggregate(reason: Malformed) -> String {
    DeaggregateErrorKind::Malformed(reason).to_string()
}

/// Why the keys of a user record cannot be resolved, with its partition key: that may be known where the explicit hash key is
/// not.
pub(crate) fn reason_with_key(reason: &DeaggregateErrorKind, partition_key: Option<&str>) -> String {
    match partition_key {
        Some(key) => format!("{reason} (its partition key is {key:?})"),
        None => reason.to_string(),
    }
}
