use alloc::vec::Vec;

use crate::codec::{Decode, Encode};
use crate::{CodecError, ReadError};

/// A codec that writes `T`, which is a type without its elided field.
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` cannot leave a field out",
    label = "`elide` needs a codec that goes through serde",
    note = "`Json`, `Postcard` and `Bincode` do; a codec of your own must implement `Encode<T>` for every `T: Serialize`"
)]
pub trait EncodeElided<T>: Encode<T> {}

#[diagnostic::do_not_recommend]
impl<T, C: Encode<T>> EncodeElided<T> for C {}

/// A codec that reads `T`, which is a type without its elided field.
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` cannot read a type without one of its fields",
    label = "`elide` needs a codec that goes through serde",
    note = "`Json`, `Postcard` and `Bincode` do; a codec of your own must implement `Decode<'de, T>` for every `T: Deserialize<'de>`"
)]
pub trait DecodeElided<'de, T>: Decode<'de, T> {}

#[diagnostic::do_not_recommend]
impl<'de, T, C: Decode<'de, T>> DecodeElided<'de, T> for C {}

/// Writes a value without its elided field.
#[inline]
pub fn encode_elided<C: EncodeElided<T>, T>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    C::encode(value, out)
}

/// Reads a value without its elided field.
#[inline]
pub fn decode_elided<'de, C: DecodeElided<'de, T>, T>(bytes: &'de [u8]) -> Result<T, ReadError> {
    Ok(C::decode(bytes)?)
}
