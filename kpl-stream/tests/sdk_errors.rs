//! Errors that no local server returns, with a replacement for the service that uses the AWS SDK's own test support.
#![cfg(feature = "aws")]
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future;
use aws_sdk_kinesis::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::test_util::infallible_client_fn;
use kpl_core::RawRecord;
use kpl_stream::client::ErrorClass;
use kpl_stream::reader::{Reader, ReaderError};
use kpl_stream::{FailureReason, OpenErrorKind, Producer, Receipt, StreamProducer, StreamState};
use kpl_testkit::aws;
use serde_json::{Value, json};

type Outcome = Result<Receipt, kpl_stream::DeliveryError<RawRecord>>;

/// Returns a configuration for a service that answers PutRecords with this status and body.
async fn config(put_records: impl Fn(&Value) -> (u16, String) + Send + Sync + 'static) -> SdkConfig {
    let http = infallible_client_fn(move |request| {
        let target = request
            .headers()
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let (status, body) = match target.rsplit('.').next() {
            Some("PutRecords") => put_records(&body),
            Some("ListShards") => (200, one_shard().to_string()),
            _ => (400, error("AccessDeniedException")),
        };
        http::Response::builder().status(status).body(body).unwrap()
    });
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .load()
        .await
}

fn one_shard() -> Value {
    json!({"Shards": [{
        "ShardId": "shardId-000000000000",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": u128::MAX.to_string()},
        "SequenceNumberRange": {"StartingSequenceNumber": "1"},
    }]})
}

fn error(code: &str) -> String {
    json!({"__type": code, "message": format!("this is {code}")}).to_string()
}

fn written(number: usize) -> Value {
    json!({"ShardId": "shardId-000000000000", "SequenceNumber": format!("49{number}")})
}

/// Returns the answer that all entries were written.
fn accepted(request: &Value) -> (u16, String) {
    let entries = request["Records"].as_array().map_or(0, Vec::len);
    let results: Vec<Value> = (0..entries).map(written).collect();
    (200, json!({"FailedRecordCount": 0, "Records": results}).to_string())
}

async fn open(config: &SdkConfig) -> StreamProducer<RawRecord> {
    let producer = Producer::builder()
        .load_aws_config(config)
        .aggregation_enabled(false)
        .record_max_buffered_time(Duration::from_millis(20))
        .record_ttl(Duration::from_secs(20))
        .build()
        .unwrap();
    producer.stream("clicks").await.unwrap()
}

