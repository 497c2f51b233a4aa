//! Payload codecs: how a value becomes the bytes of a user record, and back.
//!
//! | codec | feature | bound | reads without copying | an elided field |
//! |---|---|---|---|---|
//! | [`Json`] | `json` (default) | serde | `&str` without escapes | yes |
//! | [`Postcard`] | `postcard` | serde | `&str`, `&[u8]` | yes |
//! | [`Bincode`] | `bincode` | serde | `&str`, `&[u8]` | yes |
//! | [`Prost`] | `prost` | `prost::Message` | no | no |
//! | [`Raw`] | | `AsRef<[u8]>`, `TryFrom<&[u8]>` | `&[u8]` | no |
//!
//! All of them refuse bytes that are left over after the value.

#[cfg(feature = "bincode")]
mod bincode;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "postcard")]
mod postcard;
#[cfg(feature = "prost")]
mod prost;
mod raw;

#[cfg(feature = "bincode")]
pub use self::bincode::Bincode;
#[cfg(feature = "json")]
pub use self::json::Json;
#[cfg(feature = "postcard")]
pub use self::postcard::Postcard;
#[cfg(feature = "prost")]
pub use self::prost::Prost;
pub use self::raw::Raw;

use alloc::vec::Vec;

use crate::error::CodecError;

/// Writes values of type `T` as bytes, and reads them from bytes that live for `'de`.
///
/// Implement it to use a format of your own:
///
/// ```
/// use kpl_core::CodecError;
/// use kpl_core::codec::Codec;
///
/// /// Numbers in decimal digits.
/// struct Decimal;
///
/// impl Codec<'_, u64> for Decimal {
///     fn encode(value: &u64, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         out.extend(value.to_string().bytes());
///         Ok(())
///     }
///     fn decode(bytes: &[u8]) -> Result<u64, CodecError> {
///         let text = std::str::from_utf8(bytes).map_err(|error| CodecError::decode("Decimal", error))?;
///         text.parse().map_err(|error: std::num::ParseIntError| CodecError::decode("Decimal", error))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` cannot write and read `{T}`",
    note = "`Json`, `Postcard` and `Bincode` need `serde::Serialize` and `serde::Deserialize`",
    note = "`Prost` needs `prost::Message` and `Default`"
)]
pub trait Codec<'de, T> {
    /// Appends a value's bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the format cannot hold the value. What was appended until then is of no use.
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads a value from all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are not a value, or more than one.
    fn decode(bytes: &'de [u8]) -> Result<T, CodecError>;
}

/// A codec that writes and reads whatever has serde's traits: so it can leave a field out of a type.
pub trait SerdeCodec {}
