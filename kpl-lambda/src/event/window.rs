//! The answer to an event of a tumbling window.

use std::collections::HashMap;

use aws_lambda_events::event::streams::{KinesisBatchItemFailure, KinesisEventResponse};
use serde::Serialize;

/// The answer to a [`KinesisTimeWindowEvent`](aws_lambda_events::event::kinesis::KinesisTimeWindowEvent): the window's
/// [state](https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html), and the failures.
///
/// ```
/// use aws_lambda_events::event::kinesis::KinesisTimeWindowEvent;
/// use kpl_core::RawRecord;
/// use kpl_lambda::{Batch, WindowResponse};
///
/// fn count(event: &KinesisTimeWindowEvent) -> WindowResponse {
///     let mut state = event.time_window_properties.state.clone();
///     let before: usize = state.get("count").and_then(|text| text.parse().ok()).unwrap_or(0);
///     let count = Batch::from(event).user_records::<RawRecord>().count();
///     state.insert("count".into(), (before + count).to_string());
///     WindowResponse::new(state)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WindowResponse {
    /// The state that the next invocation of the window receives.
    pub state: HashMap<String, String>,
    /// The Kinesis records that failed.
    pub batch_item_failures: Vec<KinesisBatchItemFailure>,
}

impl WindowResponse {
    /// Returns an answer with this state and without failures.
    #[must_use]
    pub const fn new(state: HashMap<String, String>) -> Self {
        Self {
            state,
            batch_item_failures: Vec::new(),
        }
    }

    /// Adds the failures of a [`Handler`](crate::Handler) that was given the event's `kinesis_event`.
    #[must_use]
    pub fn with_failures(mut self, response: KinesisEventResponse) -> Self {
        self.batch_item_failures = response.batch_item_failures;
        self
    }
}
