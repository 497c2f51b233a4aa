//! What real daemons said and answered: the transcripts in the folder of the same name.

use std::fs;
use std::path::Path;

use kpl_core::Position;
use kpl_kcl::protocol::{CheckpointAt, CheckpointError, Message, Protocol};
use serde_json::Value;

struct Line {
    from_daemon: bool,
    text: String,
}

fn transcripts() -> Vec<(String, Vec<Line>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let transcripts = files.map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            Line {
                from_daemon: line["from"] == "daemon",
                text: line["line"].as_str().unwrap().to_owned(),
            }
        });
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), lines.collect())
    });
    let mut transcripts: Vec<_> = transcripts.collect();
    transcripts.sort_by(|(a, _), (b, _)| a.cmp(b));
    transcripts
}

/// Each line of a daemon is taken, each line of the recorded process is one that is written here, and each checkpoint is
/// answered before it is asked for as the KCL answered it.
#[test]
fn the_protocol_says_and_expects_what_daemons_do() {
    let mut seen = Vec::new();
    for (name, lines) in transcripts() {
        let mut protocol = Protocol::new();
        let mut lines = lines.into_iter().enumerate();
        while let Some((number, line)) = lines.next() {
            let at = format!("{name}, line {}", number + 1);
            if line.from_daemon {
                if line.text.contains("\"action\":\"initialize\"") {
                    // A transcript may be of several processes.
                    protocol = Protocol::new();
                }
                let message = protocol
                    .receive(line.text.as_bytes())
                    .unwrap_or_else(|error| panic!("{at}: {error}"));
                let message = message.unwrap_or_else(|| panic!("{at}: an empty line"));
                seen.push(match &message {
                    Message::Initialize(_) => "initialize",
                    Message::Records(_) => "records",
                    Message::LeaseLost => "lease lost",
                    Message::ShardEnded => "shard ended",
                    Message::ShutdownRequested => "shutdown requested",
                    message => panic!("{at}: {message:?}"),
                });
                same_records(&at, &line.text, &message);
                continue;
            }
            let said: Value = serde_json::from_str(&line.text).unwrap();
            if said["action"] == "status" {
                let answer = protocol.answer().unwrap_or_else(|error| panic!("{at}: {error}"));
                assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), said, "{at}");
                continue;
            }
            let answer = lines.next().filter(|(_, line)| line.from_daemon);
            let Some((_, answer)) = answer else {
                // The process or the daemon was killed.
                continue;
            };
            let exception = serde_json::from_str::<Value>(&answer.text).unwrap()["error"].clone();
            let position = match (said["sequenceNumber"].as_str(), said["subSequenceNumber"].as_u64()) {
                (None, _) => None,
                (Some(number), Some(sub)) => match Position::new(number, sub) {
                    Ok(position) => Some(position),
                    // Such a position cannot be had here.
                    Err(_) => {
                        assert_eq!(exception, "IllegalArgumentException", "{at}");
                        continue;
                    }
                },
                (Some(_), None) => continue,
            };
            let checkpoint = match &position {
                None => protocol.checkpoint(CheckpointAt::All),
                Some(position) => protocol.checkpoint(CheckpointAt::Position(position)),
            };
            match (checkpoint, exception.as_str()) {
                (Ok(written), _) => {
                    let written: Value = serde_json::from_str(&written).unwrap();
                    for field in ["action", "sequenceNumber"] {
                        assert_eq!(written.get(field).unwrap_or(&Value::Null), &said[field], "{at}");
                    }
                    match protocol.receive(answer.text.as_bytes()).unwrap().unwrap() {
                        Message::Checkpointed(Ok(()) | Err(CheckpointError::LeaseLost)) => {}
                        // Only the daemon knows.
                        Message::Checkpointed(Err(CheckpointError::NotNow)) if name.contains("no-lease-table") => {}
                        Message::Checkpointed(Err(CheckpointError::TryAgain(_))) if name.ends_with("-throttled") => {}
                        message => panic!("{at}: {message:?}"),
                    }
                    seen.push("checkpoint");
                }
                (Err(CheckpointError::NotNow), Some("InvalidStateException")) => seen.push("not now"),
                // A position that was not delivered is refused here, whatever the KCL thinks of the lease.
                (Err(CheckpointError::OutOfRange { .. }), Some("IllegalArgumentException")) => {
                    seen.push("out of range")
                }
                // At the end of a shard the KCL takes a position as well, but that does not end the shard.
                (Err(CheckpointError::OutOfRange { .. }), None) if name.ends_with("-shard-ended") => {}
                (checkpoint, exception) => panic!("{at}: {checkpoint:?} here, {exception:?} there"),
            }
        }
    }
    for what in [
        "initialize",
        "records",
        "lease lost",
        "shard ended",
        "shutdown requested",
        "checkpoint",
        "not now",
        "out of range",
    ] {
        assert!(seen.contains(&what), "no transcript shows: {what}");
    }
}

/// The records are those that another reader of JSON sees.
fn same_records(at: &str, line: &str, message: &Message<'_>) {
    let Message::Records(delivery) = message else {
        return;
    };
    let line: Value = serde_json::from_str(line).unwrap();
    let records = line["records"].as_array().unwrap();
    assert_eq!(delivery.len(), records.len(), "{at}");
    assert_eq!(
        delivery.behind_latest().map(|behind| behind.as_millis() as u64),
        line["millisBehindLatest"].as_u64()
    );
    for (record, expected) in delivery.iter().zip(records) {
        assert_eq!(record.partition_key, expected["partitionKey"].as_str(), "{at}");
        assert_eq!(
            record.kinesis_record.sequence_number,
            expected["sequenceNumber"].as_str(),
            "{at}"
        );
        assert_eq!(
            Some(record.sub_sequence_number),
            expected["subSequenceNumber"].as_u64(),
            "{at}"
        );
        assert_eq!(
            data_encoding::BASE64.encode(record.data),
            expected["data"].as_str().unwrap(),
            "{at}"
        );
        let arrival = record.kinesis_record.approximate_arrival.unwrap().since_unix_epoch();
        assert_eq!(
            Some(arrival.as_millis() as u64),
            expected["approximateArrivalTimestamp"].as_u64(),
            "{at}"
        );
    }
}
