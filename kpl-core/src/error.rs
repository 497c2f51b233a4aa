//! Errors: small, typed, each with the place and the input.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::key::{InvalidHashKey, InvalidPartitionKey, PartitionKey};
use crate::position::Position;
use crate::record::UserRecord;
use crate::wire::Malformed;

/// A payload that a codec could not write or read.
///
/// ```
/// use kpl_core::CodecError;
///
/// let error = CodecError::trailing_bytes("MyCodec", 4, 6);
/// assert_eq!(error.to_string(), "MyCodec: 2 bytes are left after the value, at byte 4 of 6");
/// ```
#[derive(Debug)]
pub struct CodecError(Box<CodecErrorInner>);

#[derive(Debug)]
struct CodecErrorInner {
    codec: &'static str,
    kind: CodecErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What a codec failed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecErrorKind {
    /// The value could not be written.
    Encode,
    /// The bytes could not be read as a value.
    Decode,
    /// A value was read, but it did not take all bytes.
    TrailingBytes {
        /// How many bytes the value took.
        consumed: usize,
        /// How many bytes there were.
        len: usize,
    },
}

impl CodecError {
    /// A value that `codec` could not write, and why.
    pub fn encode(codec: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(codec, CodecErrorKind::Encode, Some(source.into()))
    }

    /// Bytes that `codec` could not read, and why.
    pub fn decode(codec: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(codec, CodecErrorKind::Decode, Some(source.into()))
    }

    /// Bytes of which `codec` read a value from the first `consumed`, and some are left.
    #[must_use]
    pub fn trailing_bytes(codec: &'static str, consumed: usize, len: usize) -> Self {
        Self::new(codec, CodecErrorKind::TrailingBytes { consumed, len }, None)
    }

    fn new(codec: &'static str, kind: CodecErrorKind, source: Option<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Box::new(CodecErrorInner { codec, kind, source }))
    }

    /// The codec's name.
    #[must_use]
    pub fn codec(&self) -> &'static str {
        self.0.codec
    }

    /// What the codec failed at.
    #[must_use]
    pub fn kind(&self) -> CodecErrorKind {
        self.0.kind
    }

    /// The codec's own error, if it gave one. The text of this error ends with its text.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        match inner.kind {
            CodecErrorKind::Encode => write!(f, "{}: the value cannot be written", inner.codec)?,
            CodecErrorKind::Decode => write!(f, "{}: the bytes cannot be read", inner.codec)?,
            CodecErrorKind::TrailingBytes { consumed, len } => {
                let left = len.saturating_sub(consumed);
                write!(
                    f,
                    "{}: {left} bytes are left after the value, at byte {consumed} of {len}",
                    inner.codec
                )?;
            }
        }
        match &inner.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause()?.source()
    }
}

/// A key that a record could not give.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The key's `Display` implementation returned an error.
    Display,
    /// The explicit hash key is no hash key.
    ExplicitHashKey(InvalidHashKey),
    /// Any other reason, in the words of the record's own code.
    Other(Cow<'static, str>),
}

impl KeyError {
    /// A reason in words of your own.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Other(reason.into())
    }
}

impl From<fmt::Error> for KeyError {
    fn from(_: fmt::Error) -> Self {
        Self::Display
    }
}

impl From<InvalidHashKey> for KeyError {
    fn from(error: InvalidHashKey) -> Self {
        Self::ExplicitHashKey(error)
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Display => f.write_str("the key's Display implementation failed"),
            Self::ExplicitHashKey(error) => write!(f, "explicit hash key: {error}"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl Error for KeyError {}

/// Why an aggregator did not take a record. The record is where it was, and the aggregator is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum AggregateError {
    /// The record could not give its keys.
    Key(KeyError),
    /// The record's partition key is empty or too long.
    PartitionKey(InvalidPartitionKey),
    /// The payload could not be written.
    Payload(CodecError),
    /// Even alone the record would be larger than the maximum size.
    TooLarge {
        /// What it would count towards the limit alone: the data and the outer partition key, in bytes.
        size: usize,
        /// The maximum size that is set, in bytes.
        max_size: usize,
    },
}

impl fmt::Display for AggregateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => error.fmt(f),
            Self::PartitionKey(error) => error.fmt(f),
            Self::Payload(error) => error.fmt(f),
            Self::TooLarge { size, max_size } => write!(
                f,
                "the record takes {size} bytes even alone (data and outer partition key), and max_size is {max_size}"
            ),
        }
    }
}

