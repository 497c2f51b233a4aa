//! What is checked before the SDK sends a request, and what is noted when it does.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;

use aws_sdk_kinesis::config::interceptors::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_kinesis::config::{ConfigBag, Intercept, Region, RuntimeComponents};
use aws_types::endpoint_config::EndpointUrl;
use http::Uri;

use crate::client::RequestError;

tokio::task_local! {
    /// Of the request that this task makes now.
    static NOTES: RefCell<Notes>;
}

#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Why the request cannot be sent at all.
    pub(super) problem: Option<RequestError>,
    /// How it was sent, if it was.
    pub(super) sent: Option<Sent>,
}

/// Where a request was sent, and with which credentials.
#[derive(Debug)]
pub(super) struct Sent {
    /// The endpoint, such as `https://kinesis.eu-central-1.amazonaws.com`.
    pub(super) endpoint: String,
    pub(super) access_key: Option<String>,
    pub(super) session_token: Option<String>,
}

/// Makes a request, and returns what was noted meanwhile.
pub(super) async fn noting<R>(request: impl Future<Output = R>) -> (R, Notes) {
    let noted = async {
        let answer = request.await;
        (answer, NOTES.with(RefCell::take))
    };
    NOTES.scope(RefCell::default(), noted).await
}

/// Fills in the notes.
#[derive(Debug)]
pub(super) struct NoteTaker {
    pub(super) has_credentials: bool,
}

impl Intercept for NoteTaker {
    fn name(&self) -> &'static str {
        "NoteTaker"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let region = config.load::<Region>().map(Region::as_ref);
        let endpoint = config.load::<EndpointUrl>().map(|url| &*url.0);
        let Some(problem) = problem(region, endpoint, self.has_credentials) else {
            return Ok(());
        };
        note(|notes| notes.problem = Some(problem.clone()));
        Err(problem.into())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let request = context.request();
        let header = |name: &str| request.headers().get(name);
        let access_key = header("authorization").and_then(access_key).map(Into::into);
        note(|notes| {
            notes.sent = Some(Sent {
                endpoint: endpoint_of(request.uri()),
                access_key,
                session_token: header("x-amz-security-token").map(Into::into),
            });
        });
        Ok(())
    }
}

fn note(write: impl FnOnce(&mut Notes)) {
    // Outside of `noting` they are not read.
    let _ = NOTES.try_with(|notes| write(&mut notes.borrow_mut()));
}

/// Returns why no request can be sent with this configuration.
fn problem(region: Option<&str>, endpoint: Option<&str>, has_credentials: bool) -> Option<RequestError> {
    let Some(region) = region.filter(|region| !region.is_empty()) else {
        return Some(RequestError::configuration(
            "NoRegion",
            "no region is configured: set AWS_REGION, `region` in the profile, or the region of `SdkConfig`",
        ));
    };
    // It becomes a part of the endpoint's name.
    if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Some(RequestError::configuration(
            "InvalidRegion",
            format!("{region:?} is not a valid region: set one such as eu-central-1"),
        ));
    }
    if let Some(endpoint) = endpoint.filter(|endpoint| !is_valid_endpoint(endpoint)) {
        return Some(RequestError::configuration(
            "InvalidEndpoint",
            format!(
                "{endpoint:?} is not a valid endpoint URL: set AWS_ENDPOINT_URL, or the endpoint URL of `SdkConfig`, to \
                 http:// or https:// and a host"
            ),
        ));
    }
    (!has_credentials).then(|| no_credentials("the configuration does not have a provider of credentials"))
}

/// Returns the error of a client that did not find any credentials.
pub(super) fn no_credentials(reason: impl fmt::Display) -> RequestError {
    RequestError::configuration(
        "NoCredentials",
        format!(
            "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role, or the \
             provider of `SdkConfig` ({reason})"
        ),
    )
}

fn is_valid_endpoint(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    has_scheme
        && uri.authority().is_some_and(|authority| {
            let has_valid_port = authority.port_u16().is_some() || authority.as_str().ends_with(authority.host());
            !authority.host().is_empty() && has_valid_port
        })
}

/// Returns the scheme, the host and the port of a URL.
fn endpoint_of(url: &str) -> String {
    url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}

/// Returns the access key that a request is signed with:
/// `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request, ...`
fn access_key(authorization: &str) -> Option<&str> {
    authorization.split_once("Credential=")?.1.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_with_a_host() {
        for valid in [
            "http://127.0.0.1:4567",
            "https://kinesis.eu-central-1.amazonaws.com",
            "http://[::1]:4567/base",
            "http://localhost/",
        ] {
            assert!(is_valid_endpoint(valid), "{valid}");
        }
        for invalid in [
            "",
            "http://",
            "http://[::1",
            "not a url",
            "localhost:4567",
            "ftp://localhost",
            "http://local host",
            "http://localhost:99999",
            "http://localhost/a b",
        ] {
            assert!(!is_valid_endpoint(invalid), "{invalid}");
        }
    }

    #[test]
    fn what_is_noted_comes_from_url_and_header() {
        assert_eq!(endpoint_of("http://127.0.0.1:4567/a/b"), "http://127.0.0.1:4567");
        assert_eq!(endpoint_of("https://host"), "https://host");
        let header = "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/kinesis/aws4_request, SignedHeaders=host";
        assert_eq!(access_key(header), Some("AKID"));
        assert_eq!(access_key("Bearer token"), None);
    }
}
