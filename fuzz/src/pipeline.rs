//! The check of the target `pipeline`: any events, in any order. It is apart from the other checks because it needs
//! kpl-stream, on which kpl does not depend.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kpl_core::{
    Deaggregator, HashKey, HashKeyRange, KinesisRecord, PartitionKey, RawRecord, SealedRecord, Shard, ShardMap,
};
use kpl_stream::client::{Distribution, EntryError, PutResult, RequestError, StreamDescription, Written};
use kpl_stream::pipeline::{FlushId, Output, Pipeline, RequestId, Resolved, StreamId};
use kpl_stream::{EncodedRecord, FailureReason, Options, StreamState};

const KEYS: &[&str] = &["a", "b", "c", "d"];
const PAYLOADS: &[usize] = &[0, 4, 5, 20, 100, 150, 199, 250, 700, 2_000, 2_001, 60_000];
/// Events take no longer than this, which is less than the long time to live.
const LONGEST: Duration = Duration::from_secs(1200);
const LONG_TTL: Duration = Duration::from_secs(100_000);

/// Any events: each record has exactly one outcome, the limits and the order are kept, and nothing goes round in circles.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn pipeline(data: &[u8]) {
    let mut input = Input { rest: data };
    let mut world = World::new(&mut input);
    for _ in 0..300 {
        if input.rest.is_empty() {
            break;
        }
        world.event(&mut input);
    }
    if input.flag() {
        world.calm_down();
    }
    world.abandon();
    world.drain();
    assert_eq!(world.pipeline.pending(), 0, "records are left");
    assert!(world.flushes.is_empty(), "flushes are not reported");
    assert!(world.in_flight.is_empty(), "requests are not cancelled");
}

/// The remaining bytes. If there are none, every value is 0 or false.
struct Input<'a> {
    rest: &'a [u8],
}

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Returns one of a few hash keys all over the range.
    fn hash_key(&mut self) -> u128 {
        u128::from(self.byte() & 0x1F) << 123
    }
}

fn options(input: &mut Input<'_>) -> Options {
    let mut options = Options::default();
    let flags = input.byte();
    options.ordered = flags & 1 == 1;
    options.aggregation_enabled = flags & 0b110 != 0b110;
    options.fail_if_throttled = flags & 0b11_1000 == 0b11_1000;
    options.resend_strays_only = flags & 0x40 == 0x40;
    options.record_ttl = if flags & 0x80 == 0x80 {
        Duration::from_secs(3)
    } else {
        LONG_TTL
    };
    options.aggregation_max_size = input.choose(&[51_200, 2_000, 200, 1]);
    options.aggregation_max_count = input.choose(&[usize::MAX, 1, 2, 7]);
    options.collection_max_count = input.choose(&[500, 1, 2, 5]);
    options.collection_max_size = input.choose(&[5 << 20, 100_000, 2_000, 200, 1]);
    options.max_connections = input.choose(&[24, 1, 2]);
    options.max_user_record_size = 1;
    options.max_buffered_bytes = input.choose(&[64 << 20, 1_000_000, 30_000, 3_000, 1]);
    options.record_max_buffered_time = Duration::from_millis(input.choose(&[100, 0, 1, 5_000]));
    options.request_timeout = Duration::from_millis(input.choose(&[6_000, 1, 500]));
    options.rate_limit = input.choose(&[150, 1, 100, 100_000]);
    options
}

struct Sent {
    number: usize,
    stream: usize,
    key: &'static str,
    payload: usize,
    resolved: bool,
}

struct InFlight {
    stream: usize,
    entries: Vec<(HashKey, usize)>,
    keys: Vec<BTreeSet<String>>,
}

