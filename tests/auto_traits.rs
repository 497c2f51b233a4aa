//! What the compiler knows about the public types: Send, Sync, Debug, Clone; errors that are errors, and small ones.

use core::error::Error;
use core::fmt::Debug;
use std::hash::Hash;
use std::panic::{RefUnwindSafe, UnwindSafe};

use kpl::wire::{
    AggregatedRecord, Field, Frame, InvalidBody, NotAggregated, Problem, TagIter, WireRecord, WireRecords,
};
use kpl::{
    AggregateError, Aggregator, AggregatorBuilder, CodecError, CodecErrorKind, Counts, DeaggregateError,
    DeaggregateErrorKind, Deaggregated, Deaggregator, EncryptionType, FromKplRecord, HashKey, HashKeyRange,
    InvalidHashKey, InvalidHashKeyRange, InvalidOption, InvalidPartitionKey, InvalidPosition, InvalidShardMap,
    KeyError, KinesisRecord, Malformed, MalformedPolicy, PartitionKey, Position, RawRecord, ReadError, Received,
    Records, SealedRecord, SequenceNumber, Shard, ShardMap, ShardedAggregator, StrayPolicy, Tags, UnsealedRecord,
    UserRecord,
};

/// A type that is none of Send, Sync, Debug, Clone: what holds no value of it must be all the same.
struct Nothing(
    #[expect(dead_code)] *const (),
    #[expect(dead_code)] fn(&mut std::cell::Cell<u8>),
);

fn shared<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + Debug>() {}
fn cloned<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + Debug + Clone>() {}
fn value<T: Send + Sync + Unpin + Debug + Clone + PartialEq + Eq>() {}
fn copied<T: Copy>() {}
fn ordered<T: Ord + Hash>() {}
fn error<T: Error + Send + Sync + Debug + 'static>() {}

#[test]
fn the_front_doors_are_send_sync_debug_and_clone_whatever_their_type_is() {
    cloned::<Aggregator<Nothing>>();
    cloned::<AggregatorBuilder<Nothing>>();
    cloned::<ShardedAggregator<Nothing>>();
    cloned::<Deaggregator<Nothing>>();
    cloned::<UnsealedRecord>();
    shared::<Records<'_, '_, Nothing>>();
}

#[test]
fn values_are_send_sync_debug_clone_and_comparable() {
    value::<PartitionKey<'_>>();
    value::<HashKey>();
    value::<HashKeyRange>();
    value::<Shard>();
    value::<ShardMap>();
    value::<KinesisRecord<'_>>();
    value::<UserRecord<'_>>();
    value::<RawRecord>();
    value::<SealedRecord>();
    value::<SequenceNumber>();
    value::<Position>();
    value::<EncryptionType>();
    value::<Tags<'_>>();
    value::<Counts>();
    value::<StrayPolicy>();
    value::<MalformedPolicy>();
    value::<WireRecord<'_>>();
    cloned::<AggregatedRecord<'_>>();
    cloned::<WireRecords<'_>>();
    cloned::<Frame<'_>>();
    cloned::<TagIter<'_>>();
    cloned::<Deaggregated<'_, RawRecord>>();
    cloned::<Received<RawRecord>>();
    cloned::<Field>();
    cloned::<Problem>();
    cloned::<CodecErrorKind>();
}

#[test]
fn small_values_are_copy_and_ordered_ones_are_ordered() {
    copied::<HashKey>();
    copied::<HashKeyRange>();
    copied::<KinesisRecord<'_>>();
    copied::<UserRecord<'_>>();
    copied::<WireRecord<'_>>();
    copied::<Counts>();
    copied::<Malformed>();
    ordered::<HashKey>();
    ordered::<PartitionKey<'_>>();
    ordered::<SequenceNumber>();
    ordered::<Position>();
}

#[test]
fn codecs_are_send_sync_debug_and_clone() {
    cloned::<kpl::codec::Json>();
    cloned::<kpl::codec::Postcard>();
    cloned::<kpl::codec::Bincode>();
    cloned::<kpl::codec::Prost>();
    cloned::<kpl::codec::Raw>();
}

#[test]
fn errors_are_errors_that_can_go_anywhere() {
    error::<AggregateError>();
    error::<CodecError>();
    error::<DeaggregateError>();
    error::<InvalidBody>();
    error::<InvalidHashKey>();
    error::<InvalidHashKeyRange>();
    error::<InvalidOption>();
    error::<InvalidPartitionKey>();
    error::<InvalidPosition>();
    error::<InvalidShardMap>();
    error::<KeyError>();
    error::<Malformed>();
    error::<NotAggregated>();
    error::<ReadError>();
    shared_kind::<DeaggregateErrorKind>();
}

fn shared_kind<T: Send + Sync + Debug + 'static>() {}

