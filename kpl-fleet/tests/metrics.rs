//! What a worker reports through the `metrics` facade.

#![forbid(unsafe_code)]

#[path = "../../kpl-stream/tests/common/scrape.rs"]
mod scrape;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use kpl_core::RawRecord;
use kpl_fleet::{Changed, Fleet, Lease, LeaseStore, MemoryLeases, OwnerChange, Received, StoreError, Update};
use kpl_testkit::service::{Service, Shard, Stream};
use tokio::time::sleep;

/// A store that does not answer renewals.
#[derive(Clone, Debug)]
struct NoRenewals(MemoryLeases);

impl LeaseStore for NoRenewals {
    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.prepare()
    }

    fn leases(&self) -> BoxFuture<'_, Result<Vec<Lease>, StoreError>> {
        self.0.leases()
    }

    fn create<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.create(lease)
    }

    fn update<'a>(&'a self, update: &'a Update) -> BoxFuture<'a, Result<Changed, StoreError>> {
        match update.owner {
            OwnerChange::Take(_) => self.0.update(update),
            _ => Box::pin(async { Err(StoreError::passing("throttled")) }),
        }
    }

    fn delete<'a>(&'a self, key: &'a str, counter: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.delete(key, counter)
    }
}

/// Runs a worker for this many seconds, and returns its metrics.
fn scraped(store: impl LeaseStore, seconds: u64) -> String {
    scrape::scraped(async {
        let service = Service::new(Stream::new([Shard::new("a", &["1"]), Shard::new("b", &["2"])]));
        let run = Fleet::<RawRecord>::builder("app", "lines")
            .client(Arc::new(service))
            .leases(store)
            .start(kpl_fleet::Start::TrimHorizon)
            .worker("one")
            .run(|_: Received<RawRecord>| async { Ok::<_, Infallible>(()) });
        tokio::select! {
            ended = run => panic!("{ended:?}"),
            () = sleep(Duration::from_secs(seconds)) => {}
        }
    })
}

fn value(scrape: &str, metric: &str, labels: &str) -> u64 {
    let start = format!("{metric}{{Application=\"app\",WorkerIdentifier=\"one\"{labels}}} ");
    let line = scrape.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("{start} is not in\n{scrape}"))
        .parse()
        .unwrap()
}

#[test]
fn leases_are_counted_and_described() {
    let scrape = scraped(MemoryLeases::new(), 30);
    assert_eq!(value(&scrape, "CurrentLeases", ""), 2);
    assert_eq!(value(&scrape, "TakenLeases", ""), 2);
    assert!(
        scrape.contains("# HELP CurrentLeases The shards that the worker handles"),
        "{scrape}"
    );
    assert!(
        scrape.contains(r#"MillisBehindLatest{StreamName="lines",ShardId="a"} 0"#),
        "{scrape}"
    );
    assert!(!scrape.contains("Lost") && !scrape.contains("Failure"), "{scrape}");
}

#[test]
fn what_is_not_renewed_is_counted_as_failed_and_lost() {
    let scrape = scraped(NoRenewals(MemoryLeases::new()), 12);
    assert!(value(&scrape, "LostLeases", ",Reason=\"NotRenewed\"") >= 2);
    // Each record asks for a checkpoint.
    assert!(value(&scrape, "RenewLease_Failure", "") > 0, "{scrape}");
    assert!(value(&scrape, "UpdateLease_Failure", "") > 0, "{scrape}");
}

#[test]
fn the_dashboard_asks_for_what_is_reported() {
    let scrape = scraped(MemoryLeases::new(), 30) + &scraped(NoRenewals(MemoryLeases::new()), 12);
    let missing = kpl_testkit::dashboard::missing(&scrape, true);
    assert!(missing.is_empty(), "{missing:?} are not in\n{scrape}");
}
