//! Watches one pipeline's requests: what they hold, when they are made, and which records wait meanwhile.
//!
//! A record waits from its acceptance on, and again after a failed attempt. Not counted as waiting are the records of a
//! request that was refused whole and is sent again in parts, and records that landed in an unexpected shard.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use kpl_core::{HashKey, SealedRecord, ShardMap};
use kpl_stream::client::ErrorClass;
use kpl_stream::pipeline::RequestId;
use kpl_stream::{EncodedRecord, Options};
use kpl_testkit::service::Answer;
use kpl_testkit::user_records;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Waiting,
    InFlight,
    Elsewhere,
}

#[derive(Debug)]
struct Record {
    stream: usize,
    partition_key: String,
    hash_key: HashKey,
    at: Instant,
    place: Place,
}

/// A stream and the predicted shard, if it can be predicted.
type LaneId = (usize, Option<String>);

#[derive(Debug, Default)]
struct Lane {
    /// How many answers in a row were failures, other than for lack of room.
    failures: u32,
    failed: Option<Instant>,
    refused: Option<Instant>,
    lowered: Option<Instant>,
    /// Nothing is sent before this.
    paused_until: Option<Instant>,
}

#[derive(Debug)]
struct Request {
    stream: usize,
    started: Instant,
    bytes: usize,
    entries: Vec<(LaneId, Vec<usize>)>,
}

#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Those without an outcome.
    records: BTreeMap<usize, Record>,
    in_flight: BTreeMap<RequestId, Request>,
    lanes: HashMap<LaneId, Lane>,
    /// When a stream's shards last may have changed.
    changed: HashMap<usize, Instant>,
}

/// How precisely times to live are enforced.
const SWEPT_EVERY: Duration = Duration::from_millis(100);
/// For this long after a refusal for lack of room, a shard has at most one request in flight.
const RESTRAINED_FOR: Duration = Duration::from_secs(60);
/// The shortest pause after a refusal for lack of room.
const SHORTEST_PAUSE: Duration = Duration::from_millis(112);

/// Returns the shortest pause after this many failures in a row.
fn pause(failures: u32, record_ttl: Duration) -> Duration {
    let full = Duration::from_millis((50_u64 << failures.min(7).saturating_sub(1)).min(2_500));
    full.min(record_ttl / 4)
}

impl Watch {
    pub(crate) fn accept(&mut self, number: usize, stream: usize, record: &EncodedRecord, at: Instant) {
        let place = Place::Waiting;
        self.records.insert(
            number,
            Record {
                stream,
                partition_key: record.partition_key().to_owned(),
                hash_key: record.hash_key(),
                at,
                place,
            },
        );
    }

    pub(crate) fn resolve(&mut self, number: usize) {
        self.records.remove(&number);
    }

    /// Forgets what is known about the lanes of a stream: its shards may have changed.
    pub(crate) fn change(&mut self, stream: usize, now: Instant) {
        self.changed.insert(stream, now);
        self.lanes.retain(|(of, _), _| *of != stream);
    }

