//! The rules of the producer's pipeline, one at a time, with the test's own clock.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use kpl_core::{HashKey, HashKeyRange, RawRecord, SealedRecord, Shard};
use kpl_stream::client::{Distribution, EntryError, PutResult, RequestError, StreamDescription, Written};
use kpl_stream::pipeline::{Measure, Metric, Output, Pipeline, RequestId, StreamId};
use kpl_stream::{EncodedRecord, Failure, FailureReason, Options, Receipt, StreamState};

/// Whatever a test waits for comes within this many turns.
const TURNS: usize = 1000;

/// A pipeline with a stream, and the time.
struct Test {
    pipeline: Pipeline<usize>,
    stream: StreamId,
    now: Instant,
    outcomes: Vec<(usize, Result<Receipt, Box<Failure>>)>,
    listings: Vec<RequestId>,
    cancelled: Vec<RequestId>,
}

const FOLLOWS_KEYS: Option<Distribution> = Some(Distribution::UserPartitionKey);

/// A request that the pipeline wants to send.
struct Request {
    id: RequestId,
    entries: Vec<SealedRecord>,
}

impl Test {
    fn new(options: Options) -> Self {
        let now = Instant::now();
        let mut pipeline = Pipeline::new(options, 1).unwrap();
        let stream = pipeline.open("clicks", now);
        Self {
            pipeline,
            stream,
            now,
            outcomes: Vec::new(),
            listings: Vec::new(),
            cancelled: Vec::new(),
        }
    }

    /// Returns a pipeline that knows its shards.
    fn listed(options: Options, shards: u128, distribution: Option<Distribution>) -> Self {
        let mut test = Self::new(options);
        let listing = test.listing();
        test.list(listing, shards, distribution);
        test
    }

    fn listing(&mut self) -> RequestId {
        match self.pipeline.poll(self.now) {
            Some(Output::ListShards { id, .. }) => id,
            other => panic!("shards are not listed: {other:?}"),
        }
    }

    fn list(&mut self, listing: RequestId, shards: u128, distribution: Option<Distribution>) {
        let ids: Vec<u128> = (0..shards).collect();
        self.list_ids(listing, &ids, distribution);
    }

    /// Lists shards with these numbers, of the same width.
    fn list_ids(&mut self, listing: RequestId, ids: &[u128], distribution: Option<Distribution>) {
        let width = u128::MAX / ids.len() as u128;
        let shards = (0..).zip(ids).map(|(place, id)| {
            let end = if place + 1 == ids.len() as u128 {
                u128::MAX
            } else {
                (place + 1) * width - 1
            };
            Shard::new(shard_id(*id), HashKeyRange::try_from(place * width..=end).unwrap())
        });
        let description = StreamDescription::new(distribution);
        self.pipeline
            .listed(listing, Ok((shards.collect(), description)), self.now);
    }

    fn fail_listing(&mut self, listing: RequestId, error: RequestError) {
        self.pipeline.listed(listing, Err(error), self.now);
    }

    /// Lets time pass until shards are to be listed. Returns how long that took.
    fn wait_for_listing(&mut self) -> (Duration, RequestId) {
        let start = self.now;
        for _ in 0..TURNS {
            self.requests();
            if let Some(id) = self.listings.pop() {
                return (self.now - start, id);
            }
            let wake = self.pipeline.wake_at(self.now).expect("there is nothing to wait for");
            self.now = self.now.max(wake);
        }
        panic!("shards are not listed");
    }

    fn state(&self) -> StreamState {
        self.pipeline.state(self.stream)
    }

    fn push(&mut self, records: impl IntoIterator<Item = (EncodedRecord, usize)>) {
        self.pipeline.push(self.stream, records, self.now);
    }

    /// Returns the requests that are due now. Outcomes are kept.
    fn requests(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        while let Some(output) = self.pipeline.poll(self.now) {
            match output {
                Output::PutRecords { id, entries, .. } => requests.push(Request { id, entries }),
                Output::Resolved(outcomes) => {
                    let outcomes = outcomes.map(|resolved| (resolved.handle, resolved.outcome));
                    self.outcomes.extend(outcomes);
                }
                Output::ListShards { id, .. } => self.listings.push(id),
                Output::Cancel { id } => self.cancelled.push(id),
                _ => {}
            }
        }
        requests
    }

    /// Returns the only request that is due now.
    fn request(&mut self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "requests that are due now");
        requests.remove(0)
    }

    /// Lets time pass until a request is due. Returns how long that took.
    fn wait_for_request(&mut self) -> (Duration, Vec<Request>) {
        let start = self.now;
        for _ in 0..TURNS {
            let requests = self.requests();
            if !requests.is_empty() {
                return (self.now - start, requests);
            }
            let wake = self.pipeline.wake_at(self.now).expect("there is nothing to wait for");
            self.now = self.now.max(wake);
        }
        panic!("no request is made");
    }

    fn answer(&mut self, id: RequestId, answer: Result<Vec<PutResult>, RequestError>) {
        self.pipeline.answered(id, answer, self.now);
    }

    fn write(&mut self, request: Request) {
        self.write_to(0, &request);
    }

    fn write_to(&mut self, shard: u128, request: &Request) {
        let results = request.entries.iter().map(|_| Ok(Written::new(shard_id(shard), "49")));
        self.answer(request.id, Ok(results.collect()));
    }

    /// Answers that each entry of a request failed with this code.
    fn fail(&mut self, request: &Request, code: &str) {
        let results = request.entries.iter().map(|_| Err(EntryError::new(code, "not now")));
        self.answer(request.id, Ok(results.collect()));
    }

    /// Lets time pass until one request is due, and returns it.
    fn next_request(&mut self) -> Request {
        let (_, mut requests) = self.wait_for_request();
        assert_eq!(requests.len(), 1, "requests that are due at the same time");
        requests.remove(0)
    }

    fn failure(&mut self) -> Box<Failure> {
        self.requests();
        self.outcomes.pop().expect("there is no outcome").1.unwrap_err()
    }
}

fn shard_id(shard: u128) -> String {
    format!("shardId-{shard:012}")
}

fn record(key: &str, len: usize) -> EncodedRecord {
    EncodedRecord::new(&RawRecord::new(key.to_owned(), vec![b'.'; len])).unwrap()
}

/// Returns a record without a payload that is placed by this hash key.
fn placed(hash_key: u128, number: usize) -> (EncodedRecord, usize) {
    let raw = RawRecord::new("anna", "").with_explicit_hash_key(HashKey::new(hash_key));
    (EncodedRecord::new(&raw).unwrap(), number)
}

