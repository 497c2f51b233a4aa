//! The records for one shard: those in the open aggregate, and the full aggregates.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use kpl_core::{AggregateError, Aggregator, InvalidOption, MAX_RECORD_SIZE, UnsealedRecord};

use super::limiter::Limiter;
use super::record::{EncodedRecord, Held};
use super::shards::Mode;
use crate::producer::options::Options;

/// If a shard is sent more than this in one request, it gets its records in bursts, so the request is sent now, as in
/// the KPL.
pub(super) const MAX_BYTES_PER_REQUEST: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Lane<H> {
    /// The predicted shard, or `None` if shards cannot be predicted.
    pub(super) shard_id: Option<Arc<str>>,
    aggregator: Aggregator<EncodedRecord>,
    aggregators: Arc<Aggregators>,
    open: Vec<Held<H>>,
    open_due: Instant,
    full: VecDeque<Packed<H>>,
    full_bytes: usize,
    pub(super) limiter: Limiter,
}

/// A Kinesis record that is complete except for its digest, and the user records in it.
#[derive(Debug)]
pub(super) struct Packed<H> {
    pub(super) unsealed: UnsealedRecord,
    pub(super) records: Vec<Held<H>>,
    due: Instant,
}

/// The aggregators that lanes start with, built from options that were checked.
#[derive(Clone, Debug)]
pub(super) struct Aggregators {
    together: Aggregator<EncodedRecord>,
    /// For a single record of any size.
    alone: Aggregator<EncodedRecord>,
}

impl Aggregators {
    pub(super) fn new(options: &Options) -> Result<Self, InvalidOption> {
        let alone = Aggregator::builder().max_size(MAX_RECORD_SIZE).max_count(1);
        let together = Aggregator::builder()
            .max_size(options.aggregation_max_size)
            .max_count(options.aggregation_max_count);
        let alone = alone.build()?;
        Ok(Self {
            together: if options.aggregation_enabled {
                together.build()?
            } else {
                alone.clone()
            },
            alone,
        })
    }

    /// Returns an empty aggregator. If shards matter and cannot be predicted, records are sent one by one.
    pub(super) fn empty(&self, mode: Mode) -> Aggregator<EncodedRecord> {
        match mode {
            Mode::Predicted | Mode::Auto => self.together.clone(),
            Mode::Waiting | Mode::Unpredicted => self.alone.clone(),
        }
    }
}

/// Packs records into as few Kinesis records as possible, in order.
pub(super) fn pack_all<H>(
    aggregator: &mut Aggregator<EncodedRecord>,
    aggregators: &Aggregators,
    records: Vec<Held<H>>,
    refused: &mut Vec<(Held<H>, AggregateError)>,
) -> Vec<(UnsealedRecord, Vec<Held<H>>)> {
    let (mut packed, mut open) = (Vec::new(), Vec::new());
    for held in records {
        add(
            aggregator,
            aggregators,
            &mut open,
            held,
            refused,
            &mut |unsealed, records| packed.push((unsealed, records)),
        );
    }
    packed.extend(aggregator.finish_unsealed().map(|unsealed| (unsealed, open)));
    packed
}

/// Adds a record. The Kinesis records that it completes are added to `full`.
fn add<H>(
    aggregator: &mut Aggregator<EncodedRecord>,
    aggregators: &Aggregators,
    open: &mut Vec<Held<H>>,
    held: Held<H>,
    refused: &mut Vec<(Held<H>, AggregateError)>,
    full: &mut impl FnMut(UnsealedRecord, Vec<Held<H>>),
) {
    match aggregator.push_unsealed(&held.record) {
        Ok(None) => open.push(held),
        Ok(Some(unsealed)) if unsealed.user_records() > open.len() => {
            open.push(held);
            full(unsealed, std::mem::take(open));
        }
        Ok(Some(unsealed)) => full(unsealed, std::mem::replace(open, vec![held])),
        // Too large for an aggregate, but a record may be this large.
        Err(AggregateError::TooLarge { .. }) => match aggregators.alone.clone().push_unsealed(&held.record) {
            Ok(Some(unsealed)) => full(unsealed, vec![held]),
            Ok(None) => {}
            Err(error) => refused.push((held, error)),
        },
        Err(error) => refused.push((held, error)),
    }
}

