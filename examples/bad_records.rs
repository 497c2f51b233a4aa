//! Bad records in a batch: each is one error with its place and its bytes, and its neighbours are delivered.
//!
//! ```text
//! cargo run --example bad_records
//! ```

use std::error::Error;

use kpl::digest::md5;
use kpl::wire::MAGIC;
use kpl::{Aggregator, DeaggregateErrorKind, Deaggregator, KinesisRecord, KplRecord, RawRecord, SealedRecord};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Reading {
    #[kpl(partition_key)]
    sensor: String,
    celsius: i32,
}

/// What a program keeps of a record that it could not read, to look at it or to try again.
struct DeadLetter {
    position: String,
    reason: String,
    data: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let good = aggregate(&[("a", r#"{"sensor":"a","celsius":21}"#), ("b", r#"{"sensor":"b","celsius":19}"#)])?;
    let one_bad_payload = aggregate(&[
        ("a", r#"{"sensor":"a","celsius":22}"#),
        ("b", r#"{"sensor":"b","celsius":"warm"}"#),
        ("c", r#"{"sensor":"c","celsius":18}"#),
    ])?;
    // One byte of an aggregate is changed on its way.
    let mut damaged = aggregate(&[("a", r#"{"sensor":"a","celsius":23}"#), ("b", "{}")])?.data;
    damaged[20] ^= 1;

    let batch = [
        KinesisRecord::new(&good.data).with_sequence_number("100"),
        KinesisRecord::new(&damaged).with_sequence_number("101"),
        KinesisRecord::new(&one_bad_payload.data).with_sequence_number("102"),
        KinesisRecord::new(&KEY_OUTSIDE_THE_TABLE).with_sequence_number("103"),
        KinesisRecord::new(br#"{"sensor":"d","celsius":20}"#).with_sequence_number("104"),
    ];
    let key_outside = with_digest(&KEY_OUTSIDE_THE_TABLE);
    let mut batch = batch;
    batch[3].data = &key_outside;

    let mut dead_letters = Vec::new();
    let mut celsius = Vec::new();
    let mut records = Deaggregator::<Reading>::new().records(&batch);
    for record in records.by_ref() {
        match record {
            Ok(record) => {
                celsius.push(record.value.celsius);
                println!("{:>8}  {:?}", position(record.position()), record.value);
            }
            Err(error) => {
                println!("{:>8}  {error}", position(error.position()));
                let reason = match error.kind() {
                    DeaggregateErrorKind::Malformed(_) => "not a valid aggregate",
                    DeaggregateErrorKind::PartitionKeyIndex { .. } => "no partition key",
                    DeaggregateErrorKind::Read(_) => "payload",
                    _ => "other",
                };
                dead_letters.push(DeadLetter {
                    position: position(error.position()),
                    reason: reason.to_owned(),
                    data: error.into_data(),
                });
            }
        }
    }
    let counts = records.counts();

    println!("\nDead letters:");
    for letter in &dead_letters {
        println!("{:>8}  {}: {}", letter.position, letter.reason, String::from_utf8_lossy(&letter.data).escape_debug());
    }
    println!(
        "\n{} Kinesis records ({} aggregated, {} plain, {} malformed), {} user records: {} delivered, {} failed",
        counts.kinesis_records,
        counts.aggregated,
        counts.plain,
        counts.malformed,
        counts.user_records,
        counts.delivered,
        counts.failed
    );

    assert_eq!(celsius, [21, 19, 22, 18, 25, 20]);
    assert_eq!(counts.user_records, counts.delivered + counts.failed);
    assert_eq!((counts.delivered, counts.failed), (6, 3));
    let places: Vec<&str> = dead_letters.iter().map(|letter| letter.position.as_str()).collect();
    assert_eq!(places, ["101:0", "102:1", "103:0"]);
    assert_eq!(dead_letters[0].data, damaged);
    assert_eq!(dead_letters[1].data, br#"{"sensor":"b","celsius":"warm"}"#);
    Ok(())
}
