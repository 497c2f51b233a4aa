//! What follows from an answer, for each user record of the request.

use std::sync::Arc;
use std::time::Instant;

use super::measures::Metric;
use super::record::Held;
use super::stream::{Entry, Stream, Unjudged};
use super::{InFlight, Out};
use crate::client::{ErrorClass, PutResult, RequestError, Written};
use crate::producer::outcome::{AttemptError, FailureReason, Landing, RawAttempt, Receipt};

/// So many requests refused in a row, and it is not for one bad entry: twice as many as finding one takes.
const REFUSED_IN_A_ROW: u32 = 64;

/// When a request was sent, and when its answer came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) started: Instant,
    pub(super) ended: Instant,
}

impl<H> Stream<H> {
    /// Takes the answer to a request.
    pub(super) fn judge(
        &mut self,
        request: InFlight<H>,
        answer: Result<Vec<PutResult>, RequestError>,
        now: Instant,
        out: &mut Out<H>,
    ) {
        let times = Times {
            started: request.started,
            ended: now,
        };
        match answer {
            Ok(results) if results.len() == request.entries.len() => {
                self.refusals = 0;
                for (entry, result) in request.entries.into_iter().zip(results) {
                    match result {
                        Ok(written) => self.judge_written(entry, written, times, now, out),
                        Err(error) => {
                            let error = AttemptError {
                                code: error.code,
                                message: error.message,
                            };
                            let class = ErrorClass::of_code(&error.code);
                            self.judge_failed(vec![entry], class, error, times, now, out);
                        }
                    }
                }
            }
            Ok(results) => {
                let error = AttemptError {
                    code: "RecordCountMismatch".into(),
                    message: format!("{} results for {} records", results.len(), request.entries.len()).into(),
                };
                self.judge_failed(request.entries, ErrorClass::Unknown, error, times, now, out);
            }
            Err(error) => {
                let class = error.class;
                let error = AttemptError {
                    code: error.code,
                    message: error.message,
                };
                if class == ErrorClass::Permanent && may_be_one_entry(&error.code) {
                    self.refusals += 1;
                    let records: usize = request.entries.iter().map(|entry| entry.records.len()).sum();
                    if records > 1 && self.refusals < REFUSED_IN_A_ROW {
                        return self.take_apart(request.entries, error, times, now, out);
                    }
                }
                self.judge_failed(request.entries, class, error, times, now, out);
            }
        }
    }

    /// Looks for the entry that a request was refused for: each half in a request of its own.
    fn take_apart(
        &mut self,
        entries: Vec<Entry<H>>,
        error: AttemptError,
        times: Times,
        now: Instant,
        out: &mut Out<H>,
    ) {
        let error = Arc::new(error);
        let mut groups = Vec::new();
        for mut entry in entries {
            self.measure_failed(&entry, &error, out);
            for held in &mut entry.records {
                held.attempts.push(times.failed(&error));
            }
            groups.push(entry.records);
        }
        match groups.pop() {
            Some(mut only) if groups.is_empty() => {
                let rest = only.split_off(only.len() / 2);
                self.set_apart(vec![only]);
                if self.order.is_some() {
                    // The halves may share keys: the second half has to wait for the first.
                    self.come_back(rest, now, now, out);
                } else {
                    self.set_apart(vec![rest]);
                }
            }
            Some(last) => {
                groups.push(last);
                let rest = groups.split_off(groups.len() / 2);
                self.set_apart(groups);
                self.set_apart(rest);
            }
            None => {}
        }
    }

    fn judge_written(&mut self, entry: Entry<H>, written: Written, times: Times, now: Instant, out: &mut Out<H>) {
        match self.place_of(&entry, &written, times) {
            Place::Right => self.deliver(entry, written, times, now, out),
            Place::Unknown => {
                self.shards.doubt(times.started);
                let Times { started, ended } = times;
                self.unjudged.push(Unjudged {
                    entry,
                    written,
                    started,
                    ended,
                });
            }
            Place::Wrong => self.wrong_shard(entry, written, times, now, out),
        }
    }

