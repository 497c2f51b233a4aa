//! What goes over the pipes to the peers, a line of JSON each way: see ../README.md.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use data_encoding::BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A user record as it goes to a writer. The data is base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserRecord {
    pub(crate) partition_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) explicit_hash_key: Option<String>,
    pub(crate) data: String,
}

impl UserRecord {
    pub(crate) fn new(partition_key: impl Into<String>, data: impl AsRef<[u8]>) -> Self {
        Self {
            partition_key: partition_key.into(),
            explicit_hash_key: None,
            data: BASE64.encode(data.as_ref()),
        }
    }

    pub(crate) fn at(mut self, hash_key: u128) -> Self {
        self.explicit_hash_key = Some(hash_key.to_string());
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        decode(&self.data)
    }
}

/// The request to a writer: send these, and flush.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Set {
    #[serde(skip)]
    pub(crate) name: String,
    pub(crate) records: Vec<UserRecord>,
}

/// A Kinesis record: what a writer answers with, and what a reader is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KinesisRecord {
    pub(crate) partition_key: String,
    pub(crate) explicit_hash_key: Option<String>,
    pub(crate) data: String,
    #[serde(default)]
    pub(crate) sequence_number: String,
    /// The shard that it went to, of writers that send to a server. GetRecords does not return explicit hash keys.
    #[serde(skip_serializing)]
    pub(crate) shard: Option<usize>,
}

impl KinesisRecord {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        decode(&self.data)
    }
}

/// A writer's answer.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Written {
    pub(crate) records: Vec<KinesisRecord>,
    #[serde(default)]
    pub(crate) errors: Vec<String>,
}

impl Written {
    /// Assigns each record a sequence number, starting at `first`.
    pub(crate) fn number(mut self, first: u64) -> Self {
        for (record, number) in self.records.iter_mut().zip(first..) {
            record.sequence_number = number.to_string();
        }
        self
    }

    pub(crate) fn batch(&self) -> Batch {
        Batch {
            records: self.records.clone(),
            range: None,
        }
    }
}

/// What a reader is asked: for the user records of one batch, for the KCL perhaps within a hash key range.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Batch {
    pub(crate) records: Vec<KinesisRecord>,
    pub(crate) range: Option<[String; 2]>,
}

/// A user record as a reader returns it. What it does not report is missing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadRecord {
    pub(crate) partition_key: Option<String>,
    pub(crate) explicit_hash_key: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) sequence_number: Option<String>,
    pub(crate) sub_sequence_number: Option<u64>,
}

/// A reader's answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Read {
    pub(crate) records: Vec<ReadRecord>,
    pub(crate) error: Option<String>,
}

pub(crate) fn decode(data: &str) -> Vec<u8> {
    BASE64.decode(data.as_bytes()).expect("base64")
}

/// A peer's program, running.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    /// What it writes to standard error.
    log: PathBuf,
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Program {
    /// Starts `NAME VERB` of those that .ci/interop installed.
    pub(crate) fn start(name: &str, verb: &str, environment: &[(&str, &str)]) -> Self {
        let log = peers().join(format!("{name}-{verb}.{}.log", std::process::id()));
        let stderr = File::options().create(true).append(true).open(&log);
        let stderr = stderr.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let mut child = command(name, verb)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Self {
            name: format!("{name} {verb}"),
            log,
            questions: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        }
    }

    /// Sends requests and returns the answers, one for each.
    pub(crate) fn ask<Q: Serialize + Sync, A: DeserializeOwned>(&mut self, questions: &[Q]) -> Vec<A> {
        let Self {
            name,
            log,
            questions: pipe,
            answers,
            ..
        } = self;
        let pipe = pipe.as_mut().expect("it runs");
        std::thread::scope(|scope| {
            let asking = scope.spawn(move || {
                for question in questions {
                    let mut line = serde_json::to_string(question).expect("JSON");
                    line.push('\n');
                    pipe.write_all(line.as_bytes()).expect("the program listens");
                }
                pipe.flush().expect("the program listens");
            });
            let answers = questions
                .iter()
                .map(|_| {
                    let mut line = String::new();
                    answers.read_line(&mut line).expect("text");
                    assert!(!line.is_empty(), "{name} ended:\n{}", last_lines(log));
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{name}: {error} in {line:.200}"))
                })
                .collect();
            asking.join().expect("all questions were asked");
            answers
        })
    }
}

impl Drop for Program {
    /// Lets it end: no more requests follow.
    fn drop(&mut self) {
        self.questions = None;
        let _ = self.child.wait();
    }
}

/// Returns the end of a program's output.
fn last_lines(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The versions of a peer, as it reports them.
pub(crate) fn version(name: &str) -> String {
    let output = command(name, "version")
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} version: {}\n{told}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

fn peers() -> PathBuf {
    let peers = std::env::var_os("KPL_INTEROP_PEERS").expect("run .ci/interop, which installs the peers");
    PathBuf::from(peers)
}

fn command(name: &str, verb: &str) -> Command {
    let mut command = Command::new(peers().join("bin").join(name));
    command.arg(verb);
    command
}
