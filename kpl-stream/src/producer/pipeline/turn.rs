//! What a stream works with: the time, and where to put the results of its work.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::flushes::Flushes;
use super::measures::{Measures, Metric};
use super::output::{Outcomes, Output};
use super::record::Held;
use crate::producer::outcome::{Failure, FailureReason, Landing};

/// The results of the streams' work.
#[derive(Debug)]
pub(super) struct Out<H> {
    pub(super) outputs: VecDeque<Output<H>>,
    pub(super) measures: Measures,
    /// How many records have outcomes, and the flush that waits for them.
    pub(super) resolved: Vec<(u64, usize)>,
}

impl<H> Out<H> {
    pub(super) const fn new() -> Self {
        Self {
            outputs: VecDeque::new(),
            measures: Measures::new(),
            resolved: Vec::new(),
        }
    }
}

/// One stream's turn to work.
#[derive(Debug)]
pub(super) struct Turn<'a, H> {
    pub(super) now: Instant,
    pub(super) out: &'a mut Out<H>,
    /// Records of earlier flushes are waited for.
    pub(super) next_flush: u64,
}

impl<'a, H> Turn<'a, H> {
    pub(super) fn new(now: Instant, flushes: &Flushes, out: &'a mut Out<H>) -> Self {
        Self {
            now,
            out,
            next_flush: flushes.next(),
        }
    }

    /// Reports that records were written, one after the other: the first as this user record of its Kinesis record.
    pub(super) fn written(&mut self, records: Vec<Held<H>>, first: usize, landing: Arc<Landing>) {
        for alike in records.chunk_by(|one, other| one.flush == other.flush) {
            if let Some(held) = alike.first() {
                self.out.resolved.push((held.flush, alike.len()));
            }
        }
        let outcomes = Outcomes::written(records, first, landing);
        self.out.outputs.push_back(Output::Resolved(outcomes));
    }

    pub(super) fn fail(&mut self, stream: &Arc<str>, mut held: Held<H>, reason: FailureReason) {
        if matches!(reason, FailureReason::Expired(_)) {
            self.out.measures.add(Metric::UserRecordExpired, stream, 1.0);
        }
        let failure = Failure {
            stream: Arc::clone(stream),
            reason,
            may_have_been_written: held.record.maybe_written,
            arrived: held.arrived,
            failed: held.failed.take(),
        };
        self.out.resolved.push((held.flush, 1));
        let outcomes = Outcomes::failed(held, failure);
        self.out.outputs.push_back(Output::Resolved(outcomes));
    }
}
