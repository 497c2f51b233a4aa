use super::input::Input;
use super::reading::{self, Reading};
use super::{bytes, oracle, writing};
use kpl::wire::{AggregatedRecord, Malformed, NotAggregated};
use kpl::{Deaggregator, KinesisRecord, RawRecord};

/// Any body with a right digest: the reader agrees with prost on whether it is one and on what is inside, and what was
/// read can be written again.
pub fn body(data: &[u8]) {
    check(data);
    check(&Input::new(data).body());
}

fn check(body: &[u8]) {
    // An empty body is too short, whatever the oracle says.
    let expected = oracle::read(body).filter(|_| !body.is_empty());
    assert_eq!(oracle::read_by_us(body), expected);

    let sealed = bytes::sealed(body);
    if let Err(error) = AggregatedRecord::parse(&sealed) {
        assert!(!error.to_string().is_empty());
        if let NotAggregated::Malformed(Malformed::Body(mistake)) = error {
            assert!((4..=4 + body.len()).contains(&mistake.offset), "{mistake:?}");
        }
    }
    let batch = [KinesisRecord::new(&sealed).with_partition_key("outer")];
    reading::check(&batch, &Reading::default());

    let records: Vec<RawRecord> = Deaggregator::new()
        .records(&batch)
        .filter_map(|record| Some(record.ok()?.value))
        .filter(|record: &RawRecord| writing::is_key(writing::key(record)))
        .collect();
    if !records.is_empty() {
        writing::check_rewriting(&records);
    }
}
