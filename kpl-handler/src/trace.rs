//! The traces of records: the sender's, and those that handlers run in.

use std::future::Future;

use kpl_core::Received;
#[cfg(feature = "trace")]
use kpl_core::TraceContext;
#[cfg(feature = "trace")]
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
use tracing::{Instrument as _, Span};
#[cfg(feature = "trace")]
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Returns the trace that a record belongs to if it is sent now: that of the current span of `tracing`, or else the
/// current context of `opentelemetry`.
#[cfg(feature = "trace")]
#[must_use]
pub fn current() -> Option<TraceContext> {
    let of_span = Span::current().context();
    let context = match of_span.has_active_span() {
        true => of_span,
        false => opentelemetry::Context::current(),
    };
    let span = context.span();
    let span = span.span_context();
    let (trace_id, span_id) = (span.trace_id().to_bytes(), span.span_id().to_bytes());
    let flags = span.trace_flags().to_u8();
    let context = TraceContext::new(u128::from_be_bytes(trace_id), u64::from_be_bytes(span_id), flags);
    context
        .ok()
        .map(|context| context.with_state(&span.trace_state().header()))
}

#[cfg(feature = "trace")]
fn remote(context: &TraceContext) -> SpanContext {
    let state = context.state().and_then(|state| state.parse::<TraceState>().ok());
    SpanContext::new(
        context.trace_id().into(),
        context.parent_id().into(),
        TraceFlags::new(context.flags()),
        true,
        state.unwrap_or_default(),
    )
}

/// Returns the span in which a function is called with this record: a child of the span that sent it, or none if the
/// record does not belong to a trace.
#[must_use]
pub fn span_of_record<T>(record: &Received<T>) -> Span {
    #[cfg(feature = "trace")]
    if let Some(context) = record.trace_context() {
        let span = process(record, None);
        // It fails if the subscriber has no layer of OpenTelemetry: then there is no trace either.
        let parent = opentelemetry::Context::new().with_remote_span_context(remote(&context));
        let _ = span.set_parent(parent);
        return span;
    }
    let _ = record;
    Span::none()
}

/// Returns the span in which a function is called with these records: it links to the spans that sent them, each once, or
/// there is none if no record belongs to a trace.
#[must_use]
pub fn span_of_records<T>(records: &[Received<T>]) -> Span {
    #[cfg(feature = "trace")]
    {
        let mut links: Vec<TraceContext> = Vec::new();
        for context in records.iter().filter_map(Received::trace_context) {
            if links.len() == MAX_LINKS {
                break;
            }
            if !links.contains(&context) {
                links.push(context);
            }
        }
        if let (Some(first), false) = (records.first(), links.is_empty()) {
            let span = process(first, Some(records.len()));
            links.iter().for_each(|context| span.add_link(remote(context)));
            return span;
        }
    }
    let _ = records;
    Span::none()
}

/// What the SDK keeps of a span unless it is told otherwise.
#[cfg(feature = "trace")]
const MAX_LINKS: usize = 128;

/// A span as the semantic conventions of OpenTelemetry have it for messages.
#[cfg(feature = "trace")]
fn process<T>(first: &Received<T>, count: Option<usize>) -> Span {
    let stream = first.stream();
    let name = stream.map_or_else(|| "process".into(), |stream| format!("process {stream}"));
    tracing::info_span!(
        "process",
        otel.name = name,
        otel.kind = "consumer",
        "messaging.system" = "aws_kinesis",
        "messaging.operation.name" = "process",
        "messaging.operation.type" = "process",
        "messaging.destination.name" = stream,
        "messaging.destination.partition.id" = first.shard_id(),
        "messaging.batch.message_count" = count,
        "otel.status_code" = tracing::field::Empty,
    )
}

/// Calls a function, and waits for its result, in a span, which says whether it failed.
///
/// # Errors
///
/// Those of the function.
pub async fn in_span<Fut, R, E>(span: Span, f: impl FnOnce() -> Fut) -> Result<R, E>
where
    Fut: Future<Output = Result<R, E>>,
{
    let result = span.in_scope(f).instrument(span.clone()).await;
    if result.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    result
}
