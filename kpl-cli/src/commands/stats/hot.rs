//! Hot keys and hot shards: who has the most bytes, how near a shard is to its limits, and what a split would change.

use std::fmt::Write as _;

use kpl_core::HashKey;
use serde::Serialize;

use super::Stream;
use super::keys::Key;
use super::load::{BYTES_PER_SECOND, Load, Loads, RECORDS_PER_SECOND, middle};
use crate::cost::Cost;
use crate::draw::{self, BAD, DATA, FAINT, GOOD, HEADING, KEY, WARNING, bar, count, line, percent, styled, thousands};

const HOURS_A_DAY: u64 = 24;
const SECONDS_A_DAY: f64 = 86_400.0;

/// What the figures rest on.
pub(super) const ASSUMPTIONS: [&str; 4] = [
    "A Kinesis record is in the shard of its first user record, by its explicit hash key or the MD5 of its partition key.",
    "A shard accepts 1,000 records and 1 MiB a second. The busiest second is exact if records come in the order of arrival.",
    "If a shard is split, an aggregated record with user records of both halves becomes two: fuller records cost less.",
    "Streams in provisioned mode are billed by shard hours and PUT payload units, at prices that depend on the region.",
];

/// The keys with the most bytes, and the load of each shard.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Hot {
    /// By how many bytes a key's sum may be too low.
    pub(super) error: u64,
    /// The bytes of data and partition keys of all user records.
    pub(super) bytes: u64,
    pub(super) keys: Vec<HotKey>,
    /// Null without `--shards`, or if there are user records that were unpacked before.
    pub(super) shards: Option<HotShards>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HotKey {
    pub(super) partition_key: String,
    pub(super) user_records: u64,
    pub(super) bytes: u64,
    /// `None` if it has several.
    pub(super) hash_key: Option<HashKey>,
    pub(super) shard_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HotShards {
    /// From the first arrival to the last, or `None` if that is less than one, which is too short for a rate.
    pub(super) seconds: Option<f64>,
    /// Kinesis records of which no hash key is known.
    pub(super) unplaced: u64,
    pub(super) shards: Vec<HotShard>,
    pub(super) split: Option<Split>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HotShard {
    pub(super) shard_id: String,
    pub(super) user_records: u64,
    #[serde(flatten)]
    pub(super) cost: Cost,
    /// The share of what the shard accepts that it gets on average: 1 is the limit.
    pub(super) load: Option<f64>,
    /// The same in its busiest second.
    pub(super) busiest: Option<f64>,
}

/// What a split of the hottest shard in its middle would change.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Split {
    pub(super) shard_id: String,
    pub(super) new_starting_hash_key: HashKey,
    /// What goes to each half.
    pub(super) halves: [Cost; 2],
    /// The load of each half.
    pub(super) loads: Option<[f64; 2]>,
    pub(super) today: Bill,
    pub(super) then: Bill,
    /// The key with the most bytes in this shard, if it has at least half of them: a split does not divide it.
    pub(super) undivided: Option<HotKey>,
    /// The share of its bytes.
    pub(super) undivided_share: Option<f64>,
}

/// What is billed.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Bill {
    pub(super) shards: u64,
    pub(super) shard_hours_a_day: u64,
    /// In the whole input.
    #[serde(flatten)]
    pub(super) cost: Cost,
    /// At the rate of the input.
    pub(super) put_payload_units_a_day: Option<u64>,
}

impl Bill {
    fn new(shards: usize, cost: Cost, seconds: Option<f64>) -> Self {
        let shards = shards as u64;
        Self {
            shards,
            shard_hours_a_day: shards * HOURS_A_DAY,
            cost,
            put_payload_units_a_day: seconds
                .map(|seconds| (cost.put_payload_units as f64 * SECONDS_A_DAY / seconds).round() as u64),
        }
    }

    /// Returns what is billed, each with its name, beside what is billed otherwise.
    pub(super) fn rows(&self, other: &Self) -> Vec<(&'static str, u64, u64)> {
        let mut rows = vec![
            ("shards", self.shards, other.shards),
            ("shard hours a day", self.shard_hours_a_day, other.shard_hours_a_day),
            ("Kinesis records", self.cost.kinesis_records, other.cost.kinesis_records),
            (
                "PUT payload units",
                self.cost.put_payload_units,
                other.cost.put_payload_units,
            ),
        ];
        if let (Some(units), Some(others)) = (self.put_payload_units_a_day, other.put_payload_units_a_day) {
            rows.push(("the same, a day", units, others));
        }
        rows
    }
}

impl HotKey {
    fn new(stream: &Stream<'_>, key: &Key<'_>) -> Self {
        let shard = key.hash_key.zip(stream.shards.as_ref());
        Self {
            partition_key: key.key.to_owned(),
            user_records: key.count.user_records,
            bytes: key.count.bytes,
            hash_key: key.hash_key,
            shard_id: shard.map(|(hash_key, shards)| shards.shard_of(hash_key).id.clone()),
        }
    }
}

