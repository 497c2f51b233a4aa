//! What the daemon says: one JSON object a line.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use data_encoding::BASE64;
use kpl_core::{KinesisRecord, Position, Timestamp, UserRecord};
use serde::Deserialize;

use super::{CheckpointError, ProtocolError, start_of};

/// A message of the daemon.
#[derive(Debug)]
#[non_exhaustive]
pub enum Message<'a> {
    /// The shard that this process is for. It is the first message.
    Initialize(Shard),
    /// Records of the shard, in order.
    Records(Delivery<'a>),
    /// Another worker has the lease of the shard now: no checkpoint can be made any more.
    LeaseLost,
    /// The shard has ended and all of its records have been delivered. Unless a checkpoint of everything is made now, the
    /// shards that came from it never start.
    ShardEnded,
    /// The daemon was told to stop, and waits for a last checkpoint.
    ShutdownRequested,
    /// The answer to a checkpoint.
    Checkpointed(Result<(), CheckpointError>),
}

/// The shard of a process, and where its records start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shard {
    /// The shard's id, such as `shardId-000000000000`.
    pub id: String,
    /// Where its records start.
    pub start: Start,
}

/// Where the records of a shard start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// After the user record with this position, which is the last checkpoint. It may be inside an aggregate.
    After(Position),
    /// At the first record that the shard still has. There is no checkpoint.
    TrimHorizon,
    /// At records that arrive from now on. There is no checkpoint.
    Latest,
    /// At the time that the daemon's properties state. There is no checkpoint.
    AtTimestamp,
    /// Nowhere: the checkpoint says that the shard has ended.
    ShardEnd,
    /// At what this crate does not know, as the daemon names it.
    Other(String),
}

impl Start {
    fn new(sequence_number: &str, sub_sequence_number: u64) -> Self {
        if let Ok(position) = Position::new(sequence_number, sub_sequence_number) {
            return Self::After(position);
        }
        match sequence_number {
            "TRIM_HORIZON" => Self::TrimHorizon,
            "LATEST" => Self::Latest,
            "AT_TIMESTAMP" => Self::AtTimestamp,
            "SHARD_END" => Self::ShardEnd,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(position) => write!(f, "after {position}"),
            Self::TrimHorizon => f.write_str("at TRIM_HORIZON"),
            Self::Latest => f.write_str("at LATEST"),
            Self::AtTimestamp => f.write_str("at AT_TIMESTAMP"),
            Self::ShardEnd => f.write_str("at SHARD_END"),
            Self::Other(name) => write!(f, "at {name:?}"),
        }
    }
}

/// Records of a shard: user records that the KCL took out of Kinesis records.
#[derive(PartialEq)]
pub struct Delivery<'a> {
    records: Vec<Entry<'a>>,
    /// The data of all records, one after another.
    data: Vec<u8>,
    millis_behind_latest: Option<u64>,
}

#[derive(PartialEq)]
struct Entry<'a> {
    partition_key: Option<Cow<'a, str>>,
    sequence_number: Cow<'a, str>,
    sub_sequence_number: u64,
    approximate_arrival: Option<Timestamp>,
    data: Range<usize>,
}

impl Delivery<'_> {
    /// Returns how many user records there are. It may be 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns whether there are no user records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns how far the records are behind the latest ones of the shard, as the service states it.
    #[must_use]
    pub fn behind_latest(&self) -> Option<Duration> {
        self.millis_behind_latest.map(Duration::from_millis)
    }

    /// Returns the user records, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = UserRecord<'_>> {
        self.records
            .iter()
            .enumerate()
            .map(|(index, entry)| self.view(index, entry))
    }

    /// Returns a user record by its index, or `None` if there are fewer.
    ///
    /// The KCL passes on neither explicit hash keys nor tags, nor whether a record was inside an aggregate: only those whose
    /// [sub-sequence number](UserRecord::sub_sequence_number) is not 0 are marked as aggregated.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<UserRecord<'_>> {
        self.records.get(index).map(|entry| self.view(index, entry))
    }

    fn view<'d>(&'d self, index: usize, entry: &'d Entry<'_>) -> UserRecord<'d> {
        let mut record = KinesisRecord::new(self.data.get(entry.data.clone()).unwrap_or_default());
        record.partition_key = entry.partition_key.as_deref();
        record.sequence_number = Some(&entry.sequence_number);
        record.approximate_arrival = entry.approximate_arrival;
        let mut record = UserRecord::from(record);
        record.kinesis_record_index = index;
        record.sub_sequence_number = entry.sub_sequence_number;
        record.aggregated = entry.sub_sequence_number > 0;
        record
    }

    /// Returns the position of a user record by its index. Returns `None` if there are fewer, or if its sequence number does
    /// not consist of digits.
    #[must_use]
    pub fn position(&self, index: usize) -> Option<Position> {
        let entry = self.records.get(index)?;
        Position::new(&entry.sequence_number, entry.sub_sequence_number).ok()
    }
}

impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("records", &self.len())
            .field("behind_latest", &self.behind_latest())
            .finish_non_exhaustive()
    }
}

/// A line, before it is known what it may contain.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    action: Text<'a>,
    #[serde(borrow, default)]
    shard_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    sequence_number: Option<Text<'a>>,
    #[serde(default)]
    sub_sequence_number: Option<u64>,
    #[serde(borrow, default)]
    records: Option<Vec<JsonRecord<'a>>>,
    #[serde(default)]
    millis_behind_latest: Option<i64>,
    #[serde(borrow, default)]
    error: Option<Text<'a>>,
    #[serde(borrow, default)]
    reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonRecord<'a> {
    #[serde(borrow)]
    data: Text<'a>,
    #[serde(borrow, default)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    sequence_number: Text<'a>,
    #[serde(default)]
    sub_sequence_number: Option<u64>,
    #[serde(default)]
    approximate_arrival_timestamp: Option<i64>,
}

