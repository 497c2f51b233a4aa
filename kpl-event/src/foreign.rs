//! Bytes as programs write them that do not write base64 with padding.

use std::fmt;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use kpl_core::wire::MAGIC;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::value::{Any, Value};

/// The start of base64 of an aggregated record, and what its magic in hexadecimal is if it is read as base64.
const MAGIC_IN_BASE64: &[u8] = b"84maw";
const MAGIC_IN_HEX: [[u8; 6]; 2] = [
    [0x7F, 0x7F, 0x3D, 0xF5, 0xA7, 0x36],
    [0x17, 0x7F, 0x3D, 0xF4, 0x00, 0xB6],
];

/// Reads bytes that are not in base64 with padding: base64 in quotes, in several lines, without padding, or of the alphabet for
/// URLs, and hexadecimal digits. Returns `None` if the text is none of them, or may be something else as well.
///
/// Digits of hexadecimal may be base64, too. They are read only if they cannot be, or begin with the magic of an aggregated record.
///
/// ```
/// use kpl_event::decode;
///
/// assert_eq!(decode("\"aGVsbG8=\""), Some(b"hello".into()));
/// assert_eq!(decode("8J-YgA"), Some("😀".into()));
/// assert_eq!(decode("f3899ac20a"), Some(vec![0xF3, 0x89, 0x9A, 0xC2, 0x0A]));
/// assert_eq!(decode("add-to-basket"), None);
/// ```
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let characters = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let characters: Vec<u8> = characters.collect();
    if let Ok(bytes) = HEXLOWER_PERMISSIVE.decode(&characters)
        && (characters.len() % 4 == 2 || bytes.starts_with(&MAGIC))
    {
        return Some(bytes);
    }
    let encodings = [&BASE64, &BASE64_NOPAD, &BASE64URL, &BASE64URL_NOPAD];
    let bytes = encodings
        .iter()
        .find_map(|encoding| encoding.decode(&characters).ok())?;
    (!is_text_by_accident(text, &bytes)).then_some(bytes)
}

/// Returns whether text consists of words, numbers or hexadecimal digits that only happen to be valid base64 of bytes which are
/// not text.
fn is_text_by_accident(text: &str, bytes: &[u8]) -> bool {
    let is_text = str::from_utf8(bytes).is_ok_and(|text| !text.contains(|character: char| character.is_control()));
    // Such as a UUID or a date.
    let are_digits = text
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_'));
    !is_text && (are_words(text) || are_digits)
}

/// Returns whether text consists of words in small letters, and numbers.
fn are_words(text: &str) -> bool {
    let is_word = |word: &str| {
        let letters = word.trim_end_matches(|last: char| last.is_ascii_digit());
        let rest = letters
            .strip_prefix(|first: char| first.is_ascii_uppercase())
            .unwrap_or(letters);
        rest.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    text.split(['-', '_', '/', '+', ' ', '\t', '\r', '\n']).all(is_word)
}

/// Returns the bytes of an aggregated record whose base64 was encoded once more, or whose hexadecimal digits were read as
/// base64.
pub(crate) fn aggregate_inside(data: &[u8]) -> Option<Vec<u8>> {
    let inside = if data.starts_with(MAGIC_IN_BASE64) {
        decode(str::from_utf8(data).ok()?)
    } else if MAGIC_IN_HEX.iter().any(|magic| data.starts_with(magic)) {
        decode(&BASE64.encode(data))
    } else {
        None
    };
    inside.filter(|inside| inside.starts_with(&MAGIC))
}

/// Reads the JSON of bytes as programs write them: a `Buffer` or a `Uint8Array` of Node. Returns `None` if it is anything else.
///
/// ```
/// use kpl_event::bytes_of_json;
///
/// assert_eq!(bytes_of_json(br#"{"type":"Buffer","data":[104,105]}"#), Some(b"hi".into()));
/// assert_eq!(bytes_of_json(br#"{"0":104,"1":105}"#), Some(b"hi".into()));
/// assert_eq!(bytes_of_json(br#"{"type":"click","data":[104,105]}"#), None);
/// ```
#[must_use]
pub fn bytes_of_json(json: &[u8]) -> Option<Vec<u8>> {
    let (b'{', object) = json.trim_ascii().split_first()? else {
        return None;
    };
    // Most objects are something else, and need not be read.
    let object = object.trim_ascii_start();
    if !["\"type\"", "\"data\"", "\"0\""]
        .iter()
        .any(|key| object.starts_with(key.as_bytes()))
    {
        return None;
    }
    let mut json = serde_json::Deserializer::from_slice(json);
    let bytes = Bytes.deserialize(&mut json).ok()?;
    json.end().ok()?;
    bytes
}

/// Reads an array or an object that is bytes. Anything else is skipped.
struct Bytes;

impl<'de> DeserializeSeed<'de> for Bytes {
    type Value = Option<Vec<u8>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bytes {
    type Value = Option<Vec<u8>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        of_array(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        of_object(map)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Bytes that are read one by one: from 0 to 255, or as Java has them, from -128 to 127.
#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    has_negative: bool,
    has_high: bool,
    has_other: bool,
}

impl Collected {
    fn push(&mut self, number: Number) {
        let byte = match number.0 {
            Some(number @ -128..0) => {
                self.has_negative = true;
                number as u8
            }
            Some(number @ 0..=255) => {
                self.has_high |= number > 127;
                number as u8
            }
            _ => {
                self.has_other = true;
                return;
            }
        };
        if !self.has_other {
            self.bytes.push(byte);
        }
    }

    fn finish(self) -> Option<Vec<u8>> {
        let is_mixed = self.has_negative && self.has_high;
        (!self.has_other && !is_mixed).then_some(self.bytes)
    }
}

/// An integer, or `None` for anything else.
struct Number(Option<i16>);

impl<'de> serde::Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(|value: Value<'_>| match value {
            Value::Integer(number) => Self(number.try_into().ok()),
            Value::Number(number) if number.fract() == 0.0 && number.abs() <= 255.0 => Self(Some(number as i16)),
            _ => Self(None),
        }))
    }
}