    /// The shards were listed, or could not be: judges what waited for that.
    pub(super) fn judge_unjudged(&mut self, now: Instant, out: &mut Out<H>) {
        for unjudged in std::mem::take(&mut self.unjudged) {
            let times = Times {
                started: unjudged.started,
                ended: unjudged.ended,
            };
            match self.place_of(&unjudged.entry, &unjudged.written, times) {
                Place::Right => self.deliver(unjudged.entry, unjudged.written, times, now, out),
                Place::Unknown | Place::Wrong => self.wrong_shard(unjudged.entry, unjudged.written, times, now, out),
            }
        }
    }

    /// Whether a reader that filters by hash key range delivers this entry.
    fn place_of(&mut self, entry: &Entry<H>, written: &Written, times: Times) -> Place {
        if self.shards.mode() == super::shards::Mode::Auto {
            return Place::Right;
        }
        let expected = entry.shard_id.as_ref() == Some(&written.shard_id);
        if !expected && entry.shard_id.is_some() && self.shards.range_of(&written.shard_id).is_none() {
            self.shards.doubt(times.started);
        }
        // What is not aggregated is not filtered, and one record alone is where its own key belongs.
        if expected || !entry.aggregated || entry.records.len() == 1 {
            return Place::Right;
        }
        let Some(range) = self.shards.range_of(&written.shard_id) else {
            // A map that is newer than the request will not be asked for again.
            let may_know_soon = self.shards.is_older_than(times.started);
            return if may_know_soon { Place::Unknown } else { Place::Wrong };
        };
        let first = entry.records.first();
        if first.is_some_and(|first| !range.contains(first.record.hash_key())) && self.shards.saw_key_ignored() {
            // The first record's hash key is the entry's own.
            return Place::Right;
        }
        if entry.records.iter().all(|held| range.contains(held.record.hash_key())) {
            Place::Right
        } else {
            Place::Wrong
        }
    }

    fn wrong_shard(&mut self, entry: Entry<H>, written: Written, times: Times, now: Instant, out: &mut Out<H>) {
        self.shards.doubt(times.started);
        let range = self.shards.range_of(&written.shard_id);
        let expected = entry.shard_id.as_deref().unwrap_or("no shard");
        let error = AttemptError {
            code: "WrongShard".into(),
            message: format!("it went to {} instead of {expected}", written.shard_id).into(),
        };
        tracing::warn!(stream = %self.name, shard = %written.shard_id, expected, records = entry.records.len(), "wrong shard");
        if let (true, Some(range)) = (self.options.resend_strays_only, range) {
            let landing = self.landing(&entry, written);
            let mut strays = Vec::new();
            for (place, held) in entry.records.into_iter().enumerate() {
                if range.contains(held.record.hash_key()) {
                    self.deliver_one(held, &landing, place, times, now, out);
                } else {
                    strays.push(held);
                }
            }
            let strays = Entry {
                records: strays,
                shard_id: entry.shard_id,
                aggregated: entry.aggregated,
                size: entry.size,
            };
            return self.retry(vec![strays], ErrorClass::Unknown, error, times, now, out);
        }
        self.retry(vec![entry], ErrorClass::Unknown, error, times, now, out);
    }

    fn landing(&self, entry: &Entry<H>, written: Written) -> Arc<Landing> {
        Arc::new(Landing {
            stream: Arc::clone(&self.name),
            written,
            aggregated: entry.aggregated,
        })
    }

    fn deliver(&mut self, entry: Entry<H>, written: Written, times: Times, now: Instant, out: &mut Out<H>) {
        let shard_id = Arc::clone(&written.shard_id);
        out.measure_written(&self.name, &shard_id, &entry, times);
        let landing = self.landing(&entry, written);
        for (place, held) in entry.records.into_iter().enumerate() {
            self.deliver_one(held, &landing, place, times, now, out);
        }
    }

