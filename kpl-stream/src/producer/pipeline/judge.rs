//! Decides, after an answer, what happens to each user record of the request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::InFlight;
use super::lane::Verdict;
use super::record::{Entry, Held, Times};
use super::request::Apart;
use super::request_size::Suspect;
use super::shards::Mode;
use super::stream::{Stream, Unjudged};
use super::turn::Turn;
use crate::client::{ErrorClass, PutResult, RequestError, Written};
use crate::producer::outcome::{AttemptError, FailureReason, Landing};

/// After this many consecutive refusals of single entries the cause is not one of the entries.
const REFUSED_IN_A_ROW: u32 = 64;

impl<H> Stream<H> {
    /// Processes the answer to a request.
    pub(super) fn judge(
        &mut self,
        request: InFlight<H>,
        answer: Result<Vec<PutResult>, RequestError>,
        times: Times,
        turn: &mut Turn<'_, H>,
    ) {
        self.tell_lanes(&request.entries, &answer, times, turn);
        match answer {
            Ok(results) if results.len() == request.entries.len() => {
                self.refusals = 0;
                if let Some(size) = request.suspect.and_then(|suspect| suspect.half_taken()) {
                    self.request_size.refused(size, &self.name, turn.now);
                }
                for (entry, result) in request.entries.into_iter().zip(results) {
                    match result {
                        Ok(written) => self.judge_written(entry, written, times, turn),
                        Err(error) => {
                            let class = ErrorClass::of_code(&error.code);
                            self.judge_failed(vec![entry], class, error.into(), times, turn);
                        }
                    }
                }
            }
            Ok(results) => {
                let error = AttemptError {
                    code: "RecordCountMismatch".into(),
                    message: format!("{} results for {} records", results.len(), request.entries.len()).into(),
                };
                self.judge_failed(request.entries, ErrorClass::Unknown, error, times, turn);
            }
            Err(error) => self.judge_refused(request.entries, error, times, turn),
        }
    }

