//! How do readers that use the AWS Glue Schema Registry read my records, and how do I read theirs?
//!
//! A program needs the id of its schema version, and asks for it once. Where programs are deployed, the AWS CLI registers the schema and
//! returns the id; asking again for a definition that is registered returns the same one:
//!
//! ```text
//! aws glue register-schema-version --schema-id SchemaName=clicks,RegistryName=streams \
//!     --schema-definition file://click.json --query SchemaVersionId --output text
//! ```
//!
//! The example takes it from the environment. Without one it shows the bytes with an id of its own.
//!
//! ```text
//! SCHEMA_VERSION_ID=b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63 cargo run --example glue_schema_registry
//! ```
//!
//! `examples/glue` is a program that asks the registry itself, with the AWS SDK.

use std::env;
use std::error::Error;
use std::sync::OnceLock;

use kpl::codec::{Glue, GlueHeader, GlueSchema, Json};
use kpl::{Aggregator, Deaggregator, KinesisRecord, KplRecord, UserRecord};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Glue<Json, ClickSchema>)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    url: String,
}

static VERSION_ID: OnceLock<u128> = OnceLock::new();

struct ClickSchema;

impl GlueSchema for ClickSchema {
    fn version_id() -> Option<u128> {
        VERSION_ID.get().copied()
    }
}

/// Reads the id of a schema version, which is a UUID.
fn version_id(text: &str) -> Result<u128, String> {
    let digits = text.trim().replace('-', "");
    match u128::from_str_radix(&digits, 16) {
        Ok(id) if digits.len() == 32 => Ok(id),
        _ => Err(format!(
            "{text:?} is not the id of a schema version, such as b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63"
        )),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let click = Click {
        user: "anna".into(),
        url: "/basket".into(),
    };
    let mut aggregator = Aggregator::new();
    // A writer that does not know the id yet cannot write, and keeps the record.
    println!("without an id: {}", aggregator.push(&click).unwrap_err());

    let id = env::var("SCHEMA_VERSION_ID").unwrap_or_else(|_| "b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63".into());
    let id = version_id(&id)?;
    VERSION_ID.get_or_init(|| id);

    aggregator.push(&click)?;
    let sealed = aggregator.finish().ok_or("a record was pushed")?;
    let batch = [KinesisRecord::from(&sealed)];
    for record in Deaggregator::<UserRecord<'_>>::new().records(&batch) {
        let data = record?.value.data;
        let (header, payload) = GlueHeader::split(data).ok_or("the header was written")?;
        println!(
            "written: {} bytes, schema version {:032x}",
            data.len(),
            header.version_id
        );
        println!("after the header: {}", std::str::from_utf8(payload)?);
        assert_eq!((header.version_id, payload.len() + 18), (id, data.len()));
    }
    // What was written without the header, or with another version's, is read as well.
    let plain = KinesisRecord::new(br#"{"user":"bob","url":"/help"}"#);
    for record in Deaggregator::<Click>::new().records(&[batch[0], plain]) {
        println!("read: {:?}", record?.value);
    }
    Ok(())
}
