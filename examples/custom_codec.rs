//! A codec of your own: here one that puts a schema version before what another codec writes.
//!
//! ```text
//! cargo run --example custom_codec
//! ```

use std::error::Error;

use kpl::codec::{Decode, Encode, Json};
use kpl::{Aggregator, CodecError, DeaggregateErrorKind, Deaggregator, KinesisRecord, KplRecord, RawRecord, ReadError};
use serde::{Deserialize, Serialize};

/// One byte with the version `V` of the schema, then JSON.
struct VersionedJson<const V: u8>;

impl<T, const V: u8> Encode<T> for VersionedJson<V>
where
    Json: Encode<T>,
{
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(V);
        Json::encode(value, out)
    }
}

impl<'de, T, const V: u8> Decode<'de, T> for VersionedJson<V>
where
    Json: Decode<'de, T>,
{
    fn decode(bytes: &'de [u8]) -> Result<T, CodecError> {
        match bytes.split_first() {
            Some((&version, rest)) if version == V => Json::decode(rest),
            Some((version, _)) => {
                let reason = format!("schema version {version}, and this program reads version {V}");
                Err(CodecError::decode("VersionedJson", reason))
            }
            None => Err(CodecError::decode("VersionedJson", "no schema version")),
        }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = VersionedJson<2>)]
struct Payment {
    #[kpl(partition_key)]
    account: String,
    cents: i64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let payments = [
        Payment {
            account: "DE-17".into(),
            cents: 12_50,
        },
        Payment {
            account: "FR-04".into(),
            cents: -3_00,
        },
    ];
    let mut sealed = Aggregator::<Payment>::new()
        .aggregate(&payments)
        .collect::<Result<Vec<_>, _>>()?;
    // A record from an older program.
    let old = RawRecord::new("DE-17", b"\x01{\"account\":\"DE-17\",\"euros\":12.5}");
    sealed.extend(Aggregator::<RawRecord>::new().aggregate([old]).flatten());

    let batch: Vec<KinesisRecord<'_>> = sealed.iter().map(KinesisRecord::from).collect();
    let mut received = Vec::new();
    let mut errors = Vec::new();
    for record in Deaggregator::<Payment>::new().records(&batch) {
        match record {
            Ok(record) => {
                println!("version {}: {:?}", record.record.data[0], record.value);
                received.push(record.value);
            }
            Err(error) => {
                println!("{error}");
                errors.push(error);
            }
        }
    }
    assert_eq!(received, payments);
    assert_eq!(errors.len(), 1);
    let DeaggregateErrorKind::Read(ReadError::Payload(error)) = errors[0].kind() else {
        return Err("the codec's own error is expected".into());
    };
    assert_eq!(error.codec(), "VersionedJson");
    Ok(())
}