impl Hot {
    pub(super) fn new(stream: &Stream<'_>, limit: usize) -> Self {
        let keys = stream.keys.largest(limit);
        // The load of a shard is that of the Kinesis records in it.
        let loads = stream.loads.as_ref().filter(|_| stream.unpacked == 0);
        Self {
            error: stream.keys.error().bytes,
            bytes: stream.alone.bytes,
            keys: keys.iter().map(|key| HotKey::new(stream, key)).collect(),
            shards: loads.map(|loads| HotShards::new(stream, loads)),
        }
    }
}

impl HotShards {
    fn new(stream: &Stream<'_>, loads: &Loads) -> Self {
        let seconds = loads.seconds();
        let ids = stream.shards.iter().flat_map(|shards| shards.shards());
        let shards = ids.zip(loads.shards()).map(|(shard, load)| HotShard {
            shard_id: shard.id.clone(),
            user_records: load.user_records,
            cost: load.cost,
            load: seconds.map(|seconds| share(&load.cost, seconds)),
            busiest: seconds.map(|_| share(&load.busiest, 1.0)),
        });
        Self {
            seconds,
            unplaced: loads.unplaced,
            shards: shards.collect(),
            split: Split::new(stream, loads),
        }
    }
}

/// Returns the share of what a shard accepts in this time.
fn share(cost: &Cost, seconds: f64) -> f64 {
    let records = cost.kinesis_records as f64 / RECORDS_PER_SECOND as f64;
    let bytes = cost.bytes as f64 / BYTES_PER_SECOND as f64;
    records.max(bytes) / seconds
}

impl Split {
    /// Returns `None` if there is nothing in any shard, or the hottest cannot be split.
    fn new(stream: &Stream<'_>, loads: &Loads) -> Option<Self> {
        let shards = stream.shards.as_ref()?;
        let of_shards = shards.shards().zip(loads.shards());
        let (shard, load) = of_shards
            .filter(|(_, load)| load.cost.kinesis_records > 0)
            .reduce(
                |hottest, next| match Load::weight(&next.1.cost) > Load::weight(&hottest.1.cost) {
                    true => next,
                    false => hottest,
                },
            )?;
        let [lower, upper] = load.halves;
        let replaced = |number: fn(&Cost) -> u64| {
            let rest = number(&stream.cost).saturating_sub(number(&load.cost));
            rest + number(&lower) + number(&upper)
        };
        let then = Cost {
            kinesis_records: replaced(|cost| cost.kinesis_records),
            bytes: replaced(|cost| cost.bytes),
            put_payload_units: replaced(|cost| cost.put_payload_units),
        };
        let seconds = loads.seconds();
        let keys = stream.keys.largest(usize::MAX);
        let is_here = |key: &&Key<'_>| key.hash_key.is_some_and(|hash_key| shards.shard_of(hash_key) == shard);
        let largest = keys.iter().find(is_here);
        let undivided = largest.filter(|key| key.count.bytes * 2 >= load.user_bytes);
        Some(Self {
            shard_id: shard.id.clone(),
            new_starting_hash_key: middle(shard)?,
            halves: load.halves,
            loads: seconds.map(|seconds| load.halves.map(|half| share(&half, seconds))),
            today: Bill::new(shards.len(), stream.cost, seconds),
            then: Bill::new(shards.len() + 1, then, seconds),
            undivided: undivided.map(|key| HotKey::new(stream, key)),
            undivided_share: undivided.map(|key| key.count.bytes as f64 / load.user_bytes.max(1) as f64),
        })
    }

    /// Returns what to know of the split, in words.
    pub(super) fn summary(&self) -> String {
        let [lower, upper] = self.halves.map(|half| half.bytes);
        let whole = lower + upper;
        let mut summary = format!(
            "Its halves get {} and {} of its bytes",
            percent(lower, whole),
            percent(upper, whole)
        );
        if let Some([lower, upper]) = self.loads {
            let _ = write!(summary, ": a load of {} and {}", in_percent(lower), in_percent(upper));
        }
        summary + "."
    }

    /// Returns a warning if a key is not divided.
    pub(super) fn warning(&self) -> Option<(String, &str)> {
        let share = in_percent(self.undivided_share?);
        let key = &self.undivided.as_ref()?.partition_key;
        Some((
            format!("a single key has {share} of its bytes, and no split divides a key:"),
            key,
        ))
    }
}

pub(super) fn in_percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Returns the number of a shard with an ID as the service gives, or the ID.
pub(super) fn short(shard_id: &str) -> &str {
    let digits = shard_id.strip_prefix("shardId-").filter(|digits| digits.len() == 12);
    match digits.map(|digits| digits.trim_start_matches('0')) {
        Some("") => "0",
        Some(number) => number,
        None => shard_id,
    }
}

/// Returns a load as a number whose limit is a thousand, for bars.
pub(super) fn in_thousandths(share: f64) -> u64 {
    (share * 1_000.0).round() as u64
}

