//! The fake service: what it wrote can be read, and each fault does what it says.

use std::time::Duration;

use kpl_core::SealedRecord;
use kpl_stream::client::{ErrorClass, Fetched, IteratorStart, ReadClient as _, RequestError, WriteClient as _};
use kpl_testkit::service::{Answer, Faults, Service, Stream, sequence_number};
use kpl_testkit::{aggregate_into_one, raw};
use tokio::time::timeout;

fn service(faults: Faults) -> Service {
    let service = Service::new(Stream::with_shards(4));
    service.state(|state| state.faults = faults);
    service
}

fn entries() -> Vec<SealedRecord> {
    let keys = (0..20).map(|number| format!("key {number}"));
    keys.map(|key| aggregate_into_one(&[raw(&key, "data"), raw(&key, "more")]))
        .collect()
}

/// `None`: there was no answer within an hour.
async fn put(service: &Service) -> Option<Answer> {
    let answer = service.put_records("clicks", entries());
    timeout(Duration::from_secs(3600), answer).await.ok()
}

/// What is in a shard, from its first record.
async fn read(service: &Service, shard_id: &str) -> Fetched {
    let start = service.get_shard_iterator("clicks", shard_id, IteratorStart::TrimHorizon);
    service.get_records(&start.await.unwrap(), 10_000).await.unwrap()
}

/// How many Kinesis records are in the stream.
fn count(service: &Service) -> usize {
    service.state(|state| state.stream.shards.iter().map(|shard| shard.records.len()).sum())
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_read() {
    let service = service(Faults::default());
    let written = put(&service).await.unwrap().unwrap();
    assert_eq!(service.state(|state| state.user_records), 40);
    let shards = service.list_shards("clicks").await.unwrap();
    assert_eq!(shards.len(), 4);
    for (entry, written) in entries().iter().zip(written) {
        let written = written.unwrap();
        let shard = shards.iter().find(|shard| *shard.id == *written.shard_id).unwrap();
        assert!(shard.range.contains(entry.explicit_hash_key));
        let records = read(&service, &shard.id).await.records;
        let record = records
            .iter()
            .find(|record| *record.sequence_number == *written.sequence_number);
        assert_eq!(record.unwrap().data, entry.data);
    }
    let first = read(&service, "shardId-000000000000").await.records;
    let second = service
        .get_shard_iterator(
            "clicks",
            "shardId-000000000000",
            IteratorStart::AtSequenceNumber(sequence_number(1)),
        )
        .await
        .unwrap();
    assert_eq!(service.get_records(&second, 10_000).await.unwrap().records, first[1..]);
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_a_request_answers_as_it_says() {
    let none = Faults::default();
    let class = |answer: Option<Answer>| answer.unwrap().unwrap_err().class;

    let lost = service(Faults { lost: 1.0, ..none });
    assert_eq!(put(&lost).await, None);
    assert_eq!(count(&lost), 0);

    let late = service(Faults { late: 1.0, ..none });
    assert_eq!(put(&late).await, None);
    assert_eq!(count(&late), 20);

    let cut = service(Faults { cut: 1.0, ..none });
    assert_eq!(class(put(&cut).await), ErrorClass::Unknown);
    assert_eq!(count(&cut), 20);

    let miscounted = service(Faults {
        miscounted: 1.0,
        ..none
    });
    assert_ne!(put(&miscounted).await.unwrap().unwrap().len(), 20);
    assert_eq!(count(&miscounted), 20);

    let throttled = service(Faults {
        request_throttled: 1.0,
        ..none
    });
    assert_eq!(class(put(&throttled).await), ErrorClass::Throttled);
    assert_eq!(count(&throttled), 0);

    let broken = service(Faults { broken: 1.0, ..none });
    for _ in 0..100 {
        assert_eq!(class(put(&broken).await), ErrorClass::Unknown);
    }
    assert!((20..2000).contains(&count(&broken)), "{}", count(&broken));

    let unlisted = service(Faults { unlisted: 1.0, ..none });
    assert_eq!(
        unlisted.open_shards("clicks").await.unwrap_err().class,
        ErrorClass::Unknown
    );
}

#[tokio::test(start_paused = true)]
async fn faults_of_entries_leave_the_others() {
    for faults in [
        Faults {
            throttled: 0.5,
            ..Faults::default()
        },
        Faults {
            failed: 0.5,
            ..Faults::default()
        },
    ] {
        let service = service(faults);
        let results = put(&service).await.unwrap().unwrap();
        let written = results.iter().filter(|result| result.is_ok()).count();
        assert!((1..20).contains(&written), "{written}");
        assert_eq!(count(&service), written);
        assert_eq!(service.state(|state| state.user_records), written * 2);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_reader_fail_as_they_are_told_to() {
    let service = service(Faults::default());
    let throttled = RequestError::refused("ThrottlingException", "later");
    service.fail([Some(throttled.clone()), None]);
    let list = || service.list_shards("clicks");
    assert_eq!(list().await, Err(throttled));
    assert!(timeout(Duration::from_secs(60), list()).await.is_err());
    assert!(list().await.is_ok());
}

/// A closed shard ends, and names its children if it is to.
#[tokio::test(start_paused = true)]
async fn shards_are_split_and_merged() {
    let service = service(Faults::default());
    put(&service).await.unwrap().unwrap();
    service.state(|state| {
        for _ in 0..20 {
            state.stream.reshard(&mut state.rng);
        }
        state
            .stream
            .shards
            .iter_mut()
            .for_each(|shard| shard.names_children = true);
    });
    put(&service).await.unwrap().unwrap();
    assert_eq!(count(&service), 40);
    let open = service.open_shards("clicks").await.unwrap();
    let all = service.list_shards("clicks").await.unwrap();
    assert!(open.len() < all.len());
    for shard in all {
        let fetched = read(&service, &shard.id).await;
        assert_eq!(fetched.next_iterator.is_none(), shard.closed);
        assert_eq!(fetched.child_shards.is_empty(), !shard.closed);
        for child in fetched.child_shards {
            assert!(child.parents.contains(&shard.id));
        }
    }
}
