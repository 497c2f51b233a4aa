//! The rules of the producer's pipeline, one at a time, with the test's own clock.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use kpl_core::{HashKey, HashKeyRange, RawRecord, SealedRecord, Shard};
use kpl_stream::client::{Distribution, EntryError, PutResult, RequestError, StreamDescription, Written};
use kpl_stream::pipeline::{Metric, Output, Pipeline, RequestId, StreamId};
use kpl_stream::{EncodedRecord, Failure, FailureReason, Options, Receipt, StreamState};

/// A pipeline with a stream, and the time.
struct Test {
    pipeline: Pipeline<usize>,
    stream: StreamId,
    now: Instant,
    outcomes: Vec<(usize, Result<Receipt, Failure>)>,
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
        let (count, width) = (shards, u128::MAX / shards);
        let shards = (0..count).map(|shard| {
            let end = if shard + 1 == count {
                u128::MAX
            } else {
                (shard + 1) * width - 1
            };
            Shard::new(shard_id(shard), HashKeyRange::try_from(shard * width..=end).unwrap())
        });
        let description = StreamDescription::new(distribution);
        self.pipeline
            .listed(listing, Ok((shards.collect(), description)), self.now);
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
                Output::Resolved { handle, outcome, .. } => self.outcomes.push((handle, outcome)),
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
        loop {
            let requests = self.requests();
            if !requests.is_empty() {
                return (self.now - start, requests);
            }
            let wake = self.pipeline.wake_at(self.now).expect("there is nothing to wait for");
            self.now = self.now.max(wake);
        }
    }

    fn answer(&mut self, id: RequestId, answer: Result<Vec<PutResult>, RequestError>) {
        self.pipeline.answered(id, answer, self.now);
    }

    fn write(&mut self, request: Request) {
        let results = request.entries.iter().map(|_| Ok(Written::new(shard_id(0), "49")));
        self.answer(request.id, Ok(results.collect()));
    }

    fn failure(&mut self) -> Failure {
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
    let attempts: Vec<_> = failure.attempts.iter().collect();
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
    assert!(never_sent.attempts.is_empty() && !never_sent.may_have_been_written);
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
        .attempts
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
    let poisoned = |entries: &[SealedRecord]| {
        let is_poison = |entry: &SealedRecord| entry.partition_key.as_str() == "poison";
        entries.iter().any(is_poison).then(invalid)
    };
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
                    Output::Resolved { .. } => {
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
