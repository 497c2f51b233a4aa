use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Codec, SerdeCodec};
use crate::error::CodecError;

/// [Postcard](https://postcard.jamesmunns.com/wire-format): small and fast, with a stable wire format. Fields have no
/// names, so a type can only grow at the cost of its old records.
///
/// Two kinds of types are not for bytes from strangers: one that contains itself can be nested by them until the stack
/// overflows, and a list of elements that take no bytes, as `Vec<()>`, can be declared as long as they like.
///
/// ```
/// use kpl_core::codec::{Codec, Postcard};
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

impl<'de, T: Serialize + Deserialize<'de>> Codec<'de, T> for Postcard {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        postcard::to_extend(value, Append(out))
            .map(drop)
            .map_err(|error| CodecError::encode(NAME, error))
    }

    fn decode(bytes: &'de [u8]) -> Result<T, CodecError> {
        let (value, rest) = postcard::take_from_bytes(bytes).map_err(|error| CodecError::decode(NAME, error))?;
        if !rest.is_empty() {
            return Err(CodecError::trailing_bytes(NAME, bytes.len() - rest.len(), bytes.len()));
        }
        Ok(value)
    }
}

impl SerdeCodec for Postcard {}

/// Bytes that are not lost when a value cannot be written.
struct Append<'a>(&'a mut Vec<u8>);

impl Extend<u8> for Append<'_> {
    #[inline]
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}
