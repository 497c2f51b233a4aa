//! Requests and answers: AWS JSON 1.1 over HTTP.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::future::pending;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use kpl_core::HashKey;
use serde::Deserialize;
use serde_json::json;

use super::stream::{Fate, Stream};
use super::{Fault, Streams};

/// The service's largest request, 10 MiB before base64, and room for the JSON around it.
const MAX_BODY: usize = 16 << 20;

/// How many shards ListShards returns at once, as the service does.
const SHARDS_PER_PAGE: usize = 1000;

pub(super) async fn serve(listener: TcpListener, streams: Streams, latency: Duration) {
    listener.set_nonblocking(true).expect("a socket");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    let listener = listener.tap_io(|connection| {
        // It is only slower without it.
        let _ = connection.set_nodelay(true);
    });
    let app = Router::new().fallback(answer).layer(DefaultBodyLimit::max(MAX_BODY));
    axum::serve(listener, app.with_state((streams, latency)))
        .await
        .expect("the server runs");
}

async fn answer(State((streams, latency)): State<(Streams, Duration)>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let operation = header("x-amz-target").rsplit('.').next().unwrap_or_default();
    let done = match operation {
        "PutRecords" => put_records(&streams, access_key_id(header("authorization")), &body),
        "ListShards" => list_shards(&streams, &body),
        "DescribeStreamSummary" => describe(&streams, &body),
        _ => Err(Refusal::Error("UnknownOperationException", operation.to_owned())),
    };
    // A request that is never answered keeps nothing either.
    drop(body);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match done {
        Ok(body) => json_response(StatusCode::OK, body),
        Err(Refusal::Error(code, message)) => {
            let body = json!({ "__type": code, "message": message });
            json_response(StatusCode::BAD_REQUEST, body.to_string())
        }
        Err(Refusal::Unavailable) => {
            let html = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available.</body></html>";
            let content_type = [(header::CONTENT_TYPE, "text/html")];
            (StatusCode::SERVICE_UNAVAILABLE, content_type, html).into_response()
        }
        Err(Refusal::NoAnswer) => pending().await,
    }
}

fn json_response(status: StatusCode, body: String) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
    (status, content_type, body).into_response()
}

/// Returns the access key id of a signature.
fn access_key_id(authorization: &str) -> &str {
    let credential = authorization.split_once("Credential=").map_or("", |(_, rest)| rest);
    credential.split('/').next().unwrap_or_default()
}

/// Why a request has no answer of its own.
enum Refusal {
    Error(&'static str, String),
    Unavailable,
    NoAnswer,
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::Error("SerializationException", error.to_string())
    }
}

/// What a request may contain: the fields of all operations.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'r> {
    #[serde(borrow, default)]
    stream_name: Option<Cow<'r, str>>,
    #[serde(borrow, default, rename = "StreamARN")]
    stream_arn: Option<Cow<'r, str>>,
    /// The stream's name and the index of the first shard, with a blank between them.
    #[serde(borrow, default)]
    next_token: Option<Cow<'r, str>>,
    #[serde(borrow, default)]
    records: Vec<Entry<'r>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'r> {
    /// In base64. It is never decoded.
    #[serde(borrow)]
    data: Cow<'r, str>,
    #[serde(borrow, default)]
    partition_key: Option<Cow<'r, str>>,
    #[serde(borrow, default)]
    explicit_hash_key: Option<Cow<'r, str>>,
}

impl Request<'_> {
    /// Calls `work` with the stream and the index of the first shard of the page.
    fn with_stream<R>(
        &self,
        streams: &Streams,
        work: impl FnOnce(&str, &mut Stream, usize) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let token = self.next_token.as_deref().and_then(|token| token.split_once(' '));
        let arn = self.stream_arn.as_deref().and_then(|arn| arn.rsplit('/').next());
        let first = token.and_then(|(_, first)| first.parse().ok()).unwrap_or(0);
        let name = token.map(|(name, _)| name).or(self.stream_name.as_deref()).or(arn);
        let name = name.unwrap_or_default();
        match streams.lock().get_mut(name) {
            Some(stream) => work(name, stream, first),
            None => Err(Refusal::Error(
                "ResourceNotFoundException",
                format!("Stream {name} under account 000000000000 not found."),
            )),
        }
    }
}

