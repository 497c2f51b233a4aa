//! The report as a page of HTML.

use std::fmt::Write as _;

use super::histogram::Histogram;
use super::hot::{ASSUMPTIONS, Hot, HotShards, Split, in_percent, in_thousandths};
use super::report::Report;
use crate::draw::{count, line, percent, thousands};
use crate::html::{Page, Text, bar, shortened};

pub(super) fn page(report: &Report) -> String {
    let mut drawing = Drawing {
        page: Page::new("kpl stats: the records of a stream"),
    };
    drawing.summary(report);
    if let Some(hot) = &report.hot {
        if let Some(shards) = &hot.shards {
            drawing.hot_shards(shards);
            if let Some(split) = &shards.split {
                drawing.split(split);
            }
        }
        drawing.page.search();
        drawing.hot_keys(hot);
    } else {
        drawing.page.search();
    }
    drawing.frequent_keys(report);
    drawing.histogram(
        "User records in each Kinesis record",
        &report.user_records_per_kinesis_record,
    );
    drawing.histogram("Bytes of data in each user record", &report.data_bytes);
    drawing.saved(report);
    drawing.shards(report);
    drawing.page.end()
}

/// How many shards a table has at most.
const SHARDS: usize = 1_000;

struct Drawing {
    page: Page,
}

impl Drawing {
    fn open(&mut self, heading: &str) {
        line!(self.page, "<section>\n<h2>{}</h2>", Text(heading));
    }

    fn close(&mut self) {
        self.page.text.push_str("</section>\n");
    }

    /// Starts a table. Columns that start with `#` have numbers.
    fn table(&mut self, columns: &[&str]) {
        self.page.text.push_str("<table>\n<tr>");
        for column in columns {
            match column.strip_prefix('#') {
                Some(column) => line!(self.page, "<th class=\"number\">{column}</th>"),
                None => line!(self.page, "<th>{column}</th>"),
            }
        }
        self.page.text.push_str("</tr>\n");
    }

