//! What the dashboard and the alerts ask for is what producers and readers report.
#![forbid(unsafe_code)]

use std::time::Duration;

use kpl_core::RawRecord;
use kpl_stream::client::{EntryError, RequestError};
use kpl_stream::spool::{Durability, Spool};
use kpl_stream::testing::Kinesis;
use kpl_stream::testing::model::Event;
use kpl_stream::{Producer, Reader};
use kpl_testkit::dashboard::missing;
use metrics_exporter_prometheus::PrometheusBuilder;

/// Everything that is reported at all: success, throttling, failures, and records that expire.
async fn produce_and_read() {
    let kinesis = Kinesis::new();
    let stream = kinesis.create_stream("clicks", 1);
    let producer = Producer::builder().client(kinesis.clone()).build().unwrap();
    let clicks = producer.stream::<RawRecord>("clicks").await.unwrap();
    let send = async || clicks.send(RawRecord::new("key", "data")).await.unwrap().await;
    stream.throttle(1);
    send().await.unwrap();
    stream.fail_puts([RequestError::refused("InternalFailure", "500")]);
    send().await.unwrap();
    stream.fail_shard("shardId-000000000000", EntryError::new("InternalFailure", "500"));
    send().await.unwrap_err();
    producer.close(Duration::from_secs(30)).await.unwrap();

    let throttled = RequestError::refused("ProvisionedThroughputExceededException", "slower");
    for fan_out in [false, true] {
        let idle = Duration::from_secs(30);
        let mut builder = Reader::<RawRecord>::builder()
            .client(kinesis.clone())
            .end_when_idle(idle);
        let events = [Event::Comes, Event::Failure(throttled.clone())];
        if fan_out {
            builder = builder.fan_out("dashboard");
            stream.model().state(|state| state.subscriptions.events.extend(events));
        } else {
            let failing = [throttled.clone()];
            stream.model().state(|state| state.failing_reads.extend(failing));
        }
        let mut reader = builder.build("clicks").await.unwrap();
        while reader.next().await.transpose().unwrap().is_some() {}
    }
}

/// A spool is a thread of its own, on the system's clock.
async fn produce_with_a_spool() {
    let folder = std::env::temp_dir().join(format!("kpl-stream-dashboard-{}", std::process::id()));
    let kinesis = Kinesis::new();
    kinesis.create_stream("orders", 1);
    let spool = Spool::dir(&folder).durability(Durability::Written).open().unwrap();
    let producer = Producer::builder().client(kinesis).spool(spool).build().unwrap();
    let orders = producer.stream("orders").await.unwrap();
    orders.send(RawRecord::new("key", "data")).await.unwrap().await.unwrap();
    producer.close(Duration::from_secs(30)).await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_dashboard_asks_for_what_is_reported() {
    let exporter = PrometheusBuilder::new().install_recorder().unwrap();
    let runtime = |paused| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(paused).build().unwrap()
    };
    runtime(true).block_on(produce_and_read());
    runtime(false).block_on(produce_with_a_spool());
    let scrape = exporter.render();
    let missing = missing(&scrape, false);
    assert!(missing.is_empty(), "{missing:?} are not in\n{scrape}");
}
