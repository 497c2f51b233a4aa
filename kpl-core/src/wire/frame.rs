//! Recognises aggregated records: by the magic, the length and the digest.

use core::fmt;

use super::{AggregatedRecord, Contents, DIGEST_LEN, InvalidBody, MAGIC, MIN_LEN};
use crate::debug::ByteCount;
use crate::digest::{Digest, md5};

/// Bytes with the magic and the length of an aggregated record. The digest has not been checked yet.
///
/// ```
/// use kpl_core::wire::{Frame, NotAggregated};
///
/// assert_eq!(Frame::new(b"just some bytes").unwrap_err(), NotAggregated::Plain);
/// ```
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    body: &'a [u8],
    digest: Digest,
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("body", &ByteCount(self.body.len()))
            .field("digest", &self.digest)
            .finish()
    }
}

impl<'a> Frame<'a> {
    /// Checks the magic and the length.
    ///
    /// # Errors
    ///
    /// [`NotAggregated`] if the bytes are not long enough or do not start with the magic.
    pub fn new(data: &'a [u8]) -> Result<Self, NotAggregated> {
        let after_magic = data.strip_prefix(&MAGIC).ok_or(NotAggregated::Plain)?;
        match after_magic.split_last_chunk::<DIGEST_LEN>() {
            Some((body, digest)) if !body.is_empty() => Ok(Self { body, digest: *digest }),
            _ => Err(NotAggregated::Malformed(Malformed::TooShort)),
        }
    }

    /// Returns the protobuf bytes.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Returns the digest at the end.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Parses the protobuf bytes, after comparing the digest.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the digest does not match or the bytes do not parse.
    pub fn open(&self) -> Result<AggregatedRecord<'a>, Malformed> {
        let mut contents = Contents::default();
        self.open_into(md5(self.body), &mut contents)?;
        Ok(contents.into())
    }

    /// Does what [`open`](Self::open) does, with a digest computed elsewhere and tables that are reused.
    pub(crate) fn open_into(&self, computed: Digest, into: &mut Contents<'a>) -> Result<(), Malformed> {
        if computed != self.digest {
            return Err(Malformed::Digest);
        }
        into.read(self.body).map_err(Malformed::Body)
    }
}

/// Why bytes are one plain record instead of an aggregated record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAggregated {
    /// They do not start with the magic.
    Plain,
    /// They start with the magic, but are not valid after that.
    Malformed(Malformed),
}

impl From<Malformed> for NotAggregated {
    fn from(reason: Malformed) -> Self {
        Self::Malformed(reason)
    }
}

impl fmt::Display for NotAggregated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("not aggregated: the magic is missing"),
            Self::Malformed(reason) => reason.fmt(f),
        }
    }
}

impl core::error::Error for NotAggregated {}

/// Why bytes that start with the magic are not an aggregated record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// There are fewer than 21 bytes.
    TooShort,
    /// The last 16 bytes are not the MD5 of the protobuf bytes.
    Digest,
    /// The digest is right, but the protobuf bytes do not parse.
    Body(InvalidBody),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => write!(f, "it has fewer than {MIN_LEN} bytes"),
            Self::Digest => f.write_str("its digest does not match"),
            Self::Body(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Malformed {}
