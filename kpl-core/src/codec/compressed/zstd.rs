use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::num::NonZeroU32;
use std::cell::Cell;
use std::io;
use std::sync::OnceLock;

use zstd::stream::read::Decoder;
use zstd::zstd_safe::{self, CCtx, CDict, DCtx, DDict};

use super::{CompressionOptions, DefaultCompression, Format, read_to_limit};
use crate::codec::buffer::with_kept;
use crate::codec::{Decode, Encode};
use crate::error::CodecError;

/// Another codec's payloads, compressed by [Zstandard](https://www.rfc-editor.org/rfc/rfc8878).
///
#[cfg_attr(feature = "json", doc = "```")]
#[cfg_attr(not(feature = "json"), doc = "```ignore")]
/// use kpl_core::codec::{Decode, Encode, Json, Zstd};
///
/// let text = "a word and ".repeat(1_000);
/// let mut bytes = Vec::new();
/// Zstd::<Json>::encode(&text, &mut bytes)?;
/// assert!(bytes.len() < 100);
/// let read: String = Zstd::<Json>::decode(&bytes)?;
/// assert_eq!(read, text);
/// # Ok::<(), kpl_core::CodecError>(())
/// ```
///
/// Each payload is compressed by itself, as one frame. Those that are shorter than
/// [`THRESHOLD`](CompressionOptions::THRESHOLD) and those that do not shrink stay as they are, and reading takes both: the magic
/// number at the start tells them apart. So a stream can begin with compression, and end it, while its readers run: first the readers get
/// the new type, then the writers. Programs without this crate decompress with what their language has; those that know nothing of it
/// see bytes that start with `28 B5 2F FD`.
///
/// What is read is copied, so types that borrow from the payload cannot be read.
///
/// # Dictionaries
///
/// Short payloads that are like each other shrink well only with a dictionary, which is trained from samples of them: the command
/// `kpl train` makes one. Every reader needs it, so give each version of it to the readers first.
///
#[cfg_attr(feature = "json", doc = "```")]
#[cfg_attr(not(feature = "json"), doc = "```ignore")]
/// use kpl_core::codec::{CompressionOptions, Decode, Encode, Json, Zstd, ZstdDictionary};
///
/// // In a program: include_bytes!("clicks-1.dictionary"), as `kpl train` wrote it.
/// static CLICKS_1: ZstdDictionary = ZstdDictionary::new(br#"{"user":"","url":"/basket","referrer":"https://example.com/","agent":"Mozilla/5.0"}"#);
/// static DICTIONARIES: [&ZstdDictionary; 1] = [&CLICKS_1]; // the one that writes comes first
///
/// struct Clicks;
///
/// impl CompressionOptions for Clicks {
///     const THRESHOLD: usize = 40;
///
///     fn dictionaries() -> &'static [&'static ZstdDictionary] {
///         &DICTIONARIES
///     }
/// }
///
/// let click = serde_json::json!({ "user": "anna", "url": "/basket", "referrer": "https://example.com/", "agent": "Mozilla/5.0" });
/// let mut bytes = Vec::new();
/// Zstd::<Json, Clicks>::encode(&click, &mut bytes)?;
/// assert!(bytes.len() < 60);
/// let read: serde_json::Value = Zstd::<Json, Clicks>::decode(&bytes)?;
/// assert_eq!(read, click);
/// # Ok::<(), kpl_core::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Zstd<C, O = DefaultCompression>(PhantomData<fn() -> (C, O)>);

impl<T: ?Sized, C: Encode<T>, O: CompressionOptions> Encode<T> for Zstd<C, O> {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        super::encode::<T, C, O, Rfc8878>(value, out)
    }
}

impl<T, C: for<'any> Decode<'any, T>, O: CompressionOptions> Decode<'_, T> for Zstd<C, O> {
    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        super::decode::<T, C, O, Rfc8878>(bytes)
    }
}

/// A dictionary of [`Zstd`], which is prepared once and then used by all threads.
pub struct ZstdDictionary {
    bytes: &'static [u8],
    level: i32,
    writing: OnceLock<CDict<'static>>,
    reading: OnceLock<DDict<'static>>,
}

impl ZstdDictionary {
    /// Returns a dictionary for a `static`. Its bytes are those that `kpl train` or `zstd --train` wrote; any other bytes are what the payloads
    /// have in common, and such a dictionary does not have an id.
    ///
    /// It compresses at the level 3.
    #[must_use]
    pub const fn new(bytes: &'static [u8]) -> Self {
        Self::at_level(bytes, 3)
    }

