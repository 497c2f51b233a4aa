//! A user record as a line of JSON that is to be packed.

mod field;
mod span;

use std::borrow::Cow;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use kpl_core::wire::MAGIC;
use kpl_core::{Deaggregator, HashKey, KinesisRecord, RawRecord, UserRecord, digest};
use serde::{Deserialize, Serialize};

pub(crate) use self::field::Field;
use crate::draw::{count, line_of};
use crate::forms::DataEncoding;
use crate::problems::{Location, tell};
use crate::user_records::reason_with_key;

/// A line of input.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fields<'a> {
    #[serde(borrow, default)]
    partition_key: Field<'a>,
    #[serde(borrow, default)]
    explicit_hash_key: Field<'a>,
    #[serde(borrow, default)]
    data: Field<'a>,
    #[serde(default)]
    data_encoding: Option<DataEncoding>,
    /// Only user records that were unpacked have it.
    #[serde(borrow, default)]
    aggregated: Field<'a>,
    /// Documents that are not user records have it.
    #[serde(borrow, default)]
    records: Field<'a>,
}

/// A line that was read.
#[derive(Debug)]
pub(crate) struct Read {
    record: RawRecord,
    /// Whether it is a user record whatever its data looks like, because it was unpacked before.
    is_unpacked: bool,
    /// What the data looks like, if it was read as something else without being told.
    accident: Option<String>,
}

