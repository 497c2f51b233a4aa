//! What was written and read, compared with what was sent, and the smallest input that shows a difference.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::exchange::{KinesisRecord, Read, ReadRecord, Set, UserRecord, Written};
use super::peers::{MIB, Reader, Writer};
use crate::support::bytes::{MAGIC, md5};

/// A difference, in the few words of a cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Refused,
    TooLarge,
    OuterHashKey,
    ReaderFails,
    Lost,
    Added,
    Order,
    PartitionKey,
    HashKeyInvented,
    HashKeyOfAnother,
    HashKeyLost,
    SequenceNumber,
    SubSequenceNumberMissing,
    SubSequenceNumber,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refuses records",
            Self::TooLarge => "writes records over 1 MiB",
            Self::OuterHashKey => "sends to another shard",
            Self::ReaderFails => "fails",
            Self::Lost => "loses records",
            Self::Added => "adds records",
            Self::Order => "changes the order",
            Self::PartitionKey => "changes partition keys",
            Self::HashKeyInvented => "invents explicit hash keys",
            Self::HashKeyOfAnother => "changes explicit hash keys",
            Self::HashKeyLost => "loses explicit hash keys",
            Self::SequenceNumber => "changes sequence numbers",
            Self::SubSequenceNumberMissing => "gives no sub-sequence numbers",
            Self::SubSequenceNumber => "changes sub-sequence numbers",
        })
    }
}

/// The faults of one set, each with what was expected and what came instead.
pub(crate) type Faults = BTreeMap<Fault, String>;

/// Compares what a reader made of what a writer made of a set with the set.
pub(crate) fn faults(set: &Set, written: &Written, read: &Read) -> Faults {
    let mut faults = Faults::new();
    let aggregated: HashMap<&str, bool> = written
        .records
        .iter()
        .map(|outer| (&*outer.sequence_number, is_aggregated(outer)))
        .collect();
    let is_aggregated = |number: &Option<String>| {
        number
            .as_deref()
            .is_none_or(|number| aggregated.get(number) != Some(&false))
    };
    let mut add = |fault, text: String| {
        faults.entry(fault).or_insert(text);
    };
    if let Some(error) = &read.error {
        add(Fault::ReaderFails, format!("the error \"{}\"", shorten(error, 100)));
        return faults;
    }
    let (sent, got) = (
        set.records.len() - written.errors.len().min(set.records.len()),
        read.records.len(),
    );
    let Some(places) = places(&set.records, &read.records) else {
        // Whatever else differs, user records came that were never sent.
        add(Fault::Added, "others than were sent".to_owned());
        if got <= sent {
            add(
                Fault::Lost,
                format!("fewer than the {} user records that were sent", set.records.len()),
            );
        }
        return faults;
    };
    if got < sent {
        add(Fault::Lost, format!("{got} of {} user records came", set.records.len()));
        return faults;
    }
    if !places.is_sorted() {
        add(Fault::Order, "another order".to_owned());
    }
    for (place, got) in places.into_iter().zip(&read.records) {
        for (fault, text) in of_record(&set.records[place], got, is_aggregated(&got.sequence_number)) {
            add(
                fault,
                if set.records.len() > 1 {
                    format!("record {place}: {text}")
                } else {
                    text
                },
            );
        }
    }
    of_positions(written, read, is_aggregated, &mut add);
    faults
}

/// For each user record that came, the place of the one that was sent: by partition key and data, or by data alone.
/// `None` if one was not sent.
fn places(sent: &[UserRecord], got: &[ReadRecord]) -> Option<Vec<usize>> {
    [true, false].into_iter().find_map(|with_key| {
        let in_order = |(sent, got): (&UserRecord, &ReadRecord)| {
            got.data.as_ref() == Some(&sent.data)
                && (!with_key || got.partition_key.as_ref() == Some(&sent.partition_key))
        };
        if sent.len() == got.len() && sent.iter().zip(got).all(in_order) {
            return Some((0..got.len()).collect());
        }
        let mut left: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
        for (place, sent) in sent.iter().enumerate() {
            let key = if with_key { &*sent.partition_key } else { "" };
            left.entry((key, &sent.data)).or_default().push(place);
        }
        got.iter()
            .map(|got| {
                let key = if with_key { got.partition_key.as_deref()? } else { "" };
                let places = left.get_mut(&(key, got.data.as_deref()?))?;
                let alike = places
                    .iter()
                    .position(|&place| sent[place].explicit_hash_key == got.explicit_hash_key);
                (!places.is_empty()).then(|| places.remove(alike.unwrap_or(0)))
            })
            .collect()
    })
}

