//! The traits of types that are records, and the records themselves.

mod kinesis;
mod raw;
mod sealed;
mod user;

use alloc::string::String;
use alloc::vec::Vec;

pub use self::kinesis::{EncryptionType, KinesisRecord};
pub use self::raw::RawRecord;
pub use self::sealed::SealedRecord;
pub use self::user::UserRecord;

use crate::error::{CodecError, KeyError, ReadError};
use crate::key::HashKey;
use crate::wire::Tags;

/// A type that can go into a stream: it has a partition key and a payload.
///
/// Derive it (feature `derive` of the crate `kpl`), or implement it by hand:
///
/// ```
/// use kpl_core::{CodecError, KeyError, KplRecord};
///
/// struct Line { host: String, text: String }
///
/// impl KplRecord for Line {
///     fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, KeyError> {
///         Ok(&self.host)
///     }
///     fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
///         Ok(self.text.as_bytes())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot go into a stream: it has no partition key and payload",
    note = "derive it: `#[derive(KplRecord)] #[kpl(codec = ...)]`, and mark a field with `#[kpl(partition_key)]`"
)]
pub trait KplRecord {
    /// Returns the record's partition key: a string that the record holds, or one that is written to `buffer` and
    /// returned from there. `buffer` is empty.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the record cannot provide a key. Its length need not be checked here: the caller does.
    fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, KeyError>;

    /// Returns the record's explicit hash key, if it has one. It then selects the shard instead of the partition key.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the record's explicit hash key is not a valid one.
    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(None)
    }

    /// Adds the record's tags, if it has any. `tags` is empty.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if a tag cannot be written as a string.
    fn tags(&self, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        let _ = tags;
        Ok(())
    }

    /// Returns the record's payload: bytes that the record holds, or bytes that are written to `buffer` and returned
    /// from there. `buffer` is empty.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the payload cannot be written.
    fn payload<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError>;

    /// Returns whether the record must be inside an aggregate even if it is alone, because more than its payload is
    /// needed to read it back.
    ///
    /// A lone record is usually sent raw. Readers then do not receive its explicit hash key, nor, if the stream's
    /// record distribution strategy is AUTO, its partition key. Records with tags are always inside an aggregate.
    fn always_wrapped(&self) -> bool {
        false
    }
}

impl<T: KplRecord + ?Sized> KplRecord for &T {
    fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, KeyError> {
        T::partition_key(self, buffer)
    }

    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        T::explicit_hash_key(self)
    }

    fn tags(&self, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        T::tags(self, tags)
    }

    fn payload<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        T::payload(self, buffer)
    }

    fn always_wrapped(&self) -> bool {
        T::always_wrapped(self)
    }
}

/// A type that can be read from a stream.
///
/// Derive it (feature `derive` of the crate `kpl`), derive [`KplRecord`], which implements both, or implement it by
/// hand.
///
/// The lifetime is that of the bytes: a type may borrow from them, as with serde's `Deserialize<'de>`. In bounds on
/// types that do not borrow, use [`FromKplRecordOwned`].
///
/// ```
/// use kpl_core::{FromKplRecord, ReadError, UserRecord};
///
/// struct Line<'a> { text: &'a str }
///
/// impl<'de> FromKplRecord<'de> for Line<'de> {
///     fn from_user_record(record: &UserRecord<'de>) -> Result<Self, ReadError> {
///         let text = std::str::from_utf8(record.data).map_err(|error| ReadError::new(error.to_string()))?;
///         Ok(Line { text })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a stream",
    note = "derive `FromKplRecord`, or `KplRecord`, which implements both; the codec must be able to read the type"
)]
pub trait FromKplRecord<'de>: Sized {
    /// What a [`Deaggregator`](crate::Deaggregator) of this type does with bytes that carry the magic but are not a
    /// valid aggregate, unless [`Deaggregator::malformed`](crate::Deaggregator::malformed) overrides it.
    const MALFORMED: MalformedPolicy = MalformedPolicy::Error;

    /// Reads a value from a user record.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the payload or the keys are not those of this type.
    fn from_user_record(record: &UserRecord<'de>) -> Result<Self, ReadError>;
}

/// A type that can be read from a stream and does not borrow from it.
///
/// Use it in bounds, like serde's `DeserializeOwned`.
pub trait FromKplRecordOwned: for<'de> FromKplRecord<'de> {}

impl<T: for<'de> FromKplRecord<'de>> FromKplRecordOwned for T {}

/// What happens to bytes that carry the magic but are not a valid aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MalformedPolicy {
    /// They are one plain record, [marked with the reason](UserRecord::malformed). The default for [`RawRecord`] and
    /// [`UserRecord`].
    Deliver,
    /// They are an error that contains the bytes and the reason, so that a codec never guesses at them. The default for
    /// other types.
    Error,
}
