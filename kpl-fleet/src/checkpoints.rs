//! The checkpoints of a shard's handling, as positions of its reader.

use std::fmt;

use futures_core::future::BoxFuture;
use kpl_stream::client::ShardDescription;
use kpl_stream::reader::{Children, Positions, PositionsError, ShardState, StreamPositions};
use tokio::sync::{mpsc, oneshot};

use crate::engine::Handling;
use crate::lease::Checkpoint;

/// A checkpoint that a handling asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) handling: Handling,
    pub(crate) checkpoint: Checkpoint,
    /// The shards that follow, with the checkpoint at the end.
    pub(crate) children: Vec<ShardDescription>,
    /// Told when the checkpoint is in the table, and dropped if the lease is lost before.
    pub(crate) saved: oneshot::Sender<()>,
}

#[derive(Debug)]
pub(crate) struct Checkpoints {
    pub(crate) handling: Handling,
    pub(crate) children: Children,
    pub(crate) asked: mpsc::UnboundedSender<Asked>,
}

/// The lease was lost before a checkpoint was made. The worker that has it now handles the records again.
#[derive(Debug)]
pub(crate) struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lease was lost")
    }
}

impl std::error::Error for Lost {}

impl Checkpoints {
    async fn make(&self, checkpoint: Checkpoint) -> Result<(), PositionsError> {
        let children = match checkpoint {
            Checkpoint::Ended => self.children.get().to_vec(),
            _ => Vec::new(),
        };
        let (saved, is_saved) = oneshot::channel();
        let asked = Asked {
            handling: self.handling.clone(),
            checkpoint,
            children,
            saved,
        };
        self.asked.send(asked).map_err(|_| Lost)?;
        is_saved.await.map_err(|_| Lost)?;
        Ok(())
    }
}

impl Positions for Checkpoints {
    fn load<'a>(&'a self, _stream: &'a str) -> BoxFuture<'a, Result<StreamPositions, PositionsError>> {
        Box::pin(async { Ok(StreamPositions::default()) })
    }

    fn save<'a>(
        &'a self,
        _stream: &'a str,
        positions: &'a StreamPositions,
    ) -> BoxFuture<'a, Result<(), PositionsError>> {
        let checkpoint = positions.shards.get(&*self.handling.key).and_then(|state| match state {
            ShardState::After(position) => Some(Checkpoint::After(position.clone())),
            ShardState::Ended => Some(Checkpoint::Ended),
            // Nothing was handled.
            _ => None,
        });
        Box::pin(async {
            match checkpoint {
                Some(checkpoint) => self.make(checkpoint).await,
                None => Ok(()),
            }
        })
    }

    fn remove<'a>(&'a self, _stream: &'a str) -> BoxFuture<'a, Result<(), PositionsError>> {
        Box::pin(async { Ok(()) })
    }
}
