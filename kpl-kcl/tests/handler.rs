//! What a handler does with each message, one thing at a time.
#![forbid(unsafe_code)]

mod common;

use std::convert::Infallible;
use std::future::pending;
use std::io::{PipeReader, PipeWriter, pipe};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::{action, initialize, position, records};
use futures_util::FutureExt as _;
use kpl::FromKplRecord;
use kpl_kcl::protocol::{CheckpointError, Delivery, Shard};
use kpl_kcl::{
    Checkpointer, Concurrency, Error, Failed, Failures, Handler, OnFailure, RawRecord, Received, RunError,
    ShardProcessor, Undecodable,
};

type Daemon = common::Daemon<PipeWriter, PipeReader>;

/// Runs a processor, and returns the daemon to talk with it. It is joined for what it returns.
fn start<P: ShardProcessor>(
    processor: impl FnOnce() -> P + Send + 'static,
) -> (Daemon, JoinHandle<Result<(), RunError>>) {
    let (input, to) = pipe().unwrap();
    let (from, output) = pipe().unwrap();
    let process = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(kpl_kcl::serve(processor(), input, output))
    });
    let mut daemon = Daemon::new(to, from);
    assert_eq!(daemon.tell(&initialize()), [""; 0]);
    (daemon, process)
}

fn text(record: &Received<RawRecord>) -> String {
    String::from_utf8(record.value.data.clone()).unwrap()
}

async fn ok(_: Received<RawRecord>) -> Result<(), Infallible> {
    Ok(())
}

/// Fails for data that starts with `bad`.
async fn fail_if_bad(record: Received<RawRecord>) -> Result<(), String> {
    match text(&record) {
        bad if bad.starts_with("bad") => Err(format!("{bad} cannot be stored")),
        _ => Ok(()),
    }
}

#[test]
fn a_checkpoint_is_made_after_some_records_also_inside_an_aggregate() {
    let (mut daemon, process) = start(|| Handler::per_record(ok).checkpoint_after(2));
    assert_eq!(
        daemon.tell(&records([("10:0", "a"), ("10:1", "b"), ("10:2", "c")])),
        ["10:1"]
    );
    // The last of them waits for another, for its time, or for the end.
    assert_eq!(daemon.tell(&records([])), [""; 0]);
    assert_eq!(daemon.tell(&records([("11:0", "d")])), ["11:0"]);
    assert_eq!(daemon.tell(&records([("12:0", "e")])), [""; 0]);
    assert_eq!(daemon.tell(&action("shutdownRequested")), ["12:0"]);
    assert_eq!(daemon.tell(&action("shutdownRequested")), [""; 0], "everything is said");
    assert_eq!(daemon.tell(&action("leaseLost")), [""; 0]);
    drop(daemon);
    process.join().unwrap().unwrap();
}

#[test]
fn a_checkpoint_that_is_due_is_made_by_the_next_message_also_without_records() {
    let (mut daemon, process) = start(|| Handler::per_record(ok).checkpoint_interval(Duration::from_millis(300)));
    let mut checkpoints = daemon.tell(&records([("10:0", "a")]));
    while checkpoints.is_empty() {
        thread::sleep(Duration::from_millis(20));
        checkpoints = daemon.tell(&records([]));
    }
    assert_eq!(checkpoints, ["10:0"]);
    assert_eq!(
        daemon.tell(&action("shutdownRequested")),
        [""; 0],
        "there is nothing to add"
    );
    drop(daemon);
    process.join().unwrap().unwrap();
}

#[test]
fn a_checkpoint_is_made_while_a_record_is_handled() {
    let (mut daemon, process) = start(|| {
        let handler = Handler::per_record(|record: Received<RawRecord>| async move {
            if text(&record) == "slow" {
                pending::<()>().await;
            }
            Ok::<_, Infallible>(())
        });
        handler.checkpoint_interval(Duration::from_millis(10))
    });
    daemon.say(&records([("10:0", "a"), ("10:1", "slow")]));
    let checkpoint = daemon.hear().unwrap();
    assert_eq!(position(&checkpoint), "10:0");
    daemon.answer(&checkpoint, None);
    // The end of the input ends it, whatever is being handled.
    drop(daemon);
    process.join().unwrap().unwrap();
}

#[test]
fn the_end_of_a_shard_is_a_checkpoint_of_everything() {
    let (mut daemon, process) = start(|| Handler::per_record(ok));
    daemon.tell(&records([("10:0", "a")]));
    assert_eq!(daemon.tell(&action("shardEnded")), ["all"]);
    drop(daemon);
    process.join().unwrap().unwrap();
}

