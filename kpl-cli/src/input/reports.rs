//! Input that is not records, although `kpl` writes it: it is told by its first bytes.

/// How many of the first bytes are looked at, if there are as many.
pub(super) const START: usize = 4096;

/// Says what input is that starts like this, if it is what `kpl` writes for people.
pub(crate) fn for_people(start: &[u8]) -> Option<&'static str> {
    let start = without_colour(start.trim_ascii_start());
    let is = |titles: &[&str]| titles.iter().any(|title| start.starts_with(title.as_bytes()));
    let is_title = |title: &&str| {
        let rest = start.strip_prefix(title.as_bytes());
        // The colour ends before the comma.
        rest.is_some_and(|rest| matches!(rest, [b',' | b'\x1b', ..]))
    };
    let titles = [
        "an aggregated record",
        "a plain record",
        "not a valid aggregated record, though it has the magic of one",
    ];
    if titles.iter().any(is_title) {
        Some("this is what `kpl inspect` draws for people, not records")
    } else if is(&["Kinesis records    "]) {
        Some("this is what `kpl stats` writes for people, not records")
    } else if is(&["user records delivered  ", "user records            "]) {
        Some("these are the figures of `kpl put`, not records")
    } else if is(&["<!DOCTYPE html", "<!doctype html", "<html"]) {
        Some("this is HTML, not records")
    } else {
        None
    }
}

/// Says what input is that starts like this, if it is not one user record a line, but what `kpl deaggregate` reads, or a report.
pub(crate) fn not_lines(start: &[u8]) -> Option<&'static str> {
    if let Some(problem) = for_people(start) {
        return Some(problem);
    }
    let json = start.trim_ascii_start();
    let json = json.strip_prefix(b"[").unwrap_or(json).trim_ascii_start();
    let object = json.strip_prefix(b"{")?;
    if object.trim_ascii_start().starts_with(b"\"Records\"") || object.trim_ascii_start().starts_with(b"\"records\"") {
        return Some(
            "this is JSON with an array of records, such as the answer of GetRecords or an event of Lambda: `kpl deaggregate` makes \
             user records of it, one a line, which can be read here",
        );
    }
    let first_line = object.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if !first_line.trim_ascii().is_empty() || first_line.len() == object.len() {
        return None;
    }
    let has = |key: &str| object.windows(key.len()).any(|window| window == key.as_bytes());
    Some(if has("\"KinesisRecords\":") {
        "this is what `kpl stats --output json` writes: a report, not records"
    } else if has("\"Kind\":") && has("\"Size\":") {
        "this is what `kpl inspect --output json` writes: a report, not records"
    } else {
        "this JSON has line breaks, and one user record a line is read here: `jq -c .` writes it in one line, and `kpl deaggregate` \
         makes user records of the records of a stream"
    })
}

/// Skips a sequence that sets a colour.
fn without_colour(text: &[u8]) -> &[u8] {
    let Some(sequence) = text.strip_prefix(b"\x1b[") else {
        return text;
    };
    let end = sequence.iter().position(|&byte| byte == b'm');
    let rest = end.and_then(|end| sequence.get(end + 1..)).unwrap_or_default();
    without_colour(rest)
}