    fn row(&mut self, cells: &[Cell<'_>]) {
        self.page.text.push_str("<tr class=\"row\">\n");
        for cell in cells {
            match cell {
                Cell::Number(text) => line!(self.page, "<td class=\"number\">{}</td>", Text(text)),
                Cell::Text(text) => line!(
                    self.page,
                    "<td class=\"name\"><bdi>{}</bdi></td>",
                    Text(&shortened(text))
                ),
                Cell::Key(text) => line!(
                    self.page,
                    "<td class=\"wide mono\"><bdi class=\"key\">{}</bdi></td>",
                    Text(text)
                ),
                Cell::Bar(part, whole, class) => line!(self.page, "<td>{}</td>", bar(*part, *whole, class)),
            }
        }
        self.page.text.push_str("</tr>\n");
    }

    fn end_table(&mut self) {
        self.page.text.push_str("</table>\n");
    }

    fn note(&mut self, text: &str) {
        line!(self.page, "<p class=\"faint\">{}</p>", Text(text));
    }

    fn left_out(&mut self, shards: usize) {
        if shards > SHARDS {
            let more = count((shards - SHARDS) as u64, "shard");
            self.note(&format!("{more} left out: --output json has all of them."));
        }
    }

    fn summary(&mut self, report: &Report) {
        let records = &report.kinesis_records;
        line!(
            self.page,
            "<h1>{}</h1>\n<p class=\"faint\">{}</p>",
            count(report.user_records, "user record"),
            count(records.total, "Kinesis record")
        );
        if report.unpacked > 0 {
            self.note(&format!(
                "{} unpacked before: the Kinesis records that they were in are not known.",
                count(report.unpacked, "user record")
            ));
        }
        self.open("Kinesis records");
        let bad = records.malformed + records.empty_aggregates;
        self.page.shares(&[
            (
                records.aggregated - records.empty_aggregates.min(records.aggregated),
                "data",
                "aggregated",
            ),
            (records.plain, "key", "plain"),
            (bad, "bad", "malformed or empty"),
        ]);
        for (number, what) in [(report.without_keys, "user record"), (report.unreadable, "value")] {
            if number > 0 {
                let problem = match what {
                    "value" => "cannot be read",
                    _ => "without keys that can be resolved",
                };
                line!(self.page, "<p class=\"bad-text\">{} {problem}</p>", count(number, what));
            }
        }
        self.close();
    }

    fn hot_keys(&mut self, hot: &Hot) {
        self.open("Hot keys: those with the most bytes");
        self.table(&["#bytes", "#share", "", "#user records", "shard", "key"]);
        let most = hot.keys.first().map_or(0, |key| key.bytes);
        let at_least = if hot.error > 0 { "≥ " } else { "" };
        for key in &hot.keys {
            let shard = match (&key.shard_id, &hot.shards) {
                (Some(id), _) => id.as_str(),
                (None, Some(_)) => "several",
                (None, None) => "",
            };
            self.row(&[
                Cell::Number(&format!("{at_least}{}", thousands(key.bytes))),
                Cell::Number(&percent(key.bytes, hot.bytes)),
                Cell::Bar(key.bytes, most, "data"),
                Cell::Number(&thousands(key.user_records)),
                Cell::Text(shard),
                Cell::Key(&key.partition_key),
            ]);
        }
        self.end_table();
        if hot.error > 0 {
            let error = thousands(hot.error);
            self.note(&format!(
                "There are too many keys to count each: these may be too low by {error} bytes."
            ));
        }
        self.close();
    }

    fn hot_shards(&mut self, shards: &HotShards) {
        self.open("Hot shards");
        self.table(&[
            "shard",
            "#Kinesis records",
            "#bytes",
            "#user records",
            "#load",
            "",
            "#busiest second",
        ]);
        let whole: u64 = shards.shards.iter().map(|shard| shard.cost.bytes).sum();
        for shard in shards.shards.iter().take(SHARDS) {
            let load = shard.load.map_or_else(|| percent(shard.cost.bytes, whole), in_percent);
            let (part, of, class) = match shard.load {
                None => (shard.cost.bytes, whole, "data"),
                Some(load @ 1.0..) => (in_thousandths(load), 1_000, "bad"),
                Some(load @ 0.5..) => (in_thousandths(load), 1_000, "magic"),
                Some(load) => (in_thousandths(load), 1_000, "data"),
            };
            self.row(&[
                Cell::Text(&shard.shard_id),
                Cell::Number(&thousands(shard.cost.kinesis_records)),
                Cell::Number(&thousands(shard.cost.bytes)),
                Cell::Number(&thousands(shard.user_records)),
                Cell::Number(&load),
                Cell::Bar(part, of, class),
                Cell::Number(&shard.busiest.map_or_else(String::new, in_percent)),
            ]);
        }
        self.end_table();
        self.left_out(shards.shards.len());
        match shards.seconds {
            Some(seconds) => self.note(&format!(
                "The load is an average over {} seconds; 100 % is the limit of a shard.",
                thousands(seconds as u64)
            )),
            None => self.note(
                "The records do not say when they arrived, or within one second: the load is the share of all bytes.",
            ),
        }
        if shards.unplaced > 0 {
            let unplaced = count(shards.unplaced, "Kinesis record");
            self.note(&format!("{unplaced} without a key: the shard is not known."));
        }
        self.close();
    }

    fn split(&mut self, split: &Split) {
        self.open(&format!("If {} is split", split.shard_id));
        self.table(&["", "#today", "#then"]);
        for (name, today, then) in split.today.rows(&split.then) {
            let cells = [
                Cell::Text(name),
                Cell::Number(&thousands(today)),
                Cell::Number(&thousands(then)),
            ];
            self.row(&cells);
        }
        self.end_table();
        line!(
            self.page,
            "<p>At hash key <span class=\"mono\">{}</span>. {}</p>",
            split.new_starting_hash_key,
            Text(&split.summary())
        );
        if let Some((warning, key)) = split.warning() {
            line!(
                self.page,
                "<p class=\"bad-text\">Warning: {} <bdi class=\"mono\">{}</bdi></p>",
                Text(&warning),
                Text(key)
            );
        }
        ASSUMPTIONS.iter().for_each(|assumption| self.note(assumption));
        self.close();
    }

    fn frequent_keys(&mut self, report: &Report) {
        let keys = &report.keys;
        let different = match keys.different {
            Some(different) => format!("{} different", thousands(different as u64)),
            None => "too many to count each".into(),
        };
        self.open(&format!("Partition keys: {different}"));
        self.table(&["#user records", "#share", "", "key"]);
        let most = keys.top.first().map_or(0, |key| key.user_records);
        let at_least = if keys.error > 0 { "≥ " } else { "" };
        for key in &keys.top {
            self.row(&[
                Cell::Number(&format!("{at_least}{}", thousands(key.user_records))),
                Cell::Number(&percent(key.user_records, report.user_records)),
                Cell::Bar(key.user_records, most, "key"),
                Cell::Key(&key.partition_key),
            ]);
        }
        self.end_table();
        if keys.error > 0 {
            self.note(&format!("These counts may be too low by {}.", thousands(keys.error)));
        }
        self.close();
    }

    fn histogram(&mut self, name: &str, histogram: &Histogram) {
        if histogram.count == 0 {
            return;
        }
        self.open(&format!("{name}: {}", histogram.summary()));
        self.table(&["#from", "#to", "#count", "#share", ""]);
        let buckets: Vec<_> = histogram.rows().collect();
        let most = buckets.iter().map(|row| row.2).max().unwrap_or_default();
        for (start, end, number) in buckets {
            self.row(&[
                Cell::Number(&thousands(start)),
                Cell::Number(&thousands(end)),
                Cell::Number(&thousands(number)),
                Cell::Number(&percent(number, histogram.count)),
                Cell::Bar(number, most, "data"),
            ]);
        }
        self.end_table();
        self.close();
    }

    fn saved(&mut self, report: &Report) {
        self.open("What aggregation saves");
        self.table(&["", "#Kinesis records", "#bytes", "#PUT payload units"]);
        let mut rows = vec![("one record each".to_owned(), report.cost_alone)];
        rows.extend(report.cost.map(|cost| ("as they are".to_owned(), cost)));
        let repacked = report.repacked.iter();
        rows.extend(repacked.map(|size| {
            (
                format!("repacked into {} bytes", thousands(size.max_size as u64)),
                size.cost,
            )
        }));
        for (name, cost) in rows {
            self.row(&[
                Cell::Text(&name),
                Cell::Number(&thousands(cost.kinesis_records)),
                Cell::Number(&thousands(cost.bytes)),
                Cell::Number(&thousands(cost.put_payload_units)),
            ]);
        }
        self.end_table();
        self.note("Repacked is the best case: records are sent only when full. A unit is 25 KiB.");
        self.close();
    }

    fn shards(&mut self, report: &Report) {
        let Some(shards) = &report.shards else {
            return;
        };
        self.open("User records by shard");
        self.table(&["shard", "#user records", "#share", ""]);
        for shard in shards.shards.iter().take(SHARDS) {
            self.row(&[
                Cell::Text(&shard.shard_id),
                Cell::Number(&thousands(shard.user_records)),
                Cell::Number(&percent(shard.user_records, report.user_records)),
                Cell::Bar(shard.user_records, report.user_records, "key"),
            ]);
        }
        self.end_table();
        self.left_out(shards.shards.len());
        if shards.mixed == 0 {
            line!(self.page, "<p>No aggregated record mixes shards.</p>");
        } else {
            let mixed = count(shards.mixed, "aggregated record");
            line!(
                self.page,
                "<p class=\"bad-text\">{mixed} with user records of several shards. Readers that use the Kinesis Client \
                 Library drop such records. The first:</p>"
            );
            for mixed in &shards.first_mixed {
                let first = format!("{}: {}", mixed.location, mixed.shards.join(", "));
                line!(self.page, "<p class=\"mono\"><bdi>{}</bdi></p>", Text(&first));
            }
        }
        self.close();
    }
}

/// What is in a cell of a table.
enum Cell<'a> {
    Number(&'a str),
    Text(&'a str),
    Key(&'a str),
    /// A part, what it is a part of, and its class.
    Bar(u64, u64, &'a str),
}