impl Error for AggregateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Key(error) => error.source(),
            Self::PartitionKey(error) => error.source(),
            Self::Payload(error) => error.source(),
            Self::TooLarge { .. } => None,
        }
    }
}

impl From<KeyError> for AggregateError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<InvalidPartitionKey> for AggregateError {
    fn from(error: InvalidPartitionKey) -> Self {
        Self::PartitionKey(error)
    }
}

impl From<CodecError> for AggregateError {
    fn from(error: CodecError) -> Self {
        Self::Payload(error)
    }
}

/// Why a user record's type could not take it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The payload could not be read.
    Payload(CodecError),
    /// A field that travels outside the payload is not what its type can be made of.
    Field {
        /// The field's name.
        field: &'static str,
        /// The text that it travelled as, if there was one, or its first 256 characters.
        text: Option<String>,
        /// Why the text does not make the field, in at most 256 characters.
        reason: String,
    },
    /// Any other reason, in the words of the type's own code.
    Other(Cow<'static, str>),
}

impl ReadError {
    /// A reason in words of your own.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Other(reason.into())
    }

    /// A field that travels outside the payload and could not be made of its text.
    pub fn field(field: &'static str, text: Option<&str>, reason: impl fmt::Display) -> Self {
        Self::Field {
            field,
            text: text.map(cut),
            reason: cut(&reason.to_string()),
        }
    }
}

impl From<CodecError> for ReadError {
    fn from(error: CodecError) -> Self {
        Self::Payload(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payload(error) => error.fmt(f),
            Self::Field {
                field,
                text: Some(text),
                reason,
            } => write!(f, "field {field} cannot be made of {text:?}: {reason}"),
            Self::Field { field, reason, .. } => write!(f, "field {field}: {reason}"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Payload(error) => error.source(),
            _ => None,
        }
    }
}

/// A record that could not be delivered: where it is, why, and its bytes.
///
/// It owns what it tells, so it can leave the function that read the batch.
#[derive(Debug)]
pub struct DeaggregateError(Box<DeaggregateErrorInner>);

#[derive(Debug)]
struct DeaggregateErrorInner {
    kind: DeaggregateErrorKind,
    kinesis_record: usize,
    sequence_number: Option<String>,
    sub_sequence_number: u64,
    aggregated: bool,
    partition_key: Option<String>,
    data: Vec<u8>,
}

/// Why a record could not be delivered.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeaggregateErrorKind {
    /// The bytes carry the magic but are not a valid aggregate. [`DeaggregateError::data`] is all of them.
    Malformed(Malformed),
    /// The record refers to a partition key that the table does not have.
    PartitionKeyIndex {
        /// The index.
        index: u64,
        /// How many keys the table has.
        len: usize,
    },
    /// The record refers to an explicit hash key that the table does not have.
    ExplicitHashKeyIndex {
        /// The index.
        index: u64,
        /// How many keys the table has.
        len: usize,
    },
    /// The record's explicit hash key is not a number from 0 to 2^128-1.
    ExplicitHashKey {
        /// The text in the table, or its first 256 characters.
        text: String,
    },
    /// The record's type could not take it.
    Read(ReadError),
}