/// Returns the bytes in an array, if all of its values are bytes.
pub(crate) fn of_array<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Vec<u8>>, A::Error> {
    let mut collected = Collected::default();
    while let Some(number) = seq.next_element()? {
        collected.push(number);
    }
    Ok(collected.finish())
}

/// Returns the bytes of a `Buffer`, which has a type and an array, or of a `Uint8Array`, which has a key for each byte.
pub(crate) fn of_object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Vec<u8>>, A::Error> {
    let mut collected = Collected::default();
    let (mut is_buffer, mut buffer) = (false, None);
    while let Some(name) = map.next_key::<String>()? {
        match name.as_str() {
            "type" => is_buffer = map.next_value_seed(crate::value::Text)?.as_deref() == Some("Buffer"),
            "data" => buffer = map.next_value_seed(Bytes)?,
            _ if name.parse() == Ok(collected.bytes.len()) => collected.push(map.next_value()?),
            _ => {
                map.next_value::<IgnoredAny>()?;
                collected.has_other = true;
            }
        }
    }
    let has_indexes = !collected.bytes.is_empty();
    Ok(match (is_buffer, buffer) {
        (true, Some(bytes)) if !has_indexes && !collected.has_other => Some(bytes),
        (false, None) if has_indexes => collected.finish(),
        _ => None,
    })
}