struct World {
    options: Options,
    pipeline: Pipeline<usize>,
    streams: Vec<StreamId>,
    maps: Vec<Option<ShardMap>>,
    start: Instant,
    now: Instant,
    sent: Vec<Sent>,
    pending: usize,
    in_flight: BTreeMap<RequestId, InFlight>,
    listings: BTreeMap<RequestId, usize>,
    /// The ids of requests that were answered or cancelled, and of listings.
    stale: Vec<RequestId>,
    /// For each flush, how many records were sent before it.
    flushes: BTreeMap<FlushId, usize>,
    is_calm: bool,
}

fn name(stream: usize) -> String {
    format!("stream-{stream}")
}

impl World {
    fn new(input: &mut Input<'_>) -> Self {
        let options = options(input);
        let start = Instant::now();
        let mut pipeline = Pipeline::new(options.clone(), input.byte().into()).expect("the options are valid");
        let streams: Vec<StreamId> = (0..=input.below(2))
            .map(|stream| pipeline.open(&name(stream), start))
            .collect();
        Self {
            options,
            pipeline,
            maps: vec![None; streams.len()],
            streams,
            start,
            now: start,
            sent: Vec::new(),
            pending: 0,
            in_flight: BTreeMap::new(),
            listings: BTreeMap::new(),
            stale: Vec::new(),
            flushes: BTreeMap::new(),
            is_calm: false,
        }
    }

    fn event(&mut self, input: &mut Input<'_>) {
        match input.byte() {
            0..=0x5F => self.push(input),
            0x60..=0x7F => self.wait(input),
            0x80..=0xBF => self.answer(input),
            0xC0..=0xDF => self.list(input),
            0xE0..=0xE7 => {
                let id = self.pipeline.flush(self.now);
                self.flushes.insert(id, self.sent.len());
            }
            0xE8..=0xEF => self.answer_stale(input),
            0xF0 => self.abandon(),
            0xF1 => drop(self.pipeline.take_measures()),
            // The next event comes before the outputs of this one are taken.
            _ => return,
        }
        self.drain();
    }

    fn push(&mut self, input: &mut Input<'_>) {
        let stream = input.below(self.streams.len());
        let times = input.choose(&[1, 2, 10, 40]);
        let mut batch = Vec::new();
        for _ in 0..times {
            let number = self.sent.len();
            let (key, payload) = (input.choose(KEYS), input.choose(PAYLOADS));
            let payload = if number < 200 { payload } else { payload.min(20) };
            // A record with room for it has its number in its payload.
            let mut data = u32::try_from(number).expect("few records").to_be_bytes().to_vec();
            data.resize(payload, b'.');
            let mut raw = RawRecord::new(key, data);
            match input.below(8) {
                0 => raw = raw.with_explicit_hash_key(HashKey::new(input.hash_key())),
                1 => raw = raw.with_tag("kind", Some("fuzzed")),
                _ => {}
            }
            batch.push((EncodedRecord::new(&raw).expect("its keys are valid"), number));
            self.sent.push(Sent {
                number,
                stream,
                key,
                payload,
                resolved: false,
            });
        }
        self.pending += batch.len();
        self.pipeline.push(self.streams[stream], batch, self.now);
    }

    fn wait(&mut self, input: &mut Input<'_>) {
        let until = match input.below(4) {
            0 => self.now + Duration::from_millis(1),
            1 => self.now + Duration::from_millis(100) * u32::from(input.byte()),
            _ => self.pipeline.wake_at(self.now).unwrap_or(self.now),
        };
        self.now = until.clamp(self.now, self.start + LONGEST);
    }

    fn answer(&mut self, input: &mut Input<'_>) {
        let place = input.below(self.in_flight.len().max(1));
        let Some((id, request)) = self.in_flight.iter().nth(place) else {
            return;
        };
        let (id, stream) = (*id, request.stream);
        let entries = request.entries.clone();
        let answer = match input.byte() {
            0..=0x3F => Ok(entries.iter().map(|(key, _)| Ok(self.written(stream, *key))).collect()),
            0x40..=0xAF => {
                let extra = input.below(16);
                let count = match extra {
                    0 => entries.len().saturating_sub(1),
                    1 => entries.len() + 1,
                    _ => entries.len(),
                };
                let result = |index: usize| self.result(input, stream, entries.get(index).map(|(key, _)| *key));
                Ok((0..count).map(result).collect())
            }
            _ => Err(error(input)),
        };
        self.in_flight.remove(&id);
        self.stale.push(id);
        self.pipeline.answered(id, answer, self.now);
    }