/// A key for an error to own. A long text is no key, and every record of an aggregate can refer to the one text: so
/// many copies of it could be more than memory holds.
pub(crate) fn cut(text: &str) -> String {
    let end = text.char_indices().nth(PartitionKey::MAX_CHARACTERS);
    text.get(..end.map_or(text.len(), |(end, _)| end))
        .unwrap_or_default()
        .into()
}

impl DeaggregateError {
    /// An error about a user record that is the `kinesis_record`th of a batch, or inside it.
    pub(crate) fn new(kinesis_record: usize, record: &UserRecord<'_, '_>, kind: DeaggregateErrorKind) -> Self {
        Self(Box::new(DeaggregateErrorInner {
            kind,
            kinesis_record,
            sequence_number: record.kinesis_record.sequence_number.map(Into::into),
            sub_sequence_number: record.sub_sequence_number,
            aggregated: record.aggregated,
            partition_key: record.partition_key.map(cut),
            data: record.data.into(),
        }))
    }

    /// Why the record could not be delivered.
    #[must_use]
    pub fn kind(&self) -> &DeaggregateErrorKind {
        &self.0.kind
    }

    /// The place in the batch of the Kinesis record that it is, or that it is in. The first is 0.
    #[must_use]
    pub fn kinesis_record_index(&self) -> usize {
        self.0.kinesis_record
    }

    /// The sequence number of that Kinesis record, if it had one.
    #[must_use]
    pub fn sequence_number(&self) -> Option<&str> {
        self.0.sequence_number.as_deref()
    }

    /// The record's position among the records of its aggregate; 0 if it is no part of one.
    #[must_use]
    pub fn sub_sequence_number(&self) -> u64 {
        self.0.sub_sequence_number
    }

    /// Where the record stands in its shard, if its Kinesis record had a sequence number that is one.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        Position::new(self.sequence_number()?, self.0.sub_sequence_number).ok()
    }

    /// The record's partition key, if it is known. Of one that is longer than the service allows, which only the
    /// inside of an aggregate can have, the first 256 characters.
    #[must_use]
    pub fn partition_key(&self) -> Option<&str> {
        self.0.partition_key.as_deref()
    }

    /// The record's bytes: a user record's data, or a whole Kinesis record's.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.0.data
    }

    /// The record's bytes, without a copy.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.0.data
    }
}

impl fmt::Display for DeaggregateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        write!(f, "Kinesis record {}", inner.kinesis_record)?;
        if let Some(number) = &inner.sequence_number {
            write!(f, " (sequence number {number})")?;
        }
        if inner.aggregated {
            write!(f, ", user record {}", inner.sub_sequence_number)?;
        }
        f.write_str(": ")?;
        match &inner.kind {
            DeaggregateErrorKind::Malformed(reason) => write!(f, "it carries the magic of an aggregate, but {reason}"),
            DeaggregateErrorKind::PartitionKeyIndex { index, len } => {
                write!(f, "partition key index {index}, and the table has {len} keys")
            }
            DeaggregateErrorKind::ExplicitHashKeyIndex { index, len } => {
                write!(f, "explicit hash key index {index}, and the table has {len} keys")
            }
            DeaggregateErrorKind::ExplicitHashKey { text } => {
                write!(f, "explicit hash key {text:?} is no number from 0 to 2^128-1")
            }
            DeaggregateErrorKind::Read(error) => error.fmt(f),
        }
    }
}

impl Error for DeaggregateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.kind {
            DeaggregateErrorKind::Read(error) => error.source(),
            _ => None,
        }
    }
}

/// An option that was set to a value it cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidOption {
    /// The option's name.
    pub option: &'static str,
    /// The value that it was set to.
    pub value: usize,
    /// The lowest value that it can have.
    pub min: usize,
    /// The highest value that it can have.
    pub max: usize,
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            option,
            value,
            min,
            max,
        } = self;
        write!(f, "{option} is {value}, and must be from {min} to {max}")
    }
}

impl Error for InvalidOption {}
