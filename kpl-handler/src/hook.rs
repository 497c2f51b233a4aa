//! Functions of the user that take records which the handler does not.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::Error;

type Handle<R> = dyn Fn(R) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> + Send + Sync;

/// A function that takes records which the handler does not: those that cannot be decoded, or that failed. Clones share it.
pub struct Hook<R>(Arc<Handle<R>>);

impl<R> Hook<R> {
    /// Returns the hook that calls `handle`.
    pub fn new<F, Fut, E>(handle: F) -> Self
    where
        F: Fn(R) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        Self(Arc::new(move |record| {
            let handled = handle(record);
            Box::pin(async move { handled.await.map_err(Into::into) })
        }))
    }

    /// Passes a record to the function.
    ///
    /// # Errors
    ///
    /// Returns the error of the function.
    pub async fn handle(&self, record: R) -> Result<(), Error> {
        (self.0)(record).await
    }
}

impl<R> Clone for Hook<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> fmt::Debug for Hook<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}
