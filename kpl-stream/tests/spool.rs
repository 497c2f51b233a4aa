//! A producer with a spool: what it keeps, in which order it is sent, and what happens when the disk fails.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use kpl_core::{HashKeyRange, RawRecord, SealedRecord, Shard};
use kpl_spool::{Directory, Log};
use kpl_stream::client::{PutResult, RequestError, StreamDescription, WriteClient, Written};
use kpl_stream::spool::{Durability, Spool, SpoolOptions, SpoolOutcome};
use kpl_stream::{Failure, FailureReason, Producer, ProducerBuilder, SendErrorKind, StreamProducer};
use kpl_testkit::{contents, raw};

/// A folder that ends with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("kpl-stream-spool-{}-{number}", std::process::id())))
    }

    fn spool(&self) -> SpoolOptions {
        Spool::dir(&self.0).durability(Durability::Written)
    }

    /// Returns the files with records, in order.
    fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.0).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some()).collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A service that keeps what it takes, unless it is told to fail.
#[derive(Clone, Debug, Default)]
struct Service(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    failure: Option<RequestError>,
    /// Requests with such data are refused.
    poison: Option<&'static str>,
    taken: Vec<RawRecord>,
    requests: u64,
}

impl Service {
    fn fails(&self, failure: impl Into<Option<RequestError>>) {
        self.0.lock().unwrap().failure = failure.into();
    }

    fn failing(failure: RequestError) -> Self {
        let service = Self::default();
        service.fails(failure);
        service
    }

    /// Returns the data of what was taken, as numbers.
    fn taken(&self) -> Vec<u32> {
        let state = self.0.lock().unwrap();
        let text = |record: &RawRecord| String::from_utf8(record.data.to_vec()).unwrap();
        state
            .taken
            .iter()
            .map(|record| text(record).trim().parse().unwrap())
            .collect()
    }

    fn taken_sorted(&self) -> Vec<u32> {
        let mut taken = self.taken();
        taken.sort_unstable();
        taken
    }
}

impl WriteClient for Service {
    fn put_records<'a>(
        &'a self,
        _: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
        Box::pin(async move {
            let mut state = self.0.lock().unwrap();
            if let Some(failure) = state.failure.clone() {
                return Err(failure);
            }
            let records: Vec<RawRecord> = entries.iter().flat_map(contents).collect();
            if let Some(poison) = state.poison
                && records.iter().any(|record| &*record.data == poison.as_bytes())
            {
                return Err(RequestError::refused("ValidationException", "it is not taken"));
            }
            state.taken.extend(records);
            state.requests += 1;
            let number = state.requests.to_string();
            let written = Written::new("shardId-000000000000", number);
            Ok(entries.iter().map(|_| Ok(written.clone())).collect())
        })
    }

    fn open_shards<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>> {
        let failure = self.0.lock().unwrap().failure.clone();
        Box::pin(async move {
            match failure {
                Some(failure) => Err(failure),
                None => Ok(vec![Shard::new("shardId-000000000000", HashKeyRange::FULL)]),
            }
        })
    }

    fn describe_stream<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
        Box::pin(async { Ok(StreamDescription::default()) })
    }
}

fn outage() -> RequestError {
    RequestError::not_sent("ConnectFailure", "the service cannot be reached")
}

fn builder(service: &Service, spool: SpoolOptions) -> ProducerBuilder {
    Producer::builder()
        .client(service.clone())
        .spool(spool.open().unwrap())
        .shard_refresh_interval(Duration::from_millis(100))
        .record_max_buffered_time(Duration::from_millis(5))
        .rate_limit(1_000_000)
}

async fn open(builder: ProducerBuilder) -> StreamProducer<RawRecord> {
    builder.build().unwrap().stream_unchecked("clicks").await.unwrap()
}

fn record(number: u32) -> RawRecord {
    raw(&format!("key {number}"), number.to_string())
}