#[test]
fn what_old_daemons_say_at_the_end() {
    for (reason, checkpoints) in [("TERMINATE", &["all"] as &[_]), ("ZOMBIE", &[])] {
        let (mut daemon, process) = start(|| Handler::per_record(ok));
        daemon.tell(&records([("10:0", "a")]));
        let mut message = action("shutdown");
        message["reason"] = reason.into();
        assert_eq!(daemon.tell(&message), checkpoints);
        drop(daemon);
        process.join().unwrap().unwrap();
    }
}

#[test]
fn a_lost_lease_stops_handling_at_once() {
    let handled = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&handled);
    let (mut daemon, process) = start(move || {
        let handler = Handler::per_record(move |record: Received<RawRecord>| {
            seen.lock().unwrap().push(text(&record));
            async move {
                if text(&record) == "slow" {
                    pending::<()>().await;
                }
                Ok::<_, Infallible>(())
            }
        });
        handler.checkpoint_after(1)
    });
    let delivery = records([("10:0", "a"), ("10:1", "slow")]);
    daemon.say(&delivery);
    let checkpoint = daemon.hear().unwrap();
    daemon.answer(&checkpoint, Some("ShutdownException"));
    // What is being handled is broken off, no checkpoint is made any more, and nothing more is handled.
    assert_eq!(daemon.until_done(&delivery), [""; 0]);
    assert_eq!(daemon.tell(&records([("11:0", "d")])), [""; 0]);
    assert_eq!(daemon.tell(&action("leaseLost")), [""; 0]);
    drop(daemon);
    process.join().unwrap().unwrap();
    let handled = handled.lock().unwrap();
    assert!(!handled.contains(&"d".to_owned()), "{handled:?}");
}

#[test]
fn a_checkpoint_that_is_throttled_is_made_again() {
    let (mut daemon, process) = start(|| Handler::per_record(ok).checkpoint_after(1));
    let delivery = records([("10:0", "a")]);
    daemon.say(&delivery);
    for exception in ["ThrottlingException", "KinesisClientLibDependencyException"] {
        let checkpoint = daemon.hear().unwrap();
        assert_eq!(position(&checkpoint), "10:0");
        daemon.answer(&checkpoint, Some(exception));
    }
    assert_eq!(daemon.until_done(&delivery), ["10:0"]);
    drop(daemon);
    process.join().unwrap().unwrap();
}

#[test]
fn a_checkpoint_that_fails_otherwise_is_tried_with_the_next() {
    let (mut daemon, process) = start(|| Handler::per_record(ok).checkpoint_after(1));
    let delivery = records([("10:0", "a")]);
    daemon.say(&delivery);
    let checkpoint = daemon.hear().unwrap();
    daemon.answer(&checkpoint, Some("InvalidStateException"));
    daemon.until_done(&delivery);
    let mut checkpoints = daemon.tell(&records([("11:0", "b")]));
    // After a pause.
    while checkpoints.is_empty() {
        thread::sleep(Duration::from_millis(50));
        checkpoints = daemon.tell(&records([]));
    }
    assert_eq!(checkpoints, ["11:0"]);
    drop(daemon);
    process.join().unwrap().unwrap();
}

#[test]
fn a_failure_ends_the_process_after_a_checkpoint_of_what_is_before_it() {
    let concurrencies = [
        Concurrency::Sequential,
        Concurrency::ByPartitionKey(1.try_into().unwrap()),
        Concurrency::ByPartitionKey(9.try_into().unwrap()),
        Concurrency::All(2.try_into().unwrap()),
    ];
    for concurrency in concurrencies {
        let handled = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&handled);
        let (mut daemon, process) = start(move || {
            let handler = Handler::per_record(move |record: Received<RawRecord>| {
                seen.lock().unwrap().push(text(&record));
                fail_if_bad(record)
            });
            handler.concurrency(concurrency)
        });
        daemon.say(&records([("10:0", "a"), ("10:1", "b"), ("10:2", "bad"), ("10:3", "a")]));
        let checkpoint = daemon.hear().unwrap();
        assert_eq!(position(&checkpoint), "10:1", "{concurrency:?}");
        daemon.answer(&checkpoint, None);
        assert_eq!(daemon.hear(), None, "the message is not answered");
        let error = process.join().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "a user record failed (shard shardId-0, position 10:2): bad cannot be stored"
        );
        assert_eq!(
            format!("{error:?}"),
            error.to_string(),
            "what a main shows that returns it"
        );
    }
}

#[test]
fn a_failure_can_be_passed_over() {
    let (mut daemon, process) = start(|| {
        let handler = Handler::per_record(fail_if_bad).on_failure(OnFailure::Continue);
        handler.checkpoint_after(3)
    });
    assert_eq!(
        daemon.tell(&records([("10:0", "a"), ("10:1", "bad"), ("10:2", "b")])),
        ["10:2"]
    );
    drop(daemon);
    process.join().unwrap().unwrap();
}

