//! Where records go that cannot be decoded.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use lambda_runtime::{BoxFuture, Error};

use crate::received::Undecodable;

/// A record that no retry will make readable: its raw bytes ([`Undecodable::data`]), the reason
/// ([`Undecodable::error`]), and its place ([`Undecodable::place`]).
pub type DeadLetter = Undecodable;

type Bury = dyn Fn(DeadLetter) -> BoxFuture<'static, Result<(), Error>> + Send + Sync;

/// The hook that a handler was given, if it was.
#[derive(Clone, Default)]
pub(crate) struct DeadLetters(Option<Arc<Bury>>);

impl DeadLetters {
    pub(crate) fn new<F, Fut, E>(bury: F) -> Self
    where
        F: Fn(DeadLetter) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        Self(Some(Arc::new(move |letter| {
            let buried = bury(letter);
            Box::pin(async move { buried.await.map_err(Into::into) })
        })))
    }

    /// Hands a record over. Without a hook it is a failure.
    pub(crate) async fn bury(&self, letter: DeadLetter) -> Result<(), Error> {
        match &self.0 {
            Some(bury) => bury(letter).await,
            None => Err(letter.into()),
        }
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeadLetters").field(&self.0.is_some()).finish()
    }
}
