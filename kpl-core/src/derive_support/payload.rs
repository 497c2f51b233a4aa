use crate::ReadError;
use crate::codec::{Codec, Raw};

/// A field that can be the payload.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a payload",
    label = "a payload is bytes: this type needs `AsRef<[u8]>` and `TryFrom<&[u8]>`",
    note = "`Vec<u8>`, `&[u8]` and `Cow<'_, [u8]>` are such types; for any other content use `#[kpl(codec = ...)]`"
)]
pub trait PayloadField<'de>: AsRef<[u8]> + Sized {
    fn restore(bytes: &'de [u8]) -> Result<Self, ReadError>;
}

#[diagnostic::do_not_recommend]
impl<'de, T: AsRef<[u8]>> PayloadField<'de> for T
where
    Raw: Codec<'de, T>,
{
    #[inline]
    fn restore(bytes: &'de [u8]) -> Result<Self, ReadError> {
        Ok(Raw::decode(bytes)?)
    }
}

/// The bytes of the field that is the payload.
#[inline]
pub fn raw_payload<'de, T: PayloadField<'de>>(field: &T) -> &[u8] {
    field.as_ref()
}

/// The field that is the payload, made of the record's data.
#[inline]
pub fn restore_payload<'de, T: PayloadField<'de>>(bytes: &'de [u8]) -> Result<T, ReadError> {
    T::restore(bytes)
}
