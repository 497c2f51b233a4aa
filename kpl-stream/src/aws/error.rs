//! Converts the SDK's errors to those of the client traits.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};

use super::convert::InvalidShard;
use super::notes::{Notes, Sent, no_credentials};
use crate::client::{REQUEST_TIMEOUT, RequestError};
use crate::sdk_error::{chain, joined};

/// The most characters that are shown of an answer that is not the service's.
const SHOWN: usize = 100;

pub(super) fn request_error<E>(error: &SdkError<E, HttpResponse>, notes: &Notes) -> RequestError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if let Some(problem) = &notes.problem {
        return problem.clone();
    }
    let causes = causes(error);
    match (error, &notes.sent) {
        (SdkError::ServiceError(answer), _) => {
            let meta = answer.err().meta();
            match meta.code() {
                Some(code) => by_status(answer.raw(), code, meta.message().unwrap_or_default()),
                None => by_status(answer.raw(), &http_code(answer.raw()), &foreign(answer.raw())),
            }
        }
        (SdkError::ResponseError(answer), _) if !answer.raw().status().is_success() => {
            by_status(answer.raw(), &http_code(answer.raw()), &foreign(answer.raw()))
        }
        (SdkError::ConstructionFailure(_), _) => RequestError::permanent("ConstructionFailure", causes),
        (SdkError::DispatchFailure(_), None) => not_sent(error, causes),
        (SdkError::DispatchFailure(failure), Some(_)) if failure.is_user() => {
            RequestError::permanent("DispatchFailure", causes)
        }
        (SdkError::DispatchFailure(_), Some(Sent { endpoint, .. })) if never_connected(error) => {
            let cause = chain(error).last().map(ToString::to_string).unwrap_or_default();
            RequestError::not_sent("DispatchFailure", format!("cannot connect to {endpoint}: {cause}"))
        }
        (SdkError::DispatchFailure(_), Some(Sent { endpoint, .. })) => {
            RequestError::unanswered("DispatchFailure", format!("no answer from {endpoint}: {causes}"))
        }
        (SdkError::TimeoutError(_), _) => RequestError::unanswered(REQUEST_TIMEOUT, causes),
        _ => RequestError::unanswered("ResponseError", format!("the answer is not valid: {causes}")),
    }
}

fn by_status(answer: &HttpResponse, code: &str, message: &str) -> RequestError {
    match answer.status().as_u16() {
        413 => RequestError::too_large(code, message),
        // The service does not say how much of the request it carried out.
        500.. => RequestError::unanswered(code, message),
        _ => RequestError::refused(code, message),
    }
}

fn http_code(answer: &HttpResponse) -> String {
    format!("HTTP {}", answer.status().as_u16())
}

/// Returns a description of an answer that is not the service's but, for example, a proxy's: its first line of text,
/// without HTML.
fn foreign(answer: &HttpResponse) -> String {
    let body = answer.body().bytes().unwrap_or_default();
    let body = String::from_utf8_lossy(body);
    let mut in_tag = false;
    let text: String = body
        .chars()
        .filter(|&character| match character {
            '<' => {
                in_tag = true;
                false
            }
            '>' if in_tag => {
                in_tag = false;
                false
            }
            '\n' => true,
            _ => !in_tag,
        })
        .collect();
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => line.chars().take(SHOWN).collect(),
        None => "the answer does not have a text".into(),
    }
}

/// Returns the error of a request that the SDK did not send: there are no credentials, or they cannot be loaded now.
fn not_sent(error: &(dyn Error + 'static), causes: String) -> RequestError {
    match chain(error).find_map(|error| error.downcast_ref::<CredentialsError>()) {
        Some(error) => credentials_error(error),
        None => RequestError::not_sent("DispatchFailure", causes),
    }
}

/// Returns the error of a request whose credentials could not be loaded.
pub(super) fn credentials_error(error: &CredentialsError) -> RequestError {
    let causes = joined(chain(error));
    match error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => no_credentials(causes),
        _ => RequestError::not_sent(
            "CredentialsFailed",
            format!("credentials cannot be loaded now: {causes}"),
        ),
    }
}

/// Returns whether no connection was made, so that nothing was sent.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    chain(error)
        .filter_map(|error| error.downcast_ref::<hyper_util::client::legacy::Error>())
        .any(hyper_util::client::legacy::Error::is_connect)
}

/// Returns what caused an error of the SDK. The error itself only says at which stage it occurred.
fn causes<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + Send + Sync + 'static,
{
    let stages = if matches!(error, SdkError::DispatchFailure(_)) {
        2
    } else {
        1
    };
    joined(chain(error).skip(stages))
}

impl From<InvalidShard> for RequestError {
    fn from(error: InvalidShard) -> Self {
        Self::unanswered("InvalidShard", error.to_string())
    }
}
