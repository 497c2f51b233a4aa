//! Handlers: poison records, partial failure, retry and resume, as Lambda's event source mapping causes them.

mod support;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kpl_lambda::handler::{PerRecord, ShardRecords};
use kpl_lambda::{
    Batch, BoxFuture, Checkpoints, Concurrency, Error, Event, Failures, Handler, HandlerError, MemoryCheckpoints,
    OnFailure, Origin, Received, Undecodable,
};
use serde_json::json;
use support::{Data, Line, Log, aggregate, event, failed, from_json, record, retry};

/// Three aggregates of three lines: `a0` to `a2`, `b0` to `b2`, `c0` to `c2`.
fn three() -> Vec<Data> {
    let of = |name: &str| {
        let texts = [0, 1, 2].map(|number| format!("{name}{number}"));
        aggregate(&[(name, &texts[0]), (name, &texts[1]), ("other", &texts[2])])
    };
    vec![of("a"), of("b"), of("c")]
}

type Handled = BoxFuture<'static, Result<(), Error>>;

/// Returns a handler that notes each line, and fails for the lines of a list.
fn handler(
    log: &Log,
    bad: &'static [&'static str],
) -> Handler<Line, PerRecord<impl Fn(Received<Line>) -> Handled + use<>>> {
    let log = log.clone();
    Handler::per_record(move |line: Received<Line>| -> Handled {
        let log = log.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            log.add(line.value.text.clone());
            if bad.contains(&&*line.value.text) {
                Err("bad".into())
            } else {
                Ok(())
            }
        })
    })
}

fn at_most(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap()
}

#[tokio::test]
async fn nothing_fails() {
    let log = Log::default();
    let response = handler(&log, &[]).handle(&event(&three())).await.unwrap();
    assert_eq!(
        serde_json::to_value(&response).unwrap(),
        json!({ "batchItemFailures": [] })
    );
    assert_eq!(log.take(), ["a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1", "c2"]);
    let none = handler(&log, &[]).handle(&Event::default()).await.unwrap();
    assert!(failed(&none).is_empty());
}

/// Those before the failed one in its aggregate are seen again.
#[tokio::test]
async fn a_failure_stops_and_the_retry_starts_at_its_kinesis_record() {
    let log = Log::default();
    let event = event(&three());
    let response = handler(&log, &["b1"]).handle(&event).await.unwrap();
    assert_eq!(
        serde_json::to_value(&response).unwrap(),
        json!({ "batchItemFailures": [{ "itemIdentifier": "101" }] })
    );
    assert_eq!(log.take(), ["a0", "a1", "a2", "b0", "b1"]);
    let event = retry(&event, &response).unwrap();
    assert!(failed(&handler(&log, &[]).handle(&event).await.unwrap()).is_empty());
    assert_eq!(log.take(), ["b0", "b1", "b2", "c0", "c1", "c2"]);
}

/// Keys that had not begun when another one failed get their chance, as far as their records come before the failed one:
/// otherwise the retry, which starts further on than they are, or gives up on all of them, would leave them out.
#[tokio::test]
async fn everything_before_the_answer_is_done_in_every_mode() {
    let plain = |key: &str, text: &str| (text.as_bytes().to_vec(), key.to_owned());
    let event = event(&[
        plain("k0", "a"),
        plain("k1", "b"),
        plain("k2", "c"),
        plain("k0", "bad"),
        plain("k1", "e"),
    ]);
    for concurrency in [
        Concurrency::Sequential,
        Concurrency::All(at_most(1)),
        Concurrency::All(at_most(3)),
        Concurrency::ByPartitionKey(at_most(1)),
        Concurrency::ByPartitionKey(at_most(2)),
        Concurrency::ByPartitionKey(at_most(3)),
    ] {
        let log = Log::default();
        let handler = handler(&log, &["bad"]).concurrency(concurrency);
        assert_eq!(
            failed(&handler.handle(&event).await.unwrap()),
            ["103"],
            "{concurrency:?}"
        );
        let mut handled = log.take();
        // It may have been running already.
        handled.retain(|text| text != "e");
        handled.sort();
        assert_eq!(handled, ["a", "b", "bad", "c"], "{concurrency:?}");
    }
}

