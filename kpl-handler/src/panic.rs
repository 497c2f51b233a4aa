//! Functions that panic: an error of theirs, not the end of everything.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::Error;

/// The error of a handler that panicked.
///
/// The panic hook has already reported where in the code it was: by default on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panicked {
    /// The message of the panic, or an empty string if it was not a string.
    pub message: String,
}

impl Panicked {
    fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let message = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self {
            message: message.unwrap_or_default().into(),
        }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.message {
            "" => f.write_str("the handler panicked"),
            message => write!(f, "the handler panicked: {message}"),
        }
    }
}

impl std::error::Error for Panicked {}

/// Calls a function, and waits for its result. If the function or its future panics, the result is the error
/// [`Panicked`]; in a program that is built with `panic = "abort"` the process ends instead.
///
/// ```
/// use kpl_handler::{Error, Panicked, catch_panic};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # std::panic::set_hook(Box::new(|_| {}));
/// let result = catch_panic(|| async { if true { panic!("no such user") } else { Ok::<(), Error>(()) } }).await;
/// let error = result.unwrap_err();
/// assert_eq!(error.downcast_ref::<Panicked>().unwrap().message, "no such user");
/// # }
/// ```
///
/// # Errors
///
/// Returns the function's error, or [`Panicked`].
pub async fn catch_panic<F, Fut, R, E>(f: F) -> Result<R, Error>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<R, E>>,
    E: Into<Error>,
{
    // What the function captures is its own: it is called again, as it would be in a thread of its own.
    let caught = AssertUnwindSafe(async move { f().await.map_err(Into::into) }).catch_unwind();
    caught
        .await
        .unwrap_or_else(|payload| Err(Panicked::new(&*payload).into()))
}
