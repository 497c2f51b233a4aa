//! One record as a page of HTML.

use std::fmt::Write as _;
use std::iter;
use std::ops::{Range, RangeFrom};

use kpl_core::wire::{DIGEST_LEN, MAGIC, Part};

use super::anatomy::{Anatomy, Kind, Problem, TableKey, UserRecord};
use crate::compression::Compression;
use crate::draw::{self, count, line, thousands};
use crate::html::{Page, Text, bar, shortened};
use crate::input::Entry;

/// How many bytes are shown from the start, and around a mistake that is further behind.
const BYTES: usize = 8 * 1024;
const BYTES_AROUND: usize = 256;

/// How many bytes a row of them has.
const ROW: usize = 16;

/// How many characters of data a row shows, and how many bytes it shows when it is opened.
const DATA_PREVIEW: usize = 110;
const DATA_BYTES: usize = 4 * 1024;

/// How many bytes of data and tags all rows together show when they are opened, where a tag counts for more than its text.
const DATA_BYTES_OF_ALL: usize = 512 * 1024;
const TAG_BYTES: usize = 64;

/// Returns a page with at most `limit` keys of each table and at most as many user records.
pub(super) fn page(
    anatomy: &Anatomy<'_>,
    entry: &Entry,
    compression: Option<Compression>,
    file: &str,
    limit: usize,
) -> String {
    let title = match anatomy.kind {
        Kind::Plain => "a plain record",
        Kind::Aggregated => "an aggregated record",
        Kind::Malformed => "a malformed record",
    };
    let mut drawing = Drawing {
        page: Page::new(&format!("{title}: {}", entry.location(file))),
        anatomy,
        limit,
        bytes_left: DATA_BYTES_OF_ALL,
    };
    drawing.title(entry, compression, file);
    if let Some(problem) = &anatomy.malformed {
        drawing.problem(problem);
    }
    if let Some(cause) = &anatomy.cause {
        line!(
            drawing.page,
            "<section class=\"problem\"><h2>This is probably not what was meant</h2><p>{}</p></section>",
            Text(cause)
        );
    }
    drawing.shares();
    drawing.page.search();
    drawing.bytes();
    drawing.keys(
        "partition keys",
        "k",
        anatomy.partition_keys.len,
        anatomy.partition_keys(),
    );
    drawing.keys(
        "explicit hash keys",
        "h",
        anatomy.explicit_hash_keys.len,
        anatomy.explicit_hash_keys(),
    );
    drawing.user_records();
    drawing.digest();
    drawing.page.end()
}

struct Drawing<'a> {
    page: Page,
    anatomy: &'a Anatomy<'a>,
    limit: usize,
    /// How many more bytes of data and tags may be shown.
    bytes_left: usize,
}

/// Some bytes that belong together.
struct Segment {
    range: Range<usize>,
    class: &'static str,
    /// The row that they are described in.
    target: String,
    title: String,
}

impl Segment {
    fn new(range: Range<usize>, class: &'static str, target: String, title: impl Into<String>) -> Self {
        Self {
            range,
            class,
            target,
            title: title.into(),
        }
    }
}

impl<'a> Drawing<'a> {
    fn title(&mut self, entry: &Entry, compression: Option<Compression>, file: &str) {
        let anatomy = self.anatomy;
        let (title, class, badge) = match anatomy.kind {
            Kind::Plain => ("A plain record", "good", "the data of one user record"),
            Kind::Aggregated => ("An aggregated record", "good", "valid"),
            Kind::Malformed => (
                "Not a valid aggregated record, though it has the magic of one",
                "bad",
                "malformed",
            ),
        };
        line!(
            self.page,
            "<h1>{title} <span class=\"badge {class}\">{badge}</span></h1>"
        );
        self.page.text.push_str("<dl>\n");
        let mut row = |name: &str, value: &str| {
            line!(
                self.page,
                "<dt>{name}</dt><dd><bdi>{}</bdi></dd>",
                Text(&shortened(value))
            );
        };
        row("from", &entry.location(file).to_string());
        row("size", &count(anatomy.data.len() as u64, "byte"));
        if anatomy.digest.is_some() {
            row("user records", &thousands(anatomy.user_records as u64));
        }
        if let Some(key) = &entry.partition_key {
            row("partition key", key);
        }
        if let Some(number) = &entry.sequence_number {
            row("sequence number", number);
        }
        if let Some(compression) = compression {
            row("decompressed by", &compression.to_string());
        }
        self.page.text.push_str("</dl>\n");
    }

