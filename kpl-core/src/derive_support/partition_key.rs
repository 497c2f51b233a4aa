use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::{self, Write as _};

use super::Probe;
use crate::{KeyError, PartitionKey};

/// A field that can be a partition key, or a part of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a partition key",
    label = "a partition key is a string: this type does not implement `Display`",
    note = "implement `core::fmt::Display` for it, or use `#[kpl(partition_key_with = path)]` on the type"
)]
pub trait KeyField: fmt::Display {}

#[diagnostic::do_not_recommend]
impl<T: fmt::Display + ?Sized> KeyField for T {}

/// A type whose `Display` writes a string that the type contains: if it is used as a key, it is not copied.
pub trait Text {
    fn text(&self) -> &str;
}

impl Text for str {
    #[inline]
    fn text(&self) -> &str {
        self
    }
}

impl Text for String {
    #[inline]
    fn text(&self) -> &str {
        self
    }
}

impl Text for Box<str> {
    #[inline]
    fn text(&self) -> &str {
        self
    }
}

impl Text for Cow<'_, str> {
    #[inline]
    fn text(&self) -> &str {
        self
    }
}

impl Text for PartitionKey<'_> {
    #[inline]
    fn text(&self) -> &str {
        self.as_str()
    }
}

impl<T: Text + ?Sized> Text for &T {
    #[inline]
    fn text(&self) -> &str {
        T::text(self)
    }
}

pub trait ViaText {
    #[inline]
    fn key_kind(&self) -> TextKind {
        TextKind
    }
}

impl<T: Text + ?Sized> ViaText for Probe<T> {}

pub trait ViaDisplay {
    #[inline]
    fn key_kind(&self) -> DisplayKind {
        DisplayKind
    }
}

impl<T: ?Sized> ViaDisplay for &Probe<T> {}

pub struct TextKind;

impl TextKind {
    /// Returns the field as a key.
    #[inline]
    pub fn key<'a, T: Text + ?Sized>(self, field: &'a T, _: &'a mut String) -> Result<&'a str, KeyError> {
        Ok(field.text())
    }
}

pub struct DisplayKind;

impl DisplayKind {
    /// Returns the field as a key.
    #[inline]
    pub fn key<'a, T: KeyField + ?Sized>(self, field: &'a T, buffer: &'a mut String) -> Result<&'a str, KeyError> {
        write_key(buffer, format_args!("{field}"))
    }
}

/// Returns a field as one part of a key. The result has the same type for all fields, so that a field that cannot be a
/// part causes one error instead of two.
#[inline]
pub fn display<T: KeyField>(field: &T) -> &dyn fmt::Display {
    field
}

/// Writes a key that consists of several parts.
#[inline]
pub fn write_key<'a>(buffer: &'a mut String, text: fmt::Arguments<'_>) -> Result<&'a str, KeyError> {
    buffer.write_fmt(text)?;
    Ok(buffer)
}

/// Writes a key that a function returned.
#[inline]
pub fn write_key_of<T: KeyField>(key: T, buffer: &mut String) -> Result<&str, KeyError> {
    write_key(buffer, format_args!("{key}"))
}
