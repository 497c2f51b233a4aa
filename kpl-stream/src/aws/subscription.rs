//! The events of a subscription, as the SDK receives them.

use std::fmt;

use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{SubscribeToShardEvent, SubscribeToShardEventStream};
use futures_core::future::BoxFuture;

use super::convert::{child_shard, fetched, millis};
use crate::client::{RequestError, Subscription, SubscriptionEvent};
use crate::sdk_error::{chain, joined};

#[derive(Debug)]
pub(super) struct Events(pub(super) SubscribeToShardOutput);

impl Subscription for Events {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<SubscriptionEvent>, RequestError>> {
        Box::pin(async {
            loop {
                match self.0.event_stream.recv().await {
                    Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
                        return converted(event).map(Some);
                    }
                    // A kind of event that this version of the SDK does not know.
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(None),
                    Err(error) => return Err(event_error(&error)),
                }
            }
        })
    }
}

fn converted(event: SubscribeToShardEvent) -> Result<SubscriptionEvent, RequestError> {
    let children = event.child_shards.unwrap_or_default();
    Ok(SubscriptionEvent {
        records: event.records.into_iter().map(fetched).collect(),
        // The SDK replaces a number that is missing by an empty one.
        continuation: Some(event.continuation_sequence_number).filter(|number| !number.is_empty()),
        behind_latest: millis(event.millis_behind_latest),
        child_shards: children.iter().map(child_shard).collect::<Result<_, _>>()?,
    })
}

fn event_error<R>(error: &SdkError<SubscribeToShardEventStreamError, R>) -> RequestError
where
    R: fmt::Debug + 'static,
{
    let causes = || joined(chain(error).skip(1));
    match error {
        SdkError::ServiceError(answer) => {
            let meta = answer.err().meta();
            match meta.code() {
                Some(code) => RequestError::refused(code, meta.message().unwrap_or_default()),
                None => RequestError::unanswered("EventError", causes()),
            }
        }
        SdkError::DispatchFailure(_) => RequestError::unanswered("ConnectionLost", causes()),
        _ => RequestError::unanswered("EventError", causes()),
    }
}