/// Returns the faults of a writer that do not depend on the reader. `read` is what we read of its output.
pub(crate) fn of_writer(written: &Written, read: &Read) -> Faults {
    let mut faults = Faults::new();
    if let Some(error) = written.errors.first() {
        faults.insert(Fault::Refused, format!("the error \"{}\"", shorten(error, 100)));
    }
    for outer in &written.records {
        let size = outer.data.len() / 4 * 3 - outer.data.bytes().rev().take_while(|&byte| byte == b'=').count()
            + outer.partition_key.len();
        if size > MIB {
            faults
                .entry(Fault::TooLarge)
                .or_insert_with(|| format!("a record that counts {size} bytes"));
        }
        let first = read
            .records
            .iter()
            .find(|got| got.sequence_number.as_ref() == Some(&outer.sequence_number));
        if let Some((first, true)) = first.map(|first| (first, outer.shard.is_none())) {
            let inner = first
                .partition_key
                .as_deref()
                .map(|key| hash_key(key, first.explicit_hash_key.as_deref()));
            let sent_to = hash_key(&outer.partition_key, outer.explicit_hash_key.as_deref());
            // Readers do not get a raw record's explicit hash key.
            if is_aggregated(outer) && inner.is_some_and(|inner| inner != sent_to) {
                faults
                    .entry(Fault::OuterHashKey)
                    .or_insert_with(|| format!("hash key {sent_to}"));
            }
        }
    }
    faults
}

fn of_record(sent: &UserRecord, got: &ReadRecord, aggregated: bool) -> Faults {
    let mut faults = Faults::new();
    if got.partition_key.as_ref() != Some(&sent.partition_key) {
        let key = got
            .partition_key
            .as_deref()
            .map_or_else(|| "no partition key".to_owned(), show_key);
        faults.insert(
            Fault::PartitionKey,
            format!("{key} for {}", show_key(&sent.partition_key)),
        );
    }
    match (&sent.explicit_hash_key, &got.explicit_hash_key) {
        (None, Some(got)) if *got == hash_key(&sent.partition_key, None) => {
            faults.insert(Fault::HashKeyInvented, format!("{got}, where none was sent"));
        }
        (None, Some(got)) => {
            faults.insert(Fault::HashKeyOfAnother, format!("{got}, where none was sent"));
        }
        // A raw record's explicit hash key does not travel.
        (Some(sent), None) if aggregated => {
            faults.insert(Fault::HashKeyLost, format!("none for {sent}"));
        }
        (Some(sent), Some(got)) if sent != got => {
            faults.insert(Fault::HashKeyOfAnother, format!("{got} for {sent}"));
        }
        _ => {}
    }
    faults
}

/// The user records of each Kinesis record must have its sequence number, and sub-sequence numbers from 0 on.
fn of_positions(
    written: &Written,
    read: &Read,
    is_aggregated: impl Fn(&Option<String>) -> bool,
    add: &mut impl FnMut(Fault, String),
) {
    let mut outer = written.records.iter().peekable();
    let mut next = 0;
    for got in &read.records {
        if outer
            .peek()
            .is_none_or(|outer| Some(&outer.sequence_number) != got.sequence_number.as_ref())
            && next > 0
        {
            outer.next();
            next = 0;
        }
        let Some(record) = outer.peek() else {
            add(Fault::SequenceNumber, "one more than there are".to_owned());
            return;
        };
        if Some(&record.sequence_number) != got.sequence_number.as_ref() {
            add(
                Fault::SequenceNumber,
                format!("{:?} for {}", got.sequence_number, record.sequence_number),
            );
            return;
        }
        match got.sub_sequence_number {
            None if !is_aggregated(&got.sequence_number) => {}
            None => add(Fault::SubSequenceNumberMissing, "none".to_owned()),
            Some(number) if number != next => add(Fault::SubSequenceNumber, format!("{number} for {next}")),
            Some(_) => {}
        }
        next += 1;
    }
}

/// Whether the bytes are an aggregate, by the magic and the digest.
pub(crate) fn is_aggregated(record: &KinesisRecord) -> bool {
    if !record.data.starts_with("84ma") {
        return false; // the magic's first three bytes in base64
    }
    let data = record.bytes();
    data.strip_prefix(&MAGIC[..])
        .and_then(|data| data.split_last_chunk::<16>())
        .is_some_and(|(body, digest)| md5(body) == *digest)
}

/// The effective hash key, by the crate md-5.
pub(crate) fn hash_key(partition_key: &str, explicit: Option<&str>) -> String {
    match explicit {
        Some(key) if !key.is_empty() => key.to_owned(),
        _ => u128::from_be_bytes(md5(partition_key.as_bytes())).to_string(),
    }
}

/// A fault, and the smallest input that shows it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) set: Set,
    pub(crate) instead: String,
}

