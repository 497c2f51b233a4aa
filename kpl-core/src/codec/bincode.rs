use alloc::vec::Vec;

use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
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
/// Payloads of more than 10 MiB, which no stream has, may not be read.
///
/// Two kinds of types are not for bytes from strangers: one that contains itself can be nested by them until the stack
/// overflows, and a list of elements that take no bytes, as `Vec<()>`, can be declared as long as they like.
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

/// Most payloads have no more bytes.
const SMALL: usize = 64 * 1024;
/// No record of a stream has more bytes.
const LARGE: usize = 10 * 1024 * 1024;
/// A byte is at most so many bytes of a value: those of a `u128`.
const LARGEST_NUMBER: usize = size_of::<u128>();

/// Without a limit, bincode allocates whatever length a text declares, and aborts the program if there is no such
/// memory. No bytes that were written by [`Bincode`] reach the limit.
fn decode_within<'de, T: Deserialize<'de>, const LIMIT: usize>(bytes: &'de [u8]) -> Result<(T, usize), DecodeError> {
    bincode::serde::borrow_decode_from_slice(bytes, bincode::config::standard().with_limit::<LIMIT>())
}

impl<'de, T: Serialize + Deserialize<'de>> Codec<'de, T> for Bincode {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        bincode::serde::encode_into_writer(value, Append(out), bincode::config::standard())
            .map_err(|error| CodecError::encode(NAME, alloc::format!("{error}")))
    }

    fn decode(bytes: &'de [u8]) -> Result<T, CodecError> {
        let (value, consumed) = if bytes.len() <= SMALL {
            decode_within::<T, { SMALL * LARGEST_NUMBER }>(bytes)
        } else {
            decode_within::<T, { LARGE * LARGEST_NUMBER }>(bytes)
        }
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
