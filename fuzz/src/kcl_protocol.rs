//! The check of the fuzz target `kcl_protocol`: any lines and calls, in any order.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use kpl_core::Position;
use kpl_kcl::protocol::{CheckpointAt, CheckpointError, Message, Protocol, Start};
use serde::Deserialize;
use serde_json::Value;

/// Each line of the input is a call. `a` answers the last message; `c` makes a checkpoint of everything, and `cN` after the record
/// with the index N of the last delivery that there is; every other line is one of the daemon.
pub fn kcl_protocol(input: &[u8]) {
    let mut model = Model::default();
    let mut protocol = Protocol::new();
    for line in input.split(|byte| *byte == b'\n') {
        match line {
            b"a" => model.answer(&mut protocol),
            b"c" => model.checkpoint(&mut protocol, None),
            [b'c', index @ ..] if index.iter().all(u8::is_ascii_digit) => {
                let index = std::str::from_utf8(index)
                    .expect("digits")
                    .parse()
                    .unwrap_or(usize::MAX);
                model.checkpoint(&mut protocol, Some(index));
            }
            line => model.line(&mut protocol, line),
        }
    }
}

/// A line of the daemon. Fields that are not read may be anything that ends where JSON says, such as half of a surrogate pair.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    action: String,
    error: Option<String>,
    shard_id: Option<String>,
    sequence_number: Option<String>,
    records: Option<Vec<Record>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    data: String,
    partition_key: Option<String>,
    sequence_number: String,
    sub_sequence_number: Option<u64>,
}

/// What must be true of the protocol, by simpler means.
#[derive(Default)]
struct Model {
    /// The action of the message that is not answered.
    unanswered: Option<&'static str>,
    /// Whether a checkpoint is not answered, and where it is.
    asked: Option<Option<Position>>,
    initialized: bool,
    /// The positions of the last delivery.
    positions: Vec<Option<Position>>,
    delivered: Option<Position>,
    checkpointed: Option<Position>,
    at_end: bool,
}

impl Model {
    fn line(&mut self, protocol: &mut Protocol, line: &[u8]) {
        let before = format!("{protocol:?}");
        let message = match protocol.receive(line) {
            Ok(Some(message)) => message,
            Ok(None) => {
                assert!(line.trim_ascii().is_empty(), "a line was passed over");
                return;
            }
            Err(error) => {
                assert_eq!(format!("{protocol:?}"), before, "an error changes nothing");
                assert!(error.to_string().len() < 4096, "an error shows a long line");
                return;
            }
        };
        let json: Line = serde_json::from_slice(line).expect("another reader of JSON takes it as well");
        let action = match &message {
            Message::Checkpointed(result) => {
                assert_eq!(json.action, "checkpoint");
                assert_eq!(result.is_ok(), json.error.is_none());
                let asked = self.asked.take().expect("a checkpoint was asked for");
                if result.is_ok() {
                    self.checkpointed = asked;
                }
                return;
            }
            Message::Initialize(shard) => {
                assert_eq!(Some(&shard.id), json.shard_id.as_ref());
                if let Start::After(position) = &shard.start {
                    let number = json.sequence_number.as_deref().expect("a number");
                    assert_eq!(
                        position.sequence_number.as_str(),
                        Position::new(number, 0).expect("digits").sequence_number.as_str()
                    );
                }
                assert!(!self.initialized);
                "initialize"
            }
            Message::Records(delivery) => {
                let records = json.records.expect("records");
                assert_eq!(delivery.iter().len(), records.len());
                for (record, json) in delivery.iter().zip(&records) {
                    assert_eq!(record.data, BASE64.decode(json.data.as_bytes()).expect("base64"));
                    assert_eq!(record.partition_key, json.partition_key.as_deref());
                    assert_eq!(
                        record.kinesis_record.sequence_number,
                        Some(json.sequence_number.as_str())
                    );
                    assert_eq!(record.sub_sequence_number, json.sub_sequence_number.unwrap_or(0));
                }
                self.positions = (0..records.len()).map(|index| delivery.position(index)).collect();
                if let Some(Some(last)) = self.positions.last() {
                    self.delivered = Some(last.clone());
                }
                "processRecords"
            }
            Message::LeaseLost if json.action == "shutdown" => "shutdown",
            Message::ShardEnded if json.action == "shutdown" => "shutdown",
            Message::LeaseLost => "leaseLost",
            Message::ShardEnded => "shardEnded",
            Message::ShutdownRequested => "shutdownRequested",
            message => panic!("{message:?}"),
        };
        assert_eq!(json.action, action);
        assert!(
            self.unanswered.is_none() && self.asked.is_none(),
            "{action} before the last message was answered"
        );
        assert_eq!(self.initialized, action != "initialize", "{action} is out of turn");
        self.initialized = true;
        self.at_end = matches!(message, Message::ShardEnded);
        self.unanswered = Some(action);
        if matches!(message, Message::LeaseLost | Message::Initialize(_)) {
            assert_eq!(protocol.checkpoint(CheckpointAt::All), Err(CheckpointError::NotNow));
        }
    }

    fn answer(&mut self, protocol: &mut Protocol) {
        let answer = protocol.answer();
        let expected = self.unanswered.filter(|_| self.asked.is_none());
        assert_eq!(answer.is_ok(), expected.is_some());
        if let (Ok(line), Some(action)) = (answer, expected) {
            let expected = BTreeMap::from([("action", "status"), ("responseFor", action)]);
            assert_eq!(
                serde_json::from_str::<BTreeMap<&str, &str>>(&line).expect("JSON"),
                expected
            );
            assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
            self.unanswered = None;
        }
    }

    fn checkpoint(&mut self, protocol: &mut Protocol, index: Option<usize>) {
        let position = match index {
            None => None,
            Some(index) => match self.positions.get(index) {
                Some(Some(position)) => Some(position.clone()),
                _ => return,
            },
        };
        let before = format!("{protocol:?}");
        let line = match &position {
            None => protocol.checkpoint(CheckpointAt::All),
            Some(position) => protocol.checkpoint(CheckpointAt::Position(position)),
        };
        match line {
            Ok(line) => {
                let json: Value = serde_json::from_str(&line).expect("JSON");
                assert_eq!(json["action"], "checkpoint");
                let number = position.as_ref().map(|position| position.sequence_number.as_str());
                assert_eq!(json.get("sequenceNumber").and_then(Value::as_str), number);
                let action = self.unanswered.expect("a message to make a checkpoint for");
                assert!(["processRecords", "shutdownRequested", "shardEnded", "shutdown"].contains(&action));
                assert!(self.asked.is_none());
                assert!(
                    !(self.at_end && position.is_some()),
                    "not the end at the end of a shard"
                );
                if let Some(position) = &position {
                    assert!(Some(position) <= self.delivered.as_ref(), "it was not delivered");
                    assert!(Some(position) >= self.checkpointed.as_ref(), "it goes back");
                }
                self.asked = Some(position.or(self.delivered.clone()));
            }
            Err(error) => {
                assert_eq!(format!("{protocol:?}"), before, "an error changes nothing");
                let may = self.asked.is_none()
                    && match self.unanswered {
                        Some("processRecords" | "shutdownRequested") => true,
                        Some("shardEnded") => position.is_none(),
                        _ => false,
                    };
                let within = position.as_ref().is_none_or(|position| {
                    Some(position) <= self.delivered.as_ref() && Some(position) >= self.checkpointed.as_ref()
                });
                assert!(!(may && within), "{error}");
            }
        }
    }
}
