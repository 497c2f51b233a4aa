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

`.ci/interop` wrote this page: it installs every other implementation by its package name, lets each read what all the
others wrote, and names what went wrong. How it works: `tests/interop/README.md`.

## Everyone writes, everyone reads

{user records} user records in sets, with how many are in each:

{sets}

Partition keys, explicit hash keys, data, order and sub-sequence numbers are compared one by one. `ok`: all of them came
as they were sent. Otherwise the cell says what the writer or the reader does, with the number of the fault below.

{matrix}
A lone user record that travels raw does not carry its explicit hash key and has no sub-sequence number: that is the
format, and no fault.

### The faults

The smallest input that was found to show each; the harness shrinks it.

| | whose | what | user records sent: key, data | what came instead |
|---|---|---|---|---|
{faults}
A fault of this crate is a bug and stops the run: it is one if more than two other readers misread our bytes, or if fewer
than two others see in a writer's bytes what we see.

## Byte for byte

* 10,000 lists of user records with keys of any script, with and without explicit hash keys: our bytes are the Python
  module's, each of them, the lone ones with `wrap_single`.
* Every aggregate that the Amazon KPL, aiokpl and the Python module wrote of the sets above, we write again byte for byte
  from its user records.
* Not equal by design: the Java module adds an explicit hash key to every user record; the Node.js module sorts
  number-like keys.

## The KCL and shards

The KCL reads with the hash key range of its shard and drops an aggregate whole if one user record inside belongs to
another shard. `StrayPolicy::DropAggregate` drops exactly what it drops: checked on aggregates that stray at the
first, a middle and the last user record, and on random ranges. 2,000 user records over four shards, each Kinesis
record read by the KCL in the shard that it goes to:

| written by | Kinesis records | user records sent | delivered | dropped |
|---|---|---|---|---|
{shards}
a8m/kinesis-producer puts all user records under the first one's partition key: none strays, but their own keys are lost.

## Bytes that some readers take and others refuse

Each stands between two plain records in one batch. The letters are the data of the user records that come out, in order:
`x y z` if all is well; a partition key or an explicit hash key (`at`) is named where it is another one than expected.
`plain`: one user record of all the bytes. `nothing`: no user record and no error. An error of ours is one for the user
record, and carries its data.

**The batch is lost**: the two plain neighbours too. Go: one bad record fails the call, or panics. KCL and Java module:
where a key cannot be looked up they put the bad record into a log line with `javax.xml.bind.DatatypeConverter`; Java has
not had it since version 11, and neither library asks for a replacement, so the call ends in a `NoClassDefFoundError`.
With it on the class path, user records before the bad one are delivered and the others are left out silently.

{odd}
## Versions

| program | libraries |
|---|---|
{versions}
Not here: the Java modules for version 2 of the AWS SDK (2.x) are not in Maven Central, which has
`amazon-kinesis-aggregator` and `amazon-kinesis-deaggregator` only as 1.0.3. The Go module has no tagged version 2: it is
its newest commit, of 4 October 2024. The Go producer is 0.2.0.
";