/// Records of about this size.
fn sized(number: u32, size: usize) -> RawRecord {
    raw(&format!("key {number}"), format!("{number:<size$}"))
}

async fn spool_all(stream: &StreamProducer<RawRecord>, numbers: std::ops::Range<u32>) {
    for number in numbers {
        while let Err(error) = stream.try_spool(record(number)) {
            assert!(matches!(error.kind, SendErrorKind::Full), "{error}");
            stream.producer().sync_spool().await;
        }
    }
    stream.producer().sync_spool().await;
}

const SOON: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

/// What a function for outcomes was called with.
#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<Vec<SpoolOutcome>>>);

impl Outcomes {
    fn of(&self, spool: SpoolOptions) -> SpoolOptions {
        let outcomes = self.clone();
        spool.on_outcome(move |outcome| outcomes.0.lock().unwrap().push(outcome))
    }

    fn failures(&self) -> Vec<(String, Failure)> {
        let outcomes = self.0.lock().unwrap();
        let failed = outcomes.iter().filter_map(|outcome| {
            let failure = outcome.result.as_ref().err()?.clone();
            Some((String::from_utf8(outcome.record.data().to_vec()).unwrap(), failure))
        });
        failed.collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_producer_sends_what_has_no_outcome_first_and_in_order() {
    let (folder, service) = (Folder::new(), Service::failing(outage()));
    let stream = open(builder(&service, folder.spool())).await;
    let delivery = stream.send(record(0)).await.unwrap();
    spool_all(&stream, 1..2000).await;
    let error = stream.producer().close(SOON).await.unwrap_err();
    assert_eq!((error.spooled, error.undelivered.len()), (2000, 0));
    assert_eq!(
        error.to_string(),
        "2000 records had no outcome in time, and stay in the spool"
    );
    let failure = delivery.await.unwrap_err();
    assert_eq!(failure.record, record(0));
    assert_eq!(failure.failure.reason, FailureReason::Spooled);
    assert!(matches!(
        stream.send(record(1)).await.unwrap_err().kind,
        SendErrorKind::Closed
    ));
    assert!(matches!(
        stream.try_spool(record(1)).unwrap_err().kind,
        SendErrorKind::Closed
    ));

    service.fails(None);
    let outcomes = Outcomes::default();
    let spool = outcomes.of(folder.spool()).open().unwrap();
    assert_eq!(spool.pending(), 2000);
    let again = Producer::builder().client(service.clone()).spool(spool.clone());
    let stream = open(again.clone()).await;
    let error = again.build().unwrap_err();
    assert!(error.to_string().contains("spool"), "{error}");
    let error = folder.spool().open().unwrap_err();
    assert!(error.to_string().contains("in use by another process"), "{error}");

    spool_all(&stream, 2000..2500).await;
    stream.producer().flush().await;
    assert_eq!(service.taken(), (0..2500).collect::<Vec<_>>());
    for outcome in outcomes.0.lock().unwrap().iter() {
        let number: u32 = String::from_utf8_lossy(outcome.record.data()).parse().unwrap();
        assert_eq!(
            (&*outcome.stream, outcome.record.partition_key()),
            ("clicks", &*format!("key {number}"))
        );
        assert_eq!(outcome.result.as_ref().unwrap().may_be_duplicated(), number < 2000);
    }
    assert_eq!(outcomes.0.lock().unwrap().len(), 2500);
    stream.producer().close(LONG).await.unwrap();
    assert_eq!(folder.spool().open().unwrap().pending(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_may_be_longer_than_memory() {
    let (folder, service) = (Folder::new(), Service::failing(outage()));
    let small = |service: &Service| {
        let builder = builder(service, folder.spool()).max_user_record_size(10_000);
        builder.max_buffered_bytes(1_000_000)
    };
    let stream = open(small(&service)).await;
    spool_all(&stream, 0..30_000).await;
    let (buffered, spooled) = (stream.producer().buffered(), stream.producer().spooled().unwrap());
    assert!(buffered.bytes <= 500_000, "{buffered:?}");
    assert_eq!((spooled.records, spooled.is_full), (30_000, false));
    // A sender that waits has its outcome although its record was not in memory.
    let delivery = stream.send(record(30_000)).await.unwrap();

    service.fails(None);
    assert!(!delivery.await.unwrap().may_be_duplicated());
    stream.producer().flush().await;
    assert_eq!(service.taken_sorted(), (0..30_001).collect::<Vec<_>>());
    // It has caught up: what comes now does not go through the disk first.
    spool_all(&stream, 30_001..31_000).await;
    stream.producer().close(LONG).await.unwrap();
    assert_eq!(service.taken_sorted(), (0..31_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_all_records_fails_none() {
    let errors = [
        RequestError::configuration("NoCredentials", "set AWS_PROFILE"),
        RequestError::refused("AccessDeniedException", "not allowed"),
        RequestError::refused("ResourceNotFoundException", "no such stream"),
        RequestError::refused("KMSDisabledException", "the key is disabled"),
    ];
    for error in errors {
        let (folder, service, outcomes) = (Folder::new(), Service::failing(error.clone()), Outcomes::default());
        let stream = open(builder(&service, outcomes.of(folder.spool()))).await;
        spool_all(&stream, 0..100).await;
        tokio::time::sleep(SOON).await;
        assert_eq!(stream.producer().spooled().unwrap().records, 100, "{error}");
        service.fails(None);
        stream.producer().close(LONG).await.unwrap();
        assert_eq!(service.taken_sorted(), (0..100).collect::<Vec<_>>(), "{error}");
        assert!(outcomes.failures().is_empty(), "{error}: {:?}", outcomes.failures());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_refused_is_given_to_the_function() {
    let (folder, service, outcomes) = (Folder::new(), Service::default(), Outcomes::default());
    service.0.lock().unwrap().poison = Some("57");
    let stream = open(builder(&service, outcomes.of(folder.spool())).record_max_buffered_time(SOON)).await;
    spool_all(&stream, 0..57).await;
    // Also that of a record whose delivery was dropped.
    drop(stream.send(record(57)).await.unwrap());
    spool_all(&stream, 58..100).await;
    stream.producer().close(LONG).await.unwrap();
    let expected: Vec<u32> = (0..100).filter(|number| *number != 57).collect();
    assert_eq!(service.taken_sorted(), expected);
    let failures = outcomes.failures();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].0, "57");
    assert!(matches!(failures[0].1.reason, FailureReason::Refused(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_panics_stops_nothing() {
    let (folder, service) = (Folder::new(), Service::default());
    let stream = open(builder(&service, folder.spool().on_outcome(|_| panic!("on purpose")))).await;
    spool_all(&stream, 0..100).await;
    stream.producer().close(LONG).await.unwrap();
    assert_eq!(service.taken_sorted().len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_with_a_time_to_live_expire() {
    let (folder, service, outcomes) = (Folder::new(), Service::failing(outage()), Outcomes::default());
    let stream = open(builder(&service, outcomes.of(folder.spool())).record_ttl(SOON)).await;
    spool_all(&stream, 0..10).await;
    stream.producer().close(LONG).await.unwrap();
    let failures = outcomes.failures();
    assert_eq!(failures.len(), 10);
    assert!(
        failures
            .iter()
            .all(|(_, failure)| matches!(failure.reason, FailureReason::Expired(_)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_makes_senders_wait() {
    let (folder, service) = (Folder::new(), Service::failing(outage()));
    let small = builder(&service, folder.spool().max_bytes(200_000)).max_user_record_size(10_000);
    let stream = open(small).await;
    let mut count = 0;
    while let Ok(Ok(())) = tokio::time::timeout(SOON, stream.spool(sized(count, 1000))).await {
        count += 1;
    }
    // The one that was given up on may be sent.
    assert!((150..200).contains(&count), "{count}");
    assert!(stream.producer().spooled().unwrap().is_full);
    assert!(matches!(
        stream.try_send(sized(0, 1000)).unwrap_err().kind,
        SendErrorKind::Full
    ));
    assert!(
        fs::read_dir(&folder.0)
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum::<u64>()
            <= 210_000
    );

    let waiting = tokio::spawn({
        let stream = stream.clone();
        async move { stream.spool(sized(1000, 1000)).await }
    });
    service.fails(None);
    waiting.await.unwrap().unwrap();
    stream.producer().close(LONG).await.unwrap();
    let taken = service.taken();
    assert_eq!(
        taken
            .iter()
            .copied()
            .filter(|number| *number != count)
            .collect::<Vec<_>>(),
        (0..count).chain([1000]).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_hurries_what_fills_the_spool() {
    let folder = Folder::new();
    let service = Service::default();
    let mut options = builder(&service, folder.spool().max_bytes(140_000)).max_user_record_size(2_000);
    options = options.record_max_buffered_time(Duration::from_secs(60));
    let stream = open(options).await;
    let mut number = 0;
    let held_up = loop {
        let mut sending = Box::pin({
            let stream = stream.clone();
            async move { stream.spool(sized(number, 1_000)).await }
        });
        if tokio::time::timeout(Duration::from_millis(300), &mut sending)
            .await
            .is_err()
        {
            break sending;
        }
        number += 1;
    };
    let flushed = tokio::time::timeout(Duration::from_secs(30), stream.producer().flush()).await;
    assert!(flushed.is_ok(), "records wait for others");
    held_up.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_send_that_was_given_up_is_told() {
    let folder = Folder::new();
    let service = Service::default();
    service.0.lock().unwrap().poison = Some("7");
    let told = Outcomes::default();
    let spool = folder.spool().durability(Durability::Synced {
        every: Duration::from_secs(1),
    });
    let stream = open(builder(&service, told.of(spool))).await;
    // The next is stored a second after this one.
    let _ = stream.send(RawRecord::new("key", "1")).await.unwrap().await;
    let sending = stream.send(RawRecord::new("key", "7"));
    let given_up = tokio::time::timeout(Duration::from_millis(100), sending).await;
    stream.producer().flush().await;
    assert!(given_up.is_err(), "it is stored at once");
    assert_eq!(told.failures().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_that_is_not_stored() {
    let (folder, service, outcomes) = (Folder::new(), Service::failing(outage()), Outcomes::default());
    let stream = open(builder(&service, outcomes.of(folder.spool()))).await;
    let accepted = stream.send(record(0)).await.unwrap();
    fs::remove_dir_all(&folder.0).unwrap();
    let error = stream.send(record(1)).await.unwrap_err();
    assert_eq!(error.record, record(1));
    assert!(matches!(&error.kind, SendErrorKind::Spool(_)), "{error}");
    let mut refused = stream.try_send(record(2)).unwrap();
    while !refused.is_done() {
        stream.producer().sync_spool().await;
    }
    let error = (&mut refused).await.unwrap_err();
    assert!(matches!(error.failure.reason, FailureReason::NotStored(_)), "{error}");
    stream.try_spool(record(3)).unwrap();
    stream.producer().sync_spool().await;
    let failures = outcomes.failures();
    assert_eq!(failures.len(), 1);
    assert!(failures[0].0 == "3" && matches!(failures[0].1.reason, FailureReason::NotStored(_)));

    // What was accepted is in memory, and the folder may come back.
    service.fails(None);
    accepted.await.unwrap();
    fs::create_dir(&folder.0).unwrap();
    let mut stored = stream.spool(record(4)).await;
    while stored.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        stored = stream.spool(record(4)).await;
    }
    stream.producer().close(LONG).await.unwrap();
    assert_eq!(service.taken(), [0, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_costs_itself_alone() {
    let (folder, service) = (Folder::new(), Service::failing(outage()));
    let stream = open(builder(&service, folder.spool())).await;
    spool_all(&stream, 0..100).await;
    stream.producer().close(Duration::ZERO).await.unwrap_err();
    let path = &folder.segments()[0];
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let at = bytes.windows(8).position(|bytes| bytes == b"key 5050").unwrap() as u64;
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(b"K").unwrap();

    service.fails(None);
    let stream = open(builder(&service, folder.spool())).await;
    stream.producer().close(LONG).await.unwrap();
    let expected: Vec<u32> = (0..100).filter(|number| *number != 50).collect();
    assert_eq!(service.taken(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_later_version_stay() {
    let (folder, service) = (Folder::new(), Service::default());
    let mut log = Log::open(Directory::open(&folder.0).unwrap(), kpl_spool::Options::default()).unwrap();
    for _ in 0..3 {
        log.append(b"\x02of a later version").unwrap();
    }
    log.commit().unwrap();
    drop(log);
    let stream = open(builder(&service, folder.spool())).await;
    spool_all(&stream, 0..10).await;
    stream.producer().flush().await;
    assert_eq!(service.taken(), (0..10).collect::<Vec<_>>());
    assert_eq!(stream.producer().close(LONG).await.unwrap_err().spooled, 3);
    assert_eq!(folder.spool().open().unwrap().pending(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_and_senders_share_a_spool() {
    let (folder, service) = (Folder::new(), Service::failing(outage()));
    let producer = builder(&service, folder.spool()).build().unwrap();
    let mut senders = Vec::new();
    for sender in 0..8 {
        let stream = producer
            .stream_unchecked::<RawRecord>(&format!("stream {}", sender % 3))
            .await
            .unwrap();
        senders.push(tokio::spawn(async move {
            for number in 0..200 {
                stream.spool(record(sender * 1000 + number)).await.unwrap();
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    drop(producer);

    // Draining needs no stream to be opened.
    service.fails(None);
    let outcomes = Outcomes::default();
    let mut spool = outcomes.of(folder.spool()).open();
    while spool.is_err() {
        // The dropped producer ends by itself.
        tokio::time::sleep(Duration::from_millis(10)).await;
        spool = outcomes.of(folder.spool()).open();
    }
    let producer = Producer::builder()
        .client(service.clone())
        .spool(spool.unwrap())
        .build()
        .unwrap();
    producer.flush().await;
    producer.close(LONG).await.unwrap();
    for outcome in outcomes.0.lock().unwrap().iter() {
        let number: u32 = String::from_utf8_lossy(outcome.record.data()).parse().unwrap();
        assert_eq!(*outcome.stream, *format!("stream {}", number / 1000 % 3));
    }
    let mut taken = service.taken();
    for sender in 0..8 {
        let of_sender: Vec<u32> = taken.iter().copied().filter(|number| number / 1000 == sender).collect();
        assert_eq!(of_sender, (sender * 1000..sender * 1000 + 200).collect::<Vec<_>>());
    }
    taken.dedup();
    assert_eq!(taken.len(), 1600);
}

#[tokio::test]
async fn without_a_spool_there_is_none() {
    let producer = Producer::builder().client(Service::default()).build().unwrap();
    assert_eq!(producer.spooled(), None);
    producer.sync_spool().await;
    let stream = producer.stream::<RawRecord>("clicks").await.unwrap();
    assert!(matches!(
        stream.spool(record(1)).await.unwrap_err().kind,
        SendErrorKind::NoSpool
    ));
    let folder = Folder::new();
    let error = builder(&Service::default(), folder.spool().max_bytes(1_000_000))
        .build()
        .unwrap_err();
    assert!(
        error.to_string().contains(
            "max_bytes of the spool is 1000000, but must be at least 2228224, for records of max_user_record_size"
        ),
        "{error}"
    );
}