impl Fault {
    /// Returns the error of a request that fails as a whole.
    fn refuse(fault: Option<Self>) -> Result<(), Refusal> {
        match fault {
            None | Some(Self::EveryEntry) => Ok(()),
            Some(Self::Unavailable) => Err(Refusal::Unavailable),
            Some(Self::NoAnswer) => Err(Refusal::NoAnswer),
            Some(Self::Denied) => {
                let message = "User: test is not authorized to perform this action";
                Err(Refusal::Error("AccessDeniedException", message.to_owned()))
            }
        }
    }
}

impl Entry<'_> {
    /// Returns how many bytes of a shard's room it takes.
    fn size(&self) -> usize {
        let padding = self.data.bytes().rev().take_while(|byte| *byte == b'=').count();
        let key = self.partition_key.as_ref().map_or(0, |key| key.len());
        self.data.len() / 4 * 3 - padding.min(2) + key
    }

    fn hash_key(&self) -> Result<HashKey, Refusal> {
        let explicit = self.explicit_hash_key.as_deref().map(str::parse).transpose();
        let explicit = explicit
            .map_err(|error| Refusal::Error("InvalidArgumentException", format!("ExplicitHashKey: {error}")))?;
        Ok(HashKey::effective(
            self.partition_key.as_deref().unwrap_or_default(),
            explicit,
        ))
    }
}

fn put_records(streams: &Streams, client: &str, body: &[u8]) -> Result<String, Refusal> {
    let request: Request<'_> = serde_json::from_slice(body)?;
    let keys: Vec<HashKey> = request.records.iter().map(Entry::hash_key).collect::<Result<_, _>>()?;
    request.with_stream(streams, |name, stream, _| {
        stream.counts.requests += 1;
        stream.counts.request_bytes += body.len() as u64;
        Fault::refuse(stream.puts_fail)?;
        let now = Instant::now();
        let mut results = String::with_capacity(request.records.len() * 128);
        let mut failed = 0;
        for (entry, key) in request.records.iter().zip(keys) {
            let separator = if results.is_empty() { "" } else { "," };
            let fate = stream.put(client, key, entry.size(), now);
            failed += i32::from(!matches!(fate, Fate::Accepted(..)));
            let written = match fate {
                Fate::Accepted(index, number) => write!(
                    results,
                    r#"{separator}{{"SequenceNumber":"4966{number:052}","ShardId":"shardId-{index:012}"}}"#
                ),
                Fate::Throttled => write!(
                    results,
                    r#"{separator}{{"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"Rate exceeded for a shard in stream {name} under account 000000000000."}}"#
                ),
                Fate::Failed => write!(
                    results,
                    r#"{separator}{{"ErrorCode":"InternalFailure","ErrorMessage":"Internal service failure."}}"#
                ),
            };
            written.expect("a string has room");
        }
        Ok(format!(r#"{{"FailedRecordCount":{failed},"Records":[{results}]}}"#))
    })
}

fn list_shards(streams: &Streams, body: &[u8]) -> Result<String, Refusal> {
    let request: Request<'_> = serde_json::from_slice(body)?;
    request.with_stream(streams, |name, stream, first| {
        stream.counts.listings += 1;
        Fault::refuse(stream.listings_fail)?;
        let page = stream.shards.shards().skip(first).take(SHARDS_PER_PAGE);
        let page = page.map(|shard| {
            json!({
                "ShardId": shard.id,
                "HashKeyRange": {
                    "StartingHashKey": shard.range.start().to_string(),
                    "EndingHashKey": shard.range.end().to_string(),
                },
                "SequenceNumberRange": { "StartingSequenceNumber": format!("4966{:052}", 0) },
            })
        });
        let mut answer = json!({ "Shards": page.collect::<Vec<_>>() });
        let next = first + SHARDS_PER_PAGE;
        if next < stream.shards.len() {
            answer["NextToken"] = json!(format!("{name} {next}"));
        }
        Ok(answer.to_string())
    })
}

fn describe(streams: &Streams, body: &[u8]) -> Result<String, Refusal> {
    let request: Request<'_> = serde_json::from_slice(body)?;
    request.with_stream(streams, |name, stream, _| {
        let distribution = if stream.auto { "AUTO" } else { "USER_PARTITION_KEY" };
        let summary = json!({
            "StreamName": name,
            "StreamARN": format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}"),
            "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": 0,
            "EnhancedMonitoring": [],
            "OpenShardCount": stream.shards.len(),
            "RecordDistributionStrategy": distribution,
        });
        Ok(json!({ "StreamDescriptionSummary": summary }).to_string())
    })
}
