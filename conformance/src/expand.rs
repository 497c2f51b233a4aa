//! The short forms of long data and of long lists, which keep the files small.

use data_encoding::BASE64;
use serde_json::{Map, Value};

/// The most bytes that a vector may have in full.
pub(crate) const MAX_LEN: usize = 64 << 20;

/// Returns a value in full, as runners get it.
///
/// In every list, `{"repeat": VALUE, "count": N}` stands for N times the value; and if `data` is a list, it stands for the base64 of the
/// bytes of all its parts, which are base64 themselves.
///
/// ```
/// use serde_json::json;
///
/// let short = json!({"data": ["AAEC", {"repeat": "/w==", "count": 3}]});
/// assert_eq!(kpl_conformance::expand(&short), json!({"data": "AAEC////"}));
/// ```
#[must_use]
pub fn expand(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut full = Vec::with_capacity(items.len());
            for item in items {
                let (value, count) = repeated(item).unwrap_or((item, 1));
                full.extend(std::iter::repeat_n(expand(value), count));
            }
            full.into()
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("data", Value::Array(parts)) => joined(parts).into(),
                    _ => expand(value),
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// Returns the value and the count of a repetition, if it is one.
fn repeated(item: &Value) -> Option<(&Value, usize)> {
    let count = item.get("count")?.as_u64()?;
    Some((item.get("repeat")?, usize::try_from(count).ok()?))
}

/// Returns the base64 of the bytes of all parts. A part that is not base64, which [`check`] finds, adds nothing.
fn joined(parts: &[Value]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        let (part, count) = repeated(part).unwrap_or((part, 1));
        let decoded = part.as_str().and_then(|text| BASE64.decode(text.as_bytes()).ok());
        bytes.extend(decoded.unwrap_or_default().repeat(count));
    }
    BASE64.encode(&bytes)
}

/// Checks that a value can be expanded, and returns about how many bytes it then has.
pub(crate) fn check(value: &Value) -> Result<usize, String> {
    let len = match value {
        Value::Array(items) => items.iter().try_fold(0_usize, |sum, item| {
            let (value, count) = repeated(item).unwrap_or((item, 1));
            Ok::<_, String>(sum.saturating_add(check(value)?.saturating_mul(count)))
        })?,
        Value::Object(fields) => fields.iter().try_fold(0_usize, |sum, (name, value)| {
            if name == "data" {
                check_data(value)?;
            }
            Ok::<_, String>(sum.saturating_add(name.len()).saturating_add(check(value)?))
        })?,
        Value::String(text) => text.len(),
        _ => 8,
    };
    if len > MAX_LEN {
        return Err(format!("it is longer than {MAX_LEN} bytes"));
    }
    Ok(len.max(1))
}

fn check_data(data: &Value) -> Result<(), String> {
    let parts = match data {
        Value::Array(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    for part in parts {
        let (part, _) = repeated(part).unwrap_or((part, 1));
        let is_base64 = part.as_str().is_some_and(|text| BASE64.decode(text.as_bytes()).is_ok());
        if !is_base64 {
            return Err(format!(
                "\"data\" is neither base64 nor a list of parts that are: {part}"
            ));
        }
    }
    Ok(())
}