/// A panic is an error of the record that it happened for.
#[tokio::test]
async fn a_handler_that_panics_fails_its_record_only() {
    let log = Log::default();
    for early in [false, true] {
        let seen = log.clone();
        let handler = Handler::per_record(move |line: Received<Line>| {
            seen.add(line.value.text.clone());
            let panic = move || assert_ne!(line.value.text, "b1", "this text is not allowed");
            if early {
                panic();
            }
            async move {
                tokio::task::yield_now().await;
                panic();
                Ok::<_, Error>(())
            }
        });
        let handler = handler.on_failure(OnFailure::Continue);
        assert_eq!(failed(&handler.handle(&event(&three())).await.unwrap()), ["101"]);
        assert_eq!(log.take().len(), 9);
    }

    let batch = Handler::per_batch(async |_: Vec<Received<Line>>| -> Result<(), Error> { panic!("no") });
    assert_eq!(failed(&batch.handle(&event(&three())).await.unwrap()), ["100"]);
    let shard = Handler::per_shard(async |_: ShardRecords<Line>| -> Result<(), Error> { panic!("no") });
    assert_eq!(failed(&shard.handle(&event(&three())).await.unwrap()), ["100"]);

    let cut = (b"\xFF".to_vec(), "a".to_owned());
    let letters = |_: Undecodable| -> BoxFuture<'static, Result<(), Error>> { panic!("no") };
    let handler = handler(&log, &[]).dead_letters(letters);
    assert_eq!(failed(&handler.handle(&event(&[cut])).await.unwrap()), ["100"]);
}

#[tokio::test]
async fn going_on_names_every_kinesis_record_that_failed_once() {
    let log = Log::default();
    let handler = handler(&log, &["a1", "a2", "c0"]).on_failure(OnFailure::Continue);
    let response = handler.handle(&event(&three())).await.unwrap();
    assert_eq!(failed(&response), ["100", "102"]);
    assert_eq!(log.take().len(), 9);
}

#[tokio::test]
async fn a_checkpoint_resumes_inside_the_aggregate() {
    let log = Log::default();
    let checkpoints = Arc::new(MemoryCheckpoints::new());
    let event = event(&three());
    let first = handler(&log, &["b1"]).checkpoints(Arc::clone(&checkpoints));
    let response = first.handle(&event).await.unwrap();
    assert_eq!(log.take(), ["a0", "a1", "a2", "b0", "b1"]);
    assert_eq!(checkpoints.len(), 1);

    // It fails again, further on.
    let event = retry(&event, &response).unwrap();
    let second = handler(&log, &["b2"]).checkpoints(Arc::clone(&checkpoints));
    let response = second.handle(&event).await.unwrap();
    assert_eq!(log.take(), ["b1", "b2"]);
    assert_eq!(failed(&response), ["101"]);
    assert_eq!(checkpoints.len(), 1);

    // And at the first user record of another one, which does not need an entry.
    let event = retry(&event, &response).unwrap();
    let third = handler(&log, &["c0"]).checkpoints(Arc::clone(&checkpoints));
    let response = third.handle(&event).await.unwrap();
    assert_eq!(log.take(), ["b2", "c0"]);
    assert_eq!(failed(&response), ["102"]);
    assert!(checkpoints.is_empty());

    let event = retry(&event, &response).unwrap();
    assert!(failed(&third.handle(&event).await.unwrap()) == ["102"]);
    let last = handler(&log, &[]).checkpoints(Arc::clone(&checkpoints));
    log.take();
    assert!(failed(&last.handle(&event).await.unwrap()).is_empty());
    assert_eq!(log.take(), ["c0", "c1", "c2"]);
}

/// A stream that is read again from its start is read completely, whatever has failed since.
#[tokio::test]
async fn a_checkpoint_leaves_nothing_out_but_what_is_done_in_its_kinesis_record() {
    let log = Log::default();
    let checkpoints = Arc::new(MemoryCheckpoints::new());
    let event = event(&three());
    let bad = handler(&log, &["c2"]).checkpoints(Arc::clone(&checkpoints));
    bad.handle(&event).await.unwrap();
    log.take();
    handler(&log, &[])
        .checkpoints(checkpoints)
        .handle(&event)
        .await
        .unwrap();
    assert_eq!(log.take().len(), 9);
}