    /// Checks a request when it is made. `map` is the pipeline's, if shards are predicted.
    pub(crate) fn request(
        &mut self,
        id: RequestId,
        stream: usize,
        entries: &[SealedRecord],
        map: Option<&ShardMap>,
        options: &Options,
        now: Instant,
    ) -> Result<(), String> {
        let shard = |key: HashKey| map.map(|map| map.shard_of(key).id.to_string());
        let request = Request {
            stream,
            started: now,
            bytes: entries.iter().map(SealedRecord::size).sum(),
            entries: entries
                .iter()
                .map(|entry| ((stream, shard(entry.explicit_hash_key)), numbers(entry)))
                .collect(),
        };
        let all = || request.entries.iter().flat_map(|(_, numbers)| numbers);
        let mut is_new = true;
        for number in all() {
            let record = self
                .records
                .get_mut(number)
                .ok_or_else(|| format!("record {number} is over"))?;
            if record.place == Place::InFlight {
                return Err(format!("record {number} is in two requests"));
            }
            is_new &= record.place == Place::Waiting;
            record.place = Place::InFlight;
        }
        for (lane, numbers) in &request.entries {
            let is_of_lane = |number: &&usize| shard(self.records[number].hash_key) == lane.1;
            if let Some(number) = numbers.iter().find(|number| !is_of_lane(number)) {
                return Err(format!("record {number} is packed with those of lane {lane:?}"));
            }
        }
        if is_new {
            for lane in lanes(&request) {
                self.check_pauses(lane, now)?;
            }
            for number in all() {
                let age = now - self.records[number].at;
                if age > options.record_ttl + SWEPT_EVERY {
                    return Err(format!("record {number} is sent {age:?} after it was accepted"));
                }
            }
            self.check_oldest_first(&request, shard, options.ordered)?;
        }
        if options.ordered {
            self.check_keys(&request, is_new)?;
        }
        self.in_flight.insert(id, request);
        let bytes: usize = self.in_flight.values().map(|request| request.bytes).sum();
        let entries: usize = self.in_flight.values().map(|request| request.entries.len()).sum();
        if entries > 1 && bytes > options.max_buffered_bytes / 10 {
            return Err(format!("{bytes} bytes are in flight"));
        }
        Ok(())
    }

    /// A shard's records go in the order of acceptance: each request takes the oldest that wait for the shard, except for
    /// those that wait for an earlier one of their key. Together with [`check_waiting`](Self::check_waiting) this means
    /// that if a record expires although nothing was in its way, no later one of its shard was sent meanwhile.
    fn check_oldest_first(
        &self,
        request: &Request,
        shard: impl Fn(HashKey) -> Option<String>,
        ordered: bool,
    ) -> Result<(), String> {
        let mut last: HashMap<&LaneId, usize> = HashMap::new();
        for (lane, numbers) in &request.entries {
            for number in numbers {
                if last.insert(lane, *number).is_some_and(|before| before > *number) {
                    return Err(format!("record {number} is behind a later one in its request"));
                }
            }
        }
        let mut keys = HashSet::new();
        for (number, record) in self
            .records
            .iter()
            .filter(|(_, record)| record.stream == request.stream)
        {
            let waits_for_key = !keys.insert(&record.partition_key) && ordered;
            if record.place != Place::Waiting || waits_for_key {
                continue;
            }
            let lane = (record.stream, shard(record.hash_key));
            if let Some(sent) = last.get(&lane).filter(|sent| *sent > number) {
                return Err(format!("record {number} still waits, and record {sent} is sent"));
            }
        }
        Ok(())
    }

