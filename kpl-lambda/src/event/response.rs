//! The answer that names what failed.

use serde::{Deserialize, Serialize};

/// The answer to an event: what is to be retried. Without failures, all of the event is done.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BatchResponse {
    /// The failures. From an event of an event source mapping, Lambda retries everything from the lowest sequence number.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// A failure in a [`BatchResponse`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BatchItemFailure {
    /// What identifies the record to what sent it: see [`EventKind`](crate::EventKind). If it is empty, the whole batch is
    /// retried.
    pub item_identifier: String,
}

impl BatchResponse {
    /// Returns the identifiers of the failures.
    pub fn identifiers(&self) -> impl ExactSizeIterator<Item = &str> {
        self.batch_item_failures.iter().map(|failure| &*failure.item_identifier)
    }

    /// Returns whether all of the event is done.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.batch_item_failures.is_empty()
    }
}

impl<S: Into<String>> FromIterator<S> for BatchResponse {
    fn from_iter<I: IntoIterator<Item = S>>(identifiers: I) -> Self {
        let failure = |identifier: S| BatchItemFailure {
            item_identifier: identifier.into(),
        };
        Self {
            batch_item_failures: identifiers.into_iter().map(failure).collect(),
        }
    }
}
