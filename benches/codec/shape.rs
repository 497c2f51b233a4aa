//! What is measured: aggregates of user records of one size.

use kpl::{Aggregator, RawRecord, SealedRecord};

const AGGREGATE_SIZE: usize = 50_000;

/// The user records of one aggregate of about 50 KB: one distinct partition key for ten records, interleaved.
pub(crate) struct Shape {
    pub(crate) size: usize,
    pub(crate) records: Vec<(String, Vec<u8>)>,
}

impl Shape {
    pub(crate) fn new(size: usize, seed: usize) -> Self {
        let count = AGGREGATE_SIZE / (size + 6);
        let keys = count.div_ceil(10);
        let records = (0..count)
            .map(|index| {
                let key = format!("customer-{:08}", seed * keys + index % keys);
                let data = (0..size).map(|byte| (seed + index * 7 + byte * 13) as u8).collect();
                (key, data)
            })
            .collect();
        Self { size, records }
    }

    pub(crate) fn raw_records(&self) -> Vec<RawRecord> {
        self.records
            .iter()
            .map(|(key, data)| RawRecord::new(key, data.as_slice()))
            .collect()
    }

    pub(crate) fn aggregate(&self) -> SealedRecord {
        let mut aggregator = aggregator(self.records.len());
        let mut sealed = None;
        for record in self.raw_records() {
            sealed = aggregator.push(&record).expect("it fits");
        }
        sealed.expect("the maximum count is reached")
    }
}

pub(crate) fn shapes(seed: usize) -> impl Iterator<Item = Shape> {
    [20, 100, 1000].into_iter().map(move |size| Shape::new(size, seed))
}

pub(crate) fn aggregator(count: usize) -> Aggregator<RawRecord> {
    let builder = Aggregator::builder().max_size(100_000).max_count(count);
    builder.build().expect("the options are valid")
}
