use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Codec, SerdeCodec};
use crate::error::CodecError;

/// JSON, by `serde_json`: readable by everything, and the largest.
///
/// Finite numbers come back exactly as they were. JSON has no NaN and no infinity: they are written as `null`, and a
/// field that is not an `Option` refuses that when it is read. A `&str` can borrow only from text without escapes; use
/// `Cow<str>` with `#[serde(borrow)]` where there may be some.
///
/// ```
/// use kpl_core::codec::{Codec, Json};
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

impl<'de, T: Serialize + Deserialize<'de>> Codec<'de, T> for Json {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        #[cfg(feature = "std")]
        let written = serde_json::to_writer(out, value);
        #[cfg(not(feature = "std"))]
        let written = serde_json::to_vec(value).map(|bytes| out.extend(bytes));
        written.map_err(|error| CodecError::encode("Json", error))
    }

    fn decode(bytes: &'de [u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(|error| CodecError::decode("Json", error))
    }
}

impl SerdeCodec for Json {}
