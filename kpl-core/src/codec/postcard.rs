use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Decode, Encode};
use crate::error::CodecError;

/// [Postcard](https://postcard.jamesmunns.com/wire-format): small and fast, with a stable wire format. Field names
/// are not written, so a type that gains a field can no longer read its old records.
///
/// Do not decode untrusted bytes into two kinds of types: a recursive type, because the bytes can nest it until the
/// stack overflows, and a list of elements that take no bytes, such as `Vec<()>`, because the bytes can declare any
/// length.
///
/// ```
/// use kpl_core::codec::{Decode, Encode, Postcard};
///
/// let mut bytes = Vec::new();
/// Postcard::encode(&("a", 7_u8), &mut bytes)?;
/// assert_eq!(bytes, [1, b'a', 7]);
/// let value: (&str, u8) = Postcard::decode(&bytes)?;
/// assert_eq!(value, ("a", 7));
/// # Ok::<(), kpl_core::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Postcard;

const NAME: &str = "Postcard";

impl<T: Serialize + ?Sized> Encode<T> for Postcard {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        postcard::to_extend(value, Append(out))
            .map(drop)
            .map_err(|error| CodecError::encode(NAME, error))
    }
}

impl<'de, T: Deserialize<'de>> Decode<'de, T> for Postcard {
    fn decode(bytes: &'de [u8]) -> Result<T, CodecError> {
        let (value, rest) = postcard::take_from_bytes(bytes).map_err(|error| CodecError::decode(NAME, error))?;
        if !rest.is_empty() {
            return Err(CodecError::trailing_bytes(NAME, bytes.len() - rest.len(), bytes.len()));
        }
        Ok(value)
    }
}

/// Appends to a vector that stays with its owner. `to_extend` itself takes the vector, and drops it if the value cannot
/// be written.
struct Append<'a>(&'a mut Vec<u8>);

impl Extend<u8> for Append<'_> {
    #[inline]
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}
