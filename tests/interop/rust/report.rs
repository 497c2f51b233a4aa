//! INTEROP.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::judge::{Fault, Shown, show};
use super::peers::OURS;

/// Who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whose {
    Writer(&'static str),
    Reader(&'static str),
    /// Of a writer and a reader together.
    Both(&'static str, &'static str),
}

/// A fault of a peer, with the smallest input that shows it.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) whose: Whose,
    pub(crate) fault: Fault,
    pub(crate) shown: Shown,
}

/// What is measured, for INTEROP.md.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) user_records: usize,
    pub(crate) sets: Vec<(String, usize)>,
    pub(crate) readers: Vec<&'static str>,
    /// For each writer, the notes of each reader's cell.
    pub(crate) rows: Vec<(&'static str, Vec<Vec<usize>>)>,
    pub(crate) notes: Vec<Note>,
    pub(crate) versions: Vec<(&'static str, String)>,
    /// What the KCL delivers, shard by shard: writer, Kinesis records, user records sent and delivered.
    pub(crate) shards: Vec<(&'static str, usize, usize, usize)>,
    /// For each odd body, what each reader does.
    pub(crate) odd: Vec<(&'static str, Vec<String>)>,
}

impl Report {
    pub(crate) fn matrix(&self) -> String {
        let mut text = format!(
            "| written by \\ read by | {} |\n|---{}|\n",
            self.readers.join(" | "),
            "|---".repeat(self.readers.len())
        );
        for (writer, cells) in &self.rows {
            let cells: Vec<String> = cells.iter().map(|cell| self.cell(cell)).collect();
            let _ = writeln!(text, "| **{writer}** | {} |", cells.join(" | "));
        }
        text
    }

    fn cell(&self, notes: &[usize]) -> String {
        if notes.is_empty() {
            return "ok".to_owned();
        }
        let mut words: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for &note in notes {
            let whose = match self.notes[note].whose {
                Whose::Writer(_) => "writer",
                Whose::Reader(_) => "reader",
                Whose::Both(..) => "together",
            };
            words
                .entry(whose)
                .or_default()
                .push(format!("{} ({})", self.notes[note].fault, note + 1));
        }
        let words = words
            .iter()
            .map(|(whose, faults)| format!("*{whose}* {}", faults.join(", ")));
        words.collect::<Vec<_>>().join("; ")
    }

    fn faults(&self) -> String {
        let mut text = String::new();
        for (number, Note { whose, fault, shown }) in self.notes.iter().enumerate() {
            let whose = match whose {
                Whose::Writer(name) => format!("{name}, writing"),
                Whose::Reader(name) => format!("{name}, reading"),
                Whose::Both(writer, reader) => format!("{writer}, read by {reader}"),
            };
            let sent = show(&shown.set.records);
            let _ = writeln!(
                text,
                "| {} | {whose} | {fault} | {sent} | {} |",
                number + 1,
                shown.instead
            );
        }
        text
    }

    pub(crate) fn text(&self) -> String {
        let sets: Vec<String> = self
            .sets
            .iter()
            .map(|(name, count)| format!("{name} ({count})"))
            .collect();
        let versions: String = self
            .versions
            .iter()
            .map(|(name, version)| format!("| `{name}` | {version} |\n"))
            .collect();
        let shards: String = self
            .shards
            .iter()
            .map(|(writer, records, sent, delivered)| {
                format!(
                    "| {writer} | {records} | {sent} | {delivered} | {} |\n",
                    sent - delivered
                )
            })
            .collect();
        let mut odd = format!(
            "| bytes | {} |\n|---{}|\n",
            self.readers.join(" | "),
            "|---".repeat(self.readers.len())
        );
        for (name, outcomes) in &self.odd {
            let _ = writeln!(odd, "| {name} | {} |", outcomes.join(" | "));
        }
        TEMPLATE
            .replace("{ours}", OURS)
            .replace("{user records}", &self.user_records.to_string())
            .replace("{sets}", &wrap(&sets.join("; ")))
            .replace("{matrix}", &self.matrix())
            .replace("{faults}", &self.faults())
            .replace("{versions}", &versions)
            .replace("{shards}", &shards)
            .replace("{odd}", &odd)
    }
}

/// The same words in lines that are not too long.
fn wrap(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if lines[lines.len() - 1].len() + word.len() >= 115 {
            lines.push(String::new());
        }
        let line = lines.last_mut().expect("there is one");
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.join("\n")
}

const TEMPLATE: &str = "\
# Interoperability

`.ci/interop` wrote this page. It installs every other implementation by its package name, lets each read what all the
others wrote, and names what went wrong. `tests/interop/README.md` explains how it works.

## Everyone writes, everyone reads

{user records} user records are sent, in sets of these sizes:

{sets}

Partition keys, explicit hash keys, data, order and sub-sequence numbers are compared one by one. `ok` means that all of
them came as they were sent. Otherwise the cell says what the writer, the reader, or both *together* do wrong, with the
number of the fault below.

{matrix}
A lone user record that is sent raw does not carry its explicit hash key and has no sub-sequence number. The format has
it so; it is not a fault.

### The faults

Each fault is shown with the smallest input that was found to cause it; the harness shrinks inputs.

| | whose | what | user records sent: key, data | what came instead |
|---|---|---|---|---|
{faults}
A fault of this crate is a bug and stops the run. A fault is taken for one of this crate if more than two other readers
misread our bytes, or if fewer than two others see in a writer's bytes what we see.

## Byte for byte

* For each of 10,000 lists of user records, with keys of any script, with and without explicit hash keys, our bytes are
  those of the Python module. Lone user records are written with `wrap_single`.
* From the user records of every aggregate that the Amazon KPL, aiokpl and the Python module wrote of the sets above, we
  write the same bytes.
* Two modules differ by design: the Java module adds an explicit hash key to every user record, and the Node.js module
  sorts number-like keys.

## The KCL and shards

The KCL reads with the hash key range of its shard, and drops a whole aggregate if one user record in it belongs to
another shard. `StrayPolicy::DropAggregate` drops exactly what the KCL drops. This is checked with aggregates of which the
first, a middle or the last user record strays, and with random ranges. For the table, 2,000 user records were written
for four shards, and the KCL read each Kinesis record in the shard that it goes to:

| written by | Kinesis records | user records sent | delivered | dropped |
|---|---|---|---|---|
{shards}
a8m/kinesis-producer puts all user records under the partition key of the first: none strays, but their own keys are lost.

## Bytes that some readers take and others refuse

Each of these inputs stands between two plain records in one batch. The letters are the data of the user records that
come out, in order: `x y z` if all is well. A partition key or an explicit hash key (`at`) is named where it is not the
expected one. `plain` is one user record of all the bytes; `nothing` is neither a user record nor an error. An error of
ours is the error of one user record, and carries its data.

**The batch is lost** means that the two plain neighbours are lost as well. In Go, one bad record makes the call fail or
panic. The KCL and the Java module write a bad record to the log with `javax.xml.bind.DatatypeConverter` if a key cannot
be looked up. Java has not had that class since version 11, and neither library depends on a replacement, so the call ends
in a `NoClassDefFoundError`. With the class on the class path, the user records before the bad one are delivered, and the
others are left out silently.

{odd}
## Versions

| program | libraries |
|---|---|
{versions}
The Java modules for version 2 of the AWS SDK (2.x) are not here, because they are not in Maven Central, which has only
version 1.0.3 of `amazon-kinesis-aggregator` and `amazon-kinesis-deaggregator`. The Go module has no tagged version 2, so
this is its newest commit, of 4 October 2024. The Go producer is version 0.2.0.
";
