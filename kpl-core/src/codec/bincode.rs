use alloc::vec::Vec;

use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::{Deserialize, Serialize};

use super::{Codec, SerdeCodec};
use crate::error::CodecError;

/// [Bincode 2](https://docs.rs/bincode/2.0.1/bincode/spec/index.html) through serde, in its standard configuration:
/// little endian, variable-length numbers.
///
/// For streams that have such records already. The crate bincode is no longer maintained
/// ([RUSTSEC-2025-0141](https://rustsec.org/advisories/RUSTSEC-2025-0141.html)); for new streams
/// Postcard is the better choice. The bytes are frozen by golden vectors; the crate bincode-next writes and reads
/// the same ones, and this codec can move to it without a change that a stream could notice.
///
/// ```
/// use kpl_core::codec::{Bincode, Codec};
///
/// let mut bytes = Vec::new();
/// Bincode::encode(&("a", 7_u8), &mut bytes)?;
/// assert_eq!(bytes, [1, b'a', 7]);
/// let value: (&str, u8) = Bincode::decode(&bytes)?;
/// assert_eq!(value, ("a", 7));
/// # Ok::<(), kpl_core::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Bincode;

const NAME: &str = "Bincode";

impl<'de, T: Serialize + Deserialize<'de>> Codec<'de, T> for Bincode {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        bincode::serde::encode_into_writer(value, Append(out), bincode::config::standard())
            .map_err(|error| CodecError::encode(NAME, alloc::format!("{error}")))
    }

    fn decode(bytes: &'de [u8]) -> Result<T, CodecError> {
        let (value, consumed) = bincode::serde::borrow_decode_from_slice(bytes, bincode::config::standard())
            .map_err(|error| CodecError::decode(NAME, alloc::format!("{error}")))?;
        if consumed != bytes.len() {
            return Err(CodecError::trailing_bytes(NAME, consumed, bytes.len()));
        }
        Ok(value)
    }
}

impl SerdeCodec for Bincode {}

struct Append<'a>(&'a mut Vec<u8>);

impl Writer for Append<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