    fn result(&self, input: &mut Input<'_>, stream: usize, key: Option<HashKey>) -> PutResult {
        let shard = |input: &mut Input<'_>| format!("shardId-{:012}", input.below(9));
        match input.below(8) {
            0 => Ok(Written::new(shard(input), "49")),
            1 => Err(EntryError::new("InternalFailure", "not now")),
            2 => Err(EntryError::new("ProvisionedThroughputExceededException", "no room")),
            3 => Err(EntryError::new("AccessDeniedException", "never")),
            _ => Ok(self.written(stream, key.unwrap_or(HashKey::MIN))),
        }
    }

    /// Returns the shard that a key belongs to, as far as it is known.
    fn written(&self, stream: usize, key: HashKey) -> Written {
        let shard = self.maps[stream].as_ref().map(|map| map.shard_of(key).id.clone());
        Written::new(shard.map_or_else(|| "shardId-x".to_owned(), |id| id.to_string()), "49")
    }

    fn answer_stale(&mut self, input: &mut Input<'_>) {
        if self.stale.is_empty() {
            return;
        }
        let id = self.stale[input.below(self.stale.len())];
        if input.flag() {
            let results = (0..input.below(4)).map(|_| Ok(Written::new("shardId-000000000000", "49")));
            self.pipeline.answered(id, Ok(results.collect()), self.now);
        } else if !self.listings.contains_key(&id) {
            self.pipeline.listed(id, Err(error(input)), self.now);
        }
    }

    fn list(&mut self, input: &mut Input<'_>) {
        let Some((id, stream)) = self.listings.pop_first() else {
            return;
        };
        let answer = if input.below(4) == 0 {
            Err(error(input))
        } else {
            let shards = shards(input);
            let distribution = input.choose(&[
                Some(Distribution::UserPartitionKey),
                Some(Distribution::UserPartitionKey),
                None,
                Some(Distribution::Auto),
            ]);
            // An invalid map is an error, so the last one stays.
            if let Ok(map) = ShardMap::new(shards.clone()) {
                self.maps[stream] = Some(map);
            }
            Ok((shards, StreamDescription::new(distribution)))
        };
        self.pipeline.listed(id, answer, self.now);
    }

    fn abandon(&mut self) {
        self.pipeline.abandon(self.now);
    }

    /// From now on everything succeeds. Records with a long time to live are delivered.
    fn calm_down(&mut self) {
        self.is_calm = true;
        for _ in 0..100_000 {
            self.drain();
            if self.pipeline.pending() == 0 {
                return;
            }
            if let Some((id, stream)) = self.listings.pop_first() {
                let shards = vec![Shard::new("shardId-last", HashKeyRange::FULL)];
                self.maps[stream] = ShardMap::new(shards.clone()).ok();
                let description = StreamDescription::new(Some(Distribution::UserPartitionKey));
                self.pipeline.listed(id, Ok((shards, description)), self.now);
            } else if let Some((id, request)) = self.in_flight.pop_first() {
                let written = request
                    .entries
                    .iter()
                    .map(|(key, _)| Ok(self.written(request.stream, *key)));
                let written = written.collect();
                self.pipeline.answered(id, Ok(written), self.now);
            } else {
                let wake = self.pipeline.wake_at(self.now).expect("records wait for nothing");
                self.now = self.now.max(wake);
            }
        }
        panic!("{} records are never delivered", self.pipeline.pending());
    }

