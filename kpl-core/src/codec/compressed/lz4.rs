use alloc::vec::Vec;
use core::marker::PhantomData;
use std::io::{self, Write as _};

use lz4_flex::frame::{FrameDecoder, FrameEncoder};

use super::{CompressionOptions, DefaultCompression, Format, read_to_limit};
use crate::codec::{Decode, Encode};
use crate::error::CodecError;

/// Another codec's payloads, compressed by LZ4 in its
/// [frame format](https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md), which is the fastest and saves the least.
///
/// See [`Zstd`](super::Zstd) for what the codecs that compress have in common. Levels do not matter to it.
///
#[cfg_attr(feature = "json", doc = "```")]
#[cfg_attr(not(feature = "json"), doc = "```ignore")]
/// use kpl_core::codec::{Decode, Encode, Json, Lz4};
///
/// let text = "a word and ".repeat(1_000);
/// let mut bytes = Vec::new();
/// Lz4::<Json>::encode(&text, &mut bytes)?;
/// assert!(bytes.len() < 100);
/// let read: String = Lz4::<Json>::decode(&bytes)?;
/// assert_eq!(read, text);
/// # Ok::<(), kpl_core::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Lz4<C, O = DefaultCompression>(PhantomData<fn() -> (C, O)>);

impl<T: ?Sized, C: Encode<T>, O: CompressionOptions> Encode<T> for Lz4<C, O> {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        super::encode::<T, C, O, Frame>(value, out)
    }
}

impl<T, C: for<'any> Decode<'any, T>, O: CompressionOptions> Decode<'_, T> for Lz4<C, O> {
    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        super::decode::<T, C, O, Frame>(bytes)
    }
}

struct Frame;

impl<O: CompressionOptions> Format<O> for Frame {
    const MAGIC: &'static [u8] = &[0x04, 0x22, 0x4D, 0x18];

    fn compress(plain: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut encoder = FrameEncoder::new(out);
        encoder
            .write_all(plain)
            .and_then(|()| encoder.finish().map_err(io::Error::other))
            .map(drop)
            .map_err(|error| CodecError::encode("Lz4", error))
    }

    fn decompress(compressed: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        if !is_whole(compressed) {
            return Err(CodecError::decode("Lz4", "the bytes are cut off"));
        }
        read_to_limit("Lz4", FrameDecoder::new(compressed), O::LIMIT, out)
    }
}

/// Returns whether frames have all of their blocks and an end. lz4_flex takes one that is cut off between two blocks as if it were whole.
fn is_whole(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Some(rest) = after_frame(bytes) else { return false };
        bytes = rest;
    }
    true
}

/// Returns what follows a frame, of which only the lengths are looked at.
fn after_frame(frame: &[u8]) -> Option<&[u8]> {
    // The magic number, the flags FLG, the byte BD, what the flags announce, and the header's checksum.
    let flags = *frame.get(4)?;
    let if_set = |bit: u8, len: usize| if flags & (1 << bit) == 0 { 0 } else { len };
    let (content_size, dictionary_id) = (if_set(3, 8), if_set(0, 4));
    let (block_checksum, content_checksum) = (if_set(4, 4), if_set(2, 4));
    let mut rest = frame.get(7 + content_size + dictionary_id..)?;
    loop {
        let (size, blocks) = rest.split_first_chunk()?;
        // The highest bit says that the block is not compressed.
        let size = u32::from_le_bytes(*size) & (u32::MAX >> 1);
        if size == 0 {
            return blocks.get(content_checksum..);
        }
        rest = blocks.get(usize::try_from(size).ok()?..)?.get(block_checksum..)?;
    }
}
