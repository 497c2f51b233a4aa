//! The destination of records that cannot be decoded.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use kpl_core::Undecodable;
use lambda_runtime::{BoxFuture, Error};

type Handle = dyn Fn(Undecodable) -> BoxFuture<'static, Result<(), Error>> + Send + Sync;

/// The hook that a handler was given, if any.
#[derive(Clone, Default)]
pub(crate) struct DeadLetters(Option<Arc<Handle>>);

impl DeadLetters {
    pub(crate) fn new<F, Fut, E>(handle: F) -> Self
    where
        F: Fn(Undecodable) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        Self(Some(Arc::new(move |record| {
            let handled = handle(record);
            Box::pin(async move { handled.await.map_err(Into::into) })
        })))
    }

    /// Passes a record to the hook. Without a hook the record has failed.
    pub(crate) async fn handle(&self, record: Undecodable) -> Result<(), Error> {
        match &self.0 {
            Some(handle) => handle(record).await,
            None => Err(record.into()),
        }
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeadLetters").field(&self.0.is_some()).finish()
    }
}
