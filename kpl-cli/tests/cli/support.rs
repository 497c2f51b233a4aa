//! Running `kpl`, and what it is run on.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use data_encoding::BASE64;
use kpl_testkit::even_shards;
use kpl_testkit::golden::Golden;
use serde_json::{Value, json};

/// What a run of `kpl` gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Standard output as JSON Lines, of a run without any problem.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let reading = |line: &&str| line.starts_with("kpl: reading stream ");
        let problems = self.stderr.lines().filter(|line| !reading(line)).count();
        assert_eq!((self.code, problems), (0, 0), "{self:?}");
        self.lines_despite_problems()
    }

    pub(crate) fn lines_despite_problems(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}

/// `kpl`, in an environment that says nothing about colours.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kpl"));
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(variable);
    }
    command
}

/// Runs `kpl` with these arguments, and `input` on standard input.
pub(crate) fn kpl(arguments: &[&str], input: impl AsRef<[u8]>) -> Run {
    run(command().args(arguments), input.as_ref())
}

pub(crate) fn run(command: &mut Command, input: &[u8]) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // It may end before it has read all of its input.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Returns what a program writes to standard output.
pub(crate) fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        output.stdout
    })
}

/// A directory of a test's own, removed in the end.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "kpl-cli-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file of `tests/data`.
pub(crate) fn data_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Returns the KPL's golden file.
pub(crate) fn kpl_golden() -> Golden {
    Golden::load("kpl-8-records.json")
}

/// Returns the lines that `kpl deaggregate` has to write for a golden file.
pub(crate) fn golden_lines(golden: &Golden, sequence_number: Option<&str>, arrival: &Value) -> Vec<Value> {
    let records = golden.json_records().iter();
    records
        .map(|record| {
            json!({
                "PartitionKey": record["partitionKey"],
                "ExplicitHashKey": record["explicitHashKey"],
                "SequenceNumber": sequence_number,
                "SubSequenceNumber": record["subSequenceNumber"],
                "Aggregated": true,
                "ApproximateArrivalTimestamp": arrival,
                "Data": record["data"],
            })
        })
        .collect()
}

/// A record of GetRecords.
pub(crate) fn record(data: &[u8], sequence_number: &str) -> Value {
    json!({
        "SequenceNumber": sequence_number,
        "ApproximateArrivalTimestamp": "2026-03-01T12:00:00.123000+01:00",
        "Data": BASE64.encode(data),
        "PartitionKey": "outer",
        "EncryptionType": "NONE",
    })
}

/// Records as JSON Lines.
pub(crate) fn json_lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

/// Returns what `aws kinesis list-shards` prints for this many shards of the same size.
pub(crate) fn list_shards(count: u128) -> String {
    let shards: Vec<_> = even_shards(count)
        .into_iter()
        .map(|shard| {
            json!({
                "ShardId": shard.id,
                "HashKeyRange": {
                    "StartingHashKey": shard.range.start().to_string(),
                    "EndingHashKey": shard.range.end().to_string(),
                },
                "SequenceNumberRange": {
                    "StartingSequenceNumber": "49680498447590481346750955377077056603702562401659387906",
                },
            })
        })
        .collect();
    serde_json::to_string_pretty(&json!({ "Shards": shards })).unwrap()
}
