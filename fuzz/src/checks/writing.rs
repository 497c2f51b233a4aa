//! What a writer must return, computed by other means: prost, the crate md-5, and the rules once more.

use kpl::{
    Aggregator, AggregatorBuilder, CodecError, Deaggregator, HashKey, KeyError, KinesisRecord, KplRecord, PartitionKey,
    RawRecord, SealedRecord, Tags,
};
use prost::Message as _;

use super::input::Input;
use super::{bytes, oracle};

/// A user record of a type that may have to be wrapped even when alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) raw: RawRecord,
    pub(super) always_wrapped: bool,
}

impl Record {
    pub(super) fn new(input: &mut Input<'_>) -> Self {
        Self {
            raw: input.record(),
            always_wrapped: input.byte() & 7 == 7,
        }
    }

    pub(super) fn key(&self) -> &str {
        key(&self.raw)
    }

    pub(super) fn hash_key(&self) -> HashKey {
        let of_key = || HashKey::new(u128::from_be_bytes(bytes::md5(self.key().as_bytes())));
        self.raw.explicit_hash_key.unwrap_or_else(of_key)
    }

    fn needs_wrapping(&self) -> bool {
        self.always_wrapped || !self.raw.tags.is_empty() || self.raw.data.starts_with(&bytes::MAGIC)
    }
}

impl KplRecord for Record {
    fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, KeyError> {
        buffer.push_str(self.key());
        Ok(buffer)
    }

    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        self.raw.explicit_hash_key()
    }

    fn tags(&self, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        self.raw.tags(tags)
    }

    fn payload<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        buffer.extend_from_slice(&self.raw.data);
        Ok(buffer)
    }

    fn always_wrapped(&self) -> bool {
        self.always_wrapped
    }
}

/// Returns the partition key of a record. Records of aggregates always have one.
pub(super) fn key(record: &RawRecord) -> &str {
    record.partition_key.as_deref().unwrap_or_default()
}

pub(super) fn is_key(text: &str) -> bool {
    (1..=256).contains(&text.chars().count())
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) max_size: usize,
    pub(super) max_count: usize,
    pub(super) outer_partition_key: Option<String>,
    pub(super) wrap_single: bool,
}

impl Options {
    /// Options that are valid, nearly always.
    pub(super) fn new(input: &mut Input<'_>) -> Self {
        let has = input.byte();
        Self {
            max_size: match has & 3 {
                0 => 51_200,
                1 => input.below(400),
                2 => input.below(60_000),
                _ => input.choose(&[1, 100 << 10, 1 << 20, 10 << 20, (10 << 20) + 1]),
            },
            max_count: if has & 4 == 4 { input.below(9) } else { usize::MAX },
            outer_partition_key: (has & 0x18 == 0x18).then(|| input.key()).filter(|key| is_key(key)),
            wrap_single: has & 0x20 == 0x20,
        }
    }

    pub(super) fn are_valid(&self) -> bool {
        (1..=10 << 20).contains(&self.max_size) && self.max_count > 0
    }

    pub(super) fn builder<T>(&self) -> AggregatorBuilder<T> {
        let builder = Aggregator::builder()
            .max_size(self.max_size)
            .max_count(self.max_count)
            .wrap_single(self.wrap_single);
        match &self.outer_partition_key {
            Some(key) => builder.outer_partition_key(PartitionKey::new(key.clone()).expect("it is a key")),
            None => builder,
        }
    }

    fn goes_raw(&self, records: &[Record]) -> bool {
        matches!(records, [record] if !self.wrap_single && !record.needs_wrapping())
    }

    /// Returns the record for the stream that holds these records: its data, and everything else known about it.
    pub(super) fn seal(&self, records: &[Record]) -> Sealed {
        let first = &records[0];
        let aggregated = !self.goes_raw(records);
        let own_key = || first.key().to_owned();
        let outer_key = self.outer_partition_key.clone().filter(|_| aggregated);
        Sealed {
            data: match aggregated {
                true => bytes::sealed(message(records).encode_to_vec()),
                false => first.raw.data.to_vec(),
            },
            partition_key: outer_key.unwrap_or_else(own_key),
            explicit_hash_key: first.hash_key(),
            user_records: records.len(),
            aggregated,
        }
    }

