//! The spans in which functions are called with the records of a batch.

#![cfg(feature = "trace")]

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};

use kpl_core::{Aggregator, Deaggregator, KinesisRecord, RawRecord, Received, TraceContext};
use kpl_handler::{DeadLetters, Kind, OnFailure, PerBatch, PerRecord, PerShard, Progress, ShardRecords};
use opentelemetry::trace::{SpanId, Status, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing_subscriber::layer::SubscriberExt as _;

/// Returns the spans that there are after a batch: three records of the spans 1, 2 and 1, and one of none.
async fn spans(kind: impl Kind<RawRecord>) -> Vec<SpanData> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer);
    let default = tracing::subscriber::set_default(subscriber);

    let mut aggregator = Aggregator::<RawRecord>::new();
    for parent_id in [1, 2, 1, 0] {
        let mut record = RawRecord::new("ada", "data");
        if let Ok(context) = TraceContext::new(7, parent_id, 1) {
            context.add_to(&mut record.tags);
        }
        assert!(aggregator.push(&record).unwrap().is_none());
    }
    let sealed = aggregator.finish().unwrap();
    let batch = [KinesisRecord::from(&sealed)];
    let records = Deaggregator::<RawRecord>::new()
        .records(&batch)
        .into_received(|origin, _| origin.with_stream("clicks"));
    let progress = Progress::new(OnFailure::Continue);
    kind.process(records, &DeadLetters::none(), &progress).await;
    drop(default);
    exporter.get_finished_spans().unwrap()
}

fn ids<const N: usize>(ids: [u64; N]) -> Vec<SpanId> {
    ids.map(SpanId::from).into()
}

#[tokio::test]
async fn one_record_each() {
    let spans = spans(PerRecord::new(async |_: Received<RawRecord>| Ok::<_, Infallible>(()))).await;
    let parents: Vec<_> = spans.iter().map(|span| span.parent_span_id).collect();
    assert_eq!(parents, ids([1, 2, 1]));
    for span in spans {
        assert_eq!(
            (span.span_context.trace_id(), &*span.name),
            (7.into(), "process clicks")
        );
    }
}

#[tokio::test]
async fn the_span_of_a_function_that_fails_has_failed_and_has_the_report() {
    let handled = AtomicU32::new(0);
    let kind = PerRecord::new(
        async |_: Received<RawRecord>| match handled.fetch_add(1, Ordering::Relaxed) {
            0 => Err("the database is away"),
            _ => Ok(()),
        },
    );
    let spans = spans(kind.on_failure(OnFailure::Continue)).await;
    let statuses: Vec<_> = spans.iter().map(|span| span.status.clone()).collect();
    assert_eq!(statuses, [Status::error(""), Status::Unset, Status::Unset]);
    let reports: Vec<_> = spans.iter().map(|span| span.events.len()).collect();
    assert_eq!(reports, [1, 0, 0]);
}

/// Returns the links of the only span, and how many records it says it is for.
fn links(spans: &[SpanData]) -> (Vec<SpanId>, Option<String>) {
    let [span] = spans else { panic!("{spans:?}") };
    assert_eq!(span.parent_span_id, SpanId::INVALID);
    assert_ne!(span.span_context.trace_id(), 7.into());
    let mut attributes = span.attributes.iter();
    let count = attributes.find(|pair| pair.key.as_str() == "messaging.batch.message_count");
    let links = span.links.iter().map(|link| link.span_context.span_id());
    (links.collect(), count.map(|pair| pair.value.to_string()))
}

#[tokio::test]
async fn all_records_together() {
    let expected = (ids([1, 2]), Some("4".into()));
    let batch = spans(PerBatch::new(async |_: Vec<Received<RawRecord>>| {
        Ok::<_, Infallible>(())
    }))
    .await;
    assert_eq!(links(&batch), expected);
    let shard = spans(PerShard::new(
        async |_: ShardRecords<RawRecord>| Ok::<_, Infallible>(()),
    ))
    .await;
    assert_eq!(links(&shard), expected);
}