/// The code of an entry that may succeed later, and of one for which there is no room.
const NOT_NOW: &str = "InternalFailure";
const NO_ROOM: &str = "ProvisionedThroughputExceededException";
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn not_found() -> RequestError {
    RequestError::refused("ResourceNotFoundException", "there is no such stream")
}

/// Makes records wait for a minute unless something hurries them.
fn patient(mut options: Options) -> Options {
    options.record_max_buffered_time = 60 * SECOND;
    options.record_ttl = 600 * SECOND;
    options
}

fn ordered() -> Options {
    let mut options = Options::default();
    options.ordered = true;
    options
}

#[test]
fn a_flushed_record_goes_at_once_when_the_shards_are_known() {
    for distribution in [FOLLOWS_KEYS, Some(Distribution::Auto)] {
        let mut test = Test::new(Options::default());
        let listing = test.listing();
        test.push([(record("anna", 10), 0)]);
        test.pipeline.flush(test.now);
        assert!(test.requests().is_empty());
        test.list(listing, 2, distribution);
        assert_eq!(test.request().entries.len(), 1, "{distribution:?}");
    }
}

#[test]
fn a_flushed_record_goes_at_once_when_its_stream_turns_out_to_ignore_keys() {
    let mut options = Options::default();
    options.max_connections = 1;
    options.shard_refresh_interval = Duration::from_secs(1);
    let mut test = Test::new(options);
    let listing = test.listing();
    test.list(listing, 2, None);
    let of_first_shard = |number| {
        let raw = RawRecord::new("anna", "some bytes").with_explicit_hash_key(HashKey::new(7));
        (EncodedRecord::new(&raw).unwrap(), number)
    };
    test.push([0, 1].map(of_first_shard));
    test.pipeline.flush(test.now);
    let request = test.request();
    test.push([of_first_shard(2)]);
    test.pipeline.flush(test.now);
    assert!(test.requests().is_empty(), "there is one connection");
    // Only shards that were listed after the request say that the stream was not created anew.
    test.now += Duration::from_millis(1300);
    let listing = test.listing();
    test.list(listing, 2, None);
    test.answer(request.id, Ok(vec![Ok(Written::new(shard_id(1), "49"))]));
    assert_eq!(test.pipeline.state(test.stream), StreamState::Auto);
    assert_eq!(test.request().entries.len(), 1);
}

#[test]
fn a_flushed_record_goes_at_once_when_its_predecessor_has_its_outcome() {
    let mut test = Test::listed(ordered(), 1, FOLLOWS_KEYS);
    test.push([(record("anna", 10), 0)]);
    let (_, mut requests) = test.wait_for_request();
    test.push([(record("anna", 10), 1)]);
    test.pipeline.flush(test.now);
    assert!(test.requests().is_empty(), "it overtakes its predecessor");
    test.now += Duration::from_millis(20);
    test.write(requests.remove(0));
    assert_eq!(test.request().entries.len(), 1);
}

#[test]
fn a_record_that_no_flush_waits_for_waits_for_others() {
    let mut test = Test::listed(ordered(), 1, FOLLOWS_KEYS);
    test.push([(record("anna", 10), 0)]);
    let (waited, mut requests) = test.wait_for_request();
    assert_eq!(waited, Duration::from_millis(100));
    // The flush is requested before the second record.
    test.pipeline.flush(test.now);
    test.push([(record("anna", 10), 1)]);
    test.write(requests.remove(0));
    assert_eq!(test.wait_for_request().0, Duration::from_millis(100));
}

#[test]
fn a_record_that_is_in_a_request_when_the_producer_closes_has_that_attempt_in_its_outcome() {
    let mut test = Test::listed(Options::default(), 1, FOLLOWS_KEYS);
    test.push([(record("anna", 10), 0)]);
    test.wait_for_request();
    test.now += Duration::from_millis(30);
    test.pipeline.abandon(test.now);
    let failure = test.failure();
    assert_eq!(failure.reason, FailureReason::Closed);
    assert!(failure.may_have_been_written);
    let attempts: Vec<_> = failure.attempts().iter().collect();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].duration, Duration::from_millis(30));
    assert_eq!(&*attempts[0].error.unwrap().code, "Closed");
    assert_eq!(
        failure.to_string(),
        "a record for stream clicks was not delivered after 1 attempt: the producer was closed before it had an outcome \
         (but it may have been written)"
    );
}

#[test]
fn attempts_are_counted_in_messages() {
    let mut test = Test::listed(Options::default(), 1, FOLLOWS_KEYS);
    test.push([(record("anna", 10), 0)]);
    test.pipeline.abandon(test.now);
    let never_sent = test.failure();
    assert!(never_sent.attempts().is_empty() && !never_sent.may_have_been_written);
    assert!(never_sent.to_string().contains("after 0 attempts: "), "{never_sent}");

    test.push([(record("anna", 10), 0)]);
    let (_, mut requests) = test.wait_for_request();
    test.answer(
        requests.remove(0).id,
        Ok(vec![Err(EntryError::new("InternalFailure", "not now"))]),
    );
    test.wait_for_request();
    test.pipeline.abandon(test.now);
    let failure = test.failure();
    assert!(failure.to_string().contains("after 2 attempts: "), "{failure}");
    let codes: Vec<_> = failure
        .attempts()
        .iter()
        .map(|attempt| &*attempt.error.unwrap().code)
        .collect();
    assert_eq!(codes, ["InternalFailure", "Closed"]);
}

/// The pauses after one record's failures end early enough for the next record.
#[test]
fn a_record_is_sent_within_its_time_to_live_whatever_failed_before_it() {
    let mut options = Options::default();
    options.record_ttl = Duration::from_secs(2);
    let mut test = Test::listed(options, 1, FOLLOWS_KEYS);
    test.push([(record("anna", 10), 0)]);
    for _ in 0..5 {
        let (_, mut requests) = test.wait_for_request();
        let failed = EntryError::new("InternalFailure", "not now");
        test.answer(requests.remove(0).id, Ok(vec![Err(failed)]));
    }
    test.push([(record("bob", 10), 1)]);
    let (waited, mut requests) = test.wait_for_request();
    assert!(waited <= Duration::from_millis(500), "{waited:?}");
    let request = requests.remove(0);
    assert_eq!(request.entries[0].user_records, 2);
    test.write(request);
    test.requests();
    assert!(
        test.outcomes.iter().all(|(_, outcome)| outcome.is_ok()),
        "{:?}",
        test.outcomes
    );
}

