use alloc::vec::Vec;

use prost::Message;

use super::{Decode, Encode};
use crate::error::CodecError;

/// Protocol Buffers, by [prost](https://docs.rs/prost): for messages that are shared with other languages.
///
/// Trailing bytes are an error of the format itself: every byte belongs to a field, known or unknown.
///
/// ```
/// use kpl_core::codec::{Decode, Encode, Prost};
///
/// let mut bytes = Vec::new();
/// Prost::encode(&"a".to_string(), &mut bytes)?; // google.protobuf.StringValue
/// assert_eq!(bytes, [0x0A, 1, b'a']);
/// let value: String = Prost::decode(&bytes)?;
/// assert_eq!(value, "a");
/// # Ok::<(), kpl_core::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Prost;

impl<T: Message> Encode<T> for Prost {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        value
            .encode(out)
            .map_err(|error| CodecError::encode("Prost", alloc::format!("{error}")))
    }
}

impl<T: Message + Default> Decode<'_, T> for Prost {
    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        T::decode(bytes).map_err(|error| CodecError::decode("Prost", alloc::format!("{error}")))
    }
}
