use alloc::vec::Vec;

use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use serde::{Deserialize, Serialize};

use super::{Decode, Encode};
use crate::error::CodecError;

/// [Bincode 2](https://docs.rs/bincode/2.0.1/bincode/spec/index.html) through serde, in its standard configuration:
/// little endian, variable-length numbers.
///
/// Use it for streams that already contain such records. The crate bincode is no longer maintained
/// ([RUSTSEC-2025-0141](https://rustsec.org/advisories/RUSTSEC-2025-0141.html)), so prefer Postcard for new streams.
/// Golden vectors freeze the bytes. The crate bincode-next writes and reads the same bytes, so this codec can move to
/// it without any change to a stream.
///
/// Decoding a payload of more than 10 MiB, which no stream accepts, may fail.
///
/// Do not decode untrusted bytes into two kinds of types: a recursive type, because the bytes can nest it until the
/// stack overflows, and a list of elements that take no bytes, such as `Vec<()>`, because the bytes can declare any
/// length.
///
/// ```
/// use kpl_core::codec::{Bincode, Decode, Encode};
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

/// Most payloads are at most this many bytes long.
const SMALL: usize = 64 * 1024;
/// No record of a stream is longer than this many bytes.
const LARGE: usize = 10 * 1024 * 1024;
/// One byte of input becomes at most this many bytes of a value: a `u128`.
const LARGEST_NUMBER: usize = size_of::<u128>();

/// Decodes with a limit. Without one, bincode allocates whatever length a string declares, and aborts the program if
/// there is not enough memory. Bytes that [`Bincode`] wrote never reach the limit.
fn decode_within<'de, T: Deserialize<'de>, const LIMIT: usize>(bytes: &'de [u8]) -> Result<(T, usize), DecodeError> {
    bincode::serde::borrow_decode_from_slice(bytes, bincode::config::standard().with_limit::<LIMIT>())
}

impl<T: Serialize + ?Sized> Encode<T> for Bincode {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        bincode::serde::encode_into_writer(value, Append(out), bincode::config::standard())
            .map_err(|error| CodecError::encode(NAME, alloc::format!("{error}")))
    }
}

impl<'de, T: Deserialize<'de>> Decode<'de, T> for Bincode {
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

struct Append<'a>(&'a mut Vec<u8>);

impl Writer for Append<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