impl Read {
    /// Passes on the user record of the line, or those in its data, if that is an aggregated record: one that was packed before, as
    /// `kpl aggregate` writes it. A user record in it whose keys cannot be resolved is an error with its text.
    pub(crate) fn each<E>(
        self,
        location: Location<'_>,
        accident: &mut Accident,
        mut take: impl FnMut(Result<RawRecord, String>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(text) = &self.accident {
            accident.tell(location, text);
        }
        if self.is_unpacked || !self.record.data.starts_with(&MAGIC) {
            return take(Ok(self.record));
        }
        let batch = [KinesisRecord::new(&self.record.data)];
        for received in Deaggregator::<UserRecord<'_>>::new().records(&batch) {
            match received {
                Ok(received) if received.record.aggregated => take(Ok(RawRecord::from(&received.record)))?,
                Ok(received) => {
                    if let Some(reason) = received.record.malformed {
                        accident.tell(
                            location,
                            &format!("carries the magic of an aggregated record, but {reason}: it is the data of one user record"),
                        );
                    }
                    take(Ok(self.record.clone()))?;
                }
                Err(error) => {
                    let number = error.sub_sequence_number();
                    let reason = reason_with_key(error.kind(), error.partition_key());
                    let mut record = RawRecord::new("", error.data());
                    record.partition_key = error.partition_key().map(Into::into);
                    let text = write(&record, None);
                    take(Err(format!(
                        "user record {number} of the aggregated record in it: {reason}: {text}"
                    )))?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the text of a line, or `None` if it does not have a record: it is empty, or a line of an array with one record a
/// line, as `kpl aggregate --output array` writes it.
pub(crate) fn text(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii();
    match line {
        b"" | b"[" | b"]" | b"," | b"[]" => None,
        [b'[', record @ .., b'}', b']'] => Some(record.len()).and_then(|len| line.get(1..len + 2)),
        [b'[', record @ .., b'}'] => Some(record.len()).and_then(|len| line.get(1..len + 2)),
        [b'{', record @ .., b'}', b',' | b']'] => Some(record.len()).and_then(|len| line.get(..len + 2)),
        _ => Some(line),
    }
    .map(<[u8]>::trim_ascii)
}

/// Reads a line as a user record. Data is base64 unless the line or `encoding` says something else.
pub(crate) fn read(line: &[u8], encoding: Option<DataEncoding>) -> Result<Read, String> {
    let fields: Fields<'_> = serde_json::from_slice(line).map_err(|error| describe(&error))?;
    let told = fields.data_encoding.or(encoding);
    let mut accident = None;
    let data = match (fields.data, told) {
        (Field::Text(text), Some(DataEncoding::Text)) => text.into_owned().into_bytes(),
        (Field::Missing, _) if !matches!(fields.records, Field::Missing) => {
            return Err("it does not have Data, but Records: `kpl deaggregate` makes user records of them".into());
        }
        (Field::Missing, _) => return Err("it does not have Data".into()),
        (Field::Text(text), None | Some(DataEncoding::Base64)) => {
            let data = decode(&text)?;
            if told.is_none() {
                accident = looks_like(&text, &data);
            }
            data
        }
        // The JSON is the data.
        (Field::Null, told) if told != Some(DataEncoding::Json) => return Err("its Data is null".into()),
        (field, told) => {
            let json = span::of(line, "Data").ok_or("its Data cannot be found in it")?;
            if told.is_none() && matches!(field, Field::Array) && serde_json::from_slice::<Vec<u8>>(json).is_ok() {
                accident = Some(
                    "an array of numbers, is read as JSON, not as bytes; {\"type\":\"Buffer\",\"data\":[...]} is bytes"
                        .into(),
                );
            }
            match told {
                None => kpl_event::bytes_of_json(json).unwrap_or_else(|| json.to_owned()),
                Some(_) => json.to_owned(),
            }
        }
    };
    let key = match fields.partition_key {
        Field::Text(key) => key.into_owned(),
        // The stream did not return one. The same data has the same key again.
        Field::Null => HEXLOWER.encode(&digest::md5(&data)),
        Field::Missing => return Err("it does not have a PartitionKey".into()),
        other => return Err(format!("its PartitionKey is {}, not a string", other.kind())),
    };
    let is_unpacked = match fields.aggregated {
        Field::Missing | Field::Null => false,
        Field::Boolean => true,
        other => return Err(format!("its Aggregated is {}, not a boolean", other.kind())),
    };
    let mut record = RawRecord::new(key, data);
    let hash_key = match fields.explicit_hash_key {
        Field::Missing | Field::Null => None,
        Field::Text(text) => Some(text),
        Field::Integer(number) => Some(number.to_string().into()),
        Field::Number => {
            return Err("its ExplicitHashKey is a number that JSON does not keep exactly: write it as a string".into());
        }
        other => return Err(format!("its ExplicitHashKey is {}, not a string", other.kind())),
    };
    if let Some(text) = hash_key {
        let key: HashKey = text.parse().map_err(|error| format!("its ExplicitHashKey: {error}"))?;
        record = record.with_explicit_hash_key(key);
    }
    Ok(Read {
        record,
        is_unpacked,
        accident,
    })
}

/// Decodes base64, or what other programs write in its place.
fn decode(text: &str) -> Result<Vec<u8>, String> {
    let error = match BASE64.decode(text.as_bytes()) {
        Ok(data) => return Ok(data),
        Err(error) => error,
    };
    kpl_event::decode(text).ok_or_else(|| match kpl_event::looks_like(text) {
        Some(what @ ("text" | "JSON")) => {
            format!("its Data is not base64: {error}; it looks like {what}: --data text reads it")
        }
        Some(what) => format!("its Data is not base64: {error}; it looks like {what}"),
        None => format!("its Data is not base64: {error}"),
    })
}

/// Says what data looks like that only happens to be valid base64, or that was encoded twice.
fn looks_like(text: &str, data: &[u8]) -> Option<String> {
    let is_twice = || data.len() >= 24 && BASE64.decode(data).is_ok();
    let has_digits = text.contains(|digit: char| digit.is_ascii_digit()) && text.contains(char::is_alphabetic);
    let is_hexadecimal = text.len() >= 24 && has_digits && HEXLOWER_PERMISSIVE.decode(text.as_bytes()).is_ok();
    let bytes = count(data.len() as u64, "byte");
    let start = line_of(text, 60);
    if is_text_by_accident(text, data) {
        Some(format!(
            "{start:?}, looks like text, but is read as base64 of {bytes}; --data says what it is: text or base64"
        ))
    } else if is_hexadecimal {
        Some(format!(
            "{start:?}, looks like hexadecimal digits, but is read as base64 of {bytes}"
        ))
    } else if is_twice() {
        Some(format!(
            "{start:?}, looks like base64 that was encoded twice, but is decoded once"
        ))
    } else {
        None
    }
}

/// Returns whether text is a word or a number that only happens to be valid base64. Few bytes have such base64, and those
/// that do are not text.
fn is_text_by_accident(text: &str, decoded: &[u8]) -> bool {
    let letters = text.trim_end_matches(|last: char| last.is_ascii_digit());
    let word = letters
        .strip_prefix(|first: char| first.is_ascii_uppercase())
        .unwrap_or(letters);
    let is_number = letters.is_empty() && !text.is_empty();
    let is_word = word.bytes().all(|byte| byte.is_ascii_lowercase()) && word.contains(['a', 'e', 'i', 'o', 'u', 'y']);
    // Three bytes may well be a letter or two and digits.
    let is_whole = letters.len() == text.len() || text.len() >= 8;
    let is_text = str::from_utf8(decoded).is_ok_and(|text| !text.contains(|character: char| character.is_control()));
    (is_number || (is_word && is_whole)) && !is_text
}

/// Tells once of data that looks like something else.
#[derive(Debug, Default)]
pub(crate) struct Accident(bool);

impl Accident {
    fn tell(&mut self, location: Location<'_>, text: &str) {
        if !self.0 {
            self.0 = true;
            tell(format_args!("{location}: its Data, {text}"));
        }
    }
}

/// Says why a line is not a user record, without the line number: serde_json sees only this line.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&position).unwrap_or(&text);
    format!("{text}, at column {}", error.column())
}

/// A line of output.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    partition_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explicit_hash_key: Option<String>,
    data: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_encoding: Option<DataEncoding>,
}

/// Returns a user record as a line that it could have been read from.
pub(crate) fn write(record: &RawRecord, encoding: Option<DataEncoding>) -> String {
    let (data, data_encoding) = match (encoding, str::from_utf8(&record.data)) {
        (Some(DataEncoding::Text), Ok(text)) => (Cow::Borrowed(text), None),
        (Some(DataEncoding::Text), Err(_)) => (BASE64.encode(&record.data).into(), Some(DataEncoding::Base64)),
        _ => (BASE64.encode(&record.data).into(), None),
    };
    let line = Written {
        partition_key: record.partition_key.as_deref(),
        explicit_hash_key: record.explicit_hash_key.map(|key| key.to_string()),
        data,
        data_encoding,
    };
    // Strings can always be written.
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forms::DataForm;
    use crate::output::{self, Data, Unpacked};

    #[test]
    fn words_and_numbers_are_base64_by_accident() {
        let is_accident = |text: &str| is_text_by_accident(text, &BASE64.decode(text.as_bytes()).unwrap());
        for text in ["test", "Home", "hello123", "Visitors", "1234"] {
            assert!(is_accident(text), "{text}");
        }
        for text in [
            "",
            "eyJhIjoxfQ==",
            "/wD+",
            "AAAA",
            "aGVsbG8h",
            "84mawgoE",
            "vuz9",
            "dGVz",
        ] {
            assert!(!is_accident(text), "{text}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// What `kpl deaggregate` and `kpl tail` write is read as what it was, in every form.
        #[test]
        fn what_was_unpacked_is_read_back(
            key in any::<Option<String>>(),
            hash_key in any::<Option<u128>>(),
            data in prop_oneof![
                any::<Vec<u8>>(),
                any::<String>().prop_map(String::into_bytes),
                "[a-z]{4}|null|\"[a-z]{4}\"|true|[0-9]{4}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 1..9).prop_map(|bytes| serde_json::to_vec(&bytes).unwrap()),
                prop::collection::vec(any::<u8>(), 1..9).prop_map(|bytes| {
                    serde_json::to_vec(&serde_json::json!({ "type": "Buffer", "data": bytes })).unwrap()
                }),
                any::<u8>().prop_map(|byte| format!(" {{ \"0\":{byte}}}").into_bytes()),
                json().prop_map(|json| json.to_string().into_bytes()),
            ],
            form in prop::sample::select(vec![DataForm::Base64, DataForm::Text, DataForm::Json]),
            told in prop::sample::select(vec![None, Some(DataEncoding::Base64)]),
        ) {
            let (written, data_encoding) = Data::new(&data, form);
            let line = output::json(&Unpacked {
                partition_key: key.as_deref(),
                explicit_hash_key: hash_key.map(HashKey::new),
                sequence_number: None,
                sub_sequence_number: 0,
                aggregated: true,
                arrival: None,
                shard_id: None,
                data: written,
                data_encoding,
                compression: None,
                malformed: None,
            }).unwrap();
            // `--data text` writes base64 as such too; then the line says so.
            let read = read(text(&line).unwrap(), told).unwrap();
            if let Some(key) = key {
                prop_assert_eq!(read.record.partition_key, Some(key));
            }
            prop_assert_eq!(read.record.explicit_hash_key, hash_key.map(HashKey::new));
            // White space between the tokens of JSON may be another.
            if form == DataForm::Json && serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_ok() {
                let expected = String::from_utf8(data).unwrap();
                prop_assert_eq!(read.record.data, expected.trim_ascii().replace(['\r', '\n'], "").into_bytes());
            } else {
                prop_assert_eq!(read.record.data, data);
            }
        }
    }

    #[test]
    fn a_record_may_be_in_a_line_of_an_array() {
        let record = &br#"{"Data":[{"a":1}]}"#[..];
        for (line, expected) in [
            (&b"  "[..], None),
            (b"[", None),
            (b"]", None),
            (b",", None),
            (b"[]", None),
            (b"{\"a\":[1],", Some(&b"{\"a\":[1],"[..])),
            (br#"[{"Data":[{"a":1}]}"#, Some(record)),
            (br#" {"Data":[{"a":1}]}, "#, Some(record)),
            (br#"[{"Data":[{"a":1}]}]"#, Some(record)),
            (record, Some(record)),
        ] {
            assert_eq!(text(line), expected, "{}", String::from_utf8_lossy(line));
        }
    }
}
