//! Asks the AWS Glue Schema Registry for the id of a schema version, registers the version if it is a new one, and writes records with
//! the id in front of their payloads.
//!
//! ```text
//! aws glue create-registry --registry-name streams
//! aws glue create-schema --registry-id RegistryName=streams --schema-name clicks --data-format JSON \
//!     --compatibility NONE --schema-definition '{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}'
//! cargo run -p glue --features aws
//! ```
#![forbid(unsafe_code)]

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_glue::Client;
use aws_sdk_glue::types::{SchemaId, SchemaVersionStatus};
use kpl::codec::{Glue, GlueHeader, GlueSchema, Json};
use kpl::{Aggregator, Deaggregator, KinesisRecord, KplRecord, UserRecord};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Glue<Json, ClickSchema>)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    url: String,
}

const DEFINITION: &str = r#"{
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": { "user": { "type": "string" }, "url": { "type": "string" } }
}"#;

/// The id is asked for once, when the program starts.
static VERSION_ID: OnceLock<u128> = OnceLock::new();

struct ClickSchema;

impl GlueSchema for ClickSchema {
    fn version_id() -> Option<u128> {
        VERSION_ID.get().copied()
    }
}

/// How often to ask whether a version that was registered can be used.
const CHECKS: u32 = 30;

/// Returns the id of the version of a schema that has this definition, once it can be used.
async fn version_id(client: &Client, schema: SchemaId, definition: &str) -> Result<u128, Box<dyn Error>> {
    let known = client
        .get_schema_by_definition()
        .schema_id(schema.clone())
        .schema_definition(definition)
        .send()
        .await;
    let (id, mut status) = match known {
        Ok(version) => (version.schema_version_id, version.status),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_entity_not_found_exception()) =>
        {
            let registered = client
                .register_schema_version()
                .schema_id(schema)
                .schema_definition(definition)
                .send()
                .await?;
            (registered.schema_version_id, registered.status)
        }
        Err(error) => return Err(error.into()),
    };
    let id = id.ok_or("the registry returned no id")?;
    // It compares the version with earlier ones.
    for _ in 0..CHECKS {
        match status {
            Some(SchemaVersionStatus::Available) => return Ok(u128::from_str_radix(&id.replace('-', ""), 16)?),
            Some(SchemaVersionStatus::Pending) => tokio::time::sleep(Duration::from_secs(1)).await,
            status => return Err(format!("the version {id} cannot be used: {status:?}").into()),
        }
        let version = client.get_schema_version().schema_version_id(&id).send().await?;
        status = version.status;
    }
    Err(format!("the version {id} is still being checked").into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let schema = SchemaId::builder()
        .registry_name("streams")
        .schema_name("clicks")
        .build();
    let id = version_id(&Client::new(&config), schema, DEFINITION).await?;
    VERSION_ID.get_or_init(|| id);

    let click = Click {
        user: "anna".into(),
        url: "/basket".into(),
    };
    let mut aggregator = Aggregator::new();
    aggregator.push(&click)?;
    let sealed = aggregator.finish().ok_or("a record was pushed")?;
    let batch = [KinesisRecord::from(&sealed)];
    for record in Deaggregator::<UserRecord<'_>>::new().records(&batch) {
        let data = record?.value.data;
        let (header, payload) = GlueHeader::split(data).ok_or("the header was written")?;
        println!(
            "schema version {:032x}: {}",
            header.version_id,
            std::str::from_utf8(payload)?
        );
    }
    for record in Deaggregator::<Click>::new().records(&batch) {
        println!("{:?}", record?.value);
    }
    Ok(())
}
