//! The protocol of the KCL's `MultiLangDaemon` with its child processes, without any input or output: lines in, lines out.
//!
//! The daemon starts a process for each shard and writes messages to its standard input, one JSON object a line. The process
//! answers each of them with a status on its standard output. Between a message and its status the process may make
//! checkpoints, each of which the daemon answers at once. The [`Protocol`] reads and writes these lines, and holds the rules of
//! the daemon and of the KCL's checkpointer, so that no checkpoint is asked for that the KCL would refuse.
//!
//! Most programs do not need this: they use [`run`](crate::run), a [`Handler`](crate::Handler) or a
//! [`ShardProcessor`](crate::ShardProcessor).
//!
//! ```
//! use kpl_kcl::protocol::{CheckpointAt, Message, Protocol};
//!
//! let mut protocol = Protocol::new();
//! let line = br#"{"action":"initialize","shardId":"shardId-0","sequenceNumber":"TRIM_HORIZON","subSequenceNumber":0}"#;
//! let Some(Message::Initialize(shard)) = protocol.receive(line)? else { panic!() };
//! assert_eq!(shard.id, "shardId-0");
//! assert_eq!(protocol.answer()?, "{\"action\":\"status\",\"responseFor\":\"initialize\"}\n");
//!
//! let line = br#"{"action":"processRecords","millisBehindLatest":0,"records":[{"action":"record","data":"aGk=",
//!     "partitionKey":"abc","sequenceNumber":"4950","subSequenceNumber":3,"approximateArrivalTimestamp":1700000000000}]}"#;
//! let Some(Message::Records(delivery)) = protocol.receive(line)? else { panic!() };
//! assert_eq!(delivery.iter().next().unwrap().data, b"hi");
//! let position = delivery.position(0).unwrap();
//!
//! let line = protocol.checkpoint(CheckpointAt::Position(&position))?;
//! assert_eq!(line, "{\"action\":\"checkpoint\",\"sequenceNumber\":\"4950\",\"subSequenceNumber\":3}\n");
//! let line = br#"{"action":"checkpoint","sequenceNumber":"4950","subSequenceNumber":3,"error":null}"#;
//! assert!(matches!(protocol.receive(line)?, Some(Message::Checkpointed(Ok(())))));
//! assert_eq!(protocol.answer()?, "{\"action\":\"status\",\"responseFor\":\"processRecords\"}\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Facts of the protocol are those of the daemon's source,
//! [`software.amazon.kinesis.multilang`](https://github.com/awslabs/amazon-kinesis-client/tree/master/amazon-kinesis-client-multilang/src/main/java/software/amazon/kinesis/multilang).

mod error;
mod message;
mod scan;

use kpl_core::Position;

pub use self::error::{CheckpointError, ProtocolError};
use self::message::{Action, Line};
pub use self::message::{Delivery, Message, Shard, Start};

/// One end of the protocol, that of the process: see [the module](self).
#[derive(Debug, Default)]
pub struct Protocol {
    state: State,
    /// The position of the last user record that was delivered.
    delivered: Option<Position>,
    /// The last checkpoint.
    checkpointed: Option<Position>,
}

#[derive(Debug, Default)]
enum State {
    /// The first message has not arrived.
    #[default]
    New,
    /// The last message is answered.
    Waiting,
    /// A message is not answered.
    Answering(Unanswered),
    /// A message is not answered, and neither is a checkpoint at this position.
    Checkpointing(Unanswered, Option<Position>),
}

#[derive(Clone, Copy, Debug)]
struct Unanswered {
    action: Action,
    may_checkpoint: MayCheckpoint,
}

/// Where a checkpoint can be made before a message is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MayCheckpoint {
    Nowhere,
    Delivered,
    /// Only at the end of the shard.
    End,
}

impl State {
    const fn answering(action: Action, may_checkpoint: MayCheckpoint) -> Self {
        Self::Answering(Unanswered { action, may_checkpoint })
    }
}

/// Where a checkpoint is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointAt<'a> {
    /// After everything that was delivered. At the end of a shard this is its end.
    All,
    /// After the user record with this position.
    Position(&'a Position),
}

