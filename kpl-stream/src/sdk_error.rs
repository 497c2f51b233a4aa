//! What the errors of the AWS SDK say, whatever the service is.

use std::error::Error;
use std::iter;

#[cfg(not(feature = "aws"))]
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
#[cfg(feature = "aws")]
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};

/// Returns whether the service answered with this code.
pub fn has_code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    error.code() == Some(code)
}

/// Returns the service's code and message, or what kept the request from being answered.
pub fn explain<E, R>(error: &SdkError<E, R>) -> String
where
    SdkError<E, R>: Error + ProvideErrorMetadata + 'static,
{
    match error.code() {
        Some(code) => format!("{code}: {}", error.message().unwrap_or_default()),
        None => joined(chain(error)),
    }
}

/// Returns an error and all its sources.
pub(crate) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// Returns the messages of errors in one line.
pub(crate) fn joined<'a>(errors: impl Iterator<Item = &'a (dyn Error + 'static)>) -> String {
    let messages: Vec<String> = errors.map(ToString::to_string).collect();
    messages.join(": ")
}
