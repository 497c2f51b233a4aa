use crate::ReadError;
use crate::codec::{Decode, Raw};

/// A field that can be the payload.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a payload",
    label = "a payload is bytes: this type does not implement `AsRef<[u8]>`",
    note = "`Vec<u8>`, `&[u8]` and `Cow<'_, [u8]>` can; for any other content use `#[kpl(codec = ...)]`"
)]
pub trait PayloadField: AsRef<[u8]> {}

#[diagnostic::do_not_recommend]
impl<T: AsRef<[u8]>> PayloadField for T {}

/// A field that can be restored from the payload.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be restored from a payload",
    label = "this field is read from bytes: its type must implement `TryFrom<&[u8]>`, with an error that implements `Display`",
    note = "`Vec<u8>`, `&[u8]` and `Cow<'_, [u8]>` can; for any other content use `#[kpl(codec = ...)]`"
)]
pub trait RestoredPayload<'de>: Sized {
    fn from_payload(bytes: &'de [u8]) -> Result<Self, ReadError>;
}

#[diagnostic::do_not_recommend]
impl<'de, T> RestoredPayload<'de> for T
where
    Raw: Decode<'de, T>,
{
    #[inline]
    fn from_payload(bytes: &'de [u8]) -> Result<Self, ReadError> {
        Ok(Raw::decode(bytes)?)
    }
}

/// Returns the bytes of the field that is the payload.
#[inline]
pub fn raw_payload<T: PayloadField>(field: &T) -> &[u8] {
    field.as_ref()
}

/// Restores the field that is the payload from the record's data.
#[inline]
pub fn restore_payload<'de, T: RestoredPayload<'de>>(bytes: &'de [u8]) -> Result<T, ReadError> {
    T::from_payload(bytes)
}