#[test]
fn errors_are_small() {
    let pointer = size_of::<usize>();
    assert_eq!(size_of::<DeaggregateError>(), pointer);
    assert_eq!(size_of::<Result<(), DeaggregateError>>(), pointer);
    assert_eq!(size_of::<CodecError>(), pointer);
    assert_eq!(size_of::<Result<(), CodecError>>(), pointer);
    assert!(
        size_of::<InvalidShardMap>() <= 5 * pointer,
        "{}",
        size_of::<InvalidShardMap>()
    );
    assert!(size_of::<KeyError>() <= 4 * pointer, "{}", size_of::<KeyError>());
    assert!(
        size_of::<AggregateError>() <= 5 * pointer,
        "{}",
        size_of::<AggregateError>()
    );
    assert!(size_of::<Malformed>() <= 5 * pointer, "{}", size_of::<Malformed>());
    assert!(size_of::<ReadError>() <= 8 * pointer, "{}", size_of::<ReadError>());
    assert_eq!(
        size_of::<Option<HashKey>>(),
        24,
        "a hash key is not aligned to 16 bytes"
    );
}

#[test]
fn codec_errors_name_their_codec_and_their_source() {
    let codec = CodecError::decode("Name", "the reason");
    assert_eq!(codec.cause().unwrap().to_string(), "the reason");
    assert!(codec.to_string().starts_with("Name"));
    assert_eq!((codec.codec(), codec.kind()), ("Name", CodecErrorKind::Decode));
}

/// An error's text ends with that of what caused it, so its source is what comes after that.
#[test]
fn a_chain_of_sources_repeats_nothing() {
    #[derive(Debug)]
    struct Outer(std::fmt::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("outer")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
    fn failed() -> CodecError {
        CodecError::decode("Name", Outer(std::fmt::Error))
    }

    #[derive(Debug)]
    struct Unreadable;
    impl<'de> FromKplRecord<'de> for Unreadable {
        fn from_user_record(record: &UserRecord<'de>) -> Result<Self, ReadError> {
            match record.data {
                b"payload" => Err(failed().into()),
                _ => Err(ReadError::new("another reason")),
            }
        }
    }
    fn unreadable(data: &[u8]) -> DeaggregateError {
        let batch = [KinesisRecord::new(data)];
        Deaggregator::<Unreadable>::new()
            .records(&batch)
            .next()
            .unwrap()
            .unwrap_err()
    }

    let errors: [Box<dyn Error>; 4] = [
        failed().into(),
        AggregateError::from(failed()).into(),
        ReadError::from(failed()).into(),
        unreadable(b"payload").into(),
    ];
    for error in errors {
        assert!(error.to_string().ends_with("outer"), "{error}");
        assert!(error.source().unwrap().is::<std::fmt::Error>(), "{error}");
    }
    let errors: [Box<dyn Error>; 5] = [
        CodecError::trailing_bytes("Name", 1, 2).into(),
        AggregateError::TooLarge {
            partition_key: "abc".into(),
            size: 2,
            max_size: 1,
        }
        .into(),
        AggregateError::from(KeyError::new("no key")).into(),
        ReadError::new("no reason").into(),
        unreadable(b"").into(),
    ];
    for error in errors {
        assert!(error.source().is_none(), "{error}");
    }
}

#[test]
fn debug_output_names_the_type_and_shows_the_state() {
    #[track_caller]
    fn assert_shows(value: &dyn Debug, expected: &[&str]) {
        let shown = format!("{value:?}");
        for expected in expected {
            assert!(shown.contains(expected), "{shown} without {expected}");
        }
    }

    let record = RawRecord::new("key", "data");
    let builder = Aggregator::<RawRecord>::builder().max_size(777);
    assert_shows(&builder, &["AggregatorBuilder", "max_size: 777"]);
    let mut aggregator = builder.clone().build().unwrap();
    assert_eq!(aggregator.push(&record).unwrap(), None);
    assert_shows(&aggregator, &["Aggregator", "max_size: 777", "count: 1", "size: 7"]);
    let map = ShardMap::new([Shard::new("shard-7", HashKeyRange::FULL)]).unwrap();
    let mut sharded = builder.build_sharded(map).unwrap();
    assert_eq!(sharded.push(&record).unwrap(), None);
    let state = ["ShardedAggregator", "max_size: 777", "shard-7", "count: 1", "size: 7"];
    assert_shows(&sharded, &state);
    let mut sealed = aggregator.aggregate([&record]);
    let sealed_record = sealed.next().unwrap().unwrap();
    assert_shows(&sealed, &["Aggregate", "count: 0", "taken: 1"]);

    let deaggregator = Deaggregator::<RawRecord>::new().list_dropped(true);
    assert_shows(&deaggregator, &["Deaggregator", "list_dropped: true"]);
    let batch = [KinesisRecord::from(&sealed_record)];
    let mut records = deaggregator.records(&batch);
    assert_eq!(records.by_ref().count(), 2);
    assert_shows(&records, &["Records", "user_records: 2", "delivered: 2"]);

    let tags: Tags<'_> = [("trace", Some("7")), ("flag", None)].into_iter().collect();
    assert_shows(&tags, &["2 tags of 20 bytes"]);
    assert_shows(&HashKey::new(1 << 64), &["HashKey(18446744073709551616)"]);
}