#[tokio::test]
async fn poison_blocks_its_shard_unless_it_goes_to_the_dead_letters() {
    let mut cut = aggregate(&[("abc", "lost")]);
    cut.0.pop();
    let records = [
        aggregate(&[("a", &b"one"[..]), ("b", b"\xFF"), ("c", b"three")]),
        cut.clone(),
        aggregate(&[("d", "four")]),
    ];
    let event = event(&records);
    let log = Log::default();
    let response = handler(&log, &[]).handle(&event).await.unwrap();
    assert_eq!(failed(&response), ["100"]);
    assert_eq!(log.take(), ["one"]);

    let letters = Log::default();
    let keep = letters.clone();
    let hook = move |letter: Undecodable| {
        let keep = keep.clone();
        async move {
            let place = letter.position().unwrap();
            keep.add(format!("{place} {:?} {}", letter.data(), letter));
            Ok::<_, Error>(())
        }
    };
    let response = handler(&log, &[])
        .dead_letters(hook.clone())
        .handle(&event)
        .await
        .unwrap();
    assert!(failed(&response).is_empty());
    assert_eq!(log.take(), ["one", "three", "four"]);
    let kept = letters.take();
    assert!(
        kept[0].starts_with("100:1 [255] ") && kept[0].contains("user record 1"),
        "{kept:?}"
    );
    assert!(
        kept[1].starts_with(&format!("101:0 {:?} ", cut.0)) && kept[1].contains("starts with the magic"),
        "{kept:?}"
    );
    assert_eq!(kept.len(), 2);

    // The kinds for many records hand them over as well.
    let many = Handler::per_batch(async |lines: Vec<Received<Line>>| {
        assert_eq!(lines.len(), 3);
        Ok::<_, Error>(())
    });
    assert!(failed(&many.dead_letters(hook).handle(&event).await.unwrap()).is_empty());
    assert_eq!(letters.take().len(), 2);
}

#[tokio::test]
async fn a_dead_letter_that_is_not_taken_is_a_failure() {
    let event = event(&[
        aggregate(&[("a", "one")]),
        (b"\xFF".to_vec(), "a".into()),
        aggregate(&[("a", "two")]),
    ]);
    let log = Log::default();
    let refuse = async |_: Undecodable| Err::<(), _>(Error::from("the queue is down"));
    let refuse = move |letter| -> BoxFuture<'static, _> { Box::pin(refuse(letter)) };
    let response = handler(&log, &[]).dead_letters(refuse).handle(&event).await.unwrap();
    assert_eq!(failed(&response), ["101"]);
    assert_eq!(log.take(), ["one"]);
}

