//! A user record as a line of JSON. It is written field by field and not through serde, which takes more than twice as long: it writes many
//! short pieces, and looks at each character of each name.

use std::borrow::Cow;
use std::io::{self, Write as _};

use data_encoding::BASE64;
use kpl_core::HashKey;
use serde::de::IgnoredAny;

use crate::draw::{DATA, KEY};
use crate::forms::{DataEncoding, DataForm};
use crate::input::Arrival;

/// A user record that was unpacked, as a line of output.
#[derive(Debug)]
pub(crate) struct Unpacked<'a> {
    pub(crate) partition_key: Option<&'a str>,
    pub(crate) explicit_hash_key: Option<HashKey>,
    pub(crate) sequence_number: Option<&'a str>,
    pub(crate) sub_sequence_number: u64,
    pub(crate) aggregated: bool,
    pub(crate) arrival: Option<&'a Arrival>,
    /// Known only if the record was read from a stream.
    pub(crate) shard_id: Option<&'a str>,
    pub(crate) data: Data<'a>,
    /// Set if it cannot be seen.
    pub(crate) data_encoding: Option<DataEncoding>,
    /// What the data was compressed by, if it was decompressed.
    pub(crate) compression: Option<&'a str>,
    /// Why the record is malformed, if it is.
    pub(crate) malformed: Option<&'a str>,
}

impl Unpacked<'_> {
    /// Adds the record as JSON. What may be unknown is null, and what is rarely there is left out.
    pub(super) fn write(&self, json: &mut Vec<u8>, arrival: &mut Seconds, is_coloured: bool) -> io::Result<()> {
        let mut fields = Fields { json, is_coloured };
        fields.name("{\"PartitionKey\":");
        fields.text_or_null(self.partition_key)?;
        fields.name(",\"ExplicitHashKey\":");
        match self.explicit_hash_key {
            Some(key) => write!(fields.json, "\"{key}\"")?,
            None => fields.null(),
        }
        fields.name(",\"SequenceNumber\":");
        fields.text_or_null(self.sequence_number)?;
        fields.name(",\"SubSequenceNumber\":");
        serde_json::to_writer(&mut *fields.json, &self.sub_sequence_number)?;
        fields.name(",\"Aggregated\":");
        serde_json::to_writer(&mut *fields.json, &self.aggregated)?;
        fields.name(",\"ApproximateArrivalTimestamp\":");
        match self.arrival {
            Some(Arrival::Text(text)) => fields.text(text)?,
            Some(Arrival::Seconds(seconds)) => fields.verbatim(arrival.text(*seconds))?,
            None => fields.null(),
        }
        fields.text_unless_none(",\"ShardId\":", self.shard_id)?;
        fields.name(",\"Data\":");
        match &self.data {
            Data::Base64(data) => fields.base64(data)?,
            Data::Text(text) => fields.text(text)?,
            Data::Json(json) => fields.verbatim(json)?,
        }
        fields.text_unless_none(",\"DataEncoding\":", self.data_encoding.map(DataEncoding::name))?;
        fields.text_unless_none(",\"Compression\":", self.compression)?;
        fields.text_unless_none(",\"Malformed\":", self.malformed)?;
        fields.json.push(b'}');
        Ok(())
    }
}