    fn problem(&mut self, problem: &Problem) {
        self.page.text.push_str("<section class=\"problem\">\n<h2>");
        match problem.offset {
            Some(offset) => {
                let shown = thousands(offset as u64);
                line!(
                    self.page,
                    "It stops making sense at <a href=\"#b{}\">byte {shown}</a></h2>",
                    offset / ROW * ROW
                );
            }
            None => line!(self.page, "It is malformed: {}</h2>", Text(&problem.reason)),
        }
        if let Some(field) = &problem.field {
            let record = problem.user_record.map(|record| format!("user record {record}, "));
            let record = record.unwrap_or_default();
            line!(
                self.page,
                "<p>{record}field {}: {}</p>",
                Text(field),
                Text(&problem.reason)
            );
        } else if self.anatomy.digest.is_some() {
            self.page
                .text
                .push_str("<p>The protobuf bytes are well-formed, but a byte in them or in the digest is wrong.</p>\n");
        }
        self.page
            .text
            .push_str("<p>Readers treat the whole as one plain record.</p>\n</section>\n");
    }

    fn shares(&mut self) {
        let bytes = self.anatomy.bytes;
        self.page.text.push_str("<section>\n<h2>Where the bytes go</h2>\n");
        self.page.shares(&[
            (bytes.keys as u64, "key", "keys"),
            (bytes.data as u64, "data", "data"),
            (bytes.framing as u64, "framing", "framing"),
            (bytes.unknown as u64, "bad", "unknown"),
        ]);
        self.page.text.push_str("</section>\n");
    }

