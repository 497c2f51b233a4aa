//! User records that a handler could not handle.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use kpl_handler::{Error, Place};

/// A user record for which the handler failed each time: where it is, why, and its data.
///
/// [`Handler::failed`](crate::Handler::failed) takes a function of it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Failed {
    /// Where the record is: its origin and its sub-sequence number.
    pub place: Place,
    /// The partition key.
    pub partition_key: Option<String>,
    /// The data, as it arrived.
    pub data: Vec<u8>,
    /// The last error of the handler. Records of one batch may share it.
    pub error: Arc<dyn StdError + Send + Sync>,
    /// How many times the handler was called with the record.
    pub attempts: u32,
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed")
            .field("place", &self.place)
            .field("partition_key", &self.partition_key)
            .field("data", &format_args!("{} bytes", self.data.len()))
            .field("error", &self.error)
            .field("attempts", &self.attempts)
            .finish()
    }
}

type Handle = dyn Fn(Failed) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> + Send + Sync;

/// The function that takes records that could not be handled.
#[derive(Clone)]
pub(super) struct FailedLetters(Arc<Handle>);

impl FailedLetters {
    pub(super) fn new<F, Fut, E>(handle: F) -> Self
    where
        F: Fn(Failed) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        Self(Arc::new(move |failed| {
            let handled = handle(failed);
            Box::pin(async move { handled.await.map_err(Into::into) })
        }))
    }

    pub(super) async fn handle(&self, failed: Failed) -> Result<(), Error> {
        (self.0)(failed).await
    }
}

impl fmt::Debug for FailedLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedLetters").finish_non_exhaustive()
    }
}
