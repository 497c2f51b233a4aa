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
    note = "implement `core::fmt::Display` or `AsRef<str>` for it, or use `#[kpl(partition_key_with = path)]` on the type: the \
            function returns a string, or a `Result` with a `KeyError` if a value does not have one, such as bytes that are not UTF-8"
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

/// The kinds of fields are implemented for references to a probe: the more references, the earlier the method is found.
pub trait ViaText {
    #[inline]
    fn key_kind(&self) -> TextKind {
        TextKind
    }
}

impl<T: Text + ?Sized> ViaText for &&&Probe<T> {}

pub trait ViaOption {
    #[inline]
    fn key_kind(&self) -> OptionKind {
        OptionKind
    }
}

impl<T> ViaOption for &&&Probe<Option<T>> {}

pub trait ViaDisplay {
    #[inline]
    fn key_kind(&self) -> DisplayKind {
        DisplayKind
    }
}

impl<T: fmt::Display + ?Sized> ViaDisplay for &&Probe<T> {}

pub trait ViaAsRef {
    #[inline]
    fn key_kind(&self) -> AsRefKind {
        AsRefKind
    }
}

impl<T: AsRef<str> + ?Sized> ViaAsRef for &Probe<T> {}

/// All others, which cannot be keys.
pub trait ViaOther {
    #[inline]
    fn key_kind(&self) -> DisplayKind {
        DisplayKind
    }
}

impl<T: ?Sized> ViaOther for Probe<T> {}

pub struct TextKind;

impl TextKind {
    /// Returns the field as a key.
    #[inline]
    pub fn key<'a, T: Text + ?Sized>(self, field: &'a T, _: &'a mut String) -> Result<&'a str, KeyError> {
        Ok(field.text())
    }

    /// Returns the field as one part of a key.
    #[inline]
    pub fn part<T: Text + ?Sized>(self, field: &T) -> Part<'_> {
        Part::Text(field.text())
    }
}

pub struct AsRefKind;

impl AsRefKind {
    /// Returns the field as a key.
    #[inline]
    pub fn key<'a, T: AsRef<str> + ?Sized>(self, field: &'a T, _: &'a mut String) -> Result<&'a str, KeyError> {
        Ok(field.as_ref())
    }

    /// Returns the field as one part of a key.
    #[inline]
    pub fn part<T: AsRef<str> + ?Sized>(self, field: &T) -> Part<'_> {
        Part::Text(field.as_ref())
    }
}

pub struct DisplayKind;

impl DisplayKind {
    /// Returns the field as a key.
    #[inline]
    pub fn key<'a, T: KeyField + ?Sized>(self, field: &'a T, buffer: &'a mut String) -> Result<&'a str, KeyError> {
        write_key(buffer, format_args!("{field}"))
    }

    /// Returns the field as one part of a key.
    #[inline]
    pub fn part<T: KeyField>(self, field: &T) -> Part<'_> {
        Part::Display(field)
    }
}

/// A type whose values are always there: no `Option` implements it, so that the compiler says what else to do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a partition key: every record needs one",
    label = "this may be `None`",
    note = "write `#[kpl(partition_key_with = path)]` on the type: the function returns another key, as in \
            `self.user.as_deref().unwrap_or(\"anonymous\")`, or refuses the record, as in \
            `self.user.as_deref().ok_or(KeyError::Missing)`"
)]
pub trait AlwaysPresent {}

pub struct OptionKind;

impl OptionKind {
    pub fn key<'a, T: AlwaysPresent>(self, _: &'a T, _: &'a mut String) -> Result<&'a str, KeyError> {
        Err(KeyError::Missing)
    }

    pub fn part<T: AlwaysPresent>(self, _: &T) -> Part<'_> {
        Part::Text("")
    }
}

/// One part of a key. It is one type for all fields, so that a field that cannot be a part causes one error instead of two.
pub enum Part<'a> {
    Text(&'a str),
    Display(&'a dyn fmt::Display),
}

impl fmt::Display for Part<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Display(value) => value.fmt(f),
        }
    }
}

/// Writes a key that consists of several parts.
#[inline]
pub fn write_key<'a>(buffer: &'a mut String, text: fmt::Arguments<'_>) -> Result<&'a str, KeyError> {
    buffer.write_fmt(text)?;
    Ok(buffer)
}

pub trait ViaResult {
    #[inline]
    fn returned_kind(&self) -> ResultKind {
        ResultKind
    }
}

impl<T> ViaResult for Probe<Result<T, KeyError>> {}

pub trait ViaPlain {
    #[inline]
    fn returned_kind(&self) -> PlainKind {
        PlainKind
    }
}

impl<T> ViaPlain for &Probe<T> {}

pub struct ResultKind;

impl ResultKind {
    /// Writes a key that a function returned, unless it refused the record.
    #[inline]
    pub fn write<T: KeyField>(self, key: Result<T, KeyError>, buffer: &mut String) -> Result<&str, KeyError> {
        PlainKind.write(key?, buffer)
    }
}

pub struct PlainKind;

impl PlainKind {
    /// Writes a key that a function returned.
    #[inline]
    pub fn write<T: KeyField>(self, key: T, buffer: &mut String) -> Result<&str, KeyError> {
        write_key(buffer, format_args!("{key}"))
    }
}
