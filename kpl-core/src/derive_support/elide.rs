use alloc::vec::Vec;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use crate::codec::{Codec, SerdeCodec};
use crate::{CodecError, ReadError};

/// A codec that can leave a field out.
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` cannot leave a field out",
    label = "`elide` needs a codec that goes through serde",
    note = "`Json`, `Postcard` and `Bincode` can; for a codec of your own that goes through serde implement `SerdeCodec`"
)]
pub trait ElidingCodec<'de, T>: Codec<'de, T> {}

#[diagnostic::do_not_recommend]
impl<'de, T, C: SerdeCodec + Codec<'de, T>> ElidingCodec<'de, T> for C {}

/// Writes a value without its elided field.
#[inline]
pub fn encode_elided<'de, C, T>(value: T, out: &mut Vec<u8>) -> Result<(), CodecError>
where
    C: ElidingCodec<'de, WriteOnly<T>>,
{
    C::encode(&WriteOnly(value), out)
}

/// Reads a value without its elided field.
#[inline]
pub fn decode_elided<'de, C, T>(bytes: &'de [u8]) -> Result<T, ReadError>
where
    C: ElidingCodec<'de, ReadOnly<T>>,
{
    Ok(C::decode(bytes)?.0)
}

/// A value that is only written. Codecs ask for both of serde's traits.
pub struct WriteOnly<T>(T);

impl<T: Serialize> Serialize for WriteOnly<T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for WriteOnly<T> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("this half of the type is only written"))
    }
}

/// A value that is only read. Codecs ask for both of serde's traits.
pub struct ReadOnly<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ReadOnly<T> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

impl<T> Serialize for ReadOnly<T> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("this half of the type is only read"))
    }
}
