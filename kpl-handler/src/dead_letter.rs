//! The destination of records that cannot be decoded.

use std::fmt;
use std::future::Future;

use kpl_core::Undecodable;

use crate::{Error, Hook};

/// Where records go that cannot be decoded: a function, if there is one. Clones share it.
///
/// ```
/// use kpl_core::Undecodable;
/// use kpl_handler::DeadLetters;
/// # async fn keep(_: &[u8], _: String) -> Result<(), std::io::Error> { Ok(()) }
///
/// let dead_letters = DeadLetters::new(|record: Undecodable| async move { keep(record.data(), record.to_string()).await });
/// # drop(dead_letters);
/// ```
#[derive(Clone, Default)]
pub struct DeadLetters(Option<Hook<Undecodable>>);

impl DeadLetters {
    /// Returns dead letters without a function: a record that cannot be decoded is a failure like any other.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Passes records that cannot be decoded to a function. Such a record is done when the function returns `Ok`, and has
    /// failed if it returns an error.
    pub fn new<F, Fut, E>(handle: F) -> Self
    where
        F: Fn(Undecodable) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        Self(Some(Hook::new(handle)))
    }

    /// Passes a record to the function.
    ///
    /// # Errors
    ///
    /// Returns the error of the function, or the record itself if there is none.
    pub async fn handle(&self, record: Undecodable) -> Result<(), Error> {
        match &self.0 {
            Some(hook) => hook.handle(record).await,
            None => Err(record.into()),
        }
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeadLetters").field(&self.0.is_some()).finish()
    }
}
