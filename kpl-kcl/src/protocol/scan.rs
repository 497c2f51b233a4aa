//! Deliveries in the form in which the daemon writes them, which is most of what it writes. Reading them so costs a fraction of
//! what a reader of any JSON costs. What is in another form is left to that.

use std::borrow::Cow;
use std::time::Duration;

use kpl_core::Timestamp;
use memchr::memchr;

use super::message::{Collect, Delivery, LineRecord};

/// Returns the delivery of a line, or `None` if the line is in another form, valid or not.
pub(super) fn delivery(line: &[u8]) -> Option<Delivery<'_>> {
    let mut rest = line
        .trim_ascii_end()
        .strip_prefix(br#"{"action":"processRecords","records":["#)?;
    let mut collect = Collect::for_line(line);
    while let Some(after) = rest.strip_prefix(br#"{"data":""#) {
        let (data, after) = until_quote(after)?;
        let (partition_key, after) = string(after.strip_prefix(br#","partitionKey":""#)?)?;
        let (sequence_number, after) = string(after.strip_prefix(br#","sequenceNumber":""#)?)?;
        let (millis, after) = number(after.strip_prefix(br#","approximateArrivalTimestamp":"#)?)?;
        let (sub_sequence_number, after) = number(after.strip_prefix(br#","subSequenceNumber":"#)?)?;
        rest = after.strip_prefix(br#","action":"record"}"#)?;
        collect.push(LineRecord {
            data,
            partition_key: Some(Cow::Borrowed(partition_key)),
            sequence_number: Cow::Borrowed(sequence_number),
            sub_sequence_number,
            approximate_arrival: Some(Timestamp::from_unix_epoch(Duration::from_millis(millis))),
        })?;
        match rest.strip_prefix(b",") {
            Some(next) if next.starts_with(b"{") => rest = next,
            Some(_) => return None,
            None => break,
        }
    }
    let (millis_behind_latest, rest) = number(rest.strip_prefix(br#"],"millisBehindLatest":"#)?)?;
    (rest == b"}").then(|| collect.into_delivery(Some(millis_behind_latest)))
}

/// Returns what is before the next quotation mark, and what follows that.
fn until_quote(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (string, rest) = text.split_at_checked(memchr(b'"', text)?)?;
    Some((string, rest.get(1..)?))
}

/// Returns a string up to its quotation mark, and what follows that, if the string stands for itself.
fn string(text: &[u8]) -> Option<(&str, &[u8])> {
    let (string, rest) = until_quote(text)?;
    // Escapes begin with a backslash, and control characters are not valid.
    let is_plain = string
        .iter()
        .fold(true, |is_plain, byte| is_plain & (*byte >= b' ') & (*byte != b'\\'));
    let string = std::str::from_utf8(string).ok().filter(|_| is_plain)?;
    Some((string, rest))
}

/// Returns an integer and what follows it, if it is one that fits and has no superfluous zeros.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(len)?;
    if digits.is_empty() || len > 18 || (len > 1 && digits.starts_with(b"0")) {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    Some((number?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::Message;
    use crate::protocol::message::Line;

    /// Reads a line as any JSON.
    fn by_serde(line: &[u8]) -> Option<Delivery<'_>> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        match line.into_message().ok()? {
            (_, Message::Records(delivery)) => Some(delivery),
            _ => None,
        }
    }

    fn line() -> impl Strategy<Value = String> {
        let record = (
            "[A-Za-z0-9+/]{4}|aGk=|[a-z]{0,5}",
            ".{0,8}|[a-z\\\\\"]{0,4}",
            "[0-9]{1,30}",
            any::<u64>(),
            0..99_u64,
        );
        let records = prop::collection::vec(record, 0..5);
        (records, any::<u64>(), prop::bool::ANY).prop_map(|(records, behind, breaks)| {
            let records = records.into_iter().map(|(data, key, number, millis, sub)| {
                // Not escaped: some lines are not valid.
                format!(
                    "{{\"data\":\"{data}\",\"partitionKey\":\"{key}\",\"sequenceNumber\":\"{number}\",\
                     \"approximateArrivalTimestamp\":{millis},\"subSequenceNumber\":{sub},\"action\":\"record\"}}"
                )
            });
            let records = Vec::from_iter(records).join(",");
            let end = if breaks { "\n" } else { "" };
            format!("{{\"action\":\"processRecords\",\"records\":[{records}],\"millisBehindLatest\":{behind}}}{end}")
        })
    }

    proptest! {
        #[test]
        fn what_is_scanned_is_what_the_line_says(line in line(), change in any::<(prop::sample::Index, u8, bool)>()) {
            let mut line = line.into_bytes();
            let (at, byte, changes) = change;
            if changes {
                let at = at.index(line.len());
                line[at] = byte;
            }
            if let Some(scanned) = delivery(&line) {
                prop_assert_eq!(Some(scanned), by_serde(&line), "{:?}", String::from_utf8_lossy(&line));
            }
        }
    }

    #[test]
    fn what_a_daemon_writes_is_scanned() {
        let line = br#"{"action":"processRecords","records":[{"data":"MQ==","partitionKey":"k\u00e4se","sequenceNumber":"4968","approximateArrivalTimestamp":1795808389200,"subSequenceNumber":0,"action":"record"},{"data":"","partitionKey":"k","sequenceNumber":"4968","approximateArrivalTimestamp":1795808389200,"subSequenceNumber":7,"action":"record"}],"millisBehindLatest":0}"#;
        assert!(delivery(line).is_none(), "an escape is left to others");
        let text = String::from_utf8_lossy(line).replace("\\u00e4", "\u{e4}");
        assert_eq!(delivery(text.as_bytes()).map(|delivery| delivery.len()), Some(2));
        assert_eq!(delivery(text.as_bytes()), by_serde(text.as_bytes()));
    }
}
