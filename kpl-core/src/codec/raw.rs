use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::fmt;

use super::{Decode, Encode};
use crate::error::CodecError;

/// The bytes as they are: for types that are already bytes or strings.
///
/// ```
/// use kpl_core::codec::{Decode, Encode, Raw};
///
/// let mut bytes = Vec::new();
/// Raw::encode(&vec![1, 2, 3], &mut bytes)?;
/// let value: Vec<u8> = Raw::decode(&bytes)?;
/// assert_eq!(value, [1, 2, 3]);
/// # Ok::<(), kpl_core::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl<T: AsRef<[u8]> + ?Sized> Encode<T> for Raw {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value.as_ref());
        Ok(())
    }
}

impl<'de, T> Decode<'de, T> for Raw
where
    T: TryFrom<&'de [u8]>,
    T::Error: fmt::Display,
{
    fn decode(bytes: &'de [u8]) -> Result<T, CodecError> {
        T::try_from(bytes).map_err(|error| CodecError::decode("Raw", error.to_string()))
    }
}
