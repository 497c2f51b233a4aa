//! The tags of a user record.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use super::cursor::{Cursor, MAX_DEPTH, WireType};
use super::reader::read_tag;
use super::varint_len;
use super::writer::{field_len, put_bytes, put_number};
use crate::debug::ByteCount;

/// The tags of a user record: keys, each with a value or without.
///
/// The format reserves them for the users of a library; the KPL itself does not write any.
///
/// ```
/// use kpl_core::Tags;
///
/// let mut tags = Tags::new();
/// tags.push("trace", Some("4bf92f35"));
/// assert_eq!(tags.iter().collect::<Vec<_>>(), [("trace", Some("4bf92f35"))]);
/// ```
// Contains field 4 of a Record message once per tag, and possibly other fields of that message.
#[derive(Clone, Default)]
pub struct Tags<'a>(Cow<'a, [u8]>);

impl<'a> Tags<'a> {
    /// Returns an empty set of tags.
    #[must_use]
    pub const fn new() -> Self {
        Self(Cow::Borrowed(&[]))
    }

    pub(crate) const fn of_record(message: &'a [u8]) -> Self {
        Self(Cow::Borrowed(message))
    }

    /// Adds a tag.
    pub fn push(&mut self, key: &str, value: Option<&str>) {
        put_tag(self.own(), key, value);
    }

    /// Adds a tag with a formatted value. After an error the tags are as before.
    pub(crate) fn push_fmt(&mut self, key: &str, value: fmt::Arguments<'_>) -> fmt::Result {
        let out = self.own();
        let start = out.len();
        // The length must come before the string, and is known only once the string is written.
        let written = Text(out).write_fmt(value);
        if written.is_err() {
            out.truncate(start);
            return written;
        }
        let len = out.len() - start;
        put_number(out, 0x22, (field_len(key.len()) + field_len(len)) as u64);
        put_bytes(out, 0x0A, key.as_bytes());
        put_number(out, 0x12, len as u64);
        if let Some(tag) = out.get_mut(start..) {
            tag.rotate_left(len);
        }
        Ok(())
    }

    /// Adds all tags of another record. A call, so that what packs records, of which hardly any has tags, stays small.
    #[cold]
    pub(crate) fn append(&mut self, tags: &Tags<'_>) {
        self.extend(tags);
    }

    /// Returns the encoded tags, without other fields, so that more can be added.
    fn own(&mut self) -> &mut Vec<u8> {
        if let Cow::Borrowed(_) = self.0 {
            let mut own = Vec::new();
            self.write(&mut own);
            self.0 = Cow::Owned(own);
        }
        self.0.to_mut()
    }

    /// Returns the tags, in their order.
    #[must_use]
    pub fn iter(&self) -> TagIter<'_> {
        TagIter(Cursor::new(&self.0, 0))
    }

    /// Returns whether there are no tags.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the same tags without borrowed data.
    #[must_use]
    pub fn into_owned(self) -> Tags<'static> {
        match self.0 {
            Cow::Owned(own) => Tags(Cow::Owned(own)),
            Cow::Borrowed(_) => self.iter().collect(),
        }
    }

    /// Removes all tags and keeps the memory.
    #[inline]
    pub(crate) fn clear(&mut self) {
        match &mut self.0 {
            Cow::Owned(own) => own.clear(),
            borrowed @ Cow::Borrowed(_) => *borrowed = Cow::Borrowed(&[]),
        }
    }

    /// Returns how many bytes [`write`](Self::write) adds.
    #[inline]
    pub(super) fn encoded_len(&self) -> usize {
        if self.is_empty() { 0 } else { self.tags_len() }
    }

    fn tags_len(&self) -> usize {
        self.iter()
            .map(|(key, value)| {
                let tag = tag_len(key, value);
                1 + varint_len(tag as u64) + tag
            })
            .sum()
    }

    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            self.iter().for_each(|(key, value)| put_tag(out, key, value));
        }
    }
}

fn put_tag(out: &mut Vec<u8>, key: &str, value: Option<&str>) {
    put_number(out, 0x22, tag_len(key, value) as u64);
    put_bytes(out, 0x0A, key.as_bytes());
    if let Some(value) = value {
        put_bytes(out, 0x12, value.as_bytes());
    }
}

fn tag_len(key: &str, value: Option<&str>) -> usize {
    field_len(key.len()) + value.map_or(0, |value| field_len(value.len()))
}

/// Writes a string at the end of some bytes.
struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl<'a> IntoIterator for &'a Tags<'_> {
    type Item = (&'a str, Option<&'a str>);
    type IntoIter = TagIter<'a>;

    fn into_iter(self) -> TagIter<'a> {
        self.iter()
    }
}

impl<'a, 'b> FromIterator<(&'b str, Option<&'b str>)> for Tags<'a> {
    fn from_iter<I: IntoIterator<Item = (&'b str, Option<&'b str>)>>(tags: I) -> Self {
        let mut all = Self::new();
        all.extend(tags);
        all
    }
}

impl<'b> Extend<(&'b str, Option<&'b str>)> for Tags<'_> {
    #[inline]
    fn extend<I: IntoIterator<Item = (&'b str, Option<&'b str>)>>(&mut self, tags: I) {
        for (key, value) in tags {
            self.push(key, value);
        }
    }
}

impl PartialEq<Tags<'_>> for Tags<'_> {
    fn eq(&self, other: &Tags<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Tags<'_> {}

/// Shows how many tags there are, not what they are.
impl fmt::Debug for Tags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, plural) = match self.iter().count() {
            1 => (1, ""),
            count => (count, "s"),
        };
        write!(f, "{count} tag{plural} of {}", ByteCount(self.encoded_len()))
    }
}

/// An iterator over the tags of a user record.
#[derive(Clone, Debug)]
pub struct TagIter<'a>(Cursor<'a>);

impl<'a> Iterator for TagIter<'a> {
    type Item = (&'a str, Option<&'a str>);

    // The bytes were read completely, or written here, so no field in them can fail now.
    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            match self.0.field().ok()? {
                (4, WireType::LengthDelimited) => return read_tag(self.0.bytes().ok()?, 0).ok(),
                other => self.0.skip(other, MAX_DEPTH - 1).ok()?,
            }
        }
        None
    }
}
