//! The errors of a record's own code (keys, codecs, reading) and of options. Those of aggregators and deaggregators are
//! in `aggregate/error.rs` and `deaggregate/error.rs`.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use core::error::Error;
use core::fmt;
use core::ops::RangeInclusive;

use crate::debug::ByteCount;
use crate::key::{InvalidHashKey, PartitionKey};

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

/// The operation that failed in a codec.
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
    /// The bytes are compressed, and decompressed they are longer than the codec's limit.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl fmt::Display for CodecErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Encode => f.write_str("the value cannot be written"),
            Self::Decode => f.write_str("the bytes cannot be read"),
            Self::TrailingBytes { consumed, len } => {
                let left = len.saturating_sub(consumed);
                let verb = if left == 1 { "is" } else { "are" };
                write!(
                    f,
                    "{} {verb} left after the value, at byte {consumed} of {len}",
                    ByteCount(left)
                )
            }
            Self::TooLarge { limit } => write!(f, "decompressed, the bytes are longer than the limit of {limit} bytes"),
        }
    }
}

impl CodecError {
    /// Returns the error for a value that `codec` could not write, and why.
    pub fn encode(codec: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(codec, CodecErrorKind::Encode, Some(source.into()))
    }

    /// Returns the error for bytes that `codec` could not read, and why.
    pub fn decode(codec: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(codec, CodecErrorKind::Decode, Some(source.into()))
    }

    /// Returns the error for `len` bytes if `codec` read a value from the first `consumed` of them, and the rest is
    /// left over.
    #[must_use]
    pub fn trailing_bytes(codec: &'static str, consumed: usize, len: usize) -> Self {
        Self::new(codec, CodecErrorKind::TrailingBytes { consumed, len }, None)
    }

    /// Returns the error for bytes that `codec` does not decompress, because they would be longer than `limit` bytes.
    #[must_use]
    pub fn too_large(codec: &'static str, limit: usize) -> Self {
        Self::new(codec, CodecErrorKind::TooLarge { limit }, None)
    }

    fn new(codec: &'static str, kind: CodecErrorKind, source: Option<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Box::new(CodecErrorInner { codec, kind, source }))
    }

    /// Returns the codec's name.
    #[must_use]
    pub fn codec(&self) -> &'static str {
        self.0.codec
    }

    /// Returns the operation that failed.
    #[must_use]
    pub fn kind(&self) -> CodecErrorKind {
        self.0.kind
    }

    /// Returns the codec's own error, if there is one. The message of this error ends with its message.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CodecErrorInner { codec, kind, source } = &*self.0;
        write!(f, "{codec}: {kind}")?;
        match source {
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

/// A record could not provide its partition key or its explicit hash key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The key's `Display` implementation returned an error.
    Display,
    /// The record does not have a partition key.
    Missing,
    /// The explicit hash key is not a valid hash key.
    ExplicitHashKey(InvalidHashKey),
    /// Any other reason, in the words of the record's own code.
    Other(Cow<'static, str>),
}

impl KeyError {
    /// Returns an error with a reason in your own words.
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
            Self::Missing => f.write_str("the record does not have a partition key"),
            Self::ExplicitHashKey(error) => write!(f, "explicit hash key: {error}"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl Error for KeyError {}

/// Why a value could not be read from a user record.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The payload could not be read.
    Payload(CodecError),
    /// A field that is sent outside the payload could not be restored.
    Field {
        /// The field's name.
        field: &'static str,
        /// The string that was sent for it, if there was one, or its first 256 characters.
        text: Option<String>,
        /// Why the string cannot be converted to the field's type, in at most 256 characters.
        reason: String,
    },
    /// Any other reason, in the words of the type's own code.
    Other(Cow<'static, str>),
}

impl ReadError {
    /// Returns an error with a reason in your own words.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Other(reason.into())
    }

    /// Returns the error for a field that is sent outside the payload and could not be restored from its string.
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
            } => write!(f, "field {field} cannot be restored from {text:?}: {reason}"),
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

/// Returns the first 256 characters of a key, for an error to own. All records of an aggregate can refer to one key of
/// any length, and that many copies of it could exceed the available memory.
pub(crate) fn cut(text: &str) -> String {
    let end = text.char_indices().nth(PartitionKey::MAX_CHARACTERS);
    text.get(..end.map_or(text.len(), |(end, _)| end))
        .unwrap_or_default()
        .into()
}

/// An option that was set to a value that is out of its range.
///
/// ```
/// use kpl_core::{Aggregator, RawRecord};
///
/// let error = Aggregator::<RawRecord>::builder().max_size(0).build().unwrap_err();
/// assert_eq!(error.option, "max_size");
/// assert_eq!(error.to_string(), "max_size is 0, but must be from 1 to 10485760");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidOption {
    /// The option's name.
    pub option: &'static str,
    /// The value that it was set to.
    pub value: String,
    /// The valid values, such as `from 1 to 500`.
    pub expected: String,
}

impl InvalidOption {
    /// Returns the error for an option that was set to `value` but must be `expected`, such as `longer than zero`.
    pub fn new(option: &'static str, value: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Self {
            option,
            value: value.to_string(),
            expected: expected.to_string(),
        }
    }

    /// Checks that an option's value is within a range.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] if it is not.
    pub fn check(option: &'static str, value: usize, range: RangeInclusive<usize>) -> Result<(), Self> {
        if range.contains(&value) {
            return Ok(());
        }
        let (min, max) = range.into_inner();
        Err(match max {
            usize::MAX => Self::new(option, value, format_args!("at least {min}")),
            max => Self::new(option, value, format_args!("from {min} to {max}")),
        })
    }
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            option,
            value,
            expected,
        } = self;
        write!(f, "{option} is {value}, but must be {expected}")
    }
}

impl Error for InvalidOption {}
