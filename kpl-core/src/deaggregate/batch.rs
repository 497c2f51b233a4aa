//! Reads a batch of a stream's records user record by user record, without types.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::ControlFlow;

use super::digests::Digests;
use super::opened::Opened;
use super::{Counts, DeaggregateError, DeaggregateErrorKind, Options, StrayPolicy};
use crate::position::SequenceNumber;
use crate::record::{KinesisRecord, MalformedPolicy, UserRecord};
use crate::wire::{Frame, NotAggregated, WireRecord};

pub(super) struct Batch<'b, 'a> {
    options: Options,
    malformed: MalformedPolicy,
    pub(super) counts: Counts,
    /// The user records that the range filter left out, if they are to be listed.
    pub(super) dropped: Vec<UserRecord<'a>>,
    pub(super) batch: &'b [KinesisRecord<'a>],
    /// How many records of the batch were opened.
    opened: usize,
    digests: Digests,
    current: Opened<'a>,
    /// User records of the current aggregate up to this sub-sequence number are skipped.
    skip_to: Option<u64>,
    /// Whether the current aggregate is left out whole, because of a stray.
    drop_all: bool,
    /// Whether some user records of the current aggregate may be left out.
    selective: bool,
}

/// A user record, or why it cannot be delivered.
type Outcome<'a> = Result<UserRecord<'a>, DeaggregateError>;

impl<'b, 'a> Batch<'b, 'a> {
    pub(super) fn new(options: Options, batch: &'b [KinesisRecord<'a>], malformed: MalformedPolicy) -> Self {
        Self {
            malformed: options.malformed.unwrap_or(malformed),
            options,
            counts: Counts::default(),
            dropped: Vec::new(),
            batch,
            opened: 0,
            digests: Digests::default(),
            current: Opened::default(),
            skip_to: None,
            drop_all: false,
            selective: false,
        }
    }

    /// Returns the next user record if it is in canonical form. [`next`](Self::next) would return the same, but more
    /// slowly.
    #[inline]
    pub(super) fn next_usual(&mut self) -> Option<UserRecord<'a>> {
        if self.selective {
            return None;
        }
        self.current.next_usual()
    }

    #[inline(never)]
    pub(super) fn next(&mut self) -> Option<Outcome<'a>> {
        if !self.selective
            && let Some(record) = self.current.next_unusual()
        {
            return Some(Ok(record));
        }
        loop {
            while let Some((wire, record)) = self.current.next() {
                if let Some(outcome) = self.judge(&wire, record) {
                    return Some(outcome);
                }
            }
            if let ControlFlow::Break(outcome) = self.open_next()? {
                return Some(outcome);
            }
        }
    }

    /// Decides what happens to a user record of the current aggregate. `None` means that it is skipped or dropped.
    #[inline]
    fn judge(&mut self, wire: &WireRecord<'a>, mut record: UserRecord<'a>) -> Option<Outcome<'a>> {
        if self.skip_to.is_some_and(|last| record.sub_sequence_number <= last) {
            self.counts.skipped += 1;
            return None;
        }
        if let Err(kind) = self.current.resolve(wire, &mut record) {
            return Some(Err(DeaggregateError::new(&record, kind)));
        }
        if let Some(range) = self.options.range {
            let drop = match self.options.strays {
                StrayPolicy::Keep => false,
                StrayPolicy::DropStrays => self.current.is_stray(wire, &record, range),
                StrayPolicy::DropAggregate => self.drop_all,
            };
            if drop {
                self.counts.dropped += 1;
                if self.options.list_dropped {
                    self.dropped.push(record);
                }
                return None;
            }
        }
        Some(Ok(record))
    }

    /// Opens the next Kinesis record: breaks with the one user record that it is, or continues with those inside it.
    fn open_next(&mut self) -> Option<ControlFlow<Outcome<'a>>> {
        let index = self.opened;
        let record = self.batch.get(index)?;
        let opened = self.open(record);
        self.opened += 1;
        self.counts.kinesis_records += 1;
        self.skip_to = self.skip_to(record);
        self.selective = self.skip_to.is_some() || self.options.range.is_some();
        let reason = match opened {
            Ok(()) => {
                self.counts.aggregated += 1;
                self.counts.empty_aggregates += u64::from(self.current.is_empty());
                self.drop_all = match (self.options.strays, self.options.range) {
                    (StrayPolicy::DropAggregate, Some(range)) => self.current.has_stray(range),
                    _ => false,
                };
                return Some(ControlFlow::Continue(()));
            }
            Err(NotAggregated::Plain) => {
                self.counts.plain += 1;
                None
            }
            Err(NotAggregated::Malformed(reason)) => {
                self.counts.malformed += 1;
                Some(reason)
            }
        };
        if self.skip_to.is_some() {
            self.counts.skipped += 1;
            return Some(ControlFlow::Continue(()));
        }
        let mut user_record = UserRecord::plain(*record, index);
        user_record.malformed = reason;
        Some(ControlFlow::Break(match reason {
            Some(reason) if self.malformed == MalformedPolicy::Error => Err(DeaggregateError::new(
                &user_record,
                DeaggregateErrorKind::Malformed(reason),
            )),
            _ => Ok(user_record),
        }))
    }

    fn open(&mut self, record: &KinesisRecord<'a>) -> Result<(), NotAggregated> {
        let frame = Frame::new(record.data)?;
        let digest = self.digests.get(self.batch, self.opened);
        Ok(self.current.open(record, self.opened, &frame, digest)?)
    }

    /// Returns the last sub-sequence number of a Kinesis record that is skipped.
    fn skip_to(&self, record: &KinesisRecord<'_>) -> Option<u64> {
        let after = self.options.after.as_ref()?;
        let number = SequenceNumber::new(record.sequence_number?).ok()?;
        match number.cmp(&after.sequence_number) {
            Ordering::Less => Some(u64::MAX),
            Ordering::Equal => Some(after.sub_sequence_number),
            Ordering::Greater => None,
        }
    }
}