    /// Tells each lane of the request what the answer says about it.
    fn tell_lanes(
        &mut self,
        entries: &[Entry<H>],
        answer: &Result<Vec<PutResult>, RequestError>,
        times: Times,
        turn: &Turn<'_, H>,
    ) {
        let results = answer.as_ref().ok().filter(|results| results.len() == entries.len());
        let mut verdicts: BTreeMap<usize, Verdict> = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let Some(lane) = self.lane_of(entry) else {
                continue;
            };
            let verdict = verdicts.entry(lane).or_default();
            verdict.entries += 1;
            let result = results.and_then(|results| results.get(index));
            let class = match (result, answer) {
                (Some(Ok(written)), _) if is_elsewhere(entry, written) => Some(ErrorClass::Unknown),
                (Some(Ok(_)), _) => None,
                (Some(Err(error)), _) => Some(ErrorClass::of_code(&error.code)),
                (None, Err(error)) => Some(error.class),
                (None, Ok(_)) => Some(ErrorClass::Unknown),
            };
            match class {
                None => verdict.accepted.add(entry.size),
                Some(ErrorClass::Throttled) => verdict.throttled.add(entry.size),
                Some(ErrorClass::Transient | ErrorClass::Unknown) => verdict.failed = true,
                Some(_) => {}
            }
        }
        for (lane, verdict) in verdicts {
            if let Some(state) = self.lanes.get_mut(lane) {
                state.answered(verdict, times, self.options.record_ttl, &mut self.random);
            }
            self.reschedule(lane, turn);
        }
    }

    /// Returns the error of a request as one that may pass, unless it is about its records.
    pub(super) fn may_pass(&mut self, mut error: RequestError, now: Instant) -> RequestError {
        if error.class == ErrorClass::NotFound {
            self.shards.forget(now);
        }
        let is_about_records = match error.class {
            ErrorClass::TooLarge => true,
            ErrorClass::Permanent => may_be_one_entry(&error.code) && self.refusals < REFUSED_IN_A_ROW,
            _ => false,
        };
        if error.class.is_final() && !is_about_records {
            error.class = ErrorClass::Transient;
        }
        error
    }

    /// Processes a request that failed as a whole.
    fn judge_refused(&mut self, entries: Vec<Entry<H>>, error: RequestError, times: Times, turn: &mut Turn<'_, H>) {
        let class = error.class;
        let size: usize = entries.iter().map(|entry| entry.size).sum();
        let has_many_entries = entries.len() > 1;
        let has_many_records = has_many_entries || entries.iter().any(|entry| entry.records.len() > 1);
        if class == ErrorClass::TooLarge && has_many_records {
            if has_many_entries {
                self.request_size.refused(size, &self.name, turn.now);
            }
            return self.take_apart(entries, None, error.into(), times, turn);
        }
        if class == ErrorClass::Permanent && may_be_one_entry(&error.code) {
            self.refusals += u32::from(!has_many_entries);
            if has_many_records && self.refusals < REFUSED_IN_A_ROW {
                let suspect = has_many_entries.then(|| Arc::new(Suspect::new(size)));
                return self.take_apart(entries, suspect, error.into(), times, turn);
            }
        }
        self.judge_failed(entries, class, error.into(), times, turn);
    }

    /// Sends a refused request again at once, as two requests of half the size: until the requests are small enough, or
    /// only the entry fails that caused the refusal.
    fn take_apart(
        &mut self,
        entries: Vec<Entry<H>>,
        suspect: Option<Arc<Suspect>>,
        error: AttemptError,
        times: Times,
        turn: &mut Turn<'_, H>,
    ) {
        let error = Arc::new(error);
        let mut groups = Vec::new();
        for mut entry in entries {
            self.report_failed(&entry, &error, turn);
            for held in &mut entry.records {
                held.attempt_failed(times, &error);
            }
            groups.push(entry.records);
        }
        let part = |groups| Apart {
            groups,
            suspect: suspect.clone(),
        };
        match groups.pop() {
            Some(mut only) if groups.is_empty() => {
                let rest = only.split_off(only.len() / 2);
                if self.options.ordered {
                    // The halves may share keys: the second half must wait for the first.
                    self.set_apart(vec![part(vec![only])]);
                    self.come_back(rest, turn);
                } else {
                    self.set_apart(vec![part(vec![only]), part(vec![rest])]);
                }
            }
            Some(last) => {
                groups.push(last);
                let rest = groups.split_off(groups.len() / 2);
                self.set_apart(vec![part(groups), part(rest)]);
            }
            None => {}
        }
    }

    fn judge_written(&mut self, entry: Entry<H>, written: Written, times: Times, turn: &mut Turn<'_, H>) {
        match self.landed(&entry, &written, times) {
            Landed::Right => self.deliver_all(entry, written, times, turn),
            Landed::Unknown => {
                self.shards.doubt(times.started);
                self.unjudged.push(Unjudged { entry, written, times });
            }
            Landed::Wrong => self.wrong_shard(entry, written, times, turn),
        }
    }

    /// Judges the entries that waited for the shards to be listed: the shards were listed, or could not be.
    pub(super) fn judge_unjudged(&mut self, turn: &mut Turn<'_, H>) {
        for Unjudged { entry, written, times } in std::mem::take(&mut self.unjudged) {
            match self.landed(&entry, &written, times) {
                Landed::Right => self.deliver_all(entry, written, times, turn),
                Landed::Unknown | Landed::Wrong => self.wrong_shard(entry, written, times, turn),
            }
        }
    }

    /// Decides whether a reader that filters by hash key range delivers this entry.
    fn landed(&mut self, entry: &Entry<H>, written: &Written, times: Times) -> Landed {
        if self.shards.mode() == Mode::Auto {
            return Landed::Right;
        }
        let expected = entry.shard_id.as_ref() == Some(&written.shard_id);
        if !expected && entry.shard_id.is_some() && self.shards.range_of(&written.shard_id).is_none() {
            self.shards.doubt(times.started);
        }
        // Records that are not aggregated are not filtered, and a single record is always where its own key belongs.
        if expected || !entry.aggregated || entry.records.len() == 1 {
            return Landed::Right;
        }
        let Some(range) = self.shards.range_of(&written.shard_id) else {
            // If the map is newer than the request, it will not be requested again.
            let may_know_soon = self.shards.is_older_than(times.started);
            return if may_know_soon { Landed::Unknown } else { Landed::Wrong };
        };
        let first = entry.records.first();
        // The first record's hash key is the entry's own.
        if first.is_some_and(|first| !range.contains(first.record.hash_key())) {
            // A shard's range never changes, but a stream that was created anew uses the ids of the old one again.
            if self.shards.is_older_than(times.started) {
                return Landed::Unknown;
            }
            if self.shards.saw_key_ignored() {
                return Landed::Right;
            }
        }
        if entry.records.iter().all(|held| range.contains(held.record.hash_key())) {
            Landed::Right
        } else {
            Landed::Wrong
        }
    }

    fn wrong_shard(&mut self, entry: Entry<H>, written: Written, times: Times, turn: &mut Turn<'_, H>) {
        self.shards.doubt(times.started);
        let range = self.shards.range_of(&written.shard_id);
        let expected = entry.shard_id.as_deref().unwrap_or("no shard");
        let error = AttemptError {
            code: "WrongShard".into(),
            message: format!("it went to {} instead of {expected}", written.shard_id).into(),
        };
        tracing::warn!(stream = %self.name, shard = %written.shard_id, expected, records = entry.records.len(), "wrong shard");
        if let (true, Some(range)) = (self.options.resend_strays_only, range) {
            let landing = self.landing(&entry, written, times);
            let mut strays = Vec::new();
            for (index, held) in entry.records.into_iter().enumerate() {
                if range.contains(held.record.hash_key()) {
                    self.deliver(vec![held], index, Arc::clone(&landing), turn);
                } else {
                    strays.push(held);
                }
            }
            let strays = Entry {
                records: strays,
                shard_id: entry.shard_id,
                lane: entry.lane,
                aggregated: entry.aggregated,
                size: entry.size,
            };
            return self.retry(vec![strays], ErrorClass::Unknown, error, times, turn);
        }
        self.retry(vec![entry], ErrorClass::Unknown, error, times, turn);
    }

    fn landing(&self, entry: &Entry<H>, written: Written, times: Times) -> Arc<Landing> {
        Arc::new(Landing {
            stream: Arc::clone(&self.name),
            written,
            aggregated: entry.aggregated,
            started: times.started,
            ended: times.ended,
        })
    }

    fn deliver_all(&mut self, entry: Entry<H>, written: Written, times: Times, turn: &mut Turn<'_, H>) {
        turn.out.measures.written(&self.name, &written.shard_id, &entry, times);
        let landing = self.landing(&entry, written, times);
        self.deliver(entry.records, 0, landing, turn);
    }

    /// Delivers records, the first as this user record of its Kinesis record.
    fn deliver(&mut self, records: Vec<Held<H>>, first: usize, landing: Arc<Landing>, turn: &mut Turn<'_, H>) {
        if self.options.ordered {
            for held in &records {
                self.land(held, turn);
            }
        }
        turn.written(records, first, landing);
    }

    fn judge_failed(
        &mut self,
        entries: Vec<Entry<H>>,
        class: ErrorClass,
        error: AttemptError,
        times: Times,
        turn: &mut Turn<'_, H>,
    ) {
        let gives_up = class.is_final() || (class == ErrorClass::Throttled && self.options.fail_if_throttled);
        if !gives_up {
            return self.retry(entries, class, error, times, turn);
        }
        if class == ErrorClass::NotFound {
            self.shards.forget(turn.now);
        }
        let error = Arc::new(error);
        for entry in entries {
            self.report_failed(&entry, &error, turn);
            for mut held in entry.records {
                held.attempt_failed(times, &error);
                let error = Arc::clone(&error);
                let reason = match class {
                    ErrorClass::Throttled => FailureReason::Throttled(error),
                    ErrorClass::Configuration => FailureReason::Configuration(error),
                    _ => FailureReason::Refused(error),
                };
                self.fail_in_flight(held, reason, turn);
            }
        }
    }

    /// Sends the user records of failed entries back to the start. The lane decides when they are sent again.
    fn retry(
        &mut self,
        entries: Vec<Entry<H>>,
        class: ErrorClass,
        error: AttemptError,
        times: Times,
        turn: &mut Turn<'_, H>,
    ) {
        let error = Arc::new(error);
        for entry in entries {
            self.report_failed(&entry, &error, turn);
            let mut again = entry.records;
            for held in &mut again {
                held.attempt_failed(times, &error);
                held.record.maybe_written |= class == ErrorClass::Unknown;
            }
            self.come_back(again, turn);
        }
    }

    fn report_failed(&self, entry: &Entry<H>, error: &AttemptError, turn: &mut Turn<'_, H>) {
        let shard_id = entry.shard_id.as_ref();
        tracing::debug!(
            stream = %self.name,
            shard = shard_id.map(|shard_id| &**shard_id),
            code = &*error.code,
            records = entry.records.len(),
            "attempt failed"
        );
        turn.out.measures.failed(&self.name, shard_id, &error.code);
    }
}

/// Returns whether an entry that was meant for a certain shard was written to another one.
fn is_elsewhere<H>(entry: &Entry<H>, written: &Written) -> bool {
    entry
        .shard_id
        .as_ref()
        .is_some_and(|shard_id| *shard_id != written.shard_id)
}

/// Where an entry was written.
enum Landed {
    Right,
    Wrong,
    /// The shard is not known yet.
    Unknown,
}

/// Returns whether a request may be refused with this code because of one of its entries.
fn may_be_one_entry(code: &str) -> bool {
    matches!(
        code,
        "InvalidArgumentException" | "ValidationException" | "ValidationError" | "SerializationException"
    )
}