#[test]
fn pending_records_are_measured() {
    let mut test = Test::listed(Options::default(), 1, FOLLOWS_KEYS);
    test.pipeline.take_measures();
    let mut options = [(record("anna", 40_000), 0), (record("bob", 40_000), 1)].into_iter();
    test.push(options.by_ref().take(1));
    let (_, mut requests) = test.wait_for_request();
    test.push(options);
    test.write(requests.remove(0));
    test.requests();
    let measures = test.pipeline.take_measures();
    let pending = measures
        .iter()
        .rfind(|measure| measure.metric == Metric::UserRecordsPending);
    assert_eq!(pending.map(|measure| measure.value), Some(1.0));
}

/// Returns options that put each record in an entry of its own, as large as the record.
fn one_by_one() -> Options {
    let mut options = Options::default();
    options.aggregation_enabled = false;
    options.rate_limit = 100_000;
    options
}

fn size(entries: &[SealedRecord]) -> usize {
    entries.iter().map(SealedRecord::size).sum()
}

/// Answers requests until each record has its outcome. Returns the sizes of those that were refused.
fn answer_all(test: &mut Test, refuses: impl Fn(&[SealedRecord]) -> Option<RequestError>) -> Vec<usize> {
    let mut refused = Vec::new();
    while test.pipeline.pending() > 0 {
        for request in test.wait_for_request().1 {
            match refuses(&request.entries) {
                Some(error) => {
                    refused.push(size(&request.entries));
                    test.answer(request.id, Err(error));
                }
                None => test.write(request),
            }
        }
    }
    test.requests();
    refused
}

fn too_large() -> RequestError {
    RequestError::too_large("HTTP 413", "length limit exceeded")
}

/// Returns the error of a service that does not say what is wrong.
fn invalid() -> RequestError {
    RequestError::refused("SerializationException", "length limit exceeded")
}

