//! Draws one record.

use std::fmt::Write as _;

use kpl_core::wire::{DIGEST_LEN, MAGIC};

use super::anatomy::{Anatomy, Bytes, Kind, Problem, TableKey};
use crate::compression::Compression;
use crate::draw::{
    self, BAD, DATA, FAINT, FRAMING, GOOD, HEADING, KEY, bar, bytes_around, count, line, percent, styled, thousands,
};
use crate::input::Entry;
use crate::terminal;

/// Returns the drawing of a record, with at most `limit` keys of each table and at most as many user records.
pub(super) fn draw(
    anatomy: &Anatomy<'_>,
    entry: &Entry,
    compression: Option<Compression>,
    file: &str,
    limit: usize,
) -> String {
    let mut drawing = Drawing {
        text: String::new(),
        data: &entry.data,
        limit,
    };
    drawing.title(anatomy, entry, compression, file);
    if anatomy.kind == Kind::Plain {
        drawing.plain(anatomy.cause.as_deref());
        return drawing.text;
    }
    drawing.sections(anatomy);
    let user_records = anatomy.user_records;
    let partition_keys = (anatomy.partition_keys.len, anatomy.partition_keys());
    drawing.keys("partition keys", partition_keys, user_records);
    let explicit_hash_keys = (anatomy.explicit_hash_keys.len, anatomy.explicit_hash_keys());
    drawing.keys("explicit hash keys", explicit_hash_keys, user_records);
    drawing.user_records(anatomy);
    drawing.bytes(anatomy.bytes);
    if let Some(problem) = &anatomy.malformed {
        drawing.problem(problem, anatomy);
    }
    drawing.text
}

struct Drawing<'a> {
    text: String,
    data: &'a [u8],
    limit: usize,
}