/// The faults of a writer and a reader in a set.
pub(crate) fn run(writer: &mut Writer, reader: &mut Reader, set: &Set) -> Faults {
    let written = writer.write(std::slice::from_ref(set)).remove(0);
    let read = reader.read(&[written.batch()]).remove(0);
    let mut found = faults(set, &written, &read);
    if let Reader::Ours = reader {
        found.extend(of_writer(&written, &read));
    }
    found
}

/// Takes away from a set all that is not needed to show a fault, as far as some tries go.
///
/// A writer of many threads changes the order only now and then.
pub(crate) fn shrink(writer: &mut Writer, reader: &mut Reader, set: &Set, fault: Fault) -> Shown {
    let bytes: usize = set
        .records
        .iter()
        .map(|record| record.partition_key.len() + record.data.len())
        .sum();
    let (most_tries, runs) = match fault {
        Fault::Order => (20, 5),
        _ if bytes > MIB / 2 => (20, 1),
        _ => (80, 1),
    };
    let mut best = Shown {
        set: set.clone(),
        instead: fault.to_string(),
    };
    let mut tries = 0;
    let mut shows = |best: &mut Shown, records: Vec<UserRecord>| {
        let set = Set {
            name: best.set.name.clone(),
            records,
        };
        let found = (0..runs).find_map(|_| run(writer, reader, &set).remove(&fault));
        let shows = found.is_some();
        if let Some(instead) = found {
            *best = Shown { set, instead };
        }
        shows
    };
    let again = shows(&mut best, set.records.clone());
    assert!(
        again || fault == Fault::Order,
        "{fault} of the set {:?} comes and goes",
        set.name
    );

    let mut chunk = best.set.records.len() / 2;
    while chunk > 0 && tries < most_tries {
        let mut start = 0;
        while start < best.set.records.len() && tries < most_tries {
            let mut records = best.set.records.clone();
            records.drain(start..(start + chunk).min(records.len()));
            tries += 1;
            if records.is_empty() || !shows(&mut best, records) {
                start += chunk;
            }
        }
        chunk /= 2;
    }
    if best.set.records.len() <= 4 {
        for index in 0..best.set.records.len() {
            for simpler in simpler(&best.set.records[index]) {
                let mut records = best.set.records.clone();
                // Only one thing at a time is made simpler, so that an earlier success is kept.
                simpler(&mut records[index]);
                if records != best.set.records {
                    shows(&mut best, records);
                }
            }
        }
    }
    best
}

type Simplify = Box<dyn Fn(&mut UserRecord)>;

/// Returns ways to make a user record simpler.
fn simpler(record: &UserRecord) -> Vec<Simplify> {
    let mut ways: Vec<Simplify> = vec![
        Box::new(|record| record.data = UserRecord::new("", "x").data),
        Box::new(|record| record.data.clear()),
        Box::new(|record| record.explicit_hash_key = None),
        Box::new(|record| record.explicit_hash_key = record.explicit_hash_key.as_ref().map(|_| "1".to_owned())),
        Box::new(|record| record.partition_key = "a".to_owned()),
    ];
    let first = record.partition_key.chars().next();
    if let Some(first) = first {
        ways.push(Box::new(move |record| {
            if record.partition_key != "a" {
                record.partition_key = first.to_string();
            }
        }));
    }
    ways
}

/// Describes user records in a few words.
pub(crate) fn show(records: &[UserRecord]) -> String {
    let one = |record: &UserRecord| {
        let size = record.data.len() / 4 * 3 - record.data.bytes().rev().take_while(|&byte| byte == b'=').count();
        let hash_key = record
            .explicit_hash_key
            .as_ref()
            .map(|key| format!(" at {key}"))
            .unwrap_or_default();
        let what = match size {
            0 => "empty".to_owned(),
            1 => "1 byte".to_owned(),
            _ if is_aggregated(&KinesisRecord {
                partition_key: String::new(),
                explicit_hash_key: None,
                data: record.data.clone(),
                sequence_number: String::new(),
                shard: None,
            }) =>
            {
                "an aggregate".to_owned()
            }
            size => format!("{size} bytes"),
        };
        format!("{}{hash_key}, {what}", show_key(&record.partition_key))
    };
    match records {
        [] => "nothing".to_owned(),
        [first, .., last] if records.len() > 4 => {
            format!("{} user records: {}; ... {}", records.len(), one(first), one(last))
        }
        _ => records.iter().map(one).collect::<Vec<_>>().join("; "),
    }
}

fn show_key(key: &str) -> String {
    let count = key.chars().count();
    if count > 20 {
        format!("`{}...` ({count} characters)", key.chars().take(6).collect::<String>())
    } else {
        format!("`{}`", key.escape_debug())
    }
}

pub(crate) fn shorten(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= most {
        line.to_owned()
    } else {
        line.chars().take(most).chain("...".chars()).collect()
    }
}
