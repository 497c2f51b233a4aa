//! Traces: from the sender to the function that handles the record, with a real server and the SDK of OpenTelemetry.

#![cfg(all(feature = "aws", feature = "trace"))]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kpl_core::{RawRecord, Received, TraceContext};
use kpl_stream::{Producer, Reader, ShardRecords};
use kpl_testkit::server::Server;
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tokio::sync::Notify;
use tracing::{Instrument as _, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

/// What is exported while it exists, on this thread.
struct Telemetry {
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
    _default: tracing::subscriber::DefaultGuard,
}

impl Telemetry {
    fn start() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(layer);
        Self {
            exporter,
            provider,
            _default: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Returns the spans with this name.
    fn spans(&self, name: &str) -> Vec<SpanData> {
        self.provider.force_flush().unwrap();
        let mut spans = self.exporter.get_finished_spans().unwrap();
        spans.retain(|span| span.name == name);
        spans
    }

    fn span(&self, name: &str) -> SpanData {
        let mut spans = self.spans(name);
        assert_eq!(spans.len(), 1, "{name}");
        spans.remove(0)
    }
}

/// Sends records, each in a span of its own, and one in none.
async fn send(server: &Server, trace_context: bool, spans: &[&'static str]) {
    let builder = Producer::builder().load_aws_config(server.config());
    let producer = builder.trace_context(trace_context).build().unwrap();
    let stream = producer.stream::<RawRecord>("clicks").await.unwrap();
    let mut deliveries = Vec::new();
    for &name in spans {
        let span = info_span!("request", otel.name = name);
        let send = stream.send(RawRecord::new("ada", name));
        deliveries.push(send.instrument(span).await.unwrap());
    }
    deliveries.push(stream.send(RawRecord::new("ada", "none")).await.unwrap());
    producer.flush().await;
    for delivery in deliveries {
        delivery.await.unwrap();
    }
}

fn reader(server: &Server) -> kpl_stream::reader::ReaderBuilder<RawRecord> {
    Reader::builder()
        .load_aws_config(server.config())
        .poll_interval(Duration::from_millis(20))
        .fetch_interval(Duration::from_millis(5))
}

/// Handles this many records one by one, and returns each one's trace by its data.
async fn handle(server: &Server, count: usize) -> BTreeMap<String, Option<TraceContext>> {
    let handled = Mutex::new(BTreeMap::new());
    let all = Arc::new(Notify::new());
    let ended = Arc::clone(&all);
    reader(server)
        .build("clicks")
        .await
        .unwrap()
        .for_each(|record: Received<RawRecord>| {
            let _store = info_span!("store").entered();
            let mut handled = handled.lock().unwrap();
            let data = String::from_utf8(record.value.data.clone()).unwrap();
            handled.insert(data, record.trace_context());
            if handled.len() == count {
                all.notify_one();
            }
            async { Ok::<_, Infallible>(()) }
        })
        .until(async move { ended.notified().await })
        .run()
        .await
        .unwrap();
    handled.into_inner().unwrap()
}

#[tokio::test]
async fn a_function_runs_in_the_trace_of_the_record() {
    let telemetry = Telemetry::start();
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    send(&server, true, &["first", "second"]).await;
    let handled = handle(&server, 3).await;
    assert_eq!(handled["none"], None);

    let processed = telemetry.spans("process clicks");
    assert_eq!(processed.len(), 2);
    let stored = telemetry.spans("store");
    assert_eq!(stored.len(), 3);
    for name in ["first", "second"] {
        let sent = telemetry.span(name);
        let trace_id = sent.span_context.trace_id();
        let context = handled[name].as_ref().unwrap();
        assert_eq!(TraceId::from(context.trace_id()), trace_id);
        assert!(context.is_sampled());
        let process = processed
            .iter()
            .find(|span| span.span_context.trace_id() == trace_id)
            .unwrap();
        assert_eq!(process.parent_span_id, sent.span_context.span_id());
        assert!(process.parent_span_is_remote);
        assert_eq!(process.span_kind, SpanKind::Consumer);
        let attribute = |key: &str| {
            let found = process.attributes.iter().find(|pair| pair.key.as_str() == key);
            found.map(|pair| pair.value.to_string())
        };
        assert_eq!(attribute("messaging.destination.name").as_deref(), Some("clicks"));
        assert_eq!(attribute("messaging.operation.type").as_deref(), Some("process"));
        assert_eq!(
            attribute("messaging.destination.partition.id").as_deref(),
            Some("shardId-000000000000")
        );
        assert_eq!(attribute("messaging.batch.message_count"), None);
        // What the function does is in that span, also before it returns its future.
        let inside = stored
            .iter()
            .filter(|span| span.parent_span_id == process.span_context.span_id());
        assert_eq!(inside.count(), 1);
    }
}

#[tokio::test]
async fn a_function_for_many_records_links_to_their_traces() {
    let telemetry = Telemetry::start();
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    send(&server, true, &["first", "second"]).await;
    let all = Arc::new(Notify::new());
    let ended = Arc::clone(&all);
    let count = Mutex::new(0);
    reader(&server)
        .build("clicks")
        .await
        .unwrap()
        .for_each_shard(|shard: ShardRecords<RawRecord>| {
            let mut count = count.lock().unwrap();
            *count += shard.records.len();
            if *count == 3 {
                all.notify_one();
            }
            async { Ok::<_, Infallible>(()) }
        })
        .until(async move { ended.notified().await })
        .run()
        .await
        .unwrap();
    let links: Vec<SpanId> = telemetry
        .spans("process clicks")
        .iter()
        .flat_map(|span| span.links.iter().map(|link| link.span_context.span_id()))
        .collect();
    let sent = ["first", "second"].map(|name| telemetry.span(name).span_context.span_id());
    assert_eq!(links, sent);
}

#[tokio::test]
async fn without_the_option_records_carry_nothing() {
    let telemetry = Telemetry::start();
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    send(&server, false, &["first"]).await;
    let handled = handle(&server, 2).await;
    assert!(handled.values().all(Option::is_none), "{handled:?}");
    assert_eq!(telemetry.spans("process clicks"), []);
}

/// Without spans of `tracing`, the context of `opentelemetry` counts; a record's own tag comes before both.
#[tokio::test]
async fn the_context_of_opentelemetry_and_the_tags_of_the_record() {
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    let builder = Producer::builder().load_aws_config(server.config());
    let producer = builder.trace_context(true).build().unwrap();
    let stream = producer.stream::<RawRecord>("clicks").await.unwrap();
    let own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let context = SpanContext::new(
        TraceId::from(7_u128),
        SpanId::from(8_u64),
        TraceFlags::SAMPLED,
        false,
        "vendor=a".parse::<TraceState>().unwrap(),
    );
    let deliveries = {
        let _attached = Context::new().with_remote_span_context(context).attach();
        let tagged = RawRecord::new("ada", "tagged").with_tag(TraceContext::TRACEPARENT, Some(own));
        [tagged, RawRecord::new("ada", "context")].map(|record| stream.try_send(record).unwrap())
    };
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    let handled = handle(&server, 2).await;
    let of = |name: &str| handled[name].clone().unwrap();
    assert_eq!(of("tagged").to_string(), own);
    assert_eq!(of("tagged").state(), None);
    let expected = TraceContext::new(7, 8, 1).unwrap().with_state("vendor=a");
    assert_eq!(of("context"), expected);
}
