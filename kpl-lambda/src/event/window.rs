//! Tumbling windows, and the answer to an event of one.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{BatchItemFailure, BatchResponse};

/// The [tumbling window](https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html) that an event is of.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Window {
    /// When it starts, as the event states it, such as `2020-12-09T07:04:00Z`.
    pub start: Option<String>,
    /// When it ends.
    pub end: Option<String>,
    /// The state that the previous invocation of the window returned.
    pub state: HashMap<String, String>,
    /// Whether this is the last invocation of the window.
    pub is_final_invoke: bool,
    /// Whether the window ended early because its state became too large.
    pub is_terminated_early: bool,
}

impl Window {
    pub(super) fn read(fields: &Map<String, Value>) -> Option<Self> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let bound = |name| fields.get("window")?.get(name)?.as_str().map(str::to_owned);
        let flag = |name| fields.get(name).and_then(Value::as_bool).unwrap_or_default();
        let state = fields.get("state").and_then(Value::as_object);
        (!fields.is_empty()).then(|| Self {
            start: bound("start"),
            end: bound("end"),
            state: state
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            is_final_invoke: flag("isFinalInvokeForWindow"),
            is_terminated_early: flag("isWindowTerminatedEarly"),
        })
    }
}

/// The answer to an event of a tumbling window: the window's
/// [state](https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html), and the failures.
///
/// ```
/// use kpl_core::RawRecord;
/// use kpl_lambda::{Batch, Event, WindowResponse};
///
/// fn count(event: &Event) -> WindowResponse {
///     let mut state = event.window().unwrap_or_default().state;
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
    pub batch_item_failures: Vec<BatchItemFailure>,
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

    /// Adds the failures of a [`Handler`](crate::Handler) that was given the event.
    #[must_use]
    pub fn with_failures(mut self, response: BatchResponse) -> Self {
        self.batch_item_failures = response.batch_item_failures;
        self
    }
}
