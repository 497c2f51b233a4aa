use super::input::{Input, Owned};
use super::reading::{self, Reading};
use kpl::{KinesisRecord, MalformedPolicy};

/// Any bytes, as one Kinesis record and as a batch of records of every kind: no panic, and every byte of user data
/// comes out, in a record or in an error.
pub fn deaggregate(data: &[u8]) {
    check(&[KinesisRecord::new(data)]);
    let batch = Input::new(data).batch();
    let batch: Vec<KinesisRecord<'_>> = batch.iter().map(Owned::record).collect();
    check(&batch);
}

fn check(batch: &[KinesisRecord<'_>]) {
    reading::check(batch, &Reading::default());
    let malformed = MalformedPolicy::Error;
    reading::check(
        batch,
        &Reading {
            malformed,
            ..Reading::default()
        },
    );
    reading::check_typed(batch);
}