/// A string of a line. `Option<Cow>` by itself would be copied.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Line<'a> {
    /// Returns what the line says.
    pub(super) fn into_message(self) -> Result<(Action, Message<'a>), ProtocolError> {
        let missing = |field| ProtocolError::Field { field, record: None };
        let action = Action::of(&self.action.0).ok_or_else(|| ProtocolError::Action {
            action: start_of(&self.action.0),
        })?;
        let message = match action {
            Action::Initialize => {
                let Text(id) = self.shard_id.ok_or_else(|| missing("shardId"))?;
                let Text(sequence_number) = self.sequence_number.ok_or_else(|| missing("sequenceNumber"))?;
                let start = Start::new(&sequence_number, self.sub_sequence_number.unwrap_or(0));
                Message::Initialize(Shard {
                    id: id.into_owned(),
                    start,
                })
            }
            Action::ProcessRecords => {
                let records = self.records.ok_or_else(|| missing("records"))?;
                let behind = self.millis_behind_latest;
                Message::Records(delivery(records, behind.and_then(|millis| millis.try_into().ok()))?)
            }
            Action::LeaseLost => Message::LeaseLost,
            Action::ShardEnded => Message::ShardEnded,
            Action::ShutdownRequested => Message::ShutdownRequested,
            Action::Shutdown => match self.reason.as_ref().map(|Text(reason)| &**reason) {
                Some("TERMINATE") => Message::ShardEnded,
                Some("ZOMBIE") => Message::LeaseLost,
                _ => return Err(missing("reason")),
            },
            Action::Checkpoint => Message::Checkpointed(match self.error {
                None => Ok(()),
                Some(Text(error)) => Err(CheckpointError::of_exception(&error)),
            }),
        };
        Ok((action, message))
    }
}

fn delivery(records: Vec<JsonRecord<'_>>, millis_behind_latest: Option<u64>) -> Result<Delivery<'_>, ProtocolError> {
    let mut collect = Collect::default();
    for (index, record) in records.into_iter().enumerate() {
        let millis = record.approximate_arrival_timestamp;
        let arrival = millis
            .and_then(|millis| millis.try_into().ok())
            .map(Duration::from_millis);
        let record = LineRecord {
            data: record.data.0.as_bytes(),
            partition_key: record.partition_key.map(|Text(key)| key),
            sequence_number: record.sequence_number.0,
            sub_sequence_number: record.sub_sequence_number.unwrap_or(0),
            approximate_arrival: arrival.map(Timestamp::from_unix_epoch),
        };
        collect.push(record).ok_or(ProtocolError::Field {
            field: "data",
            record: Some(index),
        })?;
    }
    Ok(collect.into_delivery(millis_behind_latest))
}

/// A record of a line, whose data is base64.
pub(super) struct LineRecord<'d, 'a> {
    pub(super) data: &'d [u8],
    pub(super) partition_key: Option<Cow<'a, str>>,
    pub(super) sequence_number: Cow<'a, str>,
    pub(super) sub_sequence_number: u64,
    pub(super) approximate_arrival: Option<Timestamp>,
}

/// Collects the records of a delivery.
#[derive(Default)]
pub(super) struct Collect<'a> {
    records: Vec<Entry<'a>>,
    data: Vec<u8>,
}

impl<'a> Collect<'a> {
    /// Returns one with room for the data of a line.
    pub(super) fn for_line(line: &[u8]) -> Self {
        Self {
            records: Vec::new(),
            data: Vec::with_capacity(line.len() / 2),
        }
    }

    /// Adds a record. Returns `None` if its data is not valid base64.
    pub(super) fn push(&mut self, record: LineRecord<'_, 'a>) -> Option<()> {
        let start = self.data.len();
        self.data.resize(start + BASE64.decode_len(record.data.len()).ok()?, 0);
        let room = self.data.get_mut(start..)?;
        let end = start + BASE64.decode_mut(record.data, room).ok()?;
        self.data.truncate(end);
        self.records.push(Entry {
            partition_key: record.partition_key,
            sequence_number: record.sequence_number,
            sub_sequence_number: record.sub_sequence_number,
            approximate_arrival: record.approximate_arrival,
            data: start..end,
        });
        Some(())
    }

    pub(super) fn into_delivery(self, millis_behind_latest: Option<u64>) -> Delivery<'a> {
        Delivery {
            records: self.records,
            data: self.data,
            millis_behind_latest,
        }
    }
}

/// The actions that a line of the daemon may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Initialize,
    ProcessRecords,
    LeaseLost,
    ShardEnded,
    ShutdownRequested,
    /// What old daemons say in place of `leaseLost` and `shardEnded`.
    Shutdown,
    Checkpoint,
}

impl Action {
    fn of(name: &str) -> Option<Self> {
        use Action::*;
        let all = [
            Initialize,
            ProcessRecords,
            LeaseLost,
            ShardEnded,
            ShutdownRequested,
            Shutdown,
            Checkpoint,
        ];
        all.into_iter().find(|action| action.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::ProcessRecords => "processRecords",
            Self::LeaseLost => "leaseLost",
            Self::ShardEnded => "shardEnded",
            Self::ShutdownRequested => "shutdownRequested",
            Self::Shutdown => "shutdown",
            Self::Checkpoint => "checkpoint",
        }
    }
}