    fn deliver_one(
        &mut self,
        mut held: Held<H>,
        landing: &Arc<Landing>,
        place: usize,
        times: Times,
        now: Instant,
        out: &mut Out<H>,
    ) {
        held.attempts.push(RawAttempt {
            started: times.started,
            ended: times.ended,
            error: None,
        });
        let receipt = Receipt {
            landing: Arc::clone(landing),
            sub_sequence_number: place as u64,
            attempts: std::mem::replace(&mut held.attempts, crate::producer::outcome::Attempts::none(now)),
            may_be_duplicated: held.maybe_written,
        };
        let key = self.order.is_some();
        let finished = out.resolve(held, Ok(receipt), key);
        self.finish_locked(finished, now, out);
    }

    fn judge_failed(
        &mut self,
        entries: Vec<Entry<H>>,
        class: ErrorClass,
        error: AttemptError,
        times: Times,
        now: Instant,
        out: &mut Out<H>,
    ) {
        if class == ErrorClass::Throttled {
            for entry in &entries {
                self.throttled(entry.shard_id.as_ref(), now);
            }
        }
        let give_up = match class {
            ErrorClass::Permanent => true,
            ErrorClass::Throttled => self.options.fail_if_throttled,
            ErrorClass::Transient | ErrorClass::Unknown => false,
        };
        if !give_up {
            return self.retry(entries, class, error, times, now, out);
        }
        let error = Arc::new(error);
        for entry in entries {
            self.measure_failed(&entry, &error, out);
            for mut held in entry.records {
                held.attempts.push(times.failed(&error));
                let error = Arc::clone(&error);
                let reason = if class == ErrorClass::Throttled {
                    FailureReason::Throttled(error)
                } else {
                    FailureReason::Refused(error)
                };
                let finished = out.fail(&self.name, held, reason);
                self.finish_locked(finished, now, out);
            }
        }
    }

    /// The user records of entries that failed go back to the start, after a pause.
    fn retry(
        &mut self,
        entries: Vec<Entry<H>>,
        class: ErrorClass,
        error: AttemptError,
        times: Times,
        now: Instant,
        out: &mut Out<H>,
    ) {
        let error = Arc::new(error);
        for entry in entries {
            self.measure_failed(&entry, &error, out);
            let mut again = Vec::with_capacity(entry.records.len());
            for mut held in entry.records {
                held.attempts.push(times.failed(&error));
                held.maybe_written |= class == ErrorClass::Unknown;
                if held.expires <= now {
                    let finished = out.fail(&self.name, held, FailureReason::Expired(Some(Arc::clone(&error))));
                    self.finish_locked(finished, now, out);
                } else {
                    again.push(held);
                }
            }
            out.retry(again, now);
        }
    }

    fn measure_failed(&self, entry: &Entry<H>, error: &AttemptError, out: &mut Out<H>) {
        tracing::debug!(stream = %self.name, shard = entry.shard_id.as_deref(), code = &*error.code, records = entry.records.len(), "attempt failed");
        out.measure(
            Metric::ErrorsByCode,
            &self.name,
            entry.shard_id.as_ref(),
            Some(&error.code),
            1.0,
        );
        out.measure(Metric::AllErrors, &self.name, entry.shard_id.as_ref(), None, 1.0);
    }
}

enum Place {
    Right,
    Wrong,
    /// Nothing is known of the shard yet.
    Unknown,
}

impl Times {
    fn failed(self, error: &Arc<AttemptError>) -> RawAttempt {
        RawAttempt {
            started: self.started,
            ended: self.ended,
            error: Some(Arc::clone(error)),
        }
    }
}

/// Whether a request may be refused with this code for one of its entries.
fn may_be_one_entry(code: &str) -> bool {
    matches!(
        code,
        "InvalidArgumentException" | "ValidationException" | "ValidationError" | "SerializationException"
    )
}