/// The data of a user record.
#[derive(Debug)]
pub(crate) enum Data<'a> {
    Base64(&'a [u8]),
    Text(&'a str),
    /// JSON on one line.
    Json(Cow<'a, str>),
}

impl<'a> Data<'a> {
    /// Returns the data in a form, and how it is encoded if that cannot be seen: without it a string is base64, and everything else
    /// is JSON.
    pub(crate) fn new(data: &'a [u8], form: DataForm) -> (Self, Option<DataEncoding>) {
        if form == DataForm::Base64 {
            return (Self::Base64(data), None);
        }
        match (form, std::str::from_utf8(data)) {
            (_, Err(_)) => (Self::Base64(data), Some(DataEncoding::Base64)),
            (DataForm::Json, Ok(text)) if is_json(text) => {
                let json = on_one_line(text);
                let is_ambiguous =
                    json.starts_with(['"', 'n', '[']) || kpl_event::bytes_of_json(json.as_bytes()).is_some();
                (Self::Json(json), is_ambiguous.then_some(DataEncoding::Json))
            }
            (_, Ok(text)) => (Self::Text(text), Some(DataEncoding::Text)),
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Removes line breaks: in JSON they are always white space between tokens.
fn on_one_line(json: &str) -> Cow<'_, str> {
    let json = json.trim_ascii();
    if json.contains(['\r', '\n']) {
        json.replace(['\r', '\n'], "").into()
    } else {
        json.into()
    }
}

/// The time of arrival that was written last, as text: the user records of an aggregate have the same.
#[derive(Debug, Default)]
pub(super) struct Seconds(Option<(f64, String)>);

impl Seconds {
    /// Returns seconds as they were read, with neither an exponent nor a fraction of zero.
    fn text(&mut self, seconds: f64) -> &str {
        let last = self.0.take().filter(|(of, _)| of.to_bits() == seconds.to_bits());
        &self.0.insert(last.unwrap_or_else(|| (seconds, seconds.to_string()))).1
    }
}

/// The fields of an object.
struct Fields<'j> {
    json: &'j mut Vec<u8>,
    is_coloured: bool,
}

impl Fields<'_> {
    /// Starts a field: `name` has what separates it from what is before, quotation marks and a colon.
    fn name(&mut self, name: &'static str) {
        if !self.is_coloured {
            return self.json.extend_from_slice(name.as_bytes());
        }
        let (separator, name) = name.split_at(1);
        // Writing to a vector cannot fail.
        let _ = write!(self.json, "{separator}{KEY}{}{KEY:#}:", name.trim_end_matches(':'));
    }

    fn null(&mut self) {
        self.json.extend_from_slice(b"null");
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        if has_escapes(text) {
            return Ok(serde_json::to_writer(&mut *self.json, text)?);
        }
        self.json.push(b'"');
        self.json.extend_from_slice(text.as_bytes());
        self.json.push(b'"');
        Ok(())
    }

    fn text_or_null(&mut self, text: Option<&str>) -> io::Result<()> {
        match text {
            Some(text) => self.text(text)?,
            None => self.null(),
        }
        Ok(())
    }

    fn text_unless_none(&mut self, name: &'static str, text: Option<&str>) -> io::Result<()> {
        if let Some(text) = text {
            self.name(name);
            self.text(text)?;
        }
        Ok(())
    }

    /// Adds what is JSON already.
    fn verbatim(&mut self, json: &str) -> io::Result<()> {
        if self.is_coloured {
            return write!(self.json, "{DATA}{json}{DATA:#}");
        }
        self.json.extend_from_slice(json.as_bytes());
        Ok(())
    }

    fn base64(&mut self, data: &[u8]) -> io::Result<()> {
        if self.is_coloured {
            return self.verbatim(&format!("\"{}\"", BASE64.encode(data)));
        }
        self.json.push(b'"');
        let start = self.json.len();
        self.json.resize(start + BASE64.encode_len(data.len()), 0);
        BASE64.encode_mut(data, &mut self.json[start..]);
        self.json.push(b'"');
        Ok(())
    }
}

/// Returns whether text has characters that are escaped in JSON. It looks at all of them, which is faster than to stop at the first.
fn has_escapes(text: &str) -> bool {
    let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    text.bytes().fold(false, |found, byte| found | is_escaped(byte))
}

/// Returns a user record as it is written.
#[cfg(test)]
pub(crate) fn json(record: &Unpacked<'_>) -> io::Result<Vec<u8>> {
    let mut json = Vec::new();
    record.write(&mut json, &mut Seconds::default(), false)?;
    Ok(json)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What serde_json writes.
    fn text(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    fn arrivals() -> impl Strategy<Value = Arrival> {
        prop_oneof![
            any::<String>().prop_map(Arrival::Text),
            (0..4_000_000_000_000_u64).prop_map(|millis| Arrival::Seconds(millis as f64 / 1e3)),
        ]
    }

    proptest! {
        #[test]
        fn lines_are_what_serde_json_writes(
            (key, sequence_number, shard_id) in any::<(Option<String>, Option<String>, Option<String>)>(),
            (hash_key, sub_sequence_number, aggregated) in any::<(Option<u128>, u64, bool)>(),
            arrival in prop::option::of(arrivals()),
            data in prop_oneof![any::<Vec<u8>>(), any::<String>().prop_map(String::into_bytes), "\\{\"a\": ?[0-9]\\}".prop_map(String::into_bytes)],
            form in prop::sample::select(vec![DataForm::Base64, DataForm::Text, DataForm::Json]),
            (compression, malformed) in any::<(Option<String>, Option<String>)>(),
            is_coloured in any::<bool>(),
        ) {
            let verbatim = |json: &str| if is_coloured { format!("{DATA}{json}{DATA:#}") } else { json.to_owned() };
            let (written, data_encoding) = Data::new(&data, form);
            let data = match &written {
                Data::Base64(data) => verbatim(&text(&BASE64.encode(data))),
                Data::Text(data) => text(data),
                Data::Json(json) => verbatim(json),
            };
            let null = || Some("null".to_owned());
            let fields = [
                ("PartitionKey", key.as_deref().map(text).or_else(null)),
                ("ExplicitHashKey", hash_key.map(|key| text(&key.to_string())).or_else(null)),
                ("SequenceNumber", sequence_number.as_deref().map(text).or_else(null)),
                ("SubSequenceNumber", Some(sub_sequence_number.to_string())),
                ("Aggregated", Some(aggregated.to_string())),
                ("ApproximateArrivalTimestamp", match &arrival {
                    Some(Arrival::Text(arrival)) => Some(text(arrival)),
                    Some(Arrival::Seconds(seconds)) => Some(verbatim(&seconds.to_string())),
                    None => null(),
                }),
                ("ShardId", shard_id.as_deref().map(text)),
                ("Data", Some(data)),
                ("DataEncoding", data_encoding.map(|encoding| serde_json::to_string(&encoding).unwrap())),
                ("Compression", compression.as_deref().map(text)),
                ("Malformed", malformed.as_deref().map(text)),
            ];
            let field = |(name, value): (&str, Option<String>)| {
                let name = if is_coloured { format!("{KEY}\"{name}\"{KEY:#}") } else { format!("\"{name}\"") };
                value.map(|value| format!("{name}:{value}"))
            };
            let expected = format!("{{{}}}", fields.into_iter().filter_map(field).collect::<Vec<_>>().join(","));

            let record = Unpacked {
                partition_key: key.as_deref(),
                explicit_hash_key: hash_key.map(HashKey::new),
                sequence_number: sequence_number.as_deref(),
                sub_sequence_number,
                aggregated,
                arrival: arrival.as_ref(),
                shard_id: shard_id.as_deref(),
                data: written,
                data_encoding,
                compression: compression.as_deref(),
                malformed: malformed.as_deref(),
            };
            let (mut json, mut seconds) = (Vec::new(), Seconds::default());
            record.write(&mut json, &mut seconds, is_coloured).unwrap();
            // The text of the arrival is taken from the first time.
            record.write(&mut json, &mut seconds, is_coloured).unwrap();
            prop_assert_eq!(String::from_utf8(json).unwrap(), expected.repeat(2));
        }
    }

    #[test]
    fn another_time_has_another_text() {
        let mut arrival = Seconds::default();
        for (seconds, expected) in [(1.5, "1.5"), (1.5, "1.5"), (0.0, "0"), (-0.0, "-0"), (2.0, "2")] {
            assert_eq!(arrival.text(seconds), expected);
        }
    }
}
