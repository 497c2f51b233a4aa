//! Bad records in a batch: each is one error with its place and its bytes, and its neighbours are delivered.
//!
//! ```text
//! cargo run --example bad_records
//! ```

use std::error::Error;

use kpl::{
    Aggregator, DeaggregateErrorKind, Deaggregator, KinesisRecord, KplRecord, Position, RawRecord, SealedRecord,
    digest, wire,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Reading {
    #[kpl(partition_key)]
    sensor: String,
    celsius: i32,
}

/// What a program keeps of a record that it could not read, for inspection or another attempt.
struct DeadLetter {
    position: Option<Position>,
    reason: &'static str,
    data: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let good = aggregate(&[r#"{"sensor":"a","celsius":21}"#, r#"{"sensor":"b","celsius":19}"#])?;
    // A user record whose payload does not decode, between two that do.
    let bad_payload = aggregate(&[
        r#"{"sensor":"a","celsius":22}"#,
        r#"{"sensor":"b","celsius":"warm"}"#,
        r#"{"sensor":"c","celsius":18}"#,
    ])?;
    // An aggregate of which one byte was changed on its way.
    let mut damaged = good.data.clone();
    damaged[20] ^= 1;
    // An aggregate whose writer was wrong: its first record refers to partition key 7, and there is one key, 0.
    let bad_index = with_bad_index(br#"{"sensor":"e","celsius":24}"#, br#"{"sensor":"e","celsius":25}"#);

    let batch = [
        KinesisRecord::new(&good.data).with_sequence_number("100"),
        KinesisRecord::new(&damaged).with_sequence_number("101"),
        KinesisRecord::new(&bad_payload.data).with_sequence_number("102"),
        KinesisRecord::new(&bad_index).with_sequence_number("103"),
        KinesisRecord::new(br#"{"sensor":"d","celsius":20}"#).with_sequence_number("104"),
    ];

    println!("A batch of {} Kinesis records:", batch.len());
    let mut celsius = Vec::new();
    let mut dead_letters = Vec::new();
    let mut records = Deaggregator::<Reading>::new().records(&batch);
    for record in records.by_ref() {
        match record {
            Ok(record) => {
                println!("  {:6} {:?}", show(record.position()), record.value);
                celsius.push(record.value.celsius);
            }
            Err(error) => {
                println!("  {:6} error: {error}", show(error.position()));
                dead_letters.push(DeadLetter {
                    position: error.position(),
                    reason: match error.kind() {
                        DeaggregateErrorKind::Malformed(_) => "not a valid aggregate",
                        DeaggregateErrorKind::PartitionKeyIndex { .. } => "its partition key is not in the aggregate",
                        DeaggregateErrorKind::Read(_) => "its payload is not a reading",
                        _ => "other",
                    },
                    data: error.into_data(),
                });
            }
        }
    }
    let counts = records.counts();

    println!("\nDead letters, with their bytes:");
    for DeadLetter { position, reason, data } in &dead_letters {
        println!(
            "  {:6} {reason}: {:.60}",
            show(position.clone()),
            data.escape_ascii().to_string()
        );
    }
    println!(
        "\n{} Kinesis records: {} aggregated, {} malformed, {} plain.\n{} user records: {} delivered, {} failed.",
        counts.kinesis_records,
        counts.aggregated,
        counts.malformed,
        counts.plain,
        counts.user_records,
        counts.delivered,
        counts.failed
    );

    assert_eq!(celsius, [21, 19, 22, 18, 25, 20]);
    assert_eq!((counts.aggregated, counts.malformed, counts.plain), (3, 1, 1));
    assert_eq!((counts.user_records, counts.delivered, counts.failed), (9, 6, 3));
    let places: Vec<String> = dead_letters
        .iter()
        .map(|letter| show(letter.position.clone()))
        .collect();
    assert_eq!(places, ["101:0", "102:1", "103:0"]);
    assert_eq!(dead_letters[0].data, damaged);
    assert_eq!(dead_letters[1].data, br#"{"sensor":"b","celsius":"warm"}"#);
    assert_eq!(dead_letters[2].data, br#"{"sensor":"e","celsius":24}"#);
    Ok(())
}

/// Returns one aggregate with these payloads.
fn aggregate(payloads: &[&str]) -> Result<SealedRecord, Box<dyn Error>> {
    let mut aggregator = Aggregator::<RawRecord>::new();
    for payload in payloads {
        let full = aggregator.push(&RawRecord::new("some key", *payload))?;
        assert!(full.is_none(), "so few records fit in one aggregate");
    }
    aggregator.finish().ok_or_else(|| "nothing was pushed".into())
}

/// Builds, byte by byte, an aggregate that no correct writer writes: two records, the first without a partition key.
fn with_bad_index(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut body = b"\x0A\x01e".to_vec(); // partition_key_table: "e"
    for (index, data) in [(7, first), (0, second)] {
        let len = data.len() as u8; // below 124, so that each length takes one byte
        body.extend([0x1A, 4 + len, 0x08, index, 0x1A, len]); // records, partition_key_index, data
        body.extend(data);
    }
    [&wire::MAGIC, body.as_slice(), &digest::md5(&body)].concat()
}

fn show(position: Option<Position>) -> String {
    position.map_or_else(|| "?".to_owned(), |position| position.to_string())
}
