//! The answer to an event, as what sent it reads it.

use kpl_core::SequenceNumber;
use kpl_handler::Undone;

use crate::batch::Batch;
use crate::event::{BatchResponse, Event, EventKind};
use crate::handler::HandlerError;

/// Returns the answer that names what is not done, or an error where naming it would lose it.
pub(crate) fn answer(event: &Event, batch: &Batch<'_>, undone: &Undone) -> Result<BatchResponse, HandlerError> {
    let all = || (0..event.records().len()).filter(|index| undone.contains(*index));
    let failed = || HandlerError::Failed {
        kind: event.kind(),
        kinesis_records: all().count(),
    };
    match event.kind() {
        _ if undone.is_empty() => Ok(BatchResponse::default()),
        EventKind::Stream => {
            // A record without a sequence number has an empty identifier, which makes Lambda retry the whole batch.
            let number = |index: &usize| {
                let number = batch.kinesis_records().get(*index)?.sequence_number?;
                SequenceNumber::new(number).is_ok().then_some(number)
            };
            Ok(undone
                .reported
                .iter()
                .map(|index| number(index).unwrap_or_default())
                .collect())
        }
        EventKind::Queue => {
            // The same: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
            let id = |index: usize| event.records().get(index)?.message_id.as_deref();
            let mut ids: Vec<&str> = all().map(|index| id(index).unwrap_or_default()).collect();
            ids.dedup();
            Ok(ids.into_iter().collect())
        }
        EventKind::Pipe => {
            let id = |index: usize| {
                event
                    .records()
                    .get(index)?
                    .event_id
                    .as_deref()
                    .filter(|id| !id.is_empty())
            };
            let ids: Option<Vec<&str>> = all().map(id).collect();
            ids.map(|ids| ids.into_iter().collect()).ok_or_else(failed)
        }
        EventKind::Copy | EventKind::Transformation => Err(failed()),
    }
}
