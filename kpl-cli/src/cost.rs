//! What records cost: how many there are, and how many PUT payload units they take.

use std::ops::AddAssign;

use kpl_core::{Aggregator, InvalidOption, RawRecord};
use serde::Serialize;

/// The service bills the size of a record in PUT payload units of this many bytes, rounded up
/// (<https://aws.amazon.com/kinesis/data-streams/pricing/>).
const PUT_PAYLOAD_UNIT: u64 = 25 * 1024;

/// What some records cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Cost {
    pub(crate) kinesis_records: u64,
    /// The bytes of data and partition keys.
    pub(crate) bytes: u64,
    pub(crate) put_payload_units: u64,
}

impl Cost {
    /// Adds a record with this many bytes of data and partition key.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.kinesis_records += 1;
        self.bytes += bytes;
        self.put_payload_units += bytes.div_ceil(PUT_PAYLOAD_UNIT);
    }
}

/// Packs user records into records of another size, to count what they would cost.
#[derive(Debug)]
pub(crate) struct Repacked {
    pub(crate) max_size: usize,
    /// One for each shard, or a single one.
    aggregators: Vec<Aggregator<RawRecord>>,
    cost: Cost,
}

impl Repacked {
    pub(crate) fn new(max_size: usize, shards: usize) -> Result<Self, InvalidOption> {
        let aggregator = || Aggregator::builder().max_size(max_size).build();
        Ok(Self {
            max_size,
            aggregators: (0..shards).map(|_| aggregator()).collect::<Result<_, _>>()?,
            cost: Cost::default(),
        })
    }

    /// Packs a user record that belongs to a shard.
    pub(crate) fn add(&mut self, record: &RawRecord, shard: usize) {
        let Some(aggregator) = self.aggregators.get_mut(shard) else {
            return;
        };
        let held = aggregator.size();
        match aggregator.push_unsealed(record) {
            Ok(None) => {}
            Ok(Some(_)) => self.cost.add(held as u64),
            // Too large for this size, or without a valid key: it stays alone.
            Err(_) => self.cost.add(record.size() as u64),
        }
    }

    /// Returns the cost of everything that was packed.
    pub(crate) fn cost(&self) -> Cost {
        let mut cost = self.cost;
        for held in self.aggregators.iter().filter(|aggregator| !aggregator.is_empty()) {
            cost.add(held.size() as u64);
        }
        cost
    }

    /// Returns the cost of everything that was packed, and forgets it.
    pub(crate) fn take(&mut self) -> Cost {
        let cost = self.cost();
        self.cost = Cost::default();
        for aggregator in &mut self.aggregators {
            drop(aggregator.finish_unsealed());
        }
        cost
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.kinesis_records += other.kinesis_records;
        self.bytes += other.bytes;
        self.put_payload_units += other.put_payload_units;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_steps_of_25_kib() {
        let mut cost = Cost::default();
        [0, 1, 25_600, 25_601].into_iter().for_each(|bytes| cost.add(bytes));
        assert_eq!(
            (cost.kinesis_records, cost.bytes, cost.put_payload_units),
            (4, 51_202, 4)
        );
    }

    #[test]
    fn repacking_costs_what_an_aggregator_writes() {
        let records: Vec<_> = (0..1000)
            .map(|number| RawRecord::new(format!("key {}", number % 40), vec![b'x'; number]))
            .collect();
        for max_size in [2_000, 51_200] {
            let mut repacked = Repacked::new(max_size, 1).unwrap();
            let mut expected = Cost::default();
            let mut aggregator = Aggregator::<RawRecord>::builder().max_size(max_size).build().unwrap();
            for record in &records {
                repacked.add(record, 0);
                expected.add_all(aggregator.push(record).unwrap());
            }
            expected.add_all(aggregator.finish());
            assert_eq!(repacked.cost(), expected);
        }
    }

    impl Cost {
        fn add_all(&mut self, sealed: Option<kpl_core::SealedRecord>) {
            sealed.into_iter().for_each(|sealed| self.add(sealed.size() as u64));
        }
    }
}