async fn send(clicks: &StreamProducer<RawRecord>, data: &[&'static str]) -> Vec<Outcome> {
    let mut deliveries = Vec::new();
    for data in data {
        deliveries.push(clicks.send(RawRecord::new("key", *data)).await.unwrap());
    }
    let mut outcomes = Vec::new();
    for delivery in deliveries {
        outcomes.push(delivery.await);
    }
    outcomes
}

fn codes(receipt: &Receipt) -> Vec<Option<String>> {
    receipt
        .attempts()
        .iter()
        .map(|attempt| attempt.error.map(|error| error.code.to_string()))
        .collect()
}

#[tokio::test]
async fn an_entry_that_fails_for_now_is_sent_again_and_its_neighbour_is_not() {
    let requests = AtomicUsize::new(0);
    let config = config(move |request| match requests.fetch_add(1, Ordering::Relaxed) {
        0 => {
            assert_eq!(request["Records"].as_array().map(Vec::len), Some(2));
            let failed = json!({"ErrorCode": "InternalFailure", "ErrorMessage": "Internal service failure."});
            (
                200,
                json!({"FailedRecordCount": 1, "Records": [failed, written(0)]}).to_string(),
            )
        }
        1 => {
            let throttled =
                json!({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"});
            (200, json!({"FailedRecordCount": 1, "Records": [throttled]}).to_string())
        }
        _ => accepted(request),
    })
    .await;
    let outcomes = send(&open(&config).await, &["one", "two"]).await;
    let receipts: Vec<&Receipt> = outcomes.iter().map(|outcome| outcome.as_ref().unwrap()).collect();
    let expected = [
        Some("InternalFailure".into()),
        Some("ProvisionedThroughputExceededException".into()),
        None,
    ];
    assert_eq!(codes(receipts[0]), expected);
    assert_eq!(codes(receipts[1]), [None]);
    assert!(receipts.iter().all(|receipt| !receipt.may_be_duplicated()));
}

#[tokio::test]
async fn what_is_refused_for_good_fails_at_once() {
    for code in [
        "AccessDeniedException",
        "ResourceNotFoundException",
        "KMSDisabledException",
        "KMSAccessDeniedException",
    ] {
        let config = config(move |_| (400, error(code))).await;
        for outcome in send(&open(&config).await, &["one", "two"]).await {
            let failed = outcome.unwrap_err();
            assert!(
                matches!(&failed.failure.reason, FailureReason::Refused(error) if &*error.code == code),
                "{failed}"
            );
            assert_eq!(failed.failure.attempts().len(), 1, "{code}");
            assert!(!failed.failure.may_have_been_written);
            assert!(matches!(&*failed.record.data, b"one" | b"two"));
        }
    }
}

#[tokio::test]
async fn a_request_is_refused_for_one_entry_and_only_that_fails() {
    let poison = "cG9pc29u"; // base64 of it
    let config = config(move |request| {
        let records = request["Records"].as_array().cloned().unwrap_or_default();
        if records.iter().any(|record| record["Data"] == poison) {
            return (400, error("ValidationException"));
        }
        accepted(request)
    })
    .await;
    let data = ["a", "b", "c", "poison", "d", "e", "f"];
    let outcomes = send(&open(&config).await, &data).await;
    for (data, outcome) in data.iter().zip(outcomes) {
        match outcome {
            Ok(_) => assert_ne!(*data, "poison"),
            Err(failed) => {
                assert_eq!(*data, "poison", "{failed}");
                assert_eq!(*failed.record.data, *b"poison");
            }
        }
    }
}

#[tokio::test]
async fn what_has_no_clear_answer_is_sent_again_and_may_be_there_twice() {
    let answers: [(u16, String); 3] = [
        (500, error("InternalFailure")),
        (503, String::new()),
        (200, "this is no JSON".into()),
    ];
    for (status, body) in answers {
        let requests = AtomicUsize::new(0);
        let text = body.clone();
        let config = config(move |request| match requests.fetch_add(1, Ordering::Relaxed) {
            0 => (status, body.clone()),
            _ => accepted(request),
        })
        .await;
        let outcomes = send(&open(&config).await, &["one"]).await;
        let receipt = outcomes[0].as_ref().unwrap();
        assert_eq!(receipt.attempts().len(), 2, "{status} {text}");
        assert!(receipt.may_be_duplicated(), "{status} {text}");
    }
}

#[tokio::test]
async fn skewed_clocks_and_too_many_requests_are_tried_again() {
    for code in [
        "RequestExpired",
        "InvalidSignatureException",
        "ProvisionedThroughputExceededException",
        "KMSThrottlingException",
    ] {
        let requests = AtomicUsize::new(0);
        let config = config(move |request| match requests.fetch_add(1, Ordering::Relaxed) {
            0 => (400, error(code)),
            _ => accepted(request),
        })
        .await;
        let outcomes = send(&open(&config).await, &["one"]).await;
        let receipt = outcomes[0].as_ref().unwrap();
        assert_eq!(codes(receipt), [Some(code.into()), None]);
        assert!(!receipt.may_be_duplicated());
    }
}

#[tokio::test]
async fn a_stream_that_is_not_there_cannot_be_opened() {
    let http = infallible_client_fn(|_| {
        http::Response::builder()
            .status(400)
            .body(error("ResourceNotFoundException"))
            .unwrap()
    });
    let config = config(accepted).await.into_builder().http_client(http).build();
    let producer = Producer::builder().load_aws_config(&config).build().unwrap();
    let refused = producer.stream::<RawRecord>("clicks").await.unwrap_err();
    assert!(
        matches!(&refused.kind, OpenErrorKind::NotFound(error) if &*error.code == "ResourceNotFoundException"),
        "{refused}"
    );
}

/// What no retry can mend ends within this time.
const AT_ONCE: Duration = Duration::from_secs(1);

const SET_CREDENTIALS: &str = "NoCredentials: there are no credentials: set AWS_ACCESS_KEY_ID and \
                               AWS_SECRET_ACCESS_KEY, a profile or a role, or the provider of `SdkConfig`";

fn producer(config: &SdkConfig) -> Producer {
    Producer::builder().load_aws_config(config).build().unwrap()
}

/// Checks that a stream cannot be opened, that a record fails at its first attempt, and that a reader ends, each at once
/// and with this error.
async fn assert_useless(config: &SdkConfig, expected: &str) {
    let started = Instant::now();
    let refused = producer(config).stream::<RawRecord>("clicks").await.unwrap_err();
    assert!(matches!(refused.kind, OpenErrorKind::Configuration(_)), "{refused:?}");
    assert_eq!(refused.to_string(), format!("stream clicks: {expected}"));

    let clicks = producer(config).stream_unchecked("clicks").await.unwrap();
    let failure = send(&clicks, &["one"]).await.remove(0).unwrap_err().failure;
    assert!(matches!(failure.reason, FailureReason::Configuration(_)), "{failure:?}");
    assert_eq!(
        failure.reason.to_string(),
        format!("no request can be made: {expected}")
    );
    assert_eq!(failure.attempts().len(), 1);
    assert!(!failure.may_have_been_written);

    let reader = Reader::<RawRecord>::builder().load_aws_config(config);
    let Err(ReaderError::Request { error, .. }) = reader.build("clicks").await else {
        panic!("the reader was built");
    };
    assert_eq!(
        (error.class, error.to_string().as_str()),
        (ErrorClass::Configuration, expected)
    );
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

#[tokio::test]
async fn without_a_region_nothing_is_opened() {
    let config = config(accepted).await;
    let sentence = "NoRegion: no region is configured: set AWS_REGION, `region` in the profile, or the region of \
                    `SdkConfig`";
    assert_useless(&config.clone().into_builder().region(None).build(), sentence).await;
    let with_endpoint = config
        .clone()
        .into_builder()
        .region(None)
        .endpoint_url("http://localhost:1");
    assert_useless(&with_endpoint.build(), sentence).await;
    assert_useless(&config.clone().into_builder().region(Region::new("")).build(), sentence).await;
    let invalid = config.into_builder().region(Region::new("eu central 1")).build();
    let sentence = r#"InvalidRegion: "eu central 1" is not a valid region: set one such as eu-central-1"#;
    assert_useless(&invalid, sentence).await;
}

#[tokio::test]
async fn without_a_valid_endpoint_nothing_is_opened() {
    for url in [
        "http://[::1",
        "not a url",
        "localhost:4567",
        "ftp://localhost",
        "http://localhost:99999",
        "",
    ] {
        let config = config(accepted).await.into_builder().endpoint_url(url).build();
        let sentence = format!(
            "InvalidEndpoint: {url:?} is not a valid endpoint URL: set AWS_ENDPOINT_URL, or the endpoint URL of \
             `SdkConfig`, to http:// or https:// and a host"
        );
        assert_useless(&config, &sentence).await;
    }
}

/// Fails with an error of a kind, or provides the credentials of a number that grows with each load.
#[derive(Debug)]
enum Provider {
    NotLoaded,
    InvalidConfiguration,
    TimedOut,
    Renewing {
        loads: AtomicUsize,
        expiry: Option<SystemTime>,
    },
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(match self {
            Self::NotLoaded => Err(CredentialsError::not_loaded("no profile")),
            Self::InvalidConfiguration => Err(CredentialsError::invalid_configuration("a loop of profiles")),
            Self::TimedOut => Err(CredentialsError::provider_timed_out(Duration::from_secs(2))),
            Self::Renewing { loads, expiry } => {
                let number = loads.fetch_add(1, Ordering::Relaxed);
                let token = Some(format!("token{number}"));
                Ok(Credentials::new(
                    format!("key{number}"),
                    "secret",
                    token,
                    *expiry,
                    "test",
                ))
            }
        })
    }
}

async fn config_with(provider: Provider) -> SdkConfig {
    let provider = SharedCredentialsProvider::new(provider);
    let config = config(accepted).await.into_builder();
    config.credentials_provider(provider).build()
}

#[tokio::test]
async fn without_credentials_nothing_is_opened() {
    let nothing = SdkConfig::builder().region(Region::new("us-east-1")).build();
    let sentence = format!("{SET_CREDENTIALS} (the configuration does not have a provider of credentials)");
    assert_useless(&nothing, &sentence).await;
    let sentence = format!("{SET_CREDENTIALS} (the credential provider was not enabled: no profile)");
    assert_useless(&config_with(Provider::NotLoaded).await, &sentence).await;
    let sentence =
        format!("{SET_CREDENTIALS} (the credentials provider was not properly configured: a loop of profiles)");
    assert_useless(&config_with(Provider::InvalidConfiguration).await, &sentence).await;
}

#[tokio::test]
async fn credentials_that_cannot_be_loaded_now_are_loaded_again_later() {
    let config = config_with(Provider::TimedOut).await;
    let clicks = producer(&config).stream::<RawRecord>("clicks").await.unwrap();
    let StreamState::Unpredicted(error) = clicks.state().await.unwrap() else {
        panic!("{:?}", clicks.state().await);
    };
    assert_eq!(error.class, ErrorClass::Transient);
    let sentence =
        "CredentialsFailed: credentials cannot be loaded now: credentials provider timed out after 2 seconds";
    assert_eq!(error.to_string(), sentence);
}

/// Returns a configuration for a service that accepts only requests that are signed with this key.
async fn accepts_only(key: &'static str, code: &'static str, provider: impl ProvideCredentials + 'static) -> SdkConfig {
    let http = infallible_client_fn(move |request| {
        let header = |name: &str| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let (status, body) = if !header("authorization").contains(&format!("Credential={key}/")) {
            (400, error(code))
        } else if header("x-amz-target").ends_with("PutRecords") {
            accepted(&serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap())
        } else if header("x-amz-target").ends_with("ListShards") {
            (200, one_shard().to_string())
        } else {
            (400, error("AccessDeniedException"))
        };
        http::Response::builder().status(status).body(body).unwrap()
    });
    let provider = SharedCredentialsProvider::new(provider);
    let config = config(accepted).await.into_builder().http_client(http);
    config.credentials_provider(provider).build()
}

#[tokio::test]
async fn static_credentials_that_expired_or_are_wrong_are_refused_at_once() {
    let credentials = || Credentials::new("key", "secret", Some("token".into()), None, "test");
    for code in ["ExpiredTokenException", "ExpiredToken"] {
        let sentence = format!(
            "{code}: the credentials have expired, and loading them again returned the same: obtain new ones, or \
             configure a provider that renews them"
        );
        assert_useless(&accepts_only("other", code, credentials()).await, &sentence).await;
    }
    for code in ["UnrecognizedClientException", "InvalidClientTokenId"] {
        let sentence = format!("{code}: the service does not accept the credentials: set valid ones (this is {code})");
        assert_useless(&accepts_only("other", code, credentials()).await, &sentence).await;
    }
}

#[tokio::test]
async fn credentials_that_can_be_renewed_are() {
    let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
    for code in ["ExpiredTokenException", "UnrecognizedClientException"] {
        for expiry in [None, Some(in_an_hour)] {
            // The first are refused, the second are compared with them, and the third are used then.
            let loads = AtomicUsize::new(0);
            let config = accepts_only("key2", code, Provider::Renewing { loads, expiry }).await;
            let producer = Producer::builder()
                .load_aws_config(&config)
                .record_max_buffered_time(Duration::from_millis(20))
                .build()
                .unwrap();
            let clicks = producer.stream("clicks").await.unwrap();
            let receipt = send(&clicks, &["one"]).await.remove(0).unwrap();
            assert!(codes(&receipt).last().unwrap().is_none(), "{:?}", codes(&receipt));
            assert!(!receipt.may_be_duplicated());
        }
    }
}

#[tokio::test]
async fn an_expired_token_of_a_session_is_an_attempt_that_is_retried() {
    // The provider returns the same until it renews them: they are known to expire.
    let expiry = SystemTime::now() + Duration::from_secs(60);
    let credentials = Credentials::new("key", "secret", Some("token".into()), Some(expiry), "test");
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let config = config(move |request| match count.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => (400, error("ExpiredTokenException")),
        _ => accepted(request),
    });
    let provider = SharedCredentialsProvider::new(credentials);
    let config = config.await.into_builder().credentials_provider(provider).build();
    let receipt = send(&open(&config).await, &["one"]).await.remove(0).unwrap();
    let expired = Some("ExpiredTokenException".to_owned());
    assert_eq!(codes(&receipt), [expired.clone(), expired, None]);
    assert!(!receipt.may_be_duplicated());
    assert_eq!(requests.load(Ordering::Relaxed), 3);
}

/// Returns what a load balancer answers.
fn page(title: &str) -> String {
    let padding = "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n".repeat(80);
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n{padding}</body>\r\n\
         </html>\r\n"
    );
    assert!(page.len() > 5000);
    page
}

#[tokio::test]
async fn of_a_page_of_html_one_line_remains() {
    for (status, title) in [(502, "502 Bad Gateway"), (503, "503 Service Temporarily Unavailable")] {
        let requests = AtomicUsize::new(0);
        let config = config(move |request| match requests.fetch_add(1, Ordering::Relaxed) {
            0 => (status, page(title)),
            _ => accepted(request),
        })
        .await;
        let receipt = send(&open(&config).await, &["one"]).await.remove(0).unwrap();
        let first = receipt.attempts().iter().next().unwrap();
        assert_eq!(first.error.unwrap().to_string(), format!("HTTP {status}: {title}"));
    }
    for (status, body, expected) in [
        (503, page("503"), "HTTP 503: 503"),
        (503, String::new(), "HTTP 503: the answer does not have a text"),
        (403, "<html><body>\u{1}Forbidden\u{7}\n".into(), "HTTP 403: Forbidden"),
    ] {
        let http = infallible_client_fn(move |_| {
            let body = body.clone();
            http::Response::builder().status(status).body(body).unwrap()
        });
        let config = config(accepted).await.into_builder().http_client(http).build();
        let clicks = producer(&config).stream::<RawRecord>("clicks").await.unwrap();
        let state = clicks.state().await.unwrap().to_string();
        let sentence = "its shards cannot be listed, so records are sent one by one, not aggregated: ";
        assert_eq!(state, format!("{sentence}{expected}"));
    }
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_named_in_the_state() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let config = aws::config(&url, "key").await;
    let started = Instant::now();
    let clicks = producer(&config).stream::<RawRecord>("clicks").await.unwrap();
    let state = clicks.state().await.unwrap();
    assert!(started.elapsed() < AT_ONCE);
    let sentence = format!("records are sent one by one, not aggregated: DispatchFailure: cannot connect to {url}: ");
    assert!(
        state.to_string().contains(&sentence) && state.to_string().contains("efused"),
        "{state}"
    );
    assert!(matches!(state, StreamState::Unpredicted(error) if error.class == ErrorClass::Transient));
}