/// Says what text looks like that is not bytes in any form that is read.
///
/// ```
/// let looks = kpl_event::looks_like("<Buffer f3 89 9a c2 0a 01 ... 229 more bytes>");
/// assert_eq!(looks, Some("a Buffer as Node prints it, without all of its bytes: JSON.stringify writes them"));
/// ```
#[must_use]
pub fn looks_like(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let is_cut_off = text.len() > 4 && text.len() % 4 == 1 && text.bytes().all(is_base64) && !are_words(text);
    Some(match text {
        _ if text.starts_with("<Buffer ") || text.starts_with("Uint8Array(") => {
            "a Buffer as Node prints it, without all of its bytes: JSON.stringify writes them"
        }
        _ if text.starts_with("b'") || text.starts_with("b\"") => {
            "bytes as Python prints them: base64.b64encode returns what is read here"
        }
        _ if text.starts_with("java.nio.") => "a ByteBuffer as Java prints it, without its bytes",
        _ if text.starts_with(['{', '[']) => "JSON",
        _ if text.contains("%2B") || text.contains("%2F") || text.ends_with("%3D") => {
            "base64 that was encoded for a URL"
        }
        _ if is_cut_off => "base64 that is cut off",
        _ if text.len() >= 4 && text.contains(char::is_lowercase) => "text",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use data_encoding::{HEXLOWER, HEXUPPER};
    use proptest::prelude::*;

    use super::*;

    fn aggregate(rest: &[u8]) -> Vec<u8> {
        [&MAGIC[..], rest].concat()
    }

    proptest! {
        /// Whatever is read is what was written.
        #[test]
        fn every_form_is_read_as_what_it_was(rest in prop::collection::vec(any::<u8>(), 0..50)) {
            let bytes = aggregate(&rest);
            let base64 = BASE64.encode(&bytes);
            let (first, second) = base64.split_at(base64.len() / 2);
            for text in [
                base64.clone(),
                format!("\"{base64}\"\n"),
                format!("{first}\r\n{second}"),
                BASE64_NOPAD.encode(&bytes),
                BASE64URL.encode(&bytes),
                BASE64URL_NOPAD.encode(&bytes),
                HEXLOWER.encode(&bytes),
                HEXUPPER.encode(&bytes),
            ] {
                prop_assert_eq!(decode(&text), Some(bytes.clone()), "{}", text);
            }
            prop_assert_eq!(aggregate_inside(base64.as_bytes()), Some(bytes.clone()));
            let signed: Vec<i8> = bytes.iter().map(|&byte| byte as i8).collect();
            let buffer = format!("{{\"type\":\"Buffer\",\"data\":{}}}", serde_json::to_string(&bytes).unwrap());
            prop_assert_eq!(bytes_of_json(buffer.as_bytes()), Some(bytes.clone()));
            let signed = format!("{{\"type\":\"Buffer\",\"data\":{}}}", serde_json::to_string(&signed).unwrap());
            prop_assert_eq!(bytes_of_json(signed.as_bytes()), Some(bytes.clone()));
            let indexed: Vec<_> = bytes.iter().enumerate().map(|(index, byte)| format!("\"{index}\":{byte}")).collect();
            let indexed = format!("{{{}}}", indexed.join(","));
            prop_assert_eq!(bytes_of_json(indexed.as_bytes()), Some(bytes));
        }

        /// Hexadecimal digits that are valid base64 are found by what the magic becomes.
        #[test]
        fn an_aggregate_in_hexadecimal_is_found(rest in prop::collection::vec(any::<u8>(), 0..50)) {
            let bytes = aggregate(&rest);
            for text in [HEXLOWER.encode(&bytes), HEXUPPER.encode(&bytes)] {
                if let Ok(data) = BASE64.decode(text.as_bytes()) {
                    prop_assert_eq!(aggregate_inside(&data), Some(bytes.clone()));
                }
            }
        }

        #[test]
        fn any_text_is_harmless(text in any::<String>(), json in "\\{[\"typedaBuf0-9:,\\[\\] ]{0,40}\\}?") {
            let _ = (decode(&text), looks_like(&text), bytes_of_json(text.as_bytes()), bytes_of_json(json.as_bytes()));
        }
    }

    #[test]
    fn what_may_be_text_is_not_read() {
        for text in [
            "testing",
            "add-to-basket",
            "user_id1",
            "2026-11-27",
            "123e4567-e89b-12d3-a456-426614174000",
            "hello world!",
            "abcde",
            "",
        ] {
            assert_eq!(decode(text).filter(|bytes| !bytes.is_empty()), None, "{text}");
        }
        for json in [
            r#"{"type":"Buffer","data":[1,256]}"#,
            r#"{"type":"Buffer","data":[-1,200]}"#,
            r#"{"type":"Buffer","data":[1.5]}"#,
            r#"{"type":"Buffer","data":"AAAA"}"#,
            r#"{"type":"Buffer","data":[1],"more":1}"#,
            r#"{"type":"Buffer"}"#,
            r#"{"0":1,"2":1}"#,
            r#"{"0":1,"a":1}"#,
            "{}",
            "[1]",
        ] {
            assert_eq!(bytes_of_json(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn other_text_has_a_name() {
        for (text, expected) in [
            (
                "b'\\xf3\\x89'",
                Some("bytes as Python prints them: base64.b64encode returns what is read here"),
            ),
            (
                "java.nio.HeapByteBuffer[pos=0 lim=5 cap=5]",
                Some("a ByteBuffer as Java prints it, without its bytes"),
            ),
            ("{\"a\":1}", Some("JSON")),
            ("84mawg%3D%3D", Some("base64 that was encoded for a URL")),
            ("84mawgoEY", Some("base64 that is cut off")),
            ("hello world", Some("text")),
            ("", None),
        ] {
            assert_eq!(looks_like(text), expected, "{text}");
        }
    }
}