    /// Takes all outputs.
    fn drain(&mut self) {
        for _ in 0..8 {
            while let Some(output) = self.pipeline.poll(self.now) {
                self.take(output);
            }
            assert_eq!(self.pipeline.pending(), self.pending, "pending records");
            if self.pipeline.wake_at(self.now).is_none_or(|at| at > self.now) {
                return;
            }
        }
        panic!("it wants to be called again and again");
    }

    fn take(&mut self, output: Output<usize>) {
        match output {
            Output::PutRecords { id, stream, entries } => {
                let stream = (0..self.streams.len())
                    .find(|index| name(*index) == *stream)
                    .expect("a stream");
                self.check_request(stream, &entries);
                let keys = entries
                    .iter()
                    .map(|entry| records(entry).into_iter().filter_map(|raw| raw.partition_key));
                let request = InFlight {
                    stream,
                    keys: keys.map(Iterator::collect).collect(),
                    entries: entries
                        .iter()
                        .map(|entry| (entry.explicit_hash_key, entry.size()))
                        .collect(),
                };
                assert!(self.in_flight.insert(id, request).is_none(), "an id comes twice");
                self.check_in_flight();
            }
            Output::ListShards { id, stream } => {
                let stream = (0..self.streams.len())
                    .find(|index| name(*index) == *stream)
                    .expect("a stream");
                assert!(
                    self.listings.values().all(|listed| *listed != stream),
                    "two listings at once"
                );
                self.listings.insert(id, stream);
                self.stale.push(id);
            }
            Output::Cancel { id } => {
                let was_known = self.in_flight.remove(&id).is_some() || self.listings.remove(&id).is_some();
                assert!(was_known, "a request is cancelled that is not under way");
                self.stale.push(id);
            }
            Output::Resolved(outcomes) => {
                for Resolved { handle, outcome, .. } in outcomes {
                    let sent = &mut self.sent[handle];
                    assert!(!sent.resolved, "record {handle} has two outcomes");
                    sent.resolved = true;
                    self.pending -= 1;
                    if let Err(failure) = &outcome {
                        let expired = matches!(failure.reason, FailureReason::Expired(_));
                        assert!(
                            !expired || self.options.record_ttl != LONG_TTL,
                            "record {handle} is never sent"
                        );
                    }
                }
            }
            Output::Flushed { id } => {
                let before = self.flushes.remove(&id).expect("a flush");
                let open = self.sent.iter().take(before).find(|sent| !sent.resolved);
                assert!(open.is_none(), "flushed before its records have outcomes");
            }
            other => panic!("{other:?}"),
        }
    }

    fn check_request(&self, stream: usize, entries: &[SealedRecord]) {
        let options = &self.options;
        assert!(
            (1..=options.collection_max_count).contains(&entries.len()),
            "{} entries",
            entries.len()
        );
        let size: usize = entries.iter().map(SealedRecord::size).sum();
        assert!(
            entries.len() == 1 || size <= options.collection_max_size,
            "{size} bytes"
        );
        let is_predicted = self.pipeline.state(self.streams[stream]) == StreamState::Predicted;
        for entry in entries {
            let records = records(entry);
            assert_eq!(records.len(), entry.user_records);
            if records.len() > 1 {
                assert!(options.aggregation_enabled, "aggregated although that is off");
                assert!(
                    entry.size() <= options.aggregation_max_size,
                    "an aggregate of {} bytes",
                    entry.size()
                );
                assert!(
                    records.len() <= options.aggregation_max_count,
                    "{} records in one",
                    records.len()
                );
                if let Some(map) = self.maps[stream].as_ref().filter(|_| is_predicted) {
                    let shard = map.index_of(entry.explicit_hash_key);
                    let alike = records.iter().all(|raw| map.index_of(hash_key(raw)) == shard);
                    assert!(alike, "two shards are mixed");
                }
            }
            if options.ordered {
                self.check_order(stream, &records);
            }
        }
    }