#[test]
fn a_record_that_fails_each_time_is_passed_on() {
    let (calls, taken) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (counted, letters) = (Arc::clone(&calls), Arc::clone(&taken));
    let (mut daemon, process) = start(move || {
        let handler = Handler::per_record(move |record: Received<RawRecord>| {
            *counted.lock().unwrap() += 1;
            fail_if_bad(record)
        });
        let handler = handler.retries(2).failed(move |failed: Failed| {
            let letters = Arc::clone(&letters);
            async move {
                let place = failed.place.position().unwrap().to_string();
                let key = failed.partition_key.unwrap();
                letters
                    .lock()
                    .unwrap()
                    .push((place, key, failed.data, failed.error.to_string(), failed.attempts));
                Ok::<_, Infallible>(())
            }
        });
        handler.checkpoint_after(3)
    });
    assert_eq!(
        daemon.tell(&records([("10:0", "a"), ("10:1", "bad"), ("10:2", "b")])),
        ["10:2"]
    );
    drop(daemon);
    process.join().unwrap().unwrap();
    assert_eq!(*calls.lock().unwrap(), 5);
    let expected = (
        "10:1".to_owned(),
        "bad".to_owned(),
        b"bad".to_vec(),
        "bad cannot be stored".to_owned(),
        3,
    );
    assert_eq!(*taken.lock().unwrap(), [expected]);
}

#[test]
fn records_of_a_batch_that_failed_are_handed_over_again() {
    let batches = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&batches);
    let (mut daemon, process) = start(move || {
        let handler = Handler::per_batch(move |records: Vec<Received<RawRecord>>| {
            let mut failures = Failures::none();
            let texts: Vec<_> = records.iter().map(text).collect();
            records
                .iter()
                .filter(|record| text(record).starts_with("bad"))
                .for_each(|record| failures.add(record));
            seen.lock().unwrap().push(texts.join(" "));
            async move { Ok::<_, Infallible>(failures) }
        });
        handler.retries(1)
    });
    daemon.say(&records([
        ("10:0", "a"),
        ("10:1", "bad1"),
        ("10:2", "b"),
        ("11:0", "bad2"),
    ]));
    let checkpoint = daemon.hear().unwrap();
    assert_eq!(position(&checkpoint), "10:0");
    daemon.answer(&checkpoint, None);
    let error = process.join().unwrap().unwrap_err().to_string();
    let expected = "a user record failed (shard shardId-0, position 10:1): the function names it as one that failed";
    assert_eq!(error, expected);
    assert_eq!(*batches.lock().unwrap(), ["a bad1 b bad2", "bad1 bad2"]);
}

#[derive(FromKplRecord)]
struct Number {
    #[kpl(partition_key)]
    key: String,
    #[kpl(payload)]
    number: Digits,
}

struct Digits(u64);

impl TryFrom<&[u8]> for Digits {
    type Error = String;

    fn try_from(data: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(data);
        text.parse()
            .map(Digits)
            .map_err(|_| format!("{text:?} is not a number"))
    }
}

#[test]
fn a_record_that_cannot_be_decoded_is_a_dead_letter_or_a_failure() {
    let letters = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&letters);
    let delivery = records([("10:0", "1"), ("10:1", "two"), ("10:2", "3")]);
    let sum = |number: Received<Number>| async move {
        assert!(number.value.number.0 % 2 == 1 && number.partition_key() == Some(&number.value.key));
        Ok::<_, Infallible>(())
    };
    let (mut daemon, process) = start(move || {
        let handler = Handler::per_record(sum).dead_letters(move |record: Undecodable| {
            taken.lock().unwrap().push(record.to_string());
            assert_eq!(record.data(), b"two");
            async { Ok::<_, Infallible>(()) }
        });
        handler.checkpoint_after(3)
    });
    assert_eq!(daemon.tell(&delivery), ["10:2"]);
    drop(daemon);
    process.join().unwrap().unwrap();
    let letters = letters.lock().unwrap().join("");
    assert!(
        letters.contains("shardId-0") && letters.contains("\"two\" is not a number"),
        "{letters}"
    );

    let (mut daemon, process) = start(move || Handler::per_record(sum));
    daemon.say(&delivery);
    let checkpoint = daemon.hear().unwrap();
    assert_eq!(position(&checkpoint), "10:0");
    daemon.answer(&checkpoint, None);
    let error = process.join().unwrap().unwrap_err();
    let RunError::Handler { place, error } = error else {
        panic!("{error}")
    };
    assert_eq!(place.position().unwrap().to_string(), "10:1");
    assert!(error.is::<Undecodable>());
}