    /// Returns a dictionary that compresses at this level. The [`LEVEL`](CompressionOptions::LEVEL) of the options does not matter to it.
    #[must_use]
    pub const fn at_level(bytes: &'static [u8], level: i32) -> Self {
        Self {
            bytes,
            level,
            writing: OnceLock::new(),
            reading: OnceLock::new(),
        }
    }

    /// Returns the id that a payload names if it was written with this dictionary.
    #[must_use]
    pub fn id(&self) -> Option<NonZeroU32> {
        zstd_safe::get_dict_id_from_dict(self.bytes)
    }

    fn writing(&self) -> Result<&CDict<'static>, CodecError> {
        if let Some(dictionary) = self.writing.get() {
            return Ok(dictionary);
        }
        let dictionary = CDict::try_create(self.bytes, self.level)
            .ok_or_else(|| CodecError::encode("Zstd", "the dictionary is not a valid one"))?;
        Ok(self.writing.get_or_init(|| dictionary))
    }

    fn reading(&self) -> Result<&DDict<'static>, CodecError> {
        if let Some(dictionary) = self.reading.get() {
            return Ok(dictionary);
        }
        let dictionary = DDict::try_create(self.bytes)
            .ok_or_else(|| CodecError::decode("Zstd", "the dictionary is not a valid one"))?;
        Ok(self.reading.get_or_init(|| dictionary))
    }
}

impl fmt::Debug for ZstdDictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZstdDictionary")
            .field("id", &self.id())
            .field("len", &self.bytes.len())
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

struct Rfc8878;

impl<O: CompressionOptions> Format<O> for Rfc8878 {
    const MAGIC: &'static [u8] = &[0x28, 0xB5, 0x2F, 0xFD];

    fn compress(plain: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let dictionary = match O::dictionaries() {
            [first, ..] => Some(first.writing()?),
            [] => None,
        };
        out.reserve(zstd_safe::compress_bound(plain.len()));
        let written = with_kept(&WRITING, |context| {
            let context = context.get_or_insert_with(CCtx::create);
            match dictionary {
                Some(dictionary) => context.compress_using_cdict(out, plain, dictionary),
                None => context.compress(out, plain, O::LEVEL.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL)),
            }
        });
        written
            .map(drop)
            .map_err(|code| CodecError::encode("Zstd", zstd_safe::get_error_name(code)))
    }

    fn decompress(compressed: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let dictionary = dictionary::<O>(compressed)?;
        let Some(len) = only_frame(compressed) else {
            let failed = |error: io::Error| CodecError::decode("Zstd", error);
            let reader = match dictionary {
                Some(dictionary) => Decoder::with_dictionary(compressed, dictionary.bytes).map_err(failed)?,
                None => Decoder::with_buffer(compressed).map_err(failed)?,
            };
            return read_to_limit("Zstd", reader, O::LIMIT, out);
        };
        let Some(len) = usize::try_from(len).ok().filter(|len| *len <= O::LIMIT) else {
            return Err(CodecError::too_large("Zstd", O::LIMIT));
        };
        let dictionary = dictionary.map(ZstdDictionary::reading).transpose()?;
        out.reserve(len);
        let read = with_kept(&READING, |context| {
            let context = context.get_or_insert_with(DCtx::create);
            match dictionary {
                Some(dictionary) => context.decompress_using_ddict(out, compressed, dictionary),
                None => context.decompress(out, compressed),
            }
        });
        read.map(drop)
            .map_err(|code| CodecError::decode("Zstd", zstd_safe::get_error_name(code)))
    }
}

/// Returns how long the bytes are decompressed, if they are one frame that says it.
fn only_frame(compressed: &[u8]) -> Option<u64> {
    let end = zstd_safe::find_frame_compressed_size(compressed).ok()?;
    let len = zstd_safe::get_frame_content_size(compressed).ok()??;
    (end == compressed.len()).then_some(len)
}

/// Returns the dictionary that a frame was written with. A frame that names none is read with the first: it has no need of it, or
/// the first does not have an id.
fn dictionary<O: CompressionOptions>(compressed: &[u8]) -> Result<Option<&'static ZstdDictionary>, CodecError> {
    let dictionaries = O::dictionaries();
    let Some(id) = zstd_safe::get_dict_id_from_frame(compressed) else {
        return Ok(dictionaries.first().copied());
    };
    match dictionaries.iter().find(|dictionary| dictionary.id() == Some(id)) {
        Some(dictionary) => Ok(Some(dictionary)),
        None => Err(CodecError::decode(
            "Zstd",
            alloc::format!("there is no dictionary with the id {id}"),
        )),
    }
}

std::thread_local! {
    static WRITING: Cell<Option<CCtx<'static>>> = const { Cell::new(None) };
    static READING: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
}
