//! The other end of the protocol: what a daemon says and hears.

use std::io::{BufRead as _, BufReader, Lines, Read, Write};

use data_encoding::BASE64;
use serde_json::{Value, json};

/// A daemon that says what a test tells it to say.
pub(crate) struct Daemon<W, R> {
    to: W,
    from: Lines<BufReader<R>>,
}

impl<W: Write, R: Read> Daemon<W, R> {
    pub(crate) fn new(to: W, from: R) -> Self {
        let from = BufReader::new(from).lines();
        Self { to, from }
    }

    pub(crate) fn say(&mut self, message: &Value) {
        writeln!(self.to, "{message}").unwrap();
    }

    /// Returns what the process says next, or `None` if it has closed its output.
    pub(crate) fn hear(&mut self) -> Option<Value> {
        let line = self.from.next()?.unwrap();
        Some(serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?} is not a message")))
    }

    /// Says something, and returns the checkpoints that the process makes, all of them successfully, until it is done.
    pub(crate) fn tell(&mut self, message: &Value) -> Vec<String> {
        self.say(message);
        self.until_done(message)
    }

    pub(crate) fn until_done(&mut self, message: &Value) -> Vec<String> {
        let mut checkpoints = Vec::new();
        loop {
            let heard = self.hear().expect("an answer");
            if heard["action"] == "status" {
                assert_eq!(heard["responseFor"], message["action"]);
                return checkpoints;
            }
            checkpoints.push(position(&heard));
            self.answer(&heard, None);
        }
    }

    /// Answers a checkpoint.
    pub(crate) fn answer(&mut self, checkpoint: &Value, exception: Option<&str>) {
        assert_eq!(checkpoint["action"], "checkpoint");
        let mut answer = checkpoint.clone();
        answer["error"] = json!(exception);
        self.say(&answer);
    }
}

/// Returns the position of a checkpoint, or `all`.
pub(crate) fn position(checkpoint: &Value) -> String {
    match checkpoint["sequenceNumber"].as_str() {
        Some(number) => format!("{number}:{}", checkpoint["subSequenceNumber"]),
        None => "all".to_owned(),
    }
}

pub(crate) fn initialize() -> Value {
    json!({ "action": "initialize", "shardId": "shardId-0", "sequenceNumber": "TRIM_HORIZON", "subSequenceNumber": 0 })
}

/// Returns a delivery of records, each of which is a position and the data, which is the partition key as well.
pub(crate) fn records<'a>(records: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let records = records.into_iter().map(|(position, data)| {
        let (number, sub) = position.split_once(':').unwrap();
        json!({
            "action": "record", "data": BASE64.encode(data.as_bytes()), "partitionKey": data, "sequenceNumber": number,
            "subSequenceNumber": sub.parse::<u64>().unwrap(), "approximateArrivalTimestamp": 1_700_000_000_000_u64,
        })
    });
    json!({ "action": "processRecords", "records": records.collect::<Value>(), "millisBehindLatest": 0 })
}

pub(crate) fn action(name: &str) -> Value {
    json!({ "action": name })
}