impl Drawing<'_> {
    fn title(&mut self, anatomy: &Anatomy<'_>, entry: &Entry, compression: Option<Compression>, file: &str) {
        let size = count(anatomy.data.len() as u64, "byte");
        match anatomy.kind {
            Kind::Plain => line!(self, "{}, {size}", styled(HEADING, "a plain record")),
            Kind::Aggregated => {
                let user_records = count(anatomy.user_records as u64, "user record");
                line!(
                    self,
                    "{}, {size}, {user_records}",
                    styled(HEADING, "an aggregated record")
                );
            }
            Kind::Malformed => {
                let title = styled(BAD, "not a valid aggregated record, though it has the magic of one");
                line!(self, "{title}, {size}");
            }
        }
        let location = entry.location(file).to_string();
        line!(self, "  {:16} {}", "from", terminal::escaped(&location));
        if let Some(key) = &entry.partition_key {
            line!(self, "  {:16} {}", "partition key", draw::line_of(key, 60));
        }
        if let Some(number) = &entry.sequence_number {
            line!(self, "  {:16} {}", "sequence number", draw::line_of(number, 60));
        }
        if let Some(compression) = compression {
            line!(self, "  {:16} {compression}", "decompressed by");
        }
        line!(self);
    }

    fn plain(&mut self, cause: Option<&str>) {
        line!(
            self,
            "It does not start with the magic f3899ac2: it is the data of one user record."
        );
        if let Some(cause) = cause {
            line!(self, "{}", styled(BAD, cause));
        }
        line!(self);
        line!(self, "{}", draw::start_of(self.data, 80));
    }

    /// Draws the table of the parts, in their order.
    fn sections(&mut self, anatomy: &Anatomy<'_>) {
        self.heading("  offset     bytes");
        let magic = styled(FAINT, draw::hexadecimal(&MAGIC));
        self.section(0, MAGIC.len(), "magic", &magic);
        let Some(digest) = &anatomy.digest else {
            self.section(MAGIC.len(), self.data.len() - MAGIC.len(), "the rest", "");
            line!(self);
            return;
        };
        let content = format!(
            "{}, {}, {}",
            count(anatomy.partition_keys.len as u64, "key"),
            count(anatomy.explicit_hash_keys.len as u64, "hash key"),
            count(anatomy.user_records as u64, "user record"),
        );
        self.section(MAGIC.len(), digest.offset - MAGIC.len(), "protobuf", &content);
        let (style, verdict) = if digest.matches { (GOOD, "✓") } else { (BAD, "✗") };
        let given = format!("{} given", styled(style, &digest.given));
        self.section(digest.offset, DIGEST_LEN, "digest", &given);
        line!(self, "{:32}{} computed {verdict}", "", styled(GOOD, &digest.computed));
        line!(self);
    }

    fn section(&mut self, offset: usize, bytes: usize, name: &str, content: &str) {
        let (offset, bytes) = (thousands(offset as u64), thousands(bytes as u64));
        let line = format!("{offset:>8}{bytes:>10}  {name:12}{content}");
        line!(self, "{}", line.trim_end());
    }

    fn keys<'k>(&mut self, name: &str, (len, keys): (usize, impl Iterator<Item = TableKey<'k>>), user_records: usize) {
        if len == 0 {
            return;
        }
        self.heading(&format!("  offset     index   used by         {name}"));
        for (index, key) in keys.enumerate().take(self.limit) {
            let bar = bar(key.used_by as u64, user_records as u64, 6);
            line!(
                self,
                "{:>8}{index:>10}{:>10} {}  {}",
                thousands(key.offset as u64),
                thousands(key.used_by as u64),
                styled(FAINT, format_args!("{bar:6}")),
                styled(KEY, draw::line_of(key.key, 43)),
            );
        }
        self.and_more(len);
    }

    fn user_records(&mut self, anatomy: &Anatomy<'_>) {
        if anatomy.user_records == 0 {
            return;
        }
        let has_hash_keys = anatomy.has_explicit_hash_keys;
        let hash_key = if has_hash_keys { "  hash key" } else { "" };
        self.heading(&format!(
            "  offset    number     bytes      data   key{hash_key}  starts with"
        ));
        for (number, record) in anatomy.user_records().enumerate().take(self.limit) {
            let hash_key = match record.explicit_hash_key_index {
                _ if !has_hash_keys => String::new(),
                Some(index) => format!("{index:>10}"),
                None => format!("{:>10}", "-"),
            };
            let width = if has_hash_keys { 24 } else { 34 };
            line!(
                self,
                "{:>8}{number:>10}{:>10}{:>10}{:>6}{hash_key}  {}",
                thousands(record.offset as u64),
                thousands(record.size as u64),
                thousands(record.data_size as u64),
                record.partition_key_index,
                styled(DATA, draw::start_of(&record.data, width)),
            );
            if let Some(compression) = record.compression {
                let bytes = count(record.data.len() as u64, "byte");
                line!(self, "{:10}decompressed by {compression}: {bytes}", "");
            }
            if let Some(reason) = &record.malformed {
                line!(self, "{:10}{}", "", styled(BAD, draw::line_of(reason, 70)));
            }
            for (key, value) in record.tags.iter() {
                let value = value.map(|value| format!(" = {}", draw::line_of(value, 28)));
                let key = draw::line_of(key, 28);
                line!(self, "{:18}tag {key}{}", "", value.unwrap_or_default());
            }
        }
        self.and_more(anatomy.user_records);
    }

    fn and_more(&mut self, len: usize) {
        if len > self.limit {
            let more = thousands((len - self.limit) as u64);
            line!(self, "{:>8}  and {more} more: --limit {len}", "...");
        }
        line!(self);
    }

    fn bytes(&mut self, bytes: Bytes) {
        self.heading("where the bytes go");
        let shares = [
            (bytes.keys as u64, "▓", KEY, "keys"),
            (bytes.data as u64, "█", DATA, "data"),
            (bytes.framing as u64, "░", FRAMING, "framing"),
            (bytes.unknown as u64, "?", BAD, "unknown"),
        ];
        let whole = shares.iter().map(|share| share.0).sum();
        line!(
            self,
            "  {}",
            draw::parts(&shares.map(|(part, mark, style, _)| (part, mark, style)), 76)
        );
        for (part, mark, style, name) in shares {
            if part > 0 || name != "unknown" {
                let mark = styled(style, mark);
                line!(
                    self,
                    "  {mark} {name:8}{:>10}  {:>7}",
                    thousands(part),
                    percent(part, whole)
                );
            }
        }
    }

    fn problem(&mut self, problem: &Problem, anatomy: &Anatomy<'_>) {
        line!(self);
        let Some(offset) = problem.offset else {
            line!(self, "{}", styled(BAD, draw::line_of(&problem.reason, 80)));
            if anatomy.digest.is_some() {
                line!(
                    self,
                    "The protobuf bytes are well-formed, but a byte in them or in the digest is wrong:"
                );
                line!(self, "readers treat the whole as one plain record.");
            }
            return;
        };
        line!(
            self,
            "{}",
            styled(
                BAD,
                format_args!("it stops making sense at byte {}", thousands(offset as u64))
            )
        );
        let record = problem.user_record.map(|record| format!("user record {record}, "));
        let field = problem.field.as_deref().unwrap_or_default();
        line!(self, "{}field {field}: {}", record.unwrap_or_default(), problem.reason);
        line!(self);
        self.text.push_str(&bytes_around(self.data, offset));
    }

    fn heading(&mut self, text: &str) {
        line!(self, "{}", styled(HEADING, text));
    }
}
