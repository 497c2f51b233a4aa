//! Strategies for proptest: any records, any options, any bytes.

use kpl::{Aggregator, AggregatorBuilder, HashKey, PartitionKey, RawRecord, Tags};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Returns a configuration with this many cases, unless the environment (`PROPTEST_CASES`) asks for another number.
pub(crate) fn cases(number: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: std::env::var_os("PROPTEST_CASES").map_or(number, |_| default.cases),
        failure_persistence: None,
        ..default
    }
}

/// Partition keys, some of them often.
pub(crate) fn key() -> impl Strategy<Value = String> {
    const OFTEN: &[&str] = &[
        "a",
        "b",
        "abc",
        "7",
        "10",
        "007",
        "-1",
        "__proto__",
        "constructor",
        "é",
        "\u{0}",
    ];
    let long = [
        "𝒳".repeat(256),
        "x".repeat(256),
        "é".repeat(64),
        "x".repeat(127),
        "x".repeat(128),
    ];
    prop_oneof![
        6 => select(OFTEN).prop_map(Into::into),
        3 => "[a-z0-9]{1,12}",
        2 => "\\PC{1,20}",
        1 => select(long.to_vec()),
    ]
}

pub(crate) fn hash_key() -> impl Strategy<Value = u128> {
    prop_oneof![Just(0), Just(u128::MAX), Just(1 << 127), 0..20_u128, any::<u128>()]
}

pub(crate) fn data() -> impl Strategy<Value = Vec<u8>> {
    let by_length = |length| vec(any::<u8>(), length);
    let like_magic = vec(any::<u8>(), 0..40).prop_map(|tail| [&super::bytes::MAGIC[..], &tail].concat());
    let like_aggregate = vec(any::<u8>(), 0..40).prop_map(super::bytes::sealed);
    let real_aggregate = Just(super::bytes::sealed(
        [super::bytes::key("inner"), super::bytes::record(0, "data")].concat(),
    ));
    prop_oneof![
        12 => by_length(0..20).boxed(),
        12 => by_length(0..300).boxed(),
        3 => select(&[0_usize, 1, 126, 127, 128, 129, 16_383, 16_384, 16_500][..])
            .prop_flat_map(|length| any::<u8>().prop_map(move |byte| vec![byte; length]))
            .boxed(),
        1 => like_magic.boxed(),
        1 => like_aggregate.boxed(),
        1 => real_aggregate.boxed(),
    ]
}

fn tags() -> impl Strategy<Value = Tags<'static>> {
    let tag = ("\\PC{0,6}", proptest::option::of("\\PC{0,6}"));
    let tags = vec(tag, 1..4).prop_map(|tags| {
        let tags = tags.iter().map(|(key, value)| (&key[..], value.as_deref()));
        tags.collect()
    });
    prop_oneof![9 => Just(Tags::new()), 1 => tags]
}

/// Any user record.
pub(crate) fn record() -> impl Strategy<Value = RawRecord> {
    let hash_key = prop_oneof![3 => Just(None), 1 => hash_key().prop_map(Some)];
    (key(), hash_key, data(), tags()).prop_map(|(key, hash_key, data, tags)| {
        let mut record = RawRecord::new(key, data);
        record.explicit_hash_key = hash_key.map(HashKey::new);
        record.tags = tags;
        record
    })
}

/// Any list of user records.
pub(crate) fn records(most: usize) -> impl Strategy<Value = Vec<RawRecord>> {
    vec(record(), 0..=most)
}

/// The options of an aggregator.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) max_size: usize,
    pub(crate) max_count: Option<usize>,
    pub(crate) outer_partition_key: Option<String>,
    pub(crate) wrap_single: bool,
}

impl Options {
    pub(crate) fn builder<T>(&self) -> AggregatorBuilder<T> {
        let mut builder = Aggregator::builder()
            .max_size(self.max_size)
            .wrap_single(self.wrap_single);
        if let Some(count) = self.max_count {
            builder = builder.max_count(count);
        }
        if let Some(key) = &self.outer_partition_key {
            builder = builder.outer_partition_key(PartitionKey::new(key.as_str()).unwrap());
        }
        builder
    }

    pub(crate) fn aggregator<T>(&self) -> Aggregator<T> {
        self.builder().build().expect("options are valid")
    }
}

/// Options with any maximum size, also one that refuses many records.
pub(crate) fn options() -> impl Strategy<Value = Options> {
    let max_size = prop_oneof![
        3 => 1..2000_usize,
        3 => 18_000..60_000_usize,
        1 => Just(51_200),
        1 => Just(10 * 1024 * 1024),
    ];
    let max_count = proptest::option::of(1..20_usize);
    let outer = proptest::option::of(key());
    (max_size, max_count, outer, any::<bool>()).prop_map(|(max_size, max_count, outer_partition_key, wrap_single)| {
        Options {
            max_size,
            max_count,
            outer_partition_key,
            wrap_single,
        }
    })
}
