//! What a reader must return for a batch, computed by other means: the crate md-5, prost, and the rules once more.

use kpl::{
    Counts, DeaggregateError, DeaggregateErrorKind, Deaggregated, Deaggregator, FromKplRecord, HashKeyRange,
    KinesisRecord, MalformedPolicy, Position, RawRecord, StrayPolicy, Tags, UserRecord,
};

use super::{bytes, oracle};

/// How a batch is read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) after: Option<Position>,
    pub(super) range: Option<(HashKeyRange, StrayPolicy)>,
    pub(super) malformed: MalformedPolicy,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            after: None,
            range: None,
            malformed: MalformedPolicy::Deliver,
        }
    }
}

/// A user record, or why there is none, in a form that can be compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) position: Option<Position>,
    pub(super) sub_sequence_number: u64,
    pub(super) aggregated: bool,
    pub(super) partition_key: Option<String>,
    pub(super) data: Vec<u8>,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Record {
        explicit_hash_key: Option<u128>,
        tags: Vec<(String, Option<String>)>,
        malformed: bool,
    },
    Malformed,
    PartitionKeyIndex(u64, usize),
    ExplicitHashKeyIndex(u64, usize),
    ExplicitHashKey(String),
}

/// Everything that a reader must return for a batch.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) items: Vec<Item>,
    pub(super) dropped: Vec<Item>,
    pub(super) counts: Counts,
}

/// What is inside some bytes: `Err` says whether they carry the magic.
fn contents(data: &[u8]) -> Result<oracle::AggregatedRecord, bool> {
    let magic = data.starts_with(&bytes::MAGIC);
    if !magic || data.len() < 21 {
        return Err(magic);
    }
    let (body, digest) = data[4..].split_at(data.len() - 20);
    if bytes::md5(body) != digest {
        return Err(true);
    }
    oracle::read(body).ok_or(true)
}

/// A hash key as Java's `BigInteger` reads it.
fn lenient_number(text: &str) -> Option<u128> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0_u128, |value, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        value.checked_mul(10)?.checked_add(digit.into())
    })?;
    (!negative || value == 0).then_some(value)
}

fn cut(text: &str) -> String {
    text.chars().take(256).collect()
}

/// Compares two numbers in decimal digits. Returns `None` if one of them is not a number.
fn compare(one: &str, other: &str) -> Option<std::cmp::Ordering> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let width = one.len().max(other.len());
    let padded = |text: &str| format!("{text:0>width$}");
    (is_number(one) && is_number(other)).then(|| padded(one).cmp(&padded(other)))
}

fn is_skipped(record: &KinesisRecord<'_>, sub: u64, whole: bool, reading: &Reading) -> bool {
    let (Some(after), Some(number)) = (&reading.after, record.sequence_number) else {
        return false;
    };
    match compare(number, after.sequence_number.as_str()) {
        Some(std::cmp::Ordering::Less) => true,
        Some(std::cmp::Ordering::Equal) => whole || sub <= after.sub_sequence_number,
        _ => false,
    }
}

/// The user record at `sub` of an aggregate.
fn inner(message: &oracle::AggregatedRecord, sub: usize, outer: &KinesisRecord<'_>) -> Item {
    let record = &message.records[sub];
    let key_index = record.partition_key_index.expect("checked by the oracle");
    let key = usize::try_from(key_index)
        .ok()
        .and_then(|index| message.partition_key_table.get(index));
    let tags = record.tags.iter();
    let delivered = |explicit_hash_key| Outcome::Record {
        explicit_hash_key,
        tags: tags.map(|tag| (tag.key.clone().unwrap(), tag.value.clone())).collect(),
        malformed: false,
    };
    let outcome = match (key, record.explicit_hash_key_index) {
        (None, _) => Outcome::PartitionKeyIndex(key_index, message.partition_key_table.len()),
        (_, None) => delivered(None),
        (_, Some(index)) => {
            let table = &message.explicit_hash_key_table;
            match usize::try_from(index).ok().and_then(|index| table.get(index)) {
                None => Outcome::ExplicitHashKeyIndex(index, table.len()),
                Some(text) => match lenient_number(text) {
                    None => Outcome::ExplicitHashKey(cut(text)),
                    number => delivered(number),
                },
            }
        }
    };
    let is_error = !matches!(outcome, Outcome::Record { .. });
    Item {
        position: position(outer, sub as u64),
        sub_sequence_number: sub as u64,
        aggregated: true,
        partition_key: key.map(|key| if is_error { cut(key) } else { key.clone() }),
        data: record.data.clone().expect("checked by the oracle"),
        outcome,
    }
}

