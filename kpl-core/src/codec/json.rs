use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Decode, Encode};
use crate::error::CodecError;

/// JSON, by `serde_json`: every language reads it, and its payloads are the largest.
///
/// Finite numbers survive the round trip exactly. JSON cannot represent NaN and infinity: they are written as `null`,
/// which only an `Option` accepts when it is read. A `&str` can borrow only from a string without escapes; use
/// `Cow<str>` with `#[serde(borrow)]` if there may be escapes.
///
/// ```
/// use kpl_core::codec::{Decode, Encode, Json};
///
/// let mut bytes = Vec::new();
/// Json::encode(&("a", 7), &mut bytes)?;
/// assert_eq!(bytes, br#"["a",7]"#);
/// let value: (&str, u8) = Json::decode(&bytes)?;
/// assert_eq!(value, ("a", 7));
/// # Ok::<(), kpl_core::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl<T: Serialize + ?Sized> Encode<T> for Json {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        #[cfg(feature = "std")]
        let written = serde_json::to_writer(out, value);
        #[cfg(not(feature = "std"))]
        let written = serde_json::to_vec(value).map(|bytes| out.extend(bytes));
        written.map_err(|error| CodecError::encode("Json", error))
    }
}

impl<'de, T: Deserialize<'de>> Decode<'de, T> for Json {
    fn decode(bytes: &'de [u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(|error| CodecError::decode("Json", error))
    }
}