    /// With `ordered`, no record is sent while an earlier one of its key has no outcome, unless both are sent together: in
    /// one entry, or, if they were refused together before, in one request.
    fn check_keys(&self, request: &Request, is_new: bool) -> Result<(), String> {
        let entries = || request.entries.iter().map(|(_, numbers)| numbers);
        let of_request: HashSet<usize> = entries().flatten().copied().collect();
        let mut earlier: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, record) in self
            .records
            .iter()
            .filter(|(_, record)| record.stream == request.stream)
        {
            earlier.entry(&record.partition_key).or_default().push(*number);
        }
        for entry in entries() {
            for number in entry {
                let is_together = |other: &usize| {
                    if is_new {
                        entry.contains(other)
                    } else {
                        of_request.contains(other)
                    }
                };
                let of_key = earlier.get(self.records[number].partition_key.as_str());
                let before = of_key.into_iter().flatten().take_while(|other| *other < number);
                if let Some(other) = before.copied().find(|other| !is_together(other)) {
                    return Err(format!("record {number} overtakes record {other} of its key"));
                }
            }
        }
        Ok(())
    }

    /// A shard that fails gets few requests: one at a time, and after pauses that grow.
    fn check_pauses(&self, id: &LaneId, now: Instant) -> Result<(), String> {
        let Some(lane) = self.lanes.get(id) else {
            return Ok(());
        };
        if lane.paused_until.is_some_and(|until| now < until) {
            return Err(format!(
                "lane {id:?} gets a request in its pause after {} failures",
                lane.failures
            ));
        }
        let is_restrained = lane.refused.is_some_and(|refused| now < refused + RESTRAINED_FOR);
        // Requests from before the shards changed were for other lanes.
        let changed = self.changed.get(&id.0);
        let of_now = |request: &&Request| changed.is_none_or(|changed| *changed < request.started);
        let has_request = self
            .in_flight
            .values()
            .filter(of_now)
            .flat_map(lanes)
            .any(|other| other == id);
        if has_request && (lane.failures > 0 || is_restrained) {
            return Err(format!("lane {id:?} gets a second request although it refuses records"));
        }
        Ok(())
    }

    /// Takes the answer to a request, or `None` if it was cancelled. Ignores one that is no longer in flight.
    pub(crate) fn answer(&mut self, id: RequestId, answer: Option<&Answer>, record_ttl: Duration, now: Instant) {
        let Some(request) = self.in_flight.remove(&id) else {
            return;
        };
        let results = answer.and_then(|answer| answer.as_ref().ok());
        let results = results.filter(|results| results.len() == request.entries.len());
        let whole = match answer {
            Some(Err(error)) => error.class,
            _ => ErrorClass::Unknown,
        };
        let mut verdicts: BTreeMap<&LaneId, (bool, bool, bool)> = BTreeMap::new();
        for (index, (lane, numbers)) in request.entries.iter().enumerate() {
            let (accepted, throttled, failed) = verdicts.entry(lane).or_default();
            let result = results.and_then(|results| results.get(index));
            let place = match result {
                Some(Ok(written)) if lane.1.as_deref().is_none_or(|id| id == &*written.shard_id) => {
                    *accepted = true;
                    Place::Elsewhere
                }
                Some(Ok(_)) => {
                    *failed = true;
                    Place::Elsewhere
                }
                result => {
                    let class = match result {
                        Some(Err(error)) => ErrorClass::of_code(&error.code),
                        _ => whole,
                    };
                    *throttled |= class == ErrorClass::Throttled;
                    *failed |= matches!(class, ErrorClass::Transient | ErrorClass::Unknown);
                    if class.is_final() {
                        Place::Elsewhere
                    } else {
                        Place::Waiting
                    }
                }
            };
            for number in numbers {
                if let Some(record) = self.records.get_mut(number) {
                    record.place = place;
                }
            }
        }
        // What earlier requests say about the lanes may be known already.
        let counts = self
            .changed
            .get(&request.stream)
            .is_none_or(|changed| *changed < request.started);
        for (id, (accepted, throttled, failed)) in verdicts {
            let lane = self.lanes.entry(id.clone()).or_default();
            if accepted {
                (lane.failures, lane.paused_until) = (0, None);
            }
            if failed && lane.failed.is_none_or(|failed| failed <= request.started) {
                lane.failed = Some(now);
                if counts {
                    lane.failures += 1;
                    lane.paused_until = lane.paused_until.max(Some(now + pause(lane.failures, record_ttl)));
                }
            }
            if throttled && lane.lowered.is_none_or(|lowered| lowered <= request.started) {
                lane.lowered = Some(now);
                if counts {
                    lane.paused_until = lane.paused_until.max(Some(now + SHORTEST_PAUSE));
                }
            }
            if throttled && counts {
                lane.refused = Some(now);
            }
        }
    }

    /// Checks that no record waits for longer than its time to live.
    pub(crate) fn check_waiting(&self, options: &Options, now: Instant) -> Result<(), String> {
        let late =
            |record: &Record| record.place == Place::Waiting && now > record.at + options.record_ttl + SWEPT_EVERY;
        match self.records.iter().find(|(_, record)| late(record)) {
            Some((number, _)) => Err(format!("record {number} waits for longer than its time to live")),
            None => Ok(()),
        }
    }

    pub(crate) fn requests_in_flight(&self) -> usize {
        self.in_flight.len()
    }
}

/// Returns the lanes of a request. One may come several times.
fn lanes(request: &Request) -> impl Iterator<Item = &LaneId> {
    request.entries.iter().map(|(lane, _)| lane)
}

fn numbers(entry: &SealedRecord) -> Vec<usize> {
    let records = user_records(&entry.data, "-");
    records.iter().map(|record| crate::claims::id(&record.data)).collect()
}
