//! What the codecs that compress have in common: what stays as it is, and how bytes say which of the two they are.
//!
//! A payload is compressed if it starts with the magic number of its format. What is written as it is must not start so:
//! such a payload is compressed whether it shrinks or not.

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(feature = "gzip")]
pub use self::gzip::Gzip;
#[cfg(feature = "lz4")]
pub use self::lz4::Lz4;
#[cfg(feature = "zstd")]
pub use self::zstd::{Zstd, ZstdDictionary};

use alloc::vec::Vec;
use std::io::Read;

use super::buffer::with_buffer;
use super::{Decode, Encode};
use crate::error::CodecError;

/// Chooses how hard a codec compresses, from which length on, and how much it is willing to decompress.
///
/// It is the second parameter of [`Zstd`], [`Gzip`] and [`Lz4`](super::Lz4). Readers need no options that writers have: whatever
/// the writer chose, every reader of the codec reads it, as long as it has the same dictionaries and a limit that is high enough.
///
#[cfg_attr(all(feature = "json", feature = "zstd"), doc = "```")]
#[cfg_attr(not(all(feature = "json", feature = "zstd")), doc = "```ignore")]
/// use kpl_core::codec::{CompressionOptions, Decode, Encode, Json, Zstd};
///
/// struct Hard;
///
/// impl CompressionOptions for Hard {
///     const LEVEL: Option<i32> = Some(19);
///     const THRESHOLD: usize = 1024;
/// }
///
/// let text = "a word and ".repeat(1_000);
/// let mut bytes = Vec::new();
/// Zstd::<Json, Hard>::encode(&text, &mut bytes)?;
/// assert!(bytes.len() < 100);
/// let read: String = Zstd::<Json>::decode(&bytes)?;
/// assert_eq!(read, text);
/// # Ok::<(), kpl_core::CodecError>(())
/// ```
pub trait CompressionOptions {
    /// The level, as the format's own tools count them; `None` is their default: 3 of 1 to 22 for zstd, 6 of 0 to 9 for gzip. LZ4 has no
    /// levels. One that is out of range is the nearest that there is.
    const LEVEL: Option<i32> = None;

    /// How long a payload must be, in bytes, to be compressed. Shorter ones stay as they are, as do those that do not shrink.
    const THRESHOLD: usize = 128;

    /// The most bytes that a payload may take decompressed. One that would take more is an error of the kind
    /// [`TooLarge`](crate::CodecErrorKind::TooLarge), and takes no more memory than this.
    const LIMIT: usize = 64 << 20;

    /// The dictionaries of [`Zstd`]: it writes with the first one, and reads what was written with any of them, or with none. The
    /// other codecs do not have dictionaries.
    #[cfg(feature = "zstd")]
    #[cfg_attr(docsrs, doc(cfg(feature = "zstd")))]
    #[must_use]
    fn dictionaries() -> &'static [&'static ZstdDictionary] {
        &[]
    }
}

/// The [`CompressionOptions`] as they are if nothing else is chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultCompression;

impl CompressionOptions for DefaultCompression {}

/// A format of compressed bytes.
trait Format<O> {
    /// What compressed bytes start with.
    const MAGIC: &'static [u8];

    /// Appends the bytes compressed.
    fn compress(plain: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Appends the bytes as they were before they were compressed. They are at most `O::LIMIT`.
    fn decompress(compressed: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError>;
}

/// Appends the bytes of a value, compressed if that is of use.
fn encode<T, C, O, F>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>
where
    T: ?Sized,
    C: Encode<T>,
    O: CompressionOptions,
    F: Format<O>,
{
    let start = out.len();
    C::encode(value, out)?;
    let plain = out.get(start..).unwrap_or_default();
    let looks_compressed = plain.starts_with(F::MAGIC);
    if plain.len() < O::THRESHOLD && !looks_compressed {
        return Ok(());
    }
    with_buffer(|compressed| {
        let plain = out.get(start..).unwrap_or_default();
        F::compress(plain, compressed)?;
        if compressed.len() < plain.len() || looks_compressed {
            out.truncate(start);
            out.extend_from_slice(compressed);
        }
        Ok(())
    })
}

/// Reads a value from bytes that may be compressed.
fn decode<T, C, O, F>(bytes: &[u8]) -> Result<T, CodecError>
where
    C: for<'any> Decode<'any, T>,
    O: CompressionOptions,
    F: Format<O>,
{
    if !bytes.starts_with(F::MAGIC) {
        return C::decode(bytes);
    }
    with_buffer(|plain| {
        F::decompress(bytes, plain)?;
        C::decode(plain)
    })
}

/// Appends everything that a reader has, if that is at most `limit` bytes.
fn read_to_limit(codec: &'static str, reader: impl Read, limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    // One more shows that there are more.
    let most = (limit as u64).saturating_add(1);
    reader
        .take(most)
        .read_to_end(out)
        .map_err(|error| CodecError::decode(codec, error))?;
    if out.len() > limit {
        return Err(CodecError::too_large(codec, limit));
    }
    Ok(())
}
