//! A user record as a line of JSON that is to be packed.

use std::borrow::Cow;

use data_encoding::BASE64;
use kpl_core::{HashKey, RawRecord};
use serde::{Deserialize, Serialize};

use crate::forms::DataEncoding;

/// A line of input.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct UserRecordLine<'a> {
    #[serde(borrow)]
    partition_key: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    explicit_hash_key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_encoding: Option<DataEncoding>,
}

/// Reads a line as a user record.
pub(crate) fn read(line: &[u8], encoding: DataEncoding) -> Result<RawRecord, String> {
    let line: UserRecordLine<'_> = serde_json::from_slice(line).map_err(|error| describe(&error))?;
    let encoding = line.data_encoding.unwrap_or(encoding);
    let data = match encoding {
        DataEncoding::Base64 => BASE64
            .decode(line.data.as_bytes())
            .map_err(|error| format!("its Data is not base64: {error}"))?,
        DataEncoding::Text => line.data.into_owned().into_bytes(),
    };
    let mut record = RawRecord::new(line.partition_key, data);
    if let Some(text) = &line.explicit_hash_key {
        let key: HashKey = text.parse().map_err(|error| format!("its ExplicitHashKey: {error}"))?;
        record = record.with_explicit_hash_key(key);
    }
    Ok(record)
}

/// Says why a line is not a user record, without the line number: serde_json sees only this line.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&position).unwrap_or(&text);
    format!("{text}, at column {}", error.column())
}

/// Returns a user record as a line that it could have been read from.
#[cfg(feature = "stream")]
pub(crate) fn write(record: &RawRecord, encoding: DataEncoding) -> String {
    let (data, data_encoding) = match (encoding, std::str::from_utf8(&record.data)) {
        (DataEncoding::Text, Ok(text)) => (Cow::Borrowed(text), None),
        (DataEncoding::Text, Err(_)) => (BASE64.encode(&record.data).into(), Some(DataEncoding::Base64)),
        (DataEncoding::Base64, _) => (BASE64.encode(&record.data).into(), None),
    };
    let line = UserRecordLine {
        partition_key: record.partition_key.as_deref().unwrap_or_default().into(),
        explicit_hash_key: record.explicit_hash_key.map(|key| key.to_string().into()),
        data,
        data_encoding,
    };
    // Strings can always be written.
    serde_json::to_string(&line).unwrap_or_default()
}
