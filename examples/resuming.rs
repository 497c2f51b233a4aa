//! Stopping in the middle of an aggregate and continuing later: nothing is lost, and nothing comes twice.
//!
//! ```text
//! cargo run --example resuming
//! ```

use std::error::Error;

use kpl::{Aggregator, Deaggregator, KinesisRecord, KplRecord, Position, SealedRecord};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Step {
    #[kpl(partition_key)]
    job: String,
    number: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let steps: Vec<Step> = (0..25)
        .map(|number| Step {
            job: "nightly".into(),
            number,
        })
        .collect();
    let mut sealed: Vec<SealedRecord> = Vec::new();
    let mut aggregator = Aggregator::<Step>::builder().max_count(10).build()?;
    for step in &steps {
        sealed.extend(aggregator.push(step)?);
    }
    sealed.extend(aggregator.finish());

    // The stream assigns each Kinesis record a sequence number; its user records share it, and are numbered from 0.
    let numbers = ["4957", "4958", "4959"];
    let batch: Vec<KinesisRecord<'_>> = sealed
        .iter()
        .zip(numbers)
        .map(|(record, number)| KinesisRecord::from(record).with_sequence_number(number))
        .collect();
    assert_eq!(batch.len(), sealed.len());

    // A reader that stops after 14 user records, and notes where it is after each. A checkpoint is a string.
    let mut seen = Vec::new();
    let mut checkpoint = String::new();
    for step in Deaggregator::<Step>::new().records(&batch).take(14) {
        let step = step?;
        checkpoint = step.position().ok_or("the batch has sequence numbers")?.to_string();
        seen.push(step.value);
    }
    println!("stopped after {} user records; checkpoint {checkpoint}", seen.len());
    assert_eq!(checkpoint, "4958:3");

    // Later, another process gets the same batch again, and continues after the checkpoint.
    let position: Position = checkpoint.parse()?;
    let mut rest = Deaggregator::<Step>::new().after(position).records(&batch);
    for step in rest.by_ref() {
        seen.push(step?.value);
    }
    let counts = rest.counts();
    println!(
        "went on: {} user records skipped, {} delivered",
        counts.skipped, counts.delivered
    );
    assert_eq!((counts.skipped, counts.delivered), (14, 11));

    assert_eq!(seen, steps);
    println!("all {} came once and in order", seen.len());
    Ok(())
}
