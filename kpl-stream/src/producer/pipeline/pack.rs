//! Packs waiting records into Kinesis records.

use std::collections::VecDeque;

use kpl_core::{AggregateError, Aggregator, InvalidOption, MAX_RECORD_SIZE, UnsealedRecord};

use super::lane::Amount;
use super::record::{EncodedRecord, Held};
use super::shards::Mode;
use crate::producer::options::Options;

/// Builds Kinesis records for one stream. It is empty between two of them.
#[derive(Clone, Debug)]
pub(super) struct Packer {
    together: Aggregator<EncodedRecord>,
    /// For a single record of any size.
    alone: Aggregator<EncodedRecord>,
    /// Whether records are sent one by one now.
    separate: bool,
    aggregation_enabled: bool,
    aggregation_max_size: usize,
    aggregation_max_count: usize,
    /// How many records the last Kinesis record had: room for as many in the next.
    last_count: usize,
}

/// A Kinesis record that is complete except for its digest, and the user records in it.
#[derive(Debug)]
pub(super) struct Packed<H> {
    pub(super) unsealed: UnsealedRecord,
    pub(super) records: Vec<Held<H>>,
}

/// Where records to be packed come from, the oldest first.
pub(super) trait Source<H> {
    /// Returns how many records there are at least.
    fn count(&self) -> usize;

    /// Takes out the next record.
    fn pop(&mut self) -> Option<Held<H>>;

    /// Moves the next records to `into`, as long as `wants` returns true. It is asked once for each, in their order; the one for which it
    /// returns false is the next that [`pop`](Self::pop) takes out.
    fn pop_while(&mut self, wants: impl FnMut(&Held<H>) -> bool, into: &mut Vec<Held<H>>);
}

impl<H> Source<H> for VecDeque<Held<H>> {
    fn count(&self) -> usize {
        self.len()
    }

    fn pop(&mut self) -> Option<Held<H>> {
        self.pop_front()
    }

    fn pop_while(&mut self, mut wants: impl FnMut(&Held<H>) -> bool, into: &mut Vec<Held<H>>) {
        let wanted = self.iter().take_while(|held| wants(held)).count();
        into.extend(self.drain(..wanted));
    }
}

impl Packer {
    pub(super) fn new(options: &Options) -> Result<Self, InvalidOption> {
        let alone = Aggregator::builder().max_size(MAX_RECORD_SIZE).max_count(1);
        let together = Aggregator::builder()
            .max_size(options.aggregation_max_size)
            .max_count(options.aggregation_max_count);
        Ok(Self {
            together: together.build()?,
            alone: alone.build()?,
            separate: true,
            aggregation_enabled: options.aggregation_enabled,
            aggregation_max_size: options.aggregation_max_size,
            aggregation_max_count: options.aggregation_max_count,
            last_count: 0,
        })
    }

    /// Follows what is known about the shards. If they matter and cannot be predicted, records are sent one by one.
    pub(super) fn set_mode(&mut self, mode: Mode) {
        let is_known = matches!(mode, Mode::Predicted | Mode::Auto);
        self.separate = !is_known || !self.aggregation_enabled;
    }

    /// Returns how many bytes of records are sure to complete a Kinesis record.
    pub(super) const fn full_size(&self) -> usize {
        if self.separate { 1 } else { self.aggregation_max_size }
    }

    /// Returns how many complete Kinesis records this many bytes are, in this many records.
    pub(super) fn count_full(&self, bytes: usize, records: usize) -> usize {
        if self.separate {
            records
        } else {
            (bytes / self.aggregation_max_size).max(records / self.aggregation_max_count)
        }
    }

    /// Returns how many bytes, or how many records, are one complete Kinesis record more than this many.
    pub(super) const fn next_full(&self, full: usize) -> Amount {
        let next = full + 1;
        if self.separate {
            Amount {
                bytes: usize::MAX,
                records: next,
            }
        } else {
            Amount {
                bytes: self.aggregation_max_size.saturating_mul(next),
                records: self.aggregation_max_count.saturating_mul(next),
            }
        }
    }

    /// Returns about how many bytes the next Kinesis record takes if it starts with this record, and this many bytes of
    /// records wait. It hardly ever takes more.
    pub(super) fn expected_size<H>(&self, first: &Held<H>, waiting: usize) -> usize {
        let alone = first.record.size() + FRAMING;
        if self.separate {
            alone
        } else {
            waiting.saturating_mul(2).min(self.aggregation_max_size).max(alone)
        }
    }

    /// Packs as many of the next records as fit into one Kinesis record. Records that cannot be packed at all are
    /// added to `refused`.
    pub(super) fn pack_next<H>(
        &mut self,
        source: &mut impl Source<H>,
        refused: &mut Vec<(Held<H>, AggregateError)>,
    ) -> Option<Packed<H>> {
        let packed = self.pack(source, refused)?;
        self.last_count = packed.records.len();
        Some(packed)
    }

    fn pack<H>(
        &mut self,
        source: &mut impl Source<H>,
        refused: &mut Vec<(Held<H>, AggregateError)>,
    ) -> Option<Packed<H>> {
        let mut records = Vec::with_capacity(self.last_count.min(source.count()));
        loop {
            let mut last = Ok(None);
            let aggregator = self.aggregator();
            let fits = |held: &Held<H>| {
                last = aggregator.push_unsealed(&held.record);
                matches!(last, Ok(None))
            };
            source.pop_while(fits, &mut records);
            match last {
                Ok(None) => break,
                Ok(Some(unsealed)) => {
                    if unsealed.user_records() > records.len() {
                        records.extend(source.pop());
                    } else {
                        drop(self.aggregator().finish_unsealed());
                    }
                    return Some(Packed { unsealed, records });
                }
                // Too large for an aggregate, but a record may be this large. It does not overtake what is before it.
                Err(AggregateError::TooLarge { .. }) if !records.is_empty() => break,
                Err(AggregateError::TooLarge { .. }) => {
                    let held = source.pop()?;
                    match self.alone.push_unsealed(&held.record) {
                        Ok(Some(unsealed)) => {
                            return Some(Packed {
                                unsealed,
                                records: vec![held],
                            });
                        }
                        // A record alone is always complete.
                        Ok(None) => records.push(held),
                        Err(error) => refused.push((held, error)),
                    }
                }
                Err(error) => refused.extend(source.pop().map(|held| (held, error))),
            }
        }
        let unsealed = self.aggregator().finish_unsealed()?;
        Some(Packed { unsealed, records })
    }

    const fn aggregator(&mut self) -> &mut Aggregator<EncodedRecord> {
        if self.separate {
            &mut self.alone
        } else {
            &mut self.together
        }
    }
}

/// The most bytes that a record alone takes besides its key, its payload and its tags.
const FRAMING: usize = 256;
