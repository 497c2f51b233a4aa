//! The report that `kpl stats` writes at the end.

use std::fmt::Write as _;

use serde::Serialize;

use super::histogram::Histogram;
use super::hot::Hot;
use super::keys::Keys;
use super::{Compressed, Mixed, Stream};
use crate::cost::Cost;
use crate::draw::{self, BAD, FAINT, GOOD, HEADING, KEY, WARNING, bar, count, line, percent, styled, thousands};
use crate::terminal;

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Report {
    pub(super) kinesis_records: KinesisRecords,
    pub(super) user_records: u64,
    /// Those that were unpacked before: they are not in any of the Kinesis records.
    pub(super) unpacked: u64,
    /// User records whose keys cannot be resolved.
    pub(super) without_keys: u64,
    /// How many values in the input are not valid records.
    pub(super) unreadable: u64,
    pub(super) user_records_per_kinesis_record: Histogram,
    pub(super) data_bytes: Histogram,
    /// Only with `--decompress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compressed: Option<Compressed>,
    pub(super) keys: FrequentKeys,
    /// Null if there are user records that were unpacked before.
    pub(super) cost: Option<Cost>,
    /// What the cost would be if each user record were sent alone.
    pub(super) cost_alone: Cost,
    pub(super) repacked: Vec<Size>,
    pub(super) shards: Option<Shards>,
    /// Only with `--keys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hot: Option<Hot>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KinesisRecords {
    pub(super) total: u64,
    pub(super) aggregated: u64,
    pub(super) plain: u64,
    pub(super) malformed: u64,
    pub(super) empty_aggregates: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FrequentKeys {
    /// How many different ones there are; null if there are too many to count.
    pub(super) different: Option<usize>,
    /// By how much a count may be too low.
    pub(super) error: u64,
    pub(super) top: Vec<FrequentKey>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FrequentKey {
    pub(super) partition_key: String,
    pub(super) user_records: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Size {
    pub(super) max_size: usize,
    #[serde(flatten)]
    pub(super) cost: Cost,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shards {
    /// How many aggregated records have user records of several shards.
    pub(super) mixed: u64,
    pub(super) first_mixed: Vec<Mixed>,
    pub(super) shards: Vec<Shard>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shard {
    pub(super) shard_id: String,
    pub(super) user_records: u64,
}

impl Report {
    /// Returns the report, with at most `limit` keys.
    pub(super) fn new(stream: &Stream<'_>, limit: usize, is_hot_wanted: bool) -> Self {
        let counts = stream.counts;
        let top = stream.keys.most_frequent(limit).into_iter();
        Self {
            kinesis_records: KinesisRecords {
                total: counts.kinesis_records,
                aggregated: counts.aggregated,
                plain: counts.plain,
                malformed: counts.malformed,
                empty_aggregates: counts.empty_aggregates,
            },
            user_records: counts.user_records,
            unpacked: stream.unpacked,
            without_keys: counts.failed,
            unreadable: stream.unreadable,
            user_records_per_kinesis_record: stream.user_records.clone(),
            data_bytes: stream.data_sizes.clone(),
            compressed: stream.decompress.is_on().then_some(stream.compressed),
            keys: FrequentKeys {
                different: stream.keys.different(),
                error: stream.keys.error().user_records,
                top: top
                    .map(|key| FrequentKey {
                        partition_key: key.key.to_owned(),
                        user_records: key.count.user_records,
                    })
                    .collect(),
            },
            cost: (stream.unpacked == 0).then_some(stream.cost),
            cost_alone: stream.alone,
            repacked: stream
                .repacked
                .iter()
                .map(|repacked| Size {
                    max_size: repacked.max_size,
                    cost: repacked.cost(),
                })
                .collect(),
            hot: is_hot_wanted.then(|| Hot::new(stream, limit)),
            shards: stream.shards.as_ref().map(|shards| Shards {
                mixed: stream.mixed,
                first_mixed: stream.mixed_listed.clone(),
                shards: shards
                    .shards()
                    .zip(&stream.by_shard)
                    .map(|(shard, &user_records)| Shard {
                        shard_id: shard.id.clone(),
                        user_records,
                    })
                    .collect(),
            }),
        }
    }

    pub(super) fn draw(&self) -> String {
        let mut text = Text { text: String::new() };
        text.records(self);
        if self.kinesis_records.total > 0 {
            text.histogram(
                "user records in each Kinesis record",
                &self.user_records_per_kinesis_record,
            );
        }
        if self.kinesis_records.total > 0 || self.unpacked > 0 {
            text.histogram("bytes of data in each user record", &self.data_bytes);
            if let Some(compressed) = &self.compressed {
                text.compressed(compressed, self.user_records);
            }
            text.keys(&self.keys, self.user_records);
            text.saved(self);
            text.repacked(self);
        }
        if let Some(shards) = &self.shards {
            text.shards(shards, self.user_records);
        }
        if let Some(hot) = &self.hot {
            text.text.push_str(&hot.draw());
        }
        text.text
    }
}

struct Text {
    text: String,
}

impl Text {
    fn heading(&mut self, text: &str) {
        line!(self, "{}", styled(HEADING, text));
    }

    fn records(&mut self, report: &Report) {
        let records = &report.kinesis_records;
        let whole = records.total;
        line!(
            self,
            "{}{:>20}",
            styled(HEADING, format_args!("{:19}", "Kinesis records")),
            thousands(whole)
        );
        let bad = |text: String| styled(BAD, text);
        let row =
            |name: &str, number: u64| format!("  {name:17}{:>20} {:>8}", thousands(number), percent(number, whole));
        line!(self, "{}", row("aggregated", records.aggregated));
        line!(self, "{}", row("plain", records.plain));
        if records.malformed > 0 {
            line!(self, "{}", bad(row("malformed", records.malformed)));
        }
        if records.empty_aggregates > 0 {
            line!(self, "{}", row("empty aggregates", records.empty_aggregates));
        }
        let user_records = thousands(report.user_records);
        line!(
            self,
            "{}{user_records:>20}",
            styled(HEADING, format_args!("{:19}", "user records"))
        );
        if report.unpacked > 0 {
            line!(
                self,
                "  {:17}{:>20} {:>8}",
                "unpacked before",
                thousands(report.unpacked),
                percent(report.unpacked, report.user_records)
            );
        }
        if report.without_keys > 0 {
            let without = report.without_keys;
            let share = percent(without, report.user_records);
            line!(
                self,
                "{}",
                bad(format!("  {:17}{:>20} {share:>8}", "without keys", thousands(without)))
            );
        }
        if report.unreadable > 0 {
            line!(
                self,
                "{}",
                bad(format!("{:19}{:>20}", "unreadable", thousands(report.unreadable)))
            );
        }
        line!(self);
    }

    fn histogram(&mut self, name: &str, histogram: &Histogram) {
        line!(self, "{}: {}", styled(HEADING, name), histogram.summary());
        self.text.push_str(&histogram.draw());
        line!(self);
    }

    fn compressed(&mut self, compressed: &Compressed, user_records: u64) {
        let Compressed {
            user_records: number,
            bytes,
            decompressed_bytes,
        } = *compressed;
        let share = percent(number, user_records);
        line!(
            self,
            "{}: {}, {share}",
            styled(HEADING, "compressed data"),
            count(number, "user record")
        );
        if number > 0 {
            let times = decompressed_bytes as f64 / bytes.max(1) as f64;
            let (bytes, decompressed) = (count(bytes, "byte"), count(decompressed_bytes, "byte"));
            line!(self, "  {bytes}, {decompressed} decompressed: {times:.1} times as many");
        }
        line!(self);
    }

    fn keys(&mut self, keys: &FrequentKeys, user_records: u64) {
        let different = match keys.different {
            Some(different) => format!("{} different", thousands(different as u64)),
            None => format!("more than {} different", thousands(Keys::EXACT as u64)),
        };
        line!(self, "{}: {different}", styled(HEADING, "partition keys"));
        let most = keys.top.first().map_or(0, |key| key.user_records);
        let at_least = if keys.error > 0 { "≥" } else { "" };
        for key in &keys.top {
            line!(
                self,
                "{:>12} {:>7}  {}  {}",
                format!("{at_least}{}", thousands(key.user_records)),
                percent(key.user_records, user_records),
                styled(FAINT, format_args!("{:10}", bar(key.user_records, most, 10))),
                styled(KEY, draw::line_of(&key.partition_key, 44)),
            );
        }
        if keys.error > 0 {
            let error = thousands(keys.error);
            line!(
                self,
                "  There are too many keys to count each: these counts may be too low by {error}."
            );
        }
        line!(self);
    }

    fn saved(&mut self, report: &Report) {
        let Report { cost, cost_alone, .. } = report;
        self.heading("what aggregation saves      one record each      as they are       saved");
        let mut row = |name: &str, of: fn(&Cost) -> u64| {
            let alone = of(cost_alone);
            let (now, saved) = match cost {
                Some(cost) => (thousands(of(cost)), Self::change(alone, of(cost))),
                None => ("not known".into(), String::new()),
            };
            line!(
                self,
                "{}",
                format!("  {name:22}{:>19}{now:>17}  {saved}", thousands(alone)).trim_end()
            );
        };
        row("Kinesis records", |cost| cost.kinesis_records);
        row("bytes", |cost| cost.bytes);
        row("PUT payload units", |cost| cost.put_payload_units);
        line!(self);
    }

    fn repacked(&mut self, report: &Report) {
        let more = if report.cost.is_some() {
            "more saved"
        } else {
            "     saved"
        };
        self.heading(&format!(
            "repacked                Kinesis records    PUT payload units  {more}"
        ));
        for size in &report.repacked {
            let now = report.cost.unwrap_or(report.cost_alone).put_payload_units;
            let then = size.cost.put_payload_units;
            line!(
                self,
                "  --max-size {:<11}{:>15}{:>21}  {}",
                size.max_size,
                thousands(size.cost.kinesis_records),
                thousands(then),
                Self::change(now, then),
            );
        }
        line!(
            self,
            "{}",
            styled(
                FAINT,
                "  This is the best case: records are sent only when full. A unit is 25 KiB."
            )
        );
    }

    /// Returns the difference as a share of what it was before.
    fn change(before: u64, now: u64) -> String {
        let style = if now < before { GOOD } else { FAINT };
        let share = 100.0 * (before as f64 - now as f64) / before.max(1) as f64;
        styled(style, format_args!("{share:>8.1} %"))
    }

    fn shards(&mut self, shards: &Shards, user_records: u64) {
        line!(self);
        self.heading("user records by shard");
        for shard in &shards.shards {
            let (number, share) = (thousands(shard.user_records), percent(shard.user_records, user_records));
            let id = draw::line_of(&shard.shard_id, 28);
            let _ = write!(self.text, "  {id:28}{number:>15}  {share:>7}");
            if shard.user_records > 0 {
                let bar = bar(shard.user_records, user_records, 20);
                let _ = write!(self.text, "  {}", styled(FAINT, bar));
            }
            line!(self);
        }
        line!(self);
        if shards.mixed == 0 {
            line!(self, "{}", styled(GOOD, "No aggregated record mixes shards."));
            return;
        }
        let (mixed, verb) = (
            count(shards.mixed, "aggregated record"),
            if shards.mixed == 1 { "mixes" } else { "mix" },
        );
        line!(self, "{} {mixed} {verb} shards.", styled(WARNING, "warning:"));
        line!(
            self,
            "Readers that use the Kinesis Client Library drop such records. The first:"
        );
        for mixed in &shards.first_mixed {
            let first = format!("{}: {}", mixed.location, mixed.shards.join(", "));
            line!(self, "  {}", terminal::escaped(&first));
        }
    }
}
