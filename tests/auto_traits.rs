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
    DeaggregateErrorKind, Deaggregator, EncryptionType, HashKey, HashKeyRange, InvalidHashKey, InvalidHashKeyRange,
    InvalidOption, InvalidPartitionKey, InvalidPosition, InvalidShardMap, KeyError, KinesisRecord, Malformed,
    MalformedPolicy, PartitionKey, Position, RawRecord, ReadError, Received, Records, SealedRecord, SequenceNumber,
    Shard, ShardMap, ShardedAggregator, StrayPolicy, Tags, UnsealedRecord, UserRecord,
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
    value::<UserRecord<'_, '_>>();
    value::<RawRecord<'_>>();
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
    cloned::<Received<'_, '_, RawRecord<'_>>>();
    cloned::<Field>();
    cloned::<Problem>();
    cloned::<CodecErrorKind>();
}

#[test]
fn small_values_are_copy_and_ordered_ones_are_ordered() {
    copied::<HashKey>();
    copied::<HashKeyRange>();
    copied::<KinesisRecord<'_>>();
    copied::<UserRecord<'_, '_>>();
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
