//! What the output of the derive calls. Not part of the public API.

pub use alloc::string::String;
pub use alloc::vec::Vec;
pub use core;
#[cfg(feature = "serde")]
pub use serde;

use core::fmt::{self, Write as _};
use core::str::FromStr;

use crate::error::{KeyError, ReadError};
use crate::key::HashKey;
use crate::wire::Tags;

/// A field that can be a partition key, or a part of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a partition key",
    label = "a partition key is text: this type has no `Display`",
    note = "implement `core::fmt::Display` for it, or use `#[kpl(partition_key_with = \"path\")]` on the container"
)]
pub trait KeyField: fmt::Display {}

#[diagnostic::do_not_recommend]
impl<T: fmt::Display + ?Sized> KeyField for T {}

/// A field that can be restored from the partition key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be restored from a partition key",
    label = "an elided field is read back from the text of the key: this type has no `FromStr`",
    note = "implement `core::str::FromStr` for it, with an error that has `Display`, or leave out `elide`"
)]
pub trait ElidedField: Sized {
    fn restore(field: &'static str, text: Option<&str>) -> Result<Self, ReadError>;
}

#[diagnostic::do_not_recommend]
impl<T> ElidedField for T
where
    T: FromStr,
    T::Err: fmt::Display,
{
    fn restore(field: &'static str, text: Option<&str>) -> Result<Self, ReadError> {
        let key = text.ok_or_else(|| ReadError::field(field, None, "the record has no partition key"))?;
        key.parse().map_err(|error| ReadError::field(field, Some(key), error))
    }
}

/// A field, or a function's result, that can be an explicit hash key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an explicit hash key",
    label = "an explicit hash key is a `u128`, a `HashKey`, or an `Option` of one of them"
)]
pub trait HashKeyField: Sized {
    fn explicit_hash_key(&self) -> Option<HashKey>;
    fn restore(field: &'static str, key: Option<HashKey>) -> Result<Self, ReadError>;
}

impl HashKeyField for HashKey {
    fn explicit_hash_key(&self) -> Option<HashKey> {
        Some(*self)
    }

    fn restore(field: &'static str, key: Option<HashKey>) -> Result<Self, ReadError> {
        key.ok_or_else(|| ReadError::field(field, None, "the record has no explicit hash key"))
    }
}

impl HashKeyField for u128 {
    fn explicit_hash_key(&self) -> Option<HashKey> {
        Some(HashKey::new(*self))
    }

    fn restore(field: &'static str, key: Option<HashKey>) -> Result<Self, ReadError> {
        <HashKey as HashKeyField>::restore(field, key).map(HashKey::value)
    }
}

impl<T: HashKeyField> HashKeyField for Option<T> {
    fn explicit_hash_key(&self) -> Option<HashKey> {
        self.as_ref()?.explicit_hash_key()
    }

    fn restore(field: &'static str, key: Option<HashKey>) -> Result<Self, ReadError> {
        key.map(|key| <T as HashKeyField>::restore(field, Some(key)))
            .transpose()
    }
}

/// Writes the text of a key, with the checks of [`KeyField`] on its parts.
pub fn write_key(buffer: &mut String, text: fmt::Arguments<'_>) -> Result<(), KeyError> {
    Ok(buffer.write_fmt(text)?)
}

/// The identity, for values that must be able to be part of a key.
pub fn key_field<T: KeyField + ?Sized>(field: &T) -> &T {
    field
}

/// Adds a field as a tag.
pub fn push_tag<T: KeyField + ?Sized>(tags: &mut Tags<'_>, name: &str, field: &T) -> Result<(), KeyError> {
    let mut text = String::new();
    write!(text, "{field}")?;
    tags.push(name, Some(&text));
    Ok(())
}
