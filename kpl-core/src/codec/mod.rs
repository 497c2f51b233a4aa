//! Payload codecs: how a value becomes the bytes of a user record, and back.
//!
//! | codec | feature | to write | to read | reads without copying |
//! |---|---|---|---|---|
//! | [`Json`] | `json` (default) | `Serialize` | `Deserialize` | `&str` without escapes |
//! | [`Postcard`] | `postcard` | `Serialize` | `Deserialize` | `&str`, `&[u8]` |
//! | [`Bincode`] | `bincode` | `Serialize` | `Deserialize` | `&str`, `&[u8]` |
//! | [`Prost`] | `prost` | `prost::Message` | `prost::Message`, `Default` | nothing |
//! | [`Zstd<C>`](Zstd), [`Gzip<C>`](Gzip), [`Lz4<C>`](Lz4) | `zstd`, `gzip`, `lz4` | what the codec `C` needs | the same | nothing |
//! | [`Glue<C, S>`](Glue) | `glue` | what the codec `C` needs | the same | nothing |
//! | [`Raw`] | | `AsRef<[u8]>` | `TryFrom<&[u8]>` | `&[u8]` |
//!
//! As serde has `Serialize` and `Deserialize`, a codec has [`Encode`] and [`Decode`]: a type that is only read needs
//! only what reading needs. The codecs that go through serde can leave out a field that is the partition key: see
//! `elide` in the documentation of `#[derive(KplRecord)]`.
//!
//! Every codec rejects trailing bytes after the value.

#[cfg(feature = "bincode")]
mod bincode;
#[cfg(any(feature = "glue", feature = "gzip", feature = "lz4", feature = "zstd"))]
mod buffer;
#[cfg(any(feature = "gzip", feature = "lz4", feature = "zstd"))]
mod compressed;
#[cfg(feature = "glue")]
mod glue;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "postcard")]
mod postcard;
#[cfg(feature = "prost")]
mod prost;
mod raw;

#[cfg(feature = "bincode")]
pub use self::bincode::Bincode;
#[cfg(feature = "gzip")]
#[cfg_attr(docsrs, doc(cfg(feature = "gzip")))]
pub use self::compressed::Gzip;
#[cfg(feature = "lz4")]
#[cfg_attr(docsrs, doc(cfg(feature = "lz4")))]
pub use self::compressed::Lz4;
#[cfg(any(feature = "gzip", feature = "lz4", feature = "zstd"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "gzip", feature = "lz4", feature = "zstd"))))]
pub use self::compressed::{CompressionOptions, DefaultCompression};
#[cfg(feature = "zstd")]
#[cfg_attr(docsrs, doc(cfg(feature = "zstd")))]
pub use self::compressed::{Zstd, ZstdDictionary};
#[cfg(feature = "glue")]
#[cfg_attr(docsrs, doc(cfg(feature = "glue")))]
pub use self::glue::{Glue, GlueHeader, GlueSchema};
#[cfg(feature = "json")]
pub use self::json::Json;
#[cfg(feature = "postcard")]
pub use self::postcard::Postcard;
#[cfg(feature = "prost")]
pub use self::prost::Prost;
pub use self::raw::Raw;

use alloc::vec::Vec;

use crate::error::CodecError;

/// Writes values of type `T` as bytes.
///
/// Implement it, and [`Decode`] for the way back, to use a format of your own. A codec that goes through serde
/// implements them for every type with `Serialize` and `Deserialize`, and can then also leave a field out (`elide`).
///
/// ```
/// use kpl_core::CodecError;
/// use kpl_core::codec::{Decode, Encode};
///
/// /// Numbers in decimal digits.
/// struct Decimal;
///
/// impl Encode<u64> for Decimal {
///     fn encode(value: &u64, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         out.extend(value.to_string().bytes());
///         Ok(())
///     }
/// }
///
/// impl Decode<'_, u64> for Decimal {
///     fn decode(bytes: &[u8]) -> Result<u64, CodecError> {
///         let digits = std::str::from_utf8(bytes).map_err(|error| CodecError::decode("Decimal", error))?;
///         digits.parse().map_err(|error: std::num::ParseIntError| CodecError::decode("Decimal", error))
///     }
/// }
///
/// let mut bytes = Vec::new();
/// Decimal::encode(&4950, &mut bytes)?;
/// assert_eq!(bytes, b"4950");
/// assert_eq!(Decimal::decode(&bytes)?, 4950);
/// assert!(Decimal::decode(b"49 50").is_err());
/// # Ok::<(), CodecError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` cannot write `{T}`",
    note = "`Json`, `Postcard` and `Bincode` need `serde::Serialize`",
    note = "`Prost` needs `prost::Message`, and `Raw` needs `AsRef<[u8]>`"
)]
pub trait Encode<T: ?Sized> {
    /// Appends the bytes of a value to `out`.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the format cannot represent the value. Discard what has been appended to `out` by then.
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;
}

/// Reads values of type `T` from bytes that live for `'de`.
///
/// The value may borrow from the bytes, as with serde's `Deserialize<'de>`. See [`Encode`] for a codec of your own.
///
/// ```
/// use kpl_core::CodecError;
/// use kpl_core::codec::Decode;
///
/// /// Lines of UTF-8, for a program that only reads them.
/// struct Utf8;
///
/// impl<'de> Decode<'de, &'de str> for Utf8 {
///     fn decode(bytes: &'de [u8]) -> Result<&'de str, CodecError> {
///         std::str::from_utf8(bytes).map_err(|error| CodecError::decode("Utf8", error))
///     }
/// }
///
/// assert_eq!(Utf8::decode(b"a line")?, "a line");
/// assert!(Utf8::decode(b"\xFF").is_err());
/// # Ok::<(), CodecError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` cannot read `{T}`",
    note = "`Json`, `Postcard` and `Bincode` need `serde::Deserialize`",
    note = "`Prost` needs `prost::Message` and `Default`, and `Raw` needs `TryFrom<&[u8]>`"
)]
pub trait Decode<'de, T> {
    /// Reads a value from all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if `bytes` is not exactly one value: malformed, too short, or followed by more bytes.
    fn decode(bytes: &'de [u8]) -> Result<T, CodecError>;
}
