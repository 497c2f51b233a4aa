use alloc::borrow::Cow;
use core::fmt;
use core::str::FromStr;

use super::Probe;
use crate::{PartitionKey, ReadError};

/// A field that can be restored from the partition key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be restored from a partition key",
    label = "this field is parsed from the key: its type must implement `FromStr`, with an error that implements `Display`",
    note = "implement `core::str::FromStr` for it, or keep the field in the payload: use a codec, and leave out `elide`"
)]
pub trait ElidedField: Sized {
    fn from_key(text: &str) -> Result<Self, impl fmt::Display>;
}

#[diagnostic::do_not_recommend]
impl<T> ElidedField for T
where
    T: FromStr,
    T::Err: fmt::Display,
{
    #[inline]
    fn from_key(text: &str) -> Result<Self, impl fmt::Display> {
        text.parse::<T>()
    }
}

/// A type that borrows the key.
pub trait KeyText<'de> {
    fn from_key(text: &'de str) -> Self;
}

impl<'de> KeyText<'de> for &'de str {
    #[inline]
    fn from_key(text: &'de str) -> Self {
        text
    }
}

impl<'de> KeyText<'de> for Cow<'de, str> {
    #[inline]
    fn from_key(text: &'de str) -> Self {
        Cow::Borrowed(text)
    }
}

pub trait ViaBorrow {
    #[inline]
    fn restore_kind(&self) -> BorrowKind {
        BorrowKind
    }
}

impl ViaBorrow for Probe<&str> {}
impl ViaBorrow for Probe<Cow<'_, str>> {}

pub trait ViaParse {
    #[inline]
    fn restore_kind(&self) -> ParseKind {
        ParseKind
    }
}

impl<T> ViaParse for &Probe<T> {}

pub struct BorrowKind;

impl BorrowKind {
    /// Restores the named field from the record's partition key.
    #[inline]
    pub fn restore<'de, T: KeyText<'de>>(self, field: &'static str, key: Option<&'de str>) -> Result<T, ReadError> {
        Ok(T::from_key(present(field, key)?))
    }
}

pub struct ParseKind;

impl ParseKind {
    /// Restores the named field from the record's partition key.
    #[inline]
    pub fn restore<T: ElidedField>(self, field: &'static str, key: Option<&str>) -> Result<T, ReadError> {
        let key = present(field, key)?;
        T::from_key(key).map_err(|error| ReadError::field(field, Some(key), error))
    }
}

/// Returns the key, if there is one that is not too long. Every record of an aggregate can refer to the same long
/// string: parsing or copying it for each of them could take more time and memory than the program has.
#[inline]
fn present<'de>(field: &'static str, key: Option<&'de str>) -> Result<&'de str, ReadError> {
    let key = key.ok_or_else(|| ReadError::field(field, None, "the record has no partition key"))?;
    if is_too_long(key) {
        let max = PartitionKey::MAX_CHARACTERS;
        let reason = format_args!("a partition key has at most {max} characters, and the record's has more");
        return Err(ReadError::field(field, Some(key), reason));
    }
    Ok(key)
}

/// Returns whether a string is too long for a key, without reading more of it than a key can have.
#[inline]
fn is_too_long(key: &str) -> bool {
    // A character takes 1 to 4 bytes.
    key.len() > PartitionKey::MAX_CHARACTERS
        && (key.len() > 4 * PartitionKey::MAX_CHARACTERS || key.chars().count() > PartitionKey::MAX_CHARACTERS)
}
