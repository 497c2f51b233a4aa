//! Rows of a lease table in the JSON of DynamoDB: what `aws dynamodb scan` and `query` write, or an export to S3.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use kpl_fleet::table::{Attribute, Item, LeaseTable};
use serde_json::{Map, Value};

/// Reads all rows of a file, or of standard input if it is `-`.
pub(super) fn read(path: &Path) -> Result<LeaseTable, String> {
    let mut json = Vec::new();
    if path == Path::new("-") {
        io::stdin().read_to_end(&mut json).map_err(|error| error.to_string())?;
    } else {
        json = fs::read(path).map_err(|error| error.to_string())?;
    }
    Ok(LeaseTable::read(items(&json)?))
}

fn items(json: &[u8]) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    for document in serde_json::Deserializer::from_slice(json).into_iter::<Map<String, Value>>() {
        let document = document.map_err(|error| format!("this is not the JSON of `aws dynamodb scan`: {error}"))?;
        let rows = match (document.get("Items"), document.get("Item")) {
            (Some(Value::Array(rows)), _) => rows.as_slice(),
            (None, Some(row)) => std::slice::from_ref(row),
            _ => return Err("this is not the JSON of `aws dynamodb scan`: there are no \"Items\"".into()),
        };
        for row in rows {
            let number = items.len() + 1;
            let problem = |problem| format!("item {number}: {problem}");
            items.push(item(row).map_err(problem)?);
        }
    }
    Ok(items)
}

fn item(row: &Value) -> Result<Item, String> {
    let row = row.as_object().ok_or("it is not an object")?;
    let attributes = row.iter();
    attributes
        .map(|(name, value)| {
            let value = attribute(value)
                .ok_or_else(|| format!("its {name} is not JSON of DynamoDB, such as {{\"S\": \"a\"}}"))?;
            Ok((name.clone(), value))
        })
        .collect()
}

fn attribute(value: &Value) -> Option<Attribute> {
    let value = value.as_object()?;
    let (kind, value) = value.iter().next().filter(|_| value.len() == 1)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match kind.as_str() {
        "S" => text(value).map(Attribute::String),
        "N" => text(value).map(Attribute::Number),
        "SS" => Some(Attribute::Strings(
            value.as_array()?.iter().map(text).collect::<Option<_>>()?,
        )),
        _ => Some(Attribute::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_exports_are_read_and_everything_else_says_what_it_is() {
        let row = r#"{"leaseKey":{"S":"a"},"leaseCounter":{"N":"1"},"parentShardId":{"SS":["p"]},"x":{"M":{}}}"#;
        let pages = format!(r#"{{"Items":[{row}],"Count":1}} {{"Items":[]}} {{"Item":{row}}}"#);
        let items = items(pages.as_bytes()).unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0], items[1]);
        assert_eq!(items[0]["parentShardId"], Attribute::Strings(vec!["p".into()]));
        assert_eq!(items[0]["x"], Attribute::Other);
        for (json, problem) in [
            (
                "x",
                "this is not the JSON of `aws dynamodb scan`: expected value at line 1 column 1",
            ),
            (
                "{}",
                "this is not the JSON of `aws dynamodb scan`: there are no \"Items\"",
            ),
            (r#"{"Items":[{},7]}"#, "item 2: it is not an object"),
            (
                r#"{"Items":[{"leaseKey":"a"}]}"#,
                "item 1: its leaseKey is not JSON of DynamoDB, such as {\"S\": \"a\"}",
            ),
            (
                r#"{"Item":{"leaseCounter":{"N":1}}}"#,
                "item 1: its leaseCounter is not JSON of DynamoDB, such as {\"S\": \"a\"}",
            ),
        ] {
            assert_eq!(super::items(json.as_bytes()).unwrap_err(), problem);
        }
    }
}
