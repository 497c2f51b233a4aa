//! Converts the SDK's errors to those of the client traits.

use std::error::Error;
use std::io;

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::convert::InvalidShard;
use crate::client::{REQUEST_TIMEOUT, RequestError};

pub(super) fn request_error<E>(error: SdkError<E, HttpResponse>) -> RequestError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match &error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let meta = answer.err().meta();
            let code = meta.code().map_or_else(|| format!("HTTP {status}"), Into::into);
            let message = meta.message().unwrap_or_default();
            match status {
                413 => RequestError::too_large(code, message),
                // The service does not say how much of the request it carried out.
                500.. => RequestError::unanswered(code, message),
                _ => RequestError::refused(code, message),
            }
        }
        SdkError::ConstructionFailure(_) => RequestError::permanent("ConstructionFailure", in_full(&error)),
        SdkError::TimeoutError(_) => RequestError::unanswered(REQUEST_TIMEOUT, in_full(&error)),
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            RequestError::permanent("DispatchFailure", in_full(&error))
        }
        SdkError::DispatchFailure(_) if never_connected(&error) => {
            RequestError::not_sent("DispatchFailure", in_full(&error))
        }
        SdkError::DispatchFailure(_) => RequestError::unanswered("DispatchFailure", in_full(&error)),
        _ => RequestError::unanswered("ResponseError", in_full(&error)),
    }
}

/// Returns the messages of an error and all its sources: the SDK names the cause only in the sources.
fn in_full(error: &(dyn Error + 'static)) -> String {
    DisplayErrorContext(error).to_string()
}

fn never_connected(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::AddrNotAvailable
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
            )
        })
}

impl From<InvalidShard> for RequestError {
    fn from(error: InvalidShard) -> Self {
        Self::unanswered("InvalidShard", error.to_string())
    }
}