    /// The records of each key in a Kinesis record are the key's oldest without an outcome, in the order of acceptance.
    fn check_order(&self, stream: usize, records: &[RawRecord]) {
        for key in KEYS {
            let open = self
                .sent
                .iter()
                .filter(|sent| sent.stream == stream && sent.key == *key && !sent.resolved);
            let inside = records.iter().filter(|raw| raw.partition_key.as_deref() == Some(*key));
            for (raw, next) in inside.zip(open) {
                assert_eq!(raw.data.len(), next.payload, "a record of {key} comes before its turn");
                if let Some(number) = raw.data.first_chunk() {
                    let number = u32::from_be_bytes(*number) as usize;
                    assert_eq!(number, next.number, "a record of {key} comes before its turn");
                }
            }
        }
    }

    fn check_in_flight(&self) {
        assert!(
            self.in_flight.len() <= self.options.max_connections,
            "too many requests under way"
        );
        let sizes = self.in_flight.values().flat_map(|request| &request.entries);
        let (entries, bytes) = sizes.fold((0, 0), |(entries, bytes), (_, size)| (entries + 1, bytes + size));
        let most = (self.options.max_buffered_bytes / 10).max(1);
        assert!(
            entries == 1 || bytes <= most,
            "{bytes} bytes are under way, with room for {most}"
        );
        if self.options.ordered {
            let mut seen = BTreeSet::new();
            for request in self.in_flight.values() {
                for key in request.keys.iter().flatten() {
                    assert!(
                        seen.insert((request.stream, key)),
                        "two Kinesis records with the key {key} are under way"
                    );
                }
            }
        }
    }
}

fn records(entry: &SealedRecord) -> Vec<RawRecord> {
    let batch = [KinesisRecord::new(&entry.data).with_partition_key(entry.partition_key.as_str())];
    let records = Deaggregator::<RawRecord>::new()
        .records(&batch)
        .map(|record| record.map(|record| record.value));
    records
        .collect::<Result<_, _>>()
        .expect("every user record can be read")
}

fn hash_key(raw: &RawRecord) -> HashKey {
    let of_key = || {
        PartitionKey::new(raw.partition_key.as_deref().unwrap_or_default())
            .expect("a valid key")
            .hash_key()
    };
    raw.explicit_hash_key.unwrap_or_else(of_key)
}

fn error(input: &mut Input<'_>) -> RequestError {
    match input.below(12) {
        0 => RequestError::configuration("NoCredentials", "never"),
        1 => RequestError::permanent("AccessDeniedException", "never"),
        2 => RequestError::refused("ResourceNotFoundException", "no such stream"),
        3 | 4 => RequestError::too_large("HTTP 413", "too large"),
        5 => RequestError::refused("ProvisionedThroughputExceededException", "no room"),
        6 => RequestError::not_sent("DispatchFailure", "no connection"),
        7 => RequestError::unanswered("InternalFailure", "500"),
        8 | 9 => RequestError::refused("SerializationException", "something is wrong"),
        10 => RequestError::refused("ExpiredTokenException", "expired"),
        _ => RequestError::timed_out(Duration::from_secs(1)),
    }
}

/// Returns the shards of a map, which may have a gap.
fn shards(input: &mut Input<'_>) -> Vec<Shard> {
    let mut starts: Vec<u128> = (0..input.below(5)).map(|_| input.hash_key()).collect();
    starts.push(0);
    starts.sort_unstable();
    starts.dedup();
    let first_id = input.below(4);
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([u128::MAX]);
    let shard = |(number, (start, end)): (usize, (&u128, u128))| {
        let range = HashKeyRange::try_from(*start..=end).expect("the starts are in order");
        Shard::new(format!("shardId-{:012}", first_id + number), range)
    };
    let mut shards: Vec<Shard> = starts.iter().zip(ends).enumerate().map(shard).collect();
    if input.byte() >= 0xF0 {
        shards.pop();
    }
    shards
}