    /// Returns all bytes, in the parts that they belong to.
    fn segments(&self) -> impl Iterator<Item = Segment> + use<'a> {
        let (anatomy, size) = (self.anatomy, self.anatomy.data.len());
        let is_plain = anatomy.kind == Kind::Plain;
        let magic = if is_plain { 0 } else { MAGIC.len() };
        let digest = anatomy.digest.as_ref().map_or(size, |digest| digest.offset);
        let (mut partition_keys, mut hash_keys, mut records) = (0.., 0.., 0..);
        let mut end = magic;
        let mut fields = anatomy.fields();
        let parts = iter::from_fn(move || {
            let Some((part, range)) = fields.next() else {
                let rest = end..digest;
                end = digest;
                let (class, title) = if is_plain { ("data", "data") } else { ("bad", "unknown") };
                return (!rest.is_empty()).then(|| vec![Segment::new(rest, class, String::new(), title)]);
            };
            end = range.end;
            let numbered = |numbers: &mut RangeFrom<usize>| numbers.next().unwrap_or_default();
            Some(match part {
                Part::PartitionKey(key) => {
                    let number = numbered(&mut partition_keys);
                    let key = range.end - key.len()..range.end;
                    in_two(
                        range,
                        key,
                        "key",
                        &format!("k{number}"),
                        &format!("partition key {number}"),
                    )
                }
                Part::ExplicitHashKey(key) => {
                    let number = numbered(&mut hash_keys);
                    let key = range.end - key.len()..range.end;
                    in_two(
                        range,
                        key,
                        "hash",
                        &format!("h{number}"),
                        &format!("explicit hash key {number}"),
                    )
                }
                Part::UserRecord(record) => {
                    let number = numbered(&mut records);
                    let start = record.data.as_ptr().addr().saturating_sub(anatomy.data.as_ptr().addr());
                    let data = start..start + record.data.len();
                    in_two(
                        range,
                        data,
                        "data",
                        &format!("r{number}"),
                        &format!("user record {number}"),
                    )
                }
                _ => vec![Segment::new(
                    range,
                    "framing",
                    String::new(),
                    "a field that the format does not have",
                )],
            })
        });
        let magic = Segment::new(0..magic, "magic", String::new(), "the magic of an aggregated record");
        let digest = Segment::new(digest..size, "magic", "digest".into(), "the digest");
        iter::once(magic).chain(parts.flatten()).chain(iter::once(digest))
    }

    fn bytes(&mut self) {
        let size = self.anatomy.data.len();
        self.page.text.push_str(
            "<section>\n<h2>The bytes</h2>\n<p class=\"legend\"><span class=\"swatch magic\">magic, digest</span>\
             <span class=\"swatch key\">partition keys</span><span class=\"swatch hash\">explicit hash keys</span>\
             <span class=\"swatch data\">data</span><span class=\"swatch framing\">framing</span>\
             <span class=\"swatch bad\">unknown</span></p>\n<pre class=\"hex\" tabindex=\"0\">\n",
        );
        let first = 0..BYTES.min(size);
        self.rows(first.clone());
        let mistake = self.anatomy.malformed.as_ref().and_then(|problem| problem.offset);
        let mistake = mistake.filter(|offset| *offset >= first.end);
        let around = mistake.map(|offset| {
            let start = offset.saturating_sub(BYTES_AROUND / 2).max(first.end) / ROW * ROW;
            start..(start + BYTES_AROUND).min(size)
        });
        let mut end = first.end;
        if let Some(around) = around {
            self.left_out(end..around.start);
            end = around.end;
            self.rows(around);
        }
        let last = size.saturating_sub(if self.anatomy.digest.is_some() { DIGEST_LEN } else { 0 });
        let last = (last / ROW * ROW).max(end)..size;
        self.left_out(end..last.start);
        if self.anatomy.digest.is_some() {
            self.rows(last);
        } else {
            self.left_out(last);
        }
        self.page.text.push_str("</pre>\n</section>\n");
    }

    fn left_out(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            let bytes = count(range.len() as u64, "byte");
            line!(self.page, "<span class=\"at\">          … {bytes} left out …</span>");
        }
    }

    /// Draws the bytes of a range that starts with a row.
    fn rows(&mut self, range: Range<usize>) {
        let data = self.anatomy.data;
        let mut segments = self
            .segments()
            .skip_while(|segment| segment.range.end <= range.start)
            .peekable();
        for start in range.clone().step_by(ROW) {
            let end = (start + ROW).min(range.end);
            let _ = write!(
                self.page.text,
                "<span class=\"at\" id=\"b{start}\">{start:08x}</span>  "
            );
            let mut at = start;
            while at < end {
                while segments.next_if(|segment| segment.range.end <= at).is_some() {}
                let Some(segment) = segments.peek() else {
                    break;
                };
                let until = segment.range.end.min(end);
                self.segment(segment, at..until);
                at = until;
            }
            let bytes = data.get(start..end).unwrap_or_default();
            let text: String = bytes
                .iter()
                .map(|&byte| match byte {
                    b' '..=b'~' => char::from(byte),
                    _ => '.',
                })
                .collect();
            line!(self.page, "{} {}", "   ".repeat(ROW - bytes.len()), Text(&text));
        }
    }

    /// Draws some bytes of a segment.
    fn segment(&mut self, segment: &Segment, range: Range<usize>) {
        let mistake = self.anatomy.malformed.as_ref().and_then(|problem| problem.offset);
        let href = match segment.target.as_str() {
            "" => String::new(),
            target => format!(" href=\"#{target}\""),
        };
        let (class, title) = (segment.class, &segment.title);
        let _ = write!(self.page.text, "<a class=\"{class}\"{href} title=\"{title}\">");
        let bytes = self.anatomy.data.get(range.clone()).unwrap_or_default();
        for (byte, offset) in bytes.iter().zip(range.clone()) {
            let gap = if offset == range.start { "" } else { " " };
            let _ = match Some(offset) == mistake {
                true => write!(self.page.text, "{gap}<span class=\"bad mark\">{byte:02x}</span>"),
                false => write!(self.page.text, "{gap}{byte:02x}"),
            };
        }
        self.page.text.push_str("</a> ");
    }

    fn keys<'k>(&mut self, name: &str, id: &str, len: usize, keys: impl Iterator<Item = TableKey<'k>>) {
        if len == 0 {
            return;
        }
        let class = if id == "k" { "key" } else { "hash" };
        line!(
            self.page,
            "<section>\n<h2>{}</h2>\n<table>\n<tr><th class=\"number\">index</th><th class=\"number\">offset</th>\
             <th class=\"number\">used by</th><th></th><th class=\"wide\">key</th></tr>",
            count(len as u64, name.strip_suffix('s').unwrap_or(name))
        );
        for (index, key) in keys.enumerate().take(self.limit) {
            let offset = key.offset;
            line!(
                self.page,
                "<tr class=\"row\" id=\"{id}{index}\"><td class=\"number\">{index}</td><td class=\"number\">\
                 <a href=\"#b{}\">{}</a></td><td class=\"number\">{}</td><td>{}</td><td class=\"wide mono\">\
                 <bdi class=\"{class}\">{}</bdi></td></tr>",
                offset / ROW * ROW,
                thousands(offset as u64),
                thousands(key.used_by as u64),
                bar(key.used_by as u64, self.anatomy.user_records as u64, "key"),
                Text(&shortened(key.key)),
            );
        }
        self.end_table(len);
    }

    fn end_table(&mut self, len: usize) {
        self.page.text.push_str("</table>\n");
        if len > self.limit {
            let more = thousands((len - self.limit) as u64);
            line!(
                self.page,
                "<p class=\"faint\">{more} more are left out: --limit {len} shows them.</p>"
            );
        }
        self.page.text.push_str("</section>\n");
    }

    fn user_records(&mut self) {
        let anatomy = self.anatomy;
        if anatomy.user_records == 0 {
            return;
        }
        let keys: Vec<&str> = anatomy.partition_keys().take(self.limit).map(|key| key.key).collect();
        let hash_key = match anatomy.has_explicit_hash_keys {
            true => "<th>hash key</th>",
            false => "",
        };
        line!(
            self.page,
            "<section>\n<h2>{}</h2>\n<table>\n<tr><th class=\"number\">number</th><th class=\"number\">offset</th>\
             <th class=\"number\">bytes</th><th class=\"number\">data</th><th>key</th>{hash_key}<th class=\"wide\">starts with</th></tr>",
            count(anatomy.user_records as u64, "user record")
        );
        for (number, record) in anatomy.user_records().enumerate().take(self.limit) {
            self.user_record(number, &record, &keys);
        }
        self.end_table(anatomy.user_records);
    }

    fn user_record(&mut self, number: usize, record: &UserRecord<'_>, keys: &[&str]) {
        let index = record.partition_key_index;
        let key = usize::try_from(index).ok().and_then(|index| keys.get(index));
        let key = match key {
            Some(key) => format!(
                "<a href=\"#k{index}\"><bdi class=\"key\">{}</bdi></a>",
                Text(&draw::line_of(key, 40))
            ),
            None => format!("index {index}"),
        };
        let hash_key = match record.explicit_hash_key_index {
            _ if !self.anatomy.has_explicit_hash_keys => String::new(),
            Some(index) => format!("<td><a href=\"#h{index}\">{index}</a></td>"),
            None => "<td></td>".into(),
        };
        let _ = write!(
            self.page.text,
            "<tr class=\"row\" id=\"r{number}\"><td class=\"number\">{number}</td><td class=\"number\"><a href=\"#b{}\">{}</a></td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"mono\">{key}</td>{hash_key}<td class=\"wide mono\">",
            record.offset / ROW * ROW,
            thousands(record.offset as u64),
            thousands(record.size as u64),
            thousands(record.data_size as u64),
        );
        self.data(&record.data);
        if let Some(compression) = record.compression {
            let bytes = count(record.data.len() as u64, "byte");
            let _ = write!(
                self.page.text,
                "<p class=\"faint\">decompressed by {compression}: {bytes}</p>"
            );
        }
        if let Some(reason) = &record.malformed {
            let _ = write!(self.page.text, "<p class=\"bad-text\">{}</p>", Text(reason));
        }
        for (key, value) in record.tags.iter() {
            let (key, value) = (shortened(key), value.map(shortened));
            let bytes = TAG_BYTES + key.len() + value.as_ref().map_or(0, String::len);
            if bytes >= self.bytes_left {
                self.page.text.push_str("<p class=\"faint\">more tags are left out</p>");
                break;
            }
            self.bytes_left -= bytes;
            let value = value.map(|value| format!(" = {value}")).unwrap_or_default();
            let _ = write!(
                self.page.text,
                "<p class=\"faint\"><bdi>tag {}{}</bdi></p>",
                Text(&key),
                Text(&value)
            );
        }
        self.page.text.push_str("</td></tr>\n");
    }

    fn data(&mut self, data: &[u8]) {
        let text = str::from_utf8(data).ok();
        let start = draw::start_of(
            data.get(..DATA_BYTES).filter(|_| text.is_none()).unwrap_or(data),
            DATA_PREVIEW,
        );
        let _ = write!(self.page.text, "<bdi class=\"data\">{}</bdi>", Text(&start));
        let fits = match text {
            Some(text) => text.chars().nth(DATA_PREVIEW).is_none(),
            None => data.len() <= DATA_PREVIEW / 3,
        };
        if fits {
            return;
        }
        let shown = data.get(..DATA_BYTES.min(self.bytes_left)).unwrap_or(data);
        self.bytes_left -= shown.len();
        if shown.is_empty() {
            self.page.text.push_str("<p class=\"faint\">the rest is left out</p>");
            return;
        }
        let more = match data.len() - shown.len() {
            0 => "all of it".into(),
            _ => format!("the first {}", count(shown.len() as u64, "byte")),
        };
        let content = match text {
            Some(_) => String::from_utf8_lossy(shown).trim_end_matches('\u{FFFD}').to_owned(),
            None => draw::start_of(shown, usize::MAX),
        };
        let _ = write!(
            self.page.text,
            "<details><summary>{more}</summary><bdi>{}</bdi></details>",
            Text(&content)
        );
    }

    fn digest(&mut self) {
        let Some(digest) = &self.anatomy.digest else {
            return;
        };
        let (class, verdict) = if digest.matches {
            ("good", "it matches")
        } else {
            ("bad", "it does not match")
        };
        line!(
            self.page,
            "<section id=\"digest\">\n<h2>The digest <span class=\"badge {class}\">{verdict}</span></h2>\n<dl>\n\
             <dt>offset</dt><dd>{}</dd>\n<dt>given</dt><dd class=\"mono\">{}</dd>\n<dt>computed</dt><dd class=\"mono\">{}</dd>\n</dl>\n</section>",
            thousands(digest.offset as u64),
            digest.given,
            digest.computed,
        );
    }
}

/// Returns a field in its framing and what is in it.
fn in_two(whole: Range<usize>, inner: Range<usize>, class: &'static str, target: &str, title: &str) -> Vec<Segment> {
    [
        Segment::new(
            whole.start..inner.start,
            "framing",
            target.into(),
            format!("{title}: framing"),
        ),
        Segment::new(inner.clone(), class, target.into(), title),
        Segment::new(
            inner.end..whole.end,
            "framing",
            target.into(),
            format!("{title}: framing"),
        ),
    ]
    .into_iter()
    .filter(|segment| !segment.range.is_empty())
    .collect()
}
