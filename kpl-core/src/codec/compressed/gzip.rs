use alloc::vec::Vec;
use core::marker::PhantomData;
use std::io::Write as _;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{CompressionOptions, DefaultCompression, Format, read_to_limit};
use crate::codec::{Decode, Encode};
use crate::error::CodecError;

/// Another codec's payloads, compressed by [gzip](https://www.rfc-editor.org/rfc/rfc1952), which every language reads.
///
/// See [`Zstd`](super::Zstd) for what the codecs that compress have in common. Payloads of a few hundred bytes hardly shrink:
/// a header and a trailer take 18 bytes.
///
#[cfg_attr(feature = "json", doc = "```")]
#[cfg_attr(not(feature = "json"), doc = "```ignore")]
/// use kpl_core::codec::{Decode, Encode, Gzip, Json};
///
/// let text = "a word and ".repeat(1_000);
/// let mut bytes = Vec::new();
/// Gzip::<Json>::encode(&text, &mut bytes)?;
/// assert!(bytes.len() < 100);
/// let read: String = Gzip::<Json>::decode(&bytes)?;
/// assert_eq!(read, text);
/// # Ok::<(), kpl_core::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Gzip<C, O = DefaultCompression>(PhantomData<fn() -> (C, O)>);

impl<T: ?Sized, C: Encode<T>, O: CompressionOptions> Encode<T> for Gzip<C, O> {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        super::encode::<T, C, O, Rfc1952>(value, out)
    }
}

impl<T, C: for<'any> Decode<'any, T>, O: CompressionOptions> Decode<'_, T> for Gzip<C, O> {
    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        super::decode::<T, C, O, Rfc1952>(bytes)
    }
}

struct Rfc1952;

impl<O: CompressionOptions> Format<O> for Rfc1952 {
    const MAGIC: &'static [u8] = &[0x1F, 0x8B, 8];

    fn compress(plain: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let level = O::LEVEL.map_or(Compression::default(), |level| {
            Compression::new(level.clamp(0, 9).unsigned_abs())
        });
        let mut encoder = GzEncoder::new(out, level);
        encoder
            .write_all(plain)
            .and_then(|()| encoder.finish())
            .map(drop)
            .map_err(|error| CodecError::encode("Gzip", error))
    }

    fn decompress(compressed: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        read_to_limit("Gzip", MultiGzDecoder::new(compressed), O::LIMIT, out)
    }
}