impl Hot {
    pub(super) fn draw(&self) -> String {
        let mut text = Text { text: String::new() };
        text.keys(self);
        if let Some(shards) = &self.shards {
            text.shards(shards);
            if let Some(split) = &shards.split {
                text.split(split);
            }
        }
        text.text
    }
}

/// Returns a sentence on lines of at most 78 columns, indented.
fn wrapped(sentence: &str) -> Vec<String> {
    let mut lines = vec![String::from(" ")];
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < 78 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("    {word}")),
        }
    }
    lines
}

struct Text {
    text: String,
}

impl Text {
    fn keys(&mut self, hot: &Hot) {
        line!(self);
        let heading = "hot keys       bytes   share       user records   shard  key";
        line!(self, "{}", styled(HEADING, heading));
        let most = hot.keys.first().map_or(0, |key| key.bytes);
        let at_least = if hot.error > 0 { "≥" } else { "" };
        for key in &hot.keys {
            let shard = match (&key.shard_id, &hot.shards) {
                (Some(id), _) => draw::line_of(short(id), 7),
                (None, Some(_)) => "several".into(),
                (None, None) => "-".into(),
            };
            line!(
                self,
                "{:>20}{:>8}  {}{:>9}{shard:>8}  {}",
                format!("{at_least}{}", thousands(key.bytes)),
                percent(key.bytes, hot.bytes),
                styled(DATA, format_args!("{:8}", bar(key.bytes, most, 8))),
                thousands(key.user_records),
                styled(KEY, draw::line_of(&key.partition_key, 23)),
            );
        }
        if hot.error > 0 {
            let error = thousands(hot.error);
            line!(
                self,
                "  There are too many keys to count each: these may be too low by {error} bytes."
            );
        }
    }

    fn shards(&mut self, shards: &HotShards) {
        line!(self);
        match shards.seconds {
            Some(seconds) => {
                let heading = "hot shards             records/s      KiB/s    load                    busiest";
                line!(self, "{}", styled(HEADING, heading));
                for shard in &shards.shards {
                    self.shard(shard, seconds);
                }
                line!(
                    self,
                    "  On average over {} seconds; 100 % is the limit of a shard.",
                    thousands(seconds as u64)
                );
            }
            None => {
                line!(
                    self,
                    "{}",
                    styled(HEADING, "hot shards       Kinesis records               bytes")
                );
                let whole = shards.shards.iter().map(|shard| shard.cost.bytes).sum();
                for shard in &shards.shards {
                    let (records, bytes) = (thousands(shard.cost.kinesis_records), thousands(shard.cost.bytes));
                    let id = draw::line_of(&shard.shard_id, 20);
                    let share = percent(shard.cost.bytes, whole);
                    let _ = write!(self.text, "  {id:20}{records:>10}{bytes:>20}{share:>9}");
                    if shard.cost.bytes > 0 {
                        let bar = bar(shard.cost.bytes, whole, 16);
                        let _ = write!(self.text, "  {}", styled(DATA, bar));
                    }
                    line!(self);
                }
                line!(
                    self,
                    "  There is no rate: the records do not say when they arrived, over a second."
                );
            }
        }
        if shards.unplaced > 0 {
            let unplaced = count(shards.unplaced, "Kinesis record");
            line!(self, "  {unplaced} without a key: the shard is not known.");
        }
    }

    fn shard(&mut self, shard: &HotShard, seconds: f64) {
        let load = shard.load.unwrap_or_default();
        let style = match load {
            1.0.. => BAD,
            0.5.. => WARNING,
            _ => GOOD,
        };
        let bar = bar(in_thousandths(load).min(1_000), 1_000, 16);
        line!(
            self,
            "  {:20}{:>10.1}{:>11.1}{:>8}  {}{:>9}",
            draw::line_of(&shard.shard_id, 20),
            shard.cost.kinesis_records as f64 / seconds,
            shard.cost.bytes as f64 / seconds / 1024.0,
            in_percent(load),
            styled(style, format_args!("{bar:16}")),
            in_percent(shard.busiest.unwrap_or_default()),
        );
    }

    fn split(&mut self, split: &Split) {
        line!(self);
        let id = draw::line_of(&split.shard_id, 20);
        let heading = format!("{:32}{:>19}{:>19}", format!("if {id} is split"), "today", "then");
        line!(self, "{}", styled(HEADING, heading));
        for (name, today, then) in split.today.rows(&split.then) {
            let change = 100.0 * (then as f64 - today as f64) / today.max(1) as f64;
            line!(
                self,
                "  {name:30}{:>19}{:>19}{change:>+8.1} %",
                thousands(today),
                thousands(then)
            );
        }
        line!(self, "  At hash key {}.", split.new_starting_hash_key);
        line!(self, "  {}", split.summary());
        if let Some((warning, key)) = split.warning() {
            line!(self, "{} {warning}", styled(WARNING, "warning:"));
            line!(self, "  {}", styled(KEY, draw::line_of(key, 76)));
        }
        line!(self);
        for line in ASSUMPTIONS.iter().flat_map(|sentence| wrapped(sentence)) {
            line!(self, "{}", styled(FAINT, line));
        }
    }
}