impl Protocol {
    /// Returns the state before the first message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a line of the daemon, with or without its line break. Returns `None` if it is empty.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`], which says where, if the line is not a valid message, or is one that the daemon does not send now. The
    /// state is as before then.
    pub fn receive<'a>(&mut self, line: &'a [u8]) -> Result<Option<Message<'a>>, ProtocolError> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let (action, message) = match scan::delivery(line) {
            Some(delivery) => (Action::ProcessRecords, Message::Records(delivery)),
            None => {
                let parsed: Line<'a> = serde_json::from_slice(line).map_err(|error| ProtocolError::Line {
                    line: start_of(&String::from_utf8_lossy(line.get(..MAX_SHOWN).unwrap_or(line))),
                    error,
                })?;
                parsed.into_message()?
            }
        };
        let unexpected = |unanswered: Option<Unanswered>| ProtocolError::Unexpected {
            action: action.name(),
            unanswered: unanswered.map(|unanswered| unanswered.action.name()),
        };
        self.state = match (&mut self.state, &message) {
            (State::Checkpointing(unanswered, position), Message::Checkpointed(result)) => {
                if result.is_ok() {
                    self.checkpointed = position.take();
                }
                State::Answering(*unanswered)
            }
            (State::Answering(unanswered) | State::Checkpointing(unanswered, _), _) => {
                return Err(unexpected(Some(*unanswered)));
            }
            (State::New, Message::Initialize(_)) => State::answering(action, MayCheckpoint::Nowhere),
            (State::New, _) | (State::Waiting, Message::Initialize(_) | Message::Checkpointed(_)) => {
                return Err(unexpected(None));
            }
            (State::Waiting, Message::LeaseLost) => State::answering(action, MayCheckpoint::Nowhere),
            (State::Waiting, Message::ShardEnded) => State::answering(action, MayCheckpoint::End),
            (State::Waiting, Message::Records(_) | Message::ShutdownRequested) => {
                State::answering(action, MayCheckpoint::Delivered)
            }
        };
        if let Message::Records(delivery) = &message
            && let Some(last) = delivery.len().checked_sub(1).and_then(|last| delivery.position(last))
        {
            self.delivered = Some(last);
        }
        Ok(Some(message))
    }

    /// Returns the line that asks for a checkpoint. The next line of the daemon is the answer.
    ///
    /// # Errors
    ///
    /// What the KCL would answer, without asking it: [`CheckpointError::NotNow`] unless records, the end of the shard or a
    /// requested shutdown are being answered, or while another checkpoint is; [`CheckpointError::OutOfRange`] if the position
    /// is after everything that was delivered or before the last checkpoint, or is not the end at the end of a shard.
    pub fn checkpoint(&mut self, at: CheckpointAt<'_>) -> Result<String, CheckpointError> {
        let State::Answering(unanswered) = self.state else {
            return Err(CheckpointError::NotNow);
        };
        let at_end = match unanswered.may_checkpoint {
            MayCheckpoint::Nowhere => return Err(CheckpointError::NotNow),
            MayCheckpoint::Delivered => false,
            MayCheckpoint::End => true,
        };
        let (position, line) = match at {
            CheckpointAt::All => (self.delivered.clone(), "{\"action\":\"checkpoint\"}\n".to_owned()),
            CheckpointAt::Position(position) => {
                let delivered = self.delivered.as_ref().is_some_and(|delivered| position <= delivered);
                let advances = self
                    .checkpointed
                    .as_ref()
                    .is_none_or(|checkpointed| position >= checkpointed);
                if at_end || !delivered || !advances {
                    let position = Some(position.clone());
                    return Err(CheckpointError::OutOfRange { position });
                }
                let Position {
                    sequence_number,
                    sub_sequence_number,
                    ..
                } = position;
                let line = format!(
                    "{{\"action\":\"checkpoint\",\"sequenceNumber\":\"{sequence_number}\",\
                     \"subSequenceNumber\":{sub_sequence_number}}}\n"
                );
                (Some(position.clone()), line)
            }
        };
        self.state = State::Checkpointing(unanswered, position);
        Ok(line)
    }

    /// Returns the line that says that the last message is done.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NothingToAnswer`] if all messages are answered, or a checkpoint is not.
    pub fn answer(&mut self) -> Result<String, ProtocolError> {
        let State::Answering(Unanswered { action, .. }) = self.state else {
            return Err(ProtocolError::NothingToAnswer);
        };
        self.state = State::Waiting;
        let action = action.name();
        Ok(format!("{{\"action\":\"status\",\"responseFor\":\"{action}\"}}\n"))
    }
}

/// Returns what an error shows of a string.
fn start_of(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// How many characters of a line an error shows.
const MAX_SHOWN: usize = 256;