#[tokio::test]
async fn sequential_handles_one_at_a_time_and_all_as_many_as_allowed() {
    for (concurrency, most) in [
        (Concurrency::Sequential, 1),
        (Concurrency::All(at_most(4)), 4),
        (Concurrency::ByPartitionKey(at_most(4)), 4),
        (Concurrency::ByPartitionKey(at_most(9)), 4),
    ] {
        let (now, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counters = (Arc::clone(&now), Arc::clone(&peak));
        let handler = Handler::per_record(move |_: Received<Line>| {
            let (now, peak) = counters.clone();
            async move {
                peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Error>(())
            }
        });
        handler.concurrency(concurrency).handle(&event(&three())).await.unwrap();
        assert_eq!(peak.load(Ordering::SeqCst), most, "{concurrency:?}");
        assert_eq!(now.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn by_partition_key_keeps_the_order_of_each_key() {
    let event = event(&three());
    let log = Log::default();
    handler(&log, &[])
        .concurrency(Concurrency::ByPartitionKey(at_most(3)))
        .handle(&event)
        .await
        .unwrap();
    let order = log.take();
    let of = |key: &str| {
        order
            .iter()
            .filter(|text| text.starts_with(key) && !text.ends_with('2'))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(of("a"), ["a0", "a1"]);
    assert_eq!(of("b"), ["b0", "b1"]);
    let others: Vec<_> = order.iter().filter(|text| text.ends_with('2')).collect();
    assert_eq!(others, ["a2", "b2", "c2"]);
    assert_ne!(
        order,
        ["a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1", "c2"],
        "keys go side by side"
    );
}

/// Records that were not started because of a failure further on are retried as well: nothing is lost in any mode.
#[tokio::test]
async fn in_every_mode_each_user_record_succeeds_in_the_end() {
    let modes = [
        Concurrency::Sequential,
        Concurrency::All(at_most(4)),
        Concurrency::ByPartitionKey(at_most(2)),
    ];
    for concurrency in modes {
        for on_failure in [OnFailure::Stop, OnFailure::Continue] {
            for bad in ["a0", "a2", "b1", "b2", "c0", "c2"] {
                for remember in [false, true] {
                    all_succeed_in_the_end(concurrency, on_failure, bad, remember).await;
                }
            }
        }
    }
}

async fn all_succeed_in_the_end(concurrency: Concurrency, on_failure: OnFailure, bad: &'static str, remember: bool) {
    let case = format!("{concurrency:?} {on_failure:?} {bad} {remember}");
    let done = Log::default();
    let attempts = Arc::new(AtomicUsize::new(0));
    let log = done.clone();
    let mut handler = Handler::per_record(move |line: Received<Line>| {
        let (log, attempts) = (log.clone(), Arc::clone(&attempts));
        async move {
            tokio::task::yield_now().await;
            if line.value.text == bad && attempts.fetch_add(1, Ordering::SeqCst) < 2 {
                return Err("not yet");
            }
            log.add(line.value.text);
            Ok(())
        }
    });
    if remember {
        handler = handler.checkpoints(MemoryCheckpoints::new());
    }
    let handler = handler.concurrency(concurrency).on_failure(on_failure);
    let mut next = Some(event(&three()));
    let mut invocations = 0;
    while let Some(event) = next {
        let response = handler.handle(&event).await.unwrap();
        next = retry(&event, &response);
        invocations += 1;
    }
    assert_eq!(invocations, 3, "{case}");
    let mut times = BTreeMap::new();
    for text in done.take() {
        *times.entry(text).or_insert(0) += 1;
    }
    assert_eq!(times.len(), 9, "{case}: {times:?}");
    if remember && concurrency == Concurrency::Sequential && on_failure == OnFailure::Stop {
        assert!(times.values().all(|times| *times == 1), "{case}: {times:?}");
    }
}

#[tokio::test]
async fn a_batch_at_once() {
    let event = event(&three());
    let all = Handler::per_batch(|lines: Vec<Received<Line>>| async move {
        let mut failures = Failures::none();
        for line in lines.iter().filter(|line| ["b1", "c2"].contains(&&*line.value.text)) {
            failures.add(line);
        }
        Ok::<_, Error>(failures)
    });
    assert_eq!(failed(&all.handle(&event).await.unwrap()), ["101", "102"]);

    let none = Handler::per_batch(|_: Vec<Received<Line>>| async { Err::<(), _>("the database is down") });
    assert_eq!(failed(&none.handle(&event).await.unwrap()), ["100"]);
    assert!(
        failed(&none.handle(&Event::default()).await.unwrap()).is_empty(),
        "it is not called"
    );
}

#[tokio::test]
async fn a_batch_resumes_inside_the_aggregate() {
    let log = Log::default();
    let seen = log.clone();
    let handler = Handler::per_batch(move |lines: Vec<Received<Line>>| {
        let first = lines.first().map(|line| line.value.text.clone()).unwrap_or_default();
        seen.add(format!("{} from {first}", lines.len()));
        let mut failures = Failures::none();
        if first == "a0" {
            failures.add(&lines[4]);
        }
        async move { Ok::<_, Error>(failures) }
    });
    let handler = handler.checkpoints(MemoryCheckpoints::new());
    let event = event(&three());
    let response = handler.handle(&event).await.unwrap();
    let event = retry(&event, &response).unwrap();
    assert!(failed(&handler.handle(&event).await.unwrap()).is_empty());
    assert_eq!(log.take(), ["9 from a0", "5 from b1"]);
}

#[tokio::test]
async fn a_shard_at_once() {
    let records = three();
    let event = from_json(&json!({ "Records": [
        record("shardId-1", "7", &records[0]), record("shardId-2", "8", &records[1]), record("shardId-1", "9", &records[2]),
    ] }));
    let log = Log::default();
    let seen = log.clone();
    let handler = Handler::per_shard(move |shard: ShardRecords<Line>| {
        let texts: Vec<_> = shard.records.iter().map(|line| &*line.value.text).collect();
        let id = shard.shard_id.clone().unwrap();
        seen.add(format!("{id} {}", texts.join(" ")));
        async move { if &*id == "shardId-2" { Err("no") } else { Ok(()) } }
    });
    assert_eq!(failed(&handler.handle(&event).await.unwrap()), ["8"]);
    assert_eq!(log.take(), ["shardId-1 a0 a1 a2 c0 c1 c2", "shardId-2 b0 b1 b2"]);
}

/// Without a sequence number the identifier is empty, and Lambda retries the whole batch.
#[tokio::test]
async fn a_failed_record_without_a_sequence_number_fails_the_batch() {
    let event = from_json(&json!({ "Records": [{ "kinesis": { "approximateArrivalTimestamp": 0, "data": "aGk=" } }] }));
    let response = handler(&Log::default(), &["hi"]).handle(&event).await.unwrap();
    assert_eq!(failed(&response), [""]);
}

#[derive(Debug)]
struct Broken;

impl Checkpoints for Broken {
    fn load<'a>(&'a self, _: &'a Origin) -> BoxFuture<'a, Result<Option<u64>, Error>> {
        Box::pin(async { Err("the table is gone".into()) })
    }
    fn save<'a>(&'a self, _: &'a Origin, _: u64) -> BoxFuture<'a, Result<(), Error>> {
        unreachable!("nothing was handled")
    }
    fn clear<'a>(&'a self, _: &'a Origin) -> BoxFuture<'a, Result<(), Error>> {
        unreachable!("nothing was handled")
    }
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_loaded_fails_the_invocation_before_anything_is_handled() {
    let log = Log::default();
    let error = handler(&log, &[])
        .checkpoints(Broken)
        .handle(&event(&three()))
        .await
        .unwrap_err();
    let HandlerError::Checkpoint { origin, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(origin.sequence_number.as_deref(), Some("100"));
    assert!(error.to_string().ends_with("the table is gone"), "{error}");
    assert!(log.take().is_empty());
}

/// A function may spawn it, or serve several invocations at the same time.
#[tokio::test]
async fn handling_is_send() {
    let log = Log::default();
    let handler = handler(&log, &[]).concurrency(Concurrency::ByPartitionKey(at_most(2)));
    let event = event(&three());
    tokio::spawn(async move { handler.handle(&event).await.map(drop) })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(log.take().len(), 9);
}

/// Records that Lambda gave up on leave entries behind: their number does not grow without bound.
#[tokio::test]
async fn memory_checkpoints_keep_the_newest_1024() {
    let records: Vec<Data> = (0..1100).map(|_| (b"x".to_vec(), "k".to_owned())).collect();
    let event = event(&records);
    let batch = Batch::from(&event);
    let checkpoints = MemoryCheckpoints::new();
    for index in 0..1100 {
        let origin = batch.origin(index).unwrap();
        checkpoints.save(&origin, 1).await.unwrap();
        checkpoints.save(&origin, index as u64).await.unwrap();
    }
    assert_eq!(checkpoints.len(), 1024);
    for (index, entry) in [(75, None), (76, Some(76)), (1099, Some(1099))] {
        assert_eq!(checkpoints.load(&batch.origin(index).unwrap()).await.unwrap(), entry);
    }
}

/// Two of them cannot be told apart: what is done in one says nothing of the other.
#[tokio::test]
async fn a_record_without_a_sequence_number_has_no_checkpoint() {
    let log = Log::default();
    let checkpoints = Arc::new(MemoryCheckpoints::new());
    for bad in [&["a1"][..], &[]] {
        let mut record = record("shardId-1", "7", &three()[0]);
        record["kinesis"]["sequenceNumber"] = json!(null);
        record["eventID"] = json!(null);
        let event = from_json(&json!({ "Records": [record] }));
        let handler = handler(&log, bad).checkpoints(Arc::clone(&checkpoints));
        handler.handle(&event).await.unwrap();
    }
    assert_eq!(log.take(), ["a0", "a1", "a0", "a1", "a2"]);
    assert!(checkpoints.is_empty());
}
