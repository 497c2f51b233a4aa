//! Who writes and who reads: we, and the programs of the folders beside this one.

use kpl::{Aggregator, Deaggregator, HashKeyRange, RawRecord, SealedRecord, StrayPolicy};

use super::exchange::{Batch, KinesisRecord, Program, Read, ReadRecord, Set, UserRecord, Written, version};

/// The largest record of a stream unless it allows more: data and partition key, in bytes.
pub(crate) const MIB: usize = 1 << 20;

pub(crate) const OURS: &str = "kpl (this crate)";

/// The other writers: what they are called in INTEROP.md, and the programs.
pub(crate) const WRITERS: [(&str, &str); 6] = [
    ("Amazon KPL", "kpl"),
    ("Java module", "java-modules"),
    ("Node.js module", "node-module"),
    ("Python module", "python-module"),
    ("aiokpl", "aiokpl"),
    ("a8m/kinesis-producer", "go"),
];

/// The other readers.
pub(crate) const READERS: [(&str, &str); 5] = [
    ("Amazon KCL", "kcl"),
    ("Java module", "java-modules"),
    ("Node.js module", "node-module"),
    ("Python module", "python-module"),
    ("Go module", "go"),
];

/// The peers' programs and the versions that they report.
pub(crate) fn versions() -> Vec<(&'static str, String)> {
    [
        "kpl",
        "kcl",
        "java-modules",
        "node-module",
        "python-module",
        "aiokpl",
        "go",
    ]
    .map(|name| (name, version(name)))
    .into()
}

#[derive(Debug)]
pub(crate) enum Writer {
    Ours,
    Peer(Program),
}

impl Writer {
    pub(crate) fn peer(program: &str) -> Self {
        Self::Peer(Program::start(program, "write", &[]))
    }

    /// What it makes of each set. Sequence numbers start at 1000 in each.
    pub(crate) fn write(&mut self, sets: &[Set]) -> Vec<Written> {
        let written: Vec<Written> = match self {
            Self::Ours => sets.iter().map(|set| write(&set.records)).collect(),
            Self::Peer(program) => program.ask(sets),
        };
        written.into_iter().map(|written| written.number(1000)).collect()
    }
}

#[derive(Debug)]
pub(crate) enum Reader {
    Ours,
    Peer(Program),
}

impl Reader {
    pub(crate) fn peer(program: &str) -> Self {
        Self::Peer(Program::start(program, "read", &[]))
    }

    pub(crate) fn read(&mut self, batches: &[Batch]) -> Vec<Read> {
        match self {
            Self::Ours => batches.iter().map(read).collect(),
            Self::Peer(program) => program.ask(batches),
        }
    }
}

/// A user record in our own words.
pub(crate) fn raw(record: &UserRecord) -> RawRecord {
    let mut raw = RawRecord::new(record.partition_key.clone(), record.bytes());
    raw.explicit_hash_key = record
        .explicit_hash_key
        .as_ref()
        .map(|key| key.parse().expect("a hash key"));
    raw
}

/// A sealed record in the words of the exchange.
pub(crate) fn sent(sealed: &SealedRecord) -> KinesisRecord {
    KinesisRecord {
        partition_key: sealed.partition_key.as_str().to_owned(),
        explicit_hash_key: Some(sealed.explicit_hash_key.to_string()),
        data: data_encoding::BASE64.encode(&sealed.data),
        sequence_number: String::new(),
        shard: None,
    }
}

fn write(records: &[UserRecord]) -> Written {
    let mut aggregator = Aggregator::<RawRecord>::builder()
        .max_size(MIB)
        .build()
        .expect("options are valid");
    let mut written = Written {
        records: Vec::new(),
        errors: Vec::new(),
    };
    for record in records {
        match aggregator.push(&raw(record)) {
            Ok(sealed) => written.records.extend(sealed.as_ref().map(sent)),
            Err(error) => written.errors.push(error.to_string()),
        }
    }
    written.records.extend(aggregator.finish().as_ref().map(sent));
    written
}

/// Reads a batch, of which a hash key range drops what the KCL drops.
fn read(batch: &Batch) -> Read {
    let data: Vec<_> = batch.records.iter().map(KinesisRecord::bytes).collect();
    let records: Vec<_> = batch
        .records
        .iter()
        .zip(&data)
        .map(|(record, data)| {
            kpl::KinesisRecord::new(data)
                .with_partition_key(&record.partition_key)
                .with_sequence_number(&record.sequence_number)
        })
        .collect();
    let mut deaggregator = Deaggregator::<RawRecord>::new();
    if let Some([start, end]) = &batch.range {
        let [start, end] = [start, end].map(|key| key.parse::<u128>().expect("a hash key"));
        let range = HashKeyRange::try_from(start..=end).expect("start comes first");
        deaggregator = deaggregator.range(range, StrayPolicy::DropAggregate);
    }
    let mut read = Read {
        records: Vec::new(),
        error: None,
    };
    for item in deaggregator.records(&records) {
        match item {
            Ok(received) => read.records.push(ReadRecord {
                partition_key: received.record.partition_key.map(str::to_owned),
                explicit_hash_key: received.record.explicit_hash_key.map(|key| key.to_string()),
                data: Some(data_encoding::BASE64.encode(received.record.data)),
                sequence_number: received.record.kinesis_record.sequence_number.map(str::to_owned),
                sub_sequence_number: Some(received.record.sub_sequence_number),
            }),
            Err(error) => read.error = Some(error.to_string()),
        }
    }
    read
}