#[test]
fn a_batch_that_stops_at_a_record_that_cannot_be_decoded_is_handed_over_up_to_there() {
    for (on_failure, expected) in [(OnFailure::Stop, "1"), (OnFailure::Continue, "1 3")] {
        let batches = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&batches);
        let (mut daemon, process) = start(move || {
            let handler = Handler::per_batch(move |numbers: Vec<Received<Number>>| {
                let numbers: Vec<_> = numbers.iter().map(|number| number.value.number.0.to_string()).collect();
                seen.lock().unwrap().push(numbers.join(" "));
                async { Ok::<_, Infallible>(()) }
            });
            handler.on_failure(on_failure).checkpoint_after(3)
        });
        daemon.say(&records([("10:0", "1"), ("10:1", "two"), ("10:2", "3")]));
        let checkpoint = daemon.hear().unwrap();
        let reached = if on_failure == OnFailure::Stop { "10:0" } else { "10:2" };
        assert_eq!(position(&checkpoint), reached);
        daemon.answer(&checkpoint, None);
        assert_eq!(daemon.hear().is_none(), on_failure == OnFailure::Stop);
        drop(daemon);
        assert_eq!(process.join().unwrap().is_err(), on_failure == OnFailure::Stop);
        assert_eq!(*batches.lock().unwrap(), [expected]);
    }
}

#[test]
fn a_panic_ends_the_process_without_a_checkpoint() {
    let (mut daemon, process) = start(|| {
        Handler::per_record(|record: Received<RawRecord>| async move {
            assert!(text(&record) != "bad", "it is bad");
            Ok::<_, Infallible>(())
        })
    });
    daemon.say(&records([("10:0", "a"), ("10:1", "bad")]));
    assert_eq!(daemon.hear(), None);
    let error = process.join().unwrap().unwrap_err().to_string();
    let expected = "a user record failed (shard shardId-0, position 10:1): the handler panicked: it is bad";
    assert_eq!(error, expected);
}

/// A processor that makes checkpoints at the wrong times.
struct Wrong(Arc<Mutex<Vec<CheckpointError>>>);

impl ShardProcessor for Wrong {
    async fn initialize(&mut self, _: &Shard) -> Result<(), Error> {
        Ok(())
    }

    async fn process(&mut self, delivery: &Delivery<'_>, checkpointer: &mut Checkpointer<'_>) -> Result<(), Error> {
        let beyond = "99:0".parse()?;
        let errors = [
            checkpointer.checkpoint(&beyond).await,
            checkpointer
                .checkpoint(&delivery.position(1).ok_or("a position")?)
                .await,
            checkpointer
                .checkpoint(&delivery.position(0).ok_or("a position")?)
                .await,
        ];
        self.0
            .lock()
            .unwrap()
            .extend(errors.into_iter().filter_map(Result::err));
        // A future that is dropped in the middle of a checkpoint.
        let _ = checkpointer.checkpoint_all().now_or_never();
        Ok(())
    }

    async fn shard_ended(&mut self, checkpointer: &mut Checkpointer<'_>) -> Result<(), Error> {
        Ok(checkpointer.checkpoint(&"10:1".parse()?).await?)
    }
}

#[test]
fn the_kcl_is_not_asked_for_checkpoints_that_it_refuses() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&errors);
    let (mut daemon, process) = start(move || Wrong(seen));
    assert_eq!(daemon.tell(&records([("10:0", "a"), ("10:1", "b")])), ["10:1", "all"]);
    let out_of_range = |position: &str| CheckpointError::OutOfRange {
        position: position.parse().ok(),
    };
    assert_eq!(*errors.lock().unwrap(), [out_of_range("99:0"), out_of_range("10:0")]);
    daemon.say(&action("shardEnded"));
    assert_eq!(daemon.hear(), None);
    let error = process.join().unwrap().unwrap_err();
    assert!(
        matches!(error, RunError::Checkpoint(CheckpointError::OutOfRange { .. })),
        "{error}"
    );
}

#[test]
fn what_is_not_the_protocol_is_an_error_that_says_so() {
    let cases = [
        (
            "no json",
            "the daemon sent a line that is not a valid message: expected ident at line 1 column 2: \"no json\\n\"",
        ),
        (
            "{\"action\":\"dance\"}",
            "the daemon sent a message with the unknown action \"dance\"",
        ),
        (
            "{\"action\":\"initialize\"}",
            "\"shardId\" of a message is missing or not valid",
        ),
        (
            "{\"action\":\"checkpoint\",\"error\":null}",
            "the daemon sent \"checkpoint\" at the wrong time",
        ),
        (
            "{\"action\":\"processRecords\",\"records\":[{\"data\":\"?\",\"sequenceNumber\":\"1\"}]}",
            "\"data\" of record 0 of a message is not valid",
        ),
    ];
    for (line, expected) in cases {
        let (from, output) = pipe().unwrap();
        let input = std::io::Cursor::new(format!("\n{line}\n"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let error = runtime
            .block_on(Handler::per_record(ok).serve(input, output))
            .unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(std::io::read_to_string(from).unwrap(), "");
    }
}