impl<H> Lane<H> {
    pub(super) fn new(
        shard_id: Option<Arc<str>>,
        aggregators: &Arc<Aggregators>,
        mode: Mode,
        rate: f64,
        now: Instant,
    ) -> Self {
        Self {
            shard_id,
            aggregator: aggregators.empty(mode),
            aggregators: Arc::clone(aggregators),
            open: Vec::new(),
            open_due: now,
            full: VecDeque::new(),
            full_bytes: 0,
            limiter: Limiter::new(rate, now),
        }
    }

    /// Adds a record that should be sent at `due`. `sealed` gets the records of each aggregate that it completed.
    pub(super) fn push(
        &mut self,
        held: Held<H>,
        due: Instant,
        refused: &mut Vec<(Held<H>, AggregateError)>,
        mut sealed: impl FnMut(&[Held<H>]),
    ) {
        self.open_due = if self.open.is_empty() {
            due
        } else {
            self.open_due.min(due)
        };
        let due = self.open_due;
        let (full, full_bytes) = (&mut self.full, &mut self.full_bytes);
        add(
            &mut self.aggregator,
            &self.aggregators,
            &mut self.open,
            held,
            refused,
            &mut |unsealed, records| {
                sealed(&records);
                *full_bytes += unsealed.size();
                full.push_back(Packed { unsealed, records, due });
            },
        );
    }

    /// Returns the record that was pushed last, if it is the only one in the open aggregate.
    pub(super) fn open(&self) -> Option<&Held<H>> {
        self.open.first().filter(|_| self.open.len() == 1)
    }

    /// Takes back the record that was pushed last, if it is the only one in the open aggregate.
    pub(super) fn take_back(&mut self) -> Option<Held<H>> {
        if self.open.len() != 1 {
            return None;
        }
        drop(self.aggregator.finish_unsealed());
        self.open.pop()
    }

    /// Closes the open aggregate.
    pub(super) fn seal_open(&mut self, mut sealed: impl FnMut(&[Held<H>])) {
        if let Some(unsealed) = self.aggregator.finish_unsealed() {
            let records = std::mem::take(&mut self.open);
            sealed(&records);
            self.full_bytes += unsealed.size();
            self.full.push_back(Packed {
                unsealed,
                records,
                due: self.open_due,
            });
        }
    }

    /// Returns when something in this lane should be sent, or `None` if the lane is empty.
    pub(super) fn wants_at(&self, now: Instant) -> Option<Instant> {
        let due = match self.full.front() {
            Some(_) if self.full_bytes >= MAX_BYTES_PER_REQUEST => now,
            Some(front) if self.open.is_empty() => front.due,
            Some(front) => front.due.min(self.open_due),
            None if self.open.is_empty() => return None,
            None => self.open_due,
        };
        Some(due.max(self.limiter.free_at()))
    }

    /// Returns the next full aggregate, if it is no larger than `room` and the limiter permits it.
    pub(super) fn take_full(&mut self, room: usize, now: Instant) -> Option<Packed<H>> {
        let size = self.full.front()?.unsealed.size();
        if size > room || !self.limiter.take(size, now) {
            return None;
        }
        self.full_bytes -= size;
        self.full.pop_front()
    }

    /// Returns whether the open aggregate should be sent now.
    pub(super) fn is_open_due(&self, now: Instant) -> bool {
        !self.open.is_empty() && self.open_due <= now
    }

    /// Returns how many full aggregates there are, and their bytes.
    pub(super) fn full(&self) -> (usize, usize) {
        (self.full.len(), self.full_bytes)
    }

    /// Makes everything due now.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.open_due = self.open_due.min(now);
        for packed in &mut self.full {
            packed.due = packed.due.min(now);
        }
    }

    /// Returns how many records are in full aggregates.
    pub(super) fn full_records(&self) -> usize {
        self.full.iter().map(|packed| packed.records.len()).sum()
    }

    /// Takes out all records, in order: those of full aggregates first.
    pub(super) fn dissolve(&mut self) -> impl Iterator<Item = Held<H>> + use<H> {
        drop(self.aggregator.finish_unsealed());
        self.full_bytes = 0;
        let full = std::mem::take(&mut self.full);
        let open = std::mem::take(&mut self.open);
        full.into_iter().flat_map(|packed| packed.records).chain(open)
    }

    pub(super) fn held(&self) -> impl Iterator<Item = &Held<H>> {
        self.full.iter().flat_map(|packed| &packed.records).chain(&self.open)
    }
}