fn position(outer: &KinesisRecord<'_>, sub: u64) -> Option<Position> {
    Position::new(outer.sequence_number?, sub).ok()
}

/// The hash key that decides about the shard.
fn effective(item: &Item) -> Option<u128> {
    match &item.outcome {
        Outcome::Record { explicit_hash_key, .. } => explicit_hash_key.or_else(|| {
            let key = item.partition_key.as_ref()?;
            Some(u128::from_be_bytes(bytes::md5(key.as_bytes())))
        }),
        _ => None,
    }
}

pub(super) fn expect(batch: &[KinesisRecord<'_>], reading: &Reading) -> Expected {
    let mut expected = Expected::default();
    for record in batch {
        let counts = &mut expected.counts;
        counts.kinesis_records += 1;
        match contents(record.data) {
            Err(magic) => {
                *(if magic {
                    &mut counts.malformed
                } else {
                    &mut counts.plain
                }) += 1;
                counts.user_records += 1;
                if is_skipped(record, 0, true, reading) {
                    counts.skipped += 1;
                    continue;
                }
                let is_error = magic && reading.malformed == MalformedPolicy::Error;
                *(if is_error {
                    &mut counts.failed
                } else {
                    &mut counts.delivered
                }) += 1;
                expected.items.push(Item {
                    position: position(record, 0),
                    sub_sequence_number: 0,
                    aggregated: false,
                    partition_key: record
                        .partition_key
                        .map(|key| if is_error { cut(key) } else { key.into() }),
                    data: record.data.to_vec(),
                    outcome: match is_error {
                        true => Outcome::Malformed,
                        false => Outcome::Record {
                            explicit_hash_key: None,
                            tags: Vec::new(),
                            malformed: magic,
                        },
                    },
                });
            }
            Ok(message) => {
                counts.aggregated += 1;
                counts.empty_aggregates += u64::from(message.records.is_empty());
                let all: Vec<Item> = (0..message.records.len())
                    .map(|sub| inner(&message, sub, record))
                    .collect();
                let is_stray = |item: &Item, range: HashKeyRange| {
                    effective(item).is_some_and(|key| key < range.start().value() || key > range.end().value())
                };
                let any_stray = reading
                    .range
                    .is_some_and(|(range, _)| all.iter().any(|item| is_stray(item, range)));
                for item in all {
                    counts.user_records += 1;
                    if is_skipped(record, item.sub_sequence_number, false, reading) {
                        counts.skipped += 1;
                        continue;
                    }
                    if !matches!(item.outcome, Outcome::Record { .. }) {
                        counts.failed += 1;
                        expected.items.push(item);
                        continue;
                    }
                    let dropped = match reading.range {
                        Some((range, StrayPolicy::DropStrays)) => is_stray(&item, range),
                        Some((_, StrayPolicy::DropAggregate)) => any_stray,
                        _ => false,
                    };
                    *(if dropped {
                        &mut counts.dropped
                    } else {
                        &mut counts.delivered
                    }) += 1;
                    (if dropped {
                        &mut expected.dropped
                    } else {
                        &mut expected.items
                    })
                    .push(item);
                }
            }
        }
    }
    expected
}

fn tags(tags: &Tags<'_>) -> Vec<(String, Option<String>)> {
    let owned = |(key, value): (&str, Option<&str>)| (key.to_owned(), value.map(Into::into));
    tags.iter().map(owned).collect()
}

fn of_record(record: &UserRecord<'_>) -> Item {
    Item {
        position: record.position(),
        sub_sequence_number: record.sub_sequence_number,
        aggregated: record.aggregated,
        partition_key: record.partition_key.map(Into::into),
        data: record.data.to_vec(),
        outcome: Outcome::Record {
            explicit_hash_key: record.explicit_hash_key.map(kpl::HashKey::value),
            tags: tags(&record.tags()),
            malformed: record.malformed.is_some(),
        },
    }
}

fn of_error(error: &DeaggregateError) -> Item {
    assert!(!error.to_string().is_empty());
    Item {
        position: error.position(),
        sub_sequence_number: error.sub_sequence_number(),
        aggregated: !matches!(error.kind(), DeaggregateErrorKind::Malformed(_)),
        partition_key: error.partition_key().map(Into::into),
        data: error.data().to_vec(),
        outcome: match error.kind() {
            DeaggregateErrorKind::Malformed(_) => Outcome::Malformed,
            DeaggregateErrorKind::PartitionKeyIndex { index, len } => Outcome::PartitionKeyIndex(*index, *len),
            DeaggregateErrorKind::ExplicitHashKeyIndex { index, len } => Outcome::ExplicitHashKeyIndex(*index, *len),
            DeaggregateErrorKind::ExplicitHashKey { text } => Outcome::ExplicitHashKey(text.clone()),
            other => panic!("a raw record can always be read: {other:?}"),
        },
    }
}

/// Reads a batch, and compares it with what is expected, record by record, count by count.
pub(super) fn check(batch: &[KinesisRecord<'_>], reading: &Reading) -> Expected {
    let expected = expect(batch, reading);
    let mut deaggregator = Deaggregator::<RawRecord>::new().malformed(reading.malformed);
    if let Some(after) = &reading.after {
        deaggregator = deaggregator.after(after.clone());
    }
    if let Some((range, strays)) = reading.range {
        deaggregator = deaggregator.range(range, strays).list_dropped(true);
    }
    let mut records = deaggregator.records(batch);
    let mut items = expected.items.iter();
    for item in records.by_ref() {
        let item = match item {
            Ok(Deaggregated { value, record, .. }) => {
                assert_eq!(value, RawRecord::from(&record));
                assert_eq!(value.data, record.data);
                of_record(&record)
            }
            Err(error) => of_error(&error),
        };
        assert_eq!(Some(&item), items.next());
    }
    assert_eq!(items.next(), None, "a record is missing");
    assert!(records.next().is_none(), "nothing comes after the end");
    assert_eq!(records.counts(), expected.counts);
    let dropped: Vec<Item> = records.take_dropped().iter().map(of_record).collect();
    assert_eq!(dropped, expected.dropped);
    expected
}

/// A type whose payloads are not all readable.
struct Text<'a>(&'a str);

impl<'de> FromKplRecord<'de> for Text<'de> {
    fn from_user_record(record: &UserRecord<'de>) -> Result<Self, kpl::ReadError> {
        let text = std::str::from_utf8(record.data).map_err(|error| kpl::CodecError::decode("Text", error))?;
        Ok(Self(text))
    }
}

/// Reads a batch as strings: a payload that cannot be read is an error that carries its bytes.
pub(super) fn check_typed(batch: &[KinesisRecord<'_>]) {
    let malformed = MalformedPolicy::Error;
    let expected = expect(
        batch,
        &Reading {
            malformed,
            ..Reading::default()
        },
    );
    let mut records = Deaggregator::<Text<'_>>::new().records(batch);
    let mut items = expected.items.iter();
    for item in records.by_ref() {
        let expected = items.next().expect("no record too many");
        let can_be_read = matches!(expected.outcome, Outcome::Record { .. }) && str::from_utf8(&expected.data).is_ok();
        assert_eq!(item.is_ok(), can_be_read);
        match item {
            Ok(received) => assert_eq!(received.value.0.as_bytes(), expected.data),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(error.data(), expected.data);
                assert_eq!(error.sub_sequence_number(), expected.sub_sequence_number);
            }
        }
    }
    assert!(items.next().is_none(), "a record is missing");
    let counts = records.counts();
    assert_eq!(counts.delivered + counts.failed, counts.user_records);
    assert_eq!(counts.user_records, expected.counts.user_records);
}
