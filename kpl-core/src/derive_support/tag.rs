use core::fmt;
use core::str::FromStr;

use super::Probe;
use crate::{KeyError, ReadError, Tags, UserRecord};

/// A field that can be a tag.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a tag",
    label = "the value of a tag is a string: this type does not implement `Display`",
    note = "implement `core::fmt::Display` for it; an `Option` of such a type is a tag if it has a value"
)]
pub trait TagField: fmt::Display {}

#[diagnostic::do_not_recommend]
impl<T: fmt::Display + ?Sized> TagField for T {}

/// A field that can be restored from a tag.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be restored from a tag",
    label = "this field is parsed from the tag: its type must implement `FromStr`, with an error that implements `Display`",
    note = "beside `#[kpl(payload)]`, a field with a tag travels as that tag only"
)]
pub trait RestoredTag: Sized {
    fn from_tag(text: &str) -> Result<Self, impl fmt::Display>;
}

#[diagnostic::do_not_recommend]
impl<T> RestoredTag for T
where
    T: FromStr,
    T::Err: fmt::Display,
{
    #[inline]
    fn from_tag(text: &str) -> Result<Self, impl fmt::Display> {
        text.parse::<T>()
    }
}

pub trait ViaOptionTag {
    #[inline]
    fn tag_kind(&self) -> OptionTagKind {
        OptionTagKind
    }
}

impl<T> ViaOptionTag for Probe<Option<T>> {}

pub trait ViaTag {
    #[inline]
    fn tag_kind(&self) -> TagKind {
        TagKind
    }
}

impl<T: ?Sized> ViaTag for &Probe<T> {}

pub struct OptionTagKind;

impl OptionTagKind {
    /// Adds the field as a tag, if it has a value.
    pub fn push<T: TagField>(self, field: &Option<T>, name: &str, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        field.as_ref().map_or(Ok(()), |field| TagKind.push(field, name, tags))
    }

    /// Restores the named field from the record's tag, if there is one.
    pub fn restore<T: RestoredTag>(
        self,
        field: &'static str,
        name: &str,
        record: &UserRecord<'_>,
    ) -> Result<Option<T>, ReadError> {
        value(&record.tags(), name).map(|text| parse(field, text)).transpose()
    }
}

pub struct TagKind;

impl TagKind {
    /// Adds the field as a tag.
    pub fn push<T: TagField + ?Sized>(self, field: &T, name: &str, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        Ok(tags.push_fmt(name, format_args!("{field}"))?)
    }

    /// Restores the named field from the record's tag.
    pub fn restore<T: RestoredTag>(
        self,
        field: &'static str,
        name: &str,
        record: &UserRecord<'_>,
    ) -> Result<T, ReadError> {
        let tags = record.tags();
        let text = value(&tags, name).ok_or_else(|| {
            ReadError::field(field, None, format_args!("the record has no tag {name:?} with a value"))
        })?;
        parse(field, text)
    }
}

fn parse<T: RestoredTag>(field: &'static str, text: &str) -> Result<T, ReadError> {
    T::from_tag(text).map_err(|error| ReadError::field(field, Some(text), error))
}

fn value<'a>(tags: &'a Tags<'_>, name: &str) -> Option<&'a str> {
    tags.iter().find_map(|(key, value)| value.filter(|_| key == name))
}