#[test]
fn a_request_that_is_refused_for_its_size_makes_the_later_ones_smaller() {
    for error in [too_large, invalid] {
        let mut test = Test::listed(one_by_one(), 1, FOLLOWS_KEYS);
        let above = |entries: &[SealedRecord]| (size(entries) > 110_000).then(error);
        test.push((0..100).map(|number| (record("anna", 2000), number)));
        let start = test.now;
        let refused = answer_all(&mut test, above);
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(test.outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
        // The records of that request were sent again at once.
        assert!(test.now - start <= Duration::from_millis(100), "{:?}", test.now - start);
        for _ in 0..10 {
            test.push((0..100).map(|number| (record("anna", 2000), number)));
            assert_eq!(answer_all(&mut test, above), [0; 0]);
        }
        // Ten minutes later it tries larger ones again.
        test.now += Duration::from_secs(601);
        test.push((0..100).map(|number| (record("anna", 2000), number)));
        assert_eq!(answer_all(&mut test, above).len(), 1);
    }
}

#[test]
fn a_request_that_is_refused_for_one_record_makes_no_other_smaller() {
    let mut test = Test::listed(one_by_one(), 1, FOLLOWS_KEYS);
    let with_poison = || (0..100).map(|number| (record(if number == 37 { "poison" } else { "anna" }, 2000), number));
    for _ in 0..5 {
        test.outcomes.clear();
        test.push(with_poison());
        let (_, requests) = test.wait_for_request();
        assert_eq!(requests.len(), 1, "the request became smaller");
        let request = requests.into_iter().next().unwrap();
        assert_eq!(request.entries.len(), 100);
        test.answer(request.id, Err(invalid()));
        answer_all(&mut test, poisoned);
        let failed: Vec<usize> = test
            .outcomes
            .iter()
            .filter(|(_, outcome)| outcome.is_err())
            .map(|(number, _)| *number)
            .collect();
        assert_eq!(failed, [37]);
    }
}

#[test]
fn an_attempt_that_was_too_large_does_not_lengthen_the_next_pause() {
    let mut test = Test::listed(one_by_one(), 1, FOLLOWS_KEYS);
    test.push((0..64).map(|number| (record("anna", 2000), number)));
    for _ in 0..6 {
        let (_, requests) = test.wait_for_request();
        for request in requests {
            if request.entries.len() > 1 {
                test.answer(request.id, Err(too_large()));
            } else {
                test.answer(request.id, Ok(vec![Err(EntryError::new("InternalFailure", "not now"))]));
            }
        }
    }
    let (paused, _) = test.wait_for_request();
    assert!(paused <= Duration::from_millis(100), "{paused:?}");
}

#[test]
fn the_records_of_a_key_expire_together_whatever_their_shards() {
    let mut options = ordered();
    options.record_ttl = Duration::from_secs(3);
    options.record_max_buffered_time = Duration::from_secs(60);
    let mut test = Test::listed(options, 2, FOLLOWS_KEYS);
    let of_shard = |hash_key, number| {
        let raw = RawRecord::new("anna", "some bytes").with_explicit_hash_key(HashKey::new(hash_key));
        (EncodedRecord::new(&raw).unwrap(), number)
    };
    test.push((0..6).map(|number| of_shard(if number % 2 == 0 { u128::MAX } else { 0 }, number)));
    test.now += Duration::from_secs(3);
    assert!(test.requests().is_empty());
    let expired: Vec<usize> = test.outcomes.iter().map(|(number, _)| *number).collect();
    assert_eq!(expired, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn closing_gives_up_the_records_that_wait_for_shards_and_the_parts_of_a_refused_request() {
    let mut test = Test::new(Options::default());
    test.push([(record("anna", 10), 0)]);
    test.pipeline.abandon(test.now);
    assert_eq!(test.failure().reason, FailureReason::Closed);

    let mut options = one_by_one();
    options.max_connections = 1;
    let mut test = Test::listed(options, 1, FOLLOWS_KEYS);
    test.push((0..8).map(|number| (record("anna", 100), number)));
    let (_, mut requests) = test.wait_for_request();
    test.answer(requests.remove(0).id, Err(too_large()));
    assert_eq!(test.requests().len(), 1);
    test.pipeline.abandon(test.now);
    test.requests();
    assert_eq!((test.outcomes.len(), test.pipeline.pending()), (8, 0));
}

#[test]
fn the_parts_of_a_refused_request_wait_for_room_in_flight() {
    let mut options = one_by_one();
    options.max_buffered_bytes = 1 << 20;
    let room = options.max_buffered_bytes / 10;
    let mut test = Test::listed(options, 1, FOLLOWS_KEYS);
    test.push((0..10).map(|number| (record("anna", 9000), number)));
    let (_, mut requests) = test.wait_for_request();
    // Another stream wants all the room that is left.
    test.stream = test.pipeline.open("views", test.now);
    let listing = test.listing();
    test.list(listing, 1, FOLLOWS_KEYS);
    test.push((10..30).map(|number| (record("bob", 9000), number)));
    test.now += Duration::from_millis(150);
    let mut in_flight = test.requests();
    test.now += Duration::from_millis(10);
    test.answer(requests.remove(0).id, Err(too_large()));
    while test.pipeline.pending() > 0 {
        in_flight.extend(test.requests());
        let bytes: usize = in_flight.iter().map(|request| size(&request.entries)).sum();
        assert!((1..=room).contains(&bytes), "{bytes} bytes with room for {room}");
        test.write(in_flight.remove(0));
    }
}

#[test]
fn a_record_that_is_too_large_alone_fails() {
    let mut test = Test::listed(Options::default(), 1, FOLLOWS_KEYS);
    test.push((0..20).map(|number| (record("anna", if number == 7 { 9000 } else { 1000 }), number)));
    answer_all(&mut test, |entries| (size(entries) > 5000).then(too_large));
    for (number, outcome) in &test.outcomes {
        match outcome {
            Ok(_) => assert_ne!(*number, 7),
            Err(failure) => {
                assert_eq!(*number, 7, "{failure}");
                assert!(matches!(&failure.reason, FailureReason::Refused(error) if &*error.code == "HTTP 413"));
            }
        }
    }
}

#[test]
fn outputs_show_no_payloads() {
    let mut test = Test::listed(Options::default(), 1, FOLLOWS_KEYS);
    test.push([(record("anna", 1 << 20), 0)]);
    assert!(format!("{:?}", test.pipeline).len() < 300);
    loop {
        match test.pipeline.poll(test.now) {
            Some(output) => {
                let text = format!("{output:?}");
                assert!(text.len() < 1000, "{text}");
                match output {
                    Output::PutRecords { id, entries, .. } => {
                        assert!(text.contains("entries: 1 entries"), "{text}");
                        test.write(Request { id, entries });
                    }
                    Output::Resolved(mut outcomes) => {
                        let text = format!("{:?}", outcomes.next());
                        assert!(text.contains("data: 1048576 bytes"), "{text}");
                        return;
                    }
                    _ => {}
                }
            }
            None => test.now = test.pipeline.wake_at(test.now).unwrap(),
        }
    }
}

#[test]
fn a_flush_sends_what_waits() {
    let mut test = Test::listed(patient(Options::default()), 1, FOLLOWS_KEYS);
    test.push([(record("anna", 10), 0)]);
    assert!(test.requests().is_empty());
    test.pipeline.flush(test.now);
    assert_eq!(test.request().entries.len(), 1);
}

#[test]
fn a_flush_sends_what_waits_beside_a_shard_that_is_due() {
    let mut options = patient(Options::default());
    options.rate_limit = 100_000;
    let mut test = Test::listed(options, 2, FOLLOWS_KEYS);
    let of_shard = |shard: u128| {
        let hash_key = HashKey::new(u128::MAX / 2 * shard + 7);
        let raw = RawRecord::new("anna", vec![b'.'; 10_000]).with_explicit_hash_key(hash_key);
        (EncodedRecord::new(&raw).unwrap(), 0)
    };
    test.push((0..30).map(|_| of_shard(0)));
    test.push([of_shard(1)]);
    test.pipeline.flush(test.now);
    let entries = test.requests().into_iter().flat_map(|request| request.entries);
    assert_eq!(entries.map(|entry| entry.user_records).sum::<usize>(), 31);
}

#[test]
fn a_flush_is_done_once_when_the_records_of_two_flushes_share_a_kinesis_record() {
    let mut test = Test::listed(Options::default(), 1, FOLLOWS_KEYS);
    test.push([(record("anna", 10), 0)]);
    let first = test.next_request();
    test.fail(&first, NOT_NOW);
    let flush = test.pipeline.flush(test.now);
    test.push([(record("bob", 10), 1)]);
    let mut flushed = Vec::new();
    for _ in 0..TURNS {
        match test.pipeline.poll(test.now) {
            Some(Output::PutRecords { id, entries, .. }) => {
                assert_eq!(entries.iter().map(|entry| entry.user_records).sum::<usize>(), 2);
                test.write(Request { id, entries });
            }
            Some(Output::Flushed { id }) => flushed.push(id),
            Some(_) => {}
            None => match test.pipeline.wake_at(test.now) {
                Some(wake) if test.pipeline.pending() > 0 => test.now = test.now.max(wake),
                _ => break,
            },
        }
    }
    assert_eq!((flushed, test.pipeline.pending()), (vec![flush], 0));
}

#[test]
fn a_key_that_comes_back_to_another_shard_does_not_stop_other_streams() {
    let mut test = Test::listed(ordered(), 2, FOLLOWS_KEYS);
    let others = ["orders", "baskets"].map(|name| {
        let stream = test.pipeline.open(name, test.now);
        let listing = test.listing();
        test.list(listing, 2, FOLLOWS_KEYS);
        stream
    });
    let of_hash_key = |hash_key| {
        let raw = RawRecord::new("anna", "some bytes").with_explicit_hash_key(HashKey::new(hash_key));
        (EncodedRecord::new(&raw).unwrap(), 0)
    };
    // One request stays in flight all the time.
    test.pipeline.push(others[0], [(record("bob", 10), 0)], test.now);
    let _in_flight = test.next_request();
    test.push([of_hash_key(0)]);
    let first = test.next_request();
    test.push([of_hash_key(u128::MAX)]);
    test.now += 200 * MILLISECOND;
    test.pipeline.push(others[1], [(record("carl", 10), 1)], test.now);
    test.fail(&first, NOT_NOW);
    let mut sent = 0;
    for _ in 0..20 {
        sent += test.requests().len();
        test.now += 50 * MILLISECOND;
    }
    assert_eq!(sent, 2, "the record that came back, and that of the other stream");
}

#[test]
fn a_record_that_comes_back_while_its_stream_is_gone_expires_in_time() {
    let mut options = Options::default();
    options.request_timeout = 100 * SECOND;
    let ttl = options.record_ttl;
    let mut test = Test::listed(options, 2, FOLLOWS_KEYS);
    test.pipeline.keep_trying();
    let start = test.now;
    test.push([(record("anna", 10), 0)]);
    let first = test.next_request();
    test.now = start + 5 * SECOND;
    test.push([(record("bob", 10), 1)]);
    let second = test.next_request();
    test.answer(second.id, Err(not_found()));
    let (_, listing) = test.wait_for_listing();
    test.fail_listing(listing, not_found());
    test.fail(&first, NOT_NOW);
    let mut expired = None;
    while expired.is_none() && test.now < start + 2 * ttl {
        test.now += 100 * MILLISECOND;
        test.requests();
        for listing in std::mem::take(&mut test.listings) {
            test.fail_listing(listing, not_found());
        }
        expired = test.outcomes.first().map(|(number, _)| (*number, test.now - start));
    }
    let (number, after) = expired.expect("a record expires");
    assert!(number == 0 && after < ttl + SECOND, "record {number} after {after:?}");
}

#[test]
fn enough_for_a_request_goes_at_once() {
    // Entries.
    let mut options = patient(one_by_one());
    options.collection_max_count = 3;
    let mut test = Test::listed(options, 1, FOLLOWS_KEYS);
    test.push((0..2).map(|number| (record("anna", 10), number)));
    assert!(test.requests().is_empty());
    test.push([(record("anna", 10), 2)]);
    assert_eq!(test.request().entries.len(), 3);

    // User records.
    let mut options = patient(Options::default());
    options.collection_max_count = 3;
    options.aggregation_max_count = 10;
    let mut test = Test::listed(options, 1, FOLLOWS_KEYS);
    test.push((0..29).map(|number| (record("anna", 10), number)));
    assert!(test.requests().is_empty());
    test.push([(record("anna", 10), 29)]);
    let request = test.request();
    let counts: Vec<usize> = request.entries.iter().map(|entry| entry.user_records).collect();
    assert_eq!(counts, [10, 10, 10]);

    // Bytes of all shards.
    let mut options = patient(Options::default());
    options.aggregation_max_size = 10_000;
    options.collection_max_size = 40_000;
    let mut test = Test::listed(options, 4, FOLLOWS_KEYS);
    let of_shard = |shard: u128| {
        let hash_key = HashKey::new(u128::MAX / 4 * shard + 7);
        let raw = RawRecord::new("anna", vec![b'.'; 5_000]).with_explicit_hash_key(hash_key);
        (EncodedRecord::new(&raw).unwrap(), 0)
    };
    test.push([0, 0, 1, 1, 2, 2].map(of_shard));
    assert!(test.requests().is_empty());
    test.push([3, 3].map(of_shard));
    assert!(!test.requests().is_empty());

    // Bytes of one shard.
    let mut options = patient(Options::default());
    options.rate_limit = 100_000;
    let mut test = Test::listed(options, 1, FOLLOWS_KEYS);
    test.push((0..25).map(|number| (record("anna", 10_000), number)));
    assert!(test.requests().is_empty());
    test.push((25..30).map(|number| (record("anna", 10_000), number)));
    assert!(!test.requests().is_empty());
}

#[test]
fn a_record_that_failed_does_not_wait_for_others_again() {
    let mut options = patient(one_by_one());
    options.collection_max_count = 3;
    let mut test = Test::listed(options, 1, FOLLOWS_KEYS);
    test.push((0..3).map(|number| (record("anna", 10), number)));
    let request = test.request();
    let written = || Ok(Written::new(shard_id(0), "49"));
    let results = vec![written(), Err(EntryError::new(NOT_NOW, "not now")), written()];
    test.answer(request.id, Ok(results));
    let (waited, _) = test.wait_for_request();
    assert!(waited <= 100 * MILLISECOND, "{waited:?}");
}

/// Records for which no shard can be predicted are sent through a lane that ends when the shards become known.
#[test]
fn a_late_answer_says_nothing_about_a_lane_that_came_later() {
    let mut test = Test::new(one_by_one());
    let listing = test.listing();
    test.fail_listing(listing, RequestError::refused("AccessDeniedException", "no"));
    test.push([(record("anna", 10), 0)]);
    let late = test.next_request();
    let (_, listing) = test.wait_for_listing();
    test.list(listing, 2, Some(Distribution::Auto));
    test.push([(record("bob", 10), 1)]);
    let failed = test.next_request();
    test.fail(&failed, NOT_NOW);
    let only = test.next_request();
    test.fail(&late, NOT_NOW);
    test.now += 200 * MILLISECOND;
    assert!(
        test.requests().is_empty(),
        "a lane that fails has two requests in flight"
    );
    test.write(only);
    assert_eq!(test.request().entries.len(), 1);
}

#[test]
fn a_record_fails_for_want_of_configuration_and_not_because_the_service_refused_it() {
    let mut test = Test::listed(Options::default(), 1, FOLLOWS_KEYS);
    test.push([(record("anna", 10), 0)]);
    let request = test.next_request();
    test.answer(
        request.id,
        Err(RequestError::configuration("NoCredentials", "set AWS_ACCESS_KEY_ID")),
    );
    let failure = test.failure();
    assert!(matches!(failure.reason, FailureReason::Configuration(_)), "{failure:?}");
    assert_eq!(
        failure.reason.to_string(),
        "no request can be made: NoCredentials: set AWS_ACCESS_KEY_ID"
    );
}

#[test]
fn a_stream_that_is_opened_again_does_not_repeat_an_error_that_may_be_mended() {
    let errors = [RequestError::configuration("NoCredentials", "set some"), not_found()];
    for error in errors {
        let mut test = Test::new(Options::default());
        let listing = test.listing();
        test.fail_listing(listing, error.clone());
        for _ in 0..5 {
            let (_, listing) = test.wait_for_listing();
            test.fail_listing(listing, error.clone());
        }
        let failed = test.state();
        test.pipeline.open("clicks", test.now);
        assert!(
            test.requests().is_empty() && test.listings.is_empty(),
            "it was just listed"
        );
        assert_eq!(test.state(), failed);
        test.now += SECOND;
        assert!(test.requests().is_empty() && test.listings.is_empty());
        test.pipeline.open("clicks", test.now);
        assert_eq!(test.state(), StreamState::Unknown(None));
        let listing = test.listing();
        test.list(listing, 1, FOLLOWS_KEYS);
        assert_eq!(test.state(), StreamState::Predicted);
    }
}

#[test]
fn a_shard_that_stays_keeps_what_was_learned_about_it() {
    let mut options = one_by_one();
    options.shard_refresh_interval = SECOND;
    let mut test = Test::listed(options.clone(), 2, FOLLOWS_KEYS);
    test.push([placed(0, 0)]);
    for _ in 0..5 {
        let request = test.next_request();
        test.fail(&request, NOT_NOW);
    }
    let listing = test.listings.pop().expect("the shards are not listed again");
    // The other shard was split.
    test.list_ids(listing, &[0, 2, 3], FOLLOWS_KEYS);
    let (waited, _) = test.wait_for_request();
    assert!(waited >= 800 * MILLISECOND, "{waited:?}");

    let mut test = Test::listed(options, 2, FOLLOWS_KEYS);
    test.push([placed(0, 0)]);
    let request = test.next_request();
    test.fail(&request, NOT_NOW);
    let only = test.next_request();
    let (_, listing) = test.wait_for_listing();
    test.list_ids(listing, &[0, 2, 3], FOLLOWS_KEYS);
    test.push([placed(0, 1)]);
    test.now += 200 * MILLISECOND;
    assert!(
        test.requests().is_empty(),
        "a shard that fails has two requests in flight"
    );
    test.write(only);
    assert_eq!(test.request().entries.len(), 1);
}

#[test]
fn a_shard_that_accepts_a_record_counts_as_good_again() {
    let mut test = Test::listed(one_by_one(), 1, FOLLOWS_KEYS);
    test.push([(record("anna", 10), 0)]);
    for _ in 0..5 {
        let request = test.next_request();
        test.fail(&request, NOT_NOW);
    }
    let request = test.next_request();
    test.write(request);
    test.push([(record("anna", 10), 1)]);
    let request = test.next_request();
    test.fail(&request, NOT_NOW);
    let (waited, _) = test.wait_for_request();
    assert!(waited <= 100 * MILLISECOND, "{waited:?}");
}

/// Returns a pipeline with three requests in flight for the same shard.
fn with_three_requests() -> (Test, Vec<Request>) {
    let mut test = Test::listed(one_by_one(), 1, FOLLOWS_KEYS);
    let requests = (0..3).map(|number| {
        test.push([(record("anna", 10), number)]);
        test.next_request()
    });
    let requests = requests.collect();
    (test, requests)
}

#[test]
fn an_accepted_record_ends_the_pause_of_its_shard() {
    let (mut test, mut requests) = with_three_requests();
    test.fail(&requests[0], NOT_NOW);
    test.write(requests.remove(1));
    test.write(requests.remove(1));
    assert_eq!(test.request().entries.len(), 1);
}

#[test]
fn requests_that_fail_together_count_as_one_failure() {
    let (mut test, requests) = with_three_requests();
    for request in &requests {
        test.now += MILLISECOND;
        test.fail(request, NOT_NOW);
    }
    let (waited, _) = test.wait_for_request();
    assert!(waited <= 100 * MILLISECOND, "{waited:?}");
}

/// Returns options that send each record by itself, at the documented rate.
fn at_documented_rate() -> Options {
    let mut options = one_by_one();
    options.rate_limit = 100;
    options
}

#[test]
fn a_request_has_no_more_records_than_the_shards_take() {
    let first = |shards, distribution| {
        let mut test = Test::listed(at_documented_rate(), shards, distribution);
        test.push((0..1000).map(|number| (record("anna", 10), number)));
        test.request().entries.len()
    };
    let of_one_shard = first(1, FOLLOWS_KEYS);
    assert!(of_one_shard < 250, "{of_one_shard}");
    let auto = Some(Distribution::Auto);
    assert_eq!(first(1, auto), of_one_shard);
    assert_eq!(first(2, auto), 2 * of_one_shard);
}

#[test]
fn one_record_tries_whether_there_is_room_again() {
    let mut test = Test::listed(at_documented_rate(), 1, FOLLOWS_KEYS);
    test.push((0..500).map(|number| (record("anna", 10), number)));
    let refused = test.request();
    assert!(refused.entries.len() > 1);
    test.fail(&refused, NO_ROOM);
    for _ in 0..6 {
        let start = test.now;
        let request = test.next_request();
        assert_eq!(request.entries.len(), 1);
        let waited = test.now - start;
        // The pauses do not grow as those after failures do.
        assert!((100 * MILLISECOND..500 * MILLISECOND).contains(&waited), "{waited:?}");
        test.fail(&request, NO_ROOM);
    }
    let request = test.next_request();
    assert_eq!(request.entries.len(), 1);
    test.write(request);
    assert!(test.next_request().entries.len() > 1);
}

#[test]
fn a_shard_gets_a_quarter_of_a_mebibyte_in_a_request() {
    let mut test = Test::listed(one_by_one(), 1, FOLLOWS_KEYS);
    test.push((0..100).map(|number| (record("anna", 10_000), number)));
    let sizes: Vec<usize> = test.requests().iter().map(|request| size(&request.entries)).collect();
    let most = 256 * 1024 + 11_000;
    assert!(sizes.len() > 1 && sizes.iter().all(|size| *size < most), "{sizes:?}");
}

#[test]
fn a_record_that_is_larger_than_the_room_in_flight_goes_alone() {
    let mut options = one_by_one();
    options.max_buffered_bytes = 1 << 20;
    let mut test = Test::listed(options, 1, FOLLOWS_KEYS);
    test.push([(record("anna", 1000), 0)]);
    let request = test.next_request();
    test.push([(record("anna", 200_000), 1)]);
    test.now += 200 * MILLISECOND;
    assert!(test.requests().is_empty(), "there is not enough room");
    test.write(request);
    assert!(size(&test.request().entries) > 200_000);
}

/// Explicit hash keys take far more room than the records that have them.
#[test]
fn a_request_stays_within_its_size_if_a_kinesis_record_needs_more_than_expected() {
    let mut options = Options::default();
    options.collection_max_size = 2000;
    let mut test = Test::listed(options, 2, FOLLOWS_KEYS);
    let large = RawRecord::new("anna", vec![b'.'; 1500]).with_explicit_hash_key(HashKey::new(0));
    test.push([(EncodedRecord::new(&large).unwrap(), 100)]);
    test.push((0..30).map(|number| placed(u128::MAX - number as u128, number)));
    for (shard, request) in (0..).zip(test.wait_for_request().1) {
        assert_eq!(request.entries.len(), 1, "{}", size(&request.entries));
        test.write_to(shard, &request);
    }
    test.requests();
    assert_eq!(test.outcomes.len(), 31);
}

#[test]
fn requests_are_cancelled_when_the_producer_closes() {
    let mut test = Test::listed(Options::default(), 1, FOLLOWS_KEYS);
    test.push([(record("anna", 10), 0)]);
    let request = test.next_request();
    test.pipeline.abandon(test.now);
    test.requests();
    assert_eq!(test.cancelled, [request.id]);
}

#[test]
fn a_list_of_shards_that_does_not_come_is_asked_for_again() {
    let options = Options::default();
    let mut test = Test::new(options.clone());
    let listing = test.listing();
    test.now += options.request_timeout;
    test.requests();
    assert_eq!(test.cancelled, [listing]);
    let (waited, _) = test.wait_for_listing();
    assert!(waited <= SECOND, "{waited:?}");
}

fn poisoned(entries: &[SealedRecord]) -> Option<RequestError> {
    let is_poison = |entry: &SealedRecord| entry.partition_key.as_str() == "poison";
    entries.iter().any(is_poison).then(invalid)
}

#[test]
fn refusals_count_until_a_request_is_accepted() {
    let mut test = Test::listed(one_by_one(), 1, FOLLOWS_KEYS);
    for _ in 0..70 {
        test.push([(record("poison", 10), 0), (record("anna", 10), 1)]);
        answer_all(&mut test, poisoned);
    }
    assert_eq!(test.outcomes.len(), 140);
    for (number, outcome) in &test.outcomes {
        match outcome {
            Ok(receipt) => assert_eq!((*number, receipt.attempts().len()), (1, 2)),
            Err(_) => assert_eq!(*number, 0),
        }
    }
}

#[test]
fn requests_are_no_longer_taken_apart_if_every_entry_is_refused() {
    let mut test = Test::listed(one_by_one(), 1, FOLLOWS_KEYS);
    test.push((0..400).map(|number| (record("poison", 10), number)));
    let refused = answer_all(&mut test, poisoned);
    assert!(refused.len() < 400, "{}", refused.len());
    assert_eq!(test.outcomes.len(), 400);
}

#[test]
fn a_request_that_is_not_allowed_fails_whole() {
    let mut test = Test::listed(one_by_one(), 1, FOLLOWS_KEYS);
    test.push((0..10).map(|number| (record("anna", 10), number)));
    let request = test.next_request();
    test.answer(request.id, Err(RequestError::refused("AccessDeniedException", "no")));
    assert!(test.requests().is_empty());
    assert_eq!(test.outcomes.len(), 10);
}

#[test]
fn the_parts_of_a_refused_request_are_packed_by_the_shards_of_now() {
    let mut options = Options::default();
    options.shard_refresh_interval = SECOND;
    let mut test = Test::listed(options, 1, FOLLOWS_KEYS);
    test.push((0..4).map(|number| placed(if number % 2 == 0 { 0 } else { u128::MAX }, number)));
    let request = test.next_request();
    assert_eq!(request.entries.len(), 1);
    let (_, listing) = test.wait_for_listing();
    test.list_ids(listing, &[1, 2], FOLLOWS_KEYS);
    test.answer(request.id, Err(too_large()));
    for request in test.requests() {
        let counts: Vec<usize> = request.entries.iter().map(|entry| entry.user_records).collect();
        assert_eq!(counts, [1, 1]);
    }
}

#[test]
fn a_single_record_is_delivered_wherever_it_is_and_an_unknown_shard_has_the_shards_listed() {
    let mut test = Test::listed(Options::default(), 2, FOLLOWS_KEYS);
    let listed = test.now;
    test.push([placed(0, 0)]);
    let request = test.next_request();
    test.write_to(9, &request);
    assert!(test.requests().is_empty());
    let (_, outcome) = test.outcomes.pop().expect("it has no outcome");
    assert_eq!(outcome.unwrap().shard_id(), shard_id(9));
    test.wait_for_listing();
    assert_eq!(test.now - listed, SECOND);
}

#[test]
fn an_answer_to_a_request_from_before_the_list_does_not_have_the_shards_listed_again() {
    let mut options = Options::default();
    options.shard_refresh_interval = 5 * SECOND;
    let mut test = Test::listed(options, 2, FOLLOWS_KEYS);
    test.push([placed(0, 0)]);
    let request = test.next_request();
    let (_, listing) = test.wait_for_listing();
    test.list(listing, 2, FOLLOWS_KEYS);
    test.write_to(9, &request);
    let (waited, _) = test.wait_for_listing();
    assert!((4 * SECOND..=6 * SECOND).contains(&waited), "{waited:?}");
}

/// Returns a pipeline that sent two records in an aggregate, and the request. The first belongs to the first half of the
/// hash keys, the second to the last one.
fn with_aggregate(options: Options) -> (Test, Request) {
    let mut test = Test::listed(options, 1, FOLLOWS_KEYS);
    test.push([placed(0, 0), placed(u128::MAX, 1)]);
    let request = test.next_request();
    assert_eq!(request.entries[0].user_records, 2);
    (test, request)
}

#[test]
fn an_aggregate_in_a_shard_that_was_not_known_is_judged_by_the_next_list() {
    // All of it belongs there.
    let mut test = Test::listed(Options::default(), 1, FOLLOWS_KEYS);
    test.push([placed(0, 0), placed(1, 1)]);
    let request = test.next_request();
    test.write_to(1, &request);
    assert!(test.requests().is_empty() && test.outcomes.is_empty());
    let (_, listing) = test.wait_for_listing();
    test.list_ids(listing, &[1, 2], FOLLOWS_KEYS);
    assert!(test.requests().is_empty());
    assert_eq!(test.outcomes.len(), 2);
    for (_, outcome) in test.outcomes.drain(..) {
        assert!(!outcome.unwrap().may_be_duplicated());
    }

    // There is no list.
    let (mut test, request) = with_aggregate(Options::default());
    test.write_to(1, &request);
    let (_, listing) = test.wait_for_listing();
    test.fail_listing(listing, RequestError::unanswered(NOT_NOW, "not now"));
    assert_eq!(test.next_request().entries[0].user_records, 2);

    // It closes first.
    let (mut test, request) = with_aggregate(Options::default());
    test.write_to(1, &request);
    test.pipeline.abandon(test.now);
    test.requests();
    assert_eq!(test.outcomes.len(), 2);
}

#[test]
fn the_options_say_what_is_sent_again_of_an_aggregate_that_spans_shards() {
    for strays_only in [true, false] {
        let mut options = Options::default();
        options.resend_strays_only = strays_only;
        let (mut test, request) = with_aggregate(options);
        test.write_to(1, &request);
        let (_, listing) = test.wait_for_listing();
        test.list_ids(listing, &[1, 2], FOLLOWS_KEYS);
        let again: Vec<usize> = test
            .wait_for_request()
            .1
            .iter()
            .map(|request| request.entries.len())
            .collect();
        assert_eq!(again.iter().sum::<usize>(), if strays_only { 1 } else { 2 });
        let delivered: Vec<usize> = test.outcomes.iter().map(|(number, _)| *number).collect();
        assert_eq!(delivered, if strays_only { vec![0] } else { vec![] });
    }
}

#[test]
fn an_aggregate_is_delivered_in_any_shard_of_a_stream_that_ignores_keys() {
    let mut test = Test::listed(Options::default(), 2, Some(Distribution::Auto));
    test.push([placed(0, 0), placed(u128::MAX, 1)]);
    let request = test.next_request();
    assert_eq!(request.entries[0].user_records, 2);
    test.write_to(1, &request);
    test.requests();
    assert_eq!(test.outcomes.len(), 2);
    assert!(test.outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
}

#[test]
fn a_stream_that_was_created_anew_does_not_seem_to_ignore_keys() {
    let mut test = Test::listed(Options::default(), 2, None);
    test.push([placed(0, 0), placed(1, 1)]);
    let request = test.next_request();
    test.write_to(1, &request);
    assert_eq!(test.state(), StreamState::Predicted);
    let (_, listing) = test.wait_for_listing();
    test.list_ids(listing, &[1, 0], None);
    test.requests();
    assert_eq!((test.state(), test.outcomes.len()), (StreamState::Predicted, 2));
}

/// Returns a pipeline for whose stream it turned out that a shard accepted a record whose key it does not own.
fn with_key_ignored(distribution: Option<Distribution>) -> Test {
    let mut options = Options::default();
    options.shard_refresh_interval = SECOND;
    let mut test = Test::listed(options, 2, distribution);
    test.push([placed(0, 0), placed(1, 1)]);
    let request = test.next_request();
    let (_, listing) = test.wait_for_listing();
    test.list(listing, 2, distribution);
    test.write_to(1, &request);
    test
}

#[test]
fn whether_a_stream_ignores_keys_is_what_it_says_or_else_what_its_answers_show() {
    let mut test = with_key_ignored(FOLLOWS_KEYS);
    assert_eq!(test.state(), StreamState::Predicted);
    assert_eq!(test.next_request().entries.len(), 1);

    let mut test = with_key_ignored(None);
    assert_eq!(test.state(), StreamState::Auto);
    // That may change: the next answers show it.
    let (_, listing) = test.wait_for_listing();
    test.list(listing, 2, None);
    assert_eq!(test.state(), StreamState::Predicted);
}

#[test]
fn a_stream_that_is_gone_has_no_shards() {
    let mut test = Test::listed(Options::default(), 1, FOLLOWS_KEYS);
    test.push([(record("anna", 10), 0)]);
    let request = test.next_request();
    test.answer(request.id, Err(not_found()));
    assert!(matches!(test.failure().reason, FailureReason::Refused(_)));
    assert_eq!(test.state(), StreamState::Unknown(None));
    let (waited, _) = test.wait_for_listing();
    assert!(waited <= SECOND, "{waited:?}");
}

#[test]
fn records_wait_for_a_stream_that_does_not_exist_yet() {
    let mut test = Test::new(Options::default());
    let listing = test.listing();
    test.fail_listing(listing, not_found());
    test.push([(record("anna", 10), 0)]);
    test.now += 200 * MILLISECOND;
    assert!(test.requests().is_empty());
    let (_, listing) = test.wait_for_listing();
    test.list(listing, 1, FOLLOWS_KEYS);
    assert_eq!(test.request().entries.len(), 1);

    let options = Options::default();
    let mut test = Test::new(options.clone());
    let listing = test.listing();
    test.fail_listing(listing, not_found());
    test.push([(record("anna", 10), 0)]);
    test.now += options.record_ttl;
    let FailureReason::Expired(Some(why)) = test.failure().reason else {
        panic!("it did not expire");
    };
    assert_eq!(&*why.code, "ResourceNotFoundException");
}

#[test]
fn a_list_of_shards_that_fails_leaves_the_last_one_and_is_tried_again_after_pauses_that_grow() {
    let mut test = Test::listed(Options::default(), 2, FOLLOWS_KEYS);
    let (_, mut listing) = test.wait_for_listing();
    let pauses: Vec<Duration> = (0..5)
        .map(|_| {
            test.fail_listing(listing, RequestError::unanswered(NOT_NOW, "not now"));
            assert_eq!(test.state(), StreamState::Predicted);
            let (waited, next) = test.wait_for_listing();
            listing = next;
            waited
        })
        .collect();
    assert!((SECOND / 2..=SECOND).contains(&pauses[0]), "{pauses:?}");
    assert!(pauses[4] > 2 * SECOND, "{pauses:?}");
}

#[test]
fn a_record_that_is_too_large_for_an_aggregate_goes_alone_in_its_turn() {
    let mut test = Test::listed(Options::default(), 1, FOLLOWS_KEYS);
    test.push([10, 60_000, 10].map(|len| (record("anna", len), len)));
    let request = test.next_request();
    let sizes: Vec<bool> = request.entries.iter().map(|entry| entry.size() > 60_000).collect();
    assert_eq!(sizes, [false, true, false]);
    test.write(request);
    assert!(test.requests().is_empty());
    assert_eq!(test.outcomes.len(), 3);
}

#[test]
fn nothing_is_measured_until_measures_are_taken_and_records_that_are_alike_are_measured_together() {
    let options = Options::default();
    let mut test = Test::listed(options.clone(), 1, FOLLOWS_KEYS);
    let deliver = |test: &mut Test| {
        test.push((0..100).map(|number| (record("anna", 10), number)));
        let request = test.next_request();
        test.write(request);
        test.requests();
        test.pipeline.take_measures()
    };
    assert_eq!(deliver(&mut test), []);
    let measures = deliver(&mut test);
    let buffered: Vec<_> = measures
        .iter()
        .filter(|measure| measure.metric == Metric::BufferingTime)
        .map(|measure| (measure.value, measure.times))
        .collect();
    assert_eq!(buffered, [(100.0, 100)]);

    test.push([(record("anna", 10), 0)]);
    test.now += options.record_ttl;
    test.requests();
    let measures = test.pipeline.take_measures();
    let expired = |measure: &&Measure| measure.metric == Metric::UserRecordExpired;
    assert_eq!(measures.iter().filter(expired).count(), 1);
}