    /// Returns how many bytes these records count towards the service's limit when they share an aggregate.
    pub(super) fn aggregated_size(&self, records: &[Record]) -> usize {
        let key = self.outer_partition_key.as_deref();
        20 + message(records).encoded_len() + key.unwrap_or(records[0].key()).len()
    }

    /// Returns how many bytes a record counts towards the service's limit when it is alone.
    pub(super) fn size_alone(&self, record: &Record) -> usize {
        if self.goes_raw(std::slice::from_ref(record)) {
            return record.raw.data.len() + record.key().len();
        }
        self.aggregated_size(std::slice::from_ref(record))
    }
}

/// A sealed record in a form that can be built by hand.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sealed {
    pub(super) data: Vec<u8>,
    pub(super) partition_key: String,
    pub(super) explicit_hash_key: HashKey,
    pub(super) user_records: usize,
    pub(super) aggregated: bool,
}

impl Sealed {
    pub(super) fn size(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

impl From<&SealedRecord> for Sealed {
    fn from(sealed: &SealedRecord) -> Self {
        let made = Self {
            data: sealed.data.clone(),
            partition_key: sealed.partition_key.as_str().into(),
            explicit_hash_key: sealed.explicit_hash_key,
            user_records: sealed.user_records,
            aggregated: sealed.aggregated,
        };
        assert_eq!(made.size(), sealed.size());
        made
    }
}

/// Returns the message that holds these records, with both tables in first-seen order.
fn message(records: &[Record]) -> oracle::AggregatedRecord {
    fn place(table: &mut Vec<String>, key: &str) -> Option<u64> {
        let known = table.iter().position(|entry| entry == key);
        Some(known.unwrap_or_else(|| {
            table.push(key.into());
            table.len() - 1
        }) as u64)
    }
    let mut message = oracle::AggregatedRecord::default();
    for record in records {
        let raw = &record.raw;
        let tag = |(key, value): (&str, Option<&str>)| oracle::Tag {
            key: Some(key.into()),
            value: value.map(Into::into),
        };
        message.records.push(oracle::Record {
            partition_key_index: place(&mut message.partition_key_table, record.key()),
            explicit_hash_key_index: raw
                .explicit_hash_key
                .and_then(|key| place(&mut message.explicit_hash_key_table, &key.value().to_string())),
            data: Some(raw.data.to_vec()),
            tags: raw.tags.iter().map(tag).collect(),
        });
    }
    message
}

/// Returns the user records of a record for the stream, as readers get them.
pub(super) fn contents(sealed: &Sealed) -> Vec<RawRecord> {
    let batch = [KinesisRecord::new(&sealed.data).with_partition_key(&sealed.partition_key)];
    let records = Deaggregator::<RawRecord>::new().records(&batch);
    records
        .map(|record| record.expect("what was written can be read").value)
        .collect()
}

/// Returns what readers get from records: a raw one does not carry its explicit hash key.
pub(super) fn as_readers_get(aggregated: bool, records: &[Record]) -> Vec<RawRecord> {
    let mut records: Vec<_> = records.iter().map(|record| record.raw.clone()).collect();
    if let ([alone], false) = (&mut records[..], aggregated) {
        alone.explicit_hash_key = None;
    }
    records
}

/// Records that were read are written again, and read the same.
pub(super) fn check_rewriting(records: &[RawRecord]) {
    let builder = Aggregator::<RawRecord>::builder().wrap_single(true).max_size(10 << 20);
    let mut aggregator = builder.build().expect("options are valid");
    for record in records {
        let full = aggregator.push(record).expect("it is small");
        assert_eq!(full, None, "all fit into one");
    }
    let sealed = Sealed::from(&aggregator.finish().expect("there are records"));
    assert_eq!(contents(&sealed), records);
    let data = &sealed.data;
    let canonical = oracle::read(&data[4..data.len() - 16]).map(|message| message.encode_to_vec());
    assert_eq!(canonical.as_deref(), Some(&data[4..data.len() - 16]));
}
