//! When a record arrived at its stream, in every form in use.

use std::ops::Range;
use std::time::Duration;

use kpl_core::Timestamp;

/// When a record arrived, as the input states it.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival {
    /// A string: a point in time as in ISO 8601, as the AWS CLI and Firehose's documentation have it, a number, or
    /// anything else.
    Text(String),
    /// Seconds since the Unix epoch. Milliseconds have been converted.
    Seconds(f64),
}

/// Numbers that are milliseconds: of the years from 1973 to 5138. As seconds they would be later than that.
const MILLISECONDS: Range<f64> = 1e11..1e14;

impl Arrival {
    /// Returns a number of seconds or milliseconds since the Unix epoch: events have either, and only the size of the
    /// number tells which.
    #[must_use]
    pub fn from_number(number: f64) -> Self {
        Self::Seconds(if MILLISECONDS.contains(&number) {
            number / 1000.0
        } else {
            number
        })
    }

    /// Returns the point in time, to the microsecond if it is a number, or `None` if it cannot be read as one since 1970.
    ///
    /// ```
    /// use kpl_event::Arrival;
    ///
    /// let times = [
    ///     Arrival::from_number(1_700_000_000.25),
    ///     Arrival::from_number(1_700_000_000_250.0),
    ///     Arrival::Text("1700000000250".into()),
    ///     Arrival::Text("2023-11-14T23:13:20.25+01:00".into()),
    /// ];
    /// for time in times {
    ///     assert_eq!(time.timestamp(), Some("1700000000.25".parse()?));
    /// }
    /// assert_eq!(Arrival::Text("yesterday".into()).timestamp(), None);
    /// # Ok::<(), kpl_core::InvalidTimestamp>(())
    /// ```
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        match self {
            Self::Seconds(seconds) => from_seconds(*seconds),
            Self::Text(text) => {
                let text = text.trim();
                text.parse().map(in_seconds).ok().or_else(|| iso_8601(text))
            }
        }
    }
}

/// Returns a time that may have been read from milliseconds as if they were seconds.
fn in_seconds(time: Timestamp) -> Timestamp {
    let time = time.since_unix_epoch();
    let is_milliseconds = MILLISECONDS.contains(&(time.as_secs() as f64));
    Timestamp::from_unix_epoch(if is_milliseconds { time / 1000 } else { time })
}

fn from_seconds(seconds: f64) -> Option<Timestamp> {
    let micros = (seconds * 1e6).round();
    // 2^63 microseconds are 292 thousand years.
    (0.0..9.2e18)
        .contains(&micros)
        .then(|| Timestamp::from_unix_epoch(Duration::from_micros(micros as u64)))
}

/// Reads `2023-11-14T22:13:20.25Z`, with or without a fraction, and with any offset; without one it is UTC.
fn iso_8601(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-');
    let year = digits(date.next()?, 4)?;
    let month = digits(date.next()?, 2)?;
    let day = digits(date.next()?, 2)?;
    let zone = time.find(['Z', 'z', '+', '-', ' ']).unwrap_or(time.len());
    let (time, zone) = time.split_at_checked(zone)?;
    let (time, fraction) = time.split_once(['.', ',']).unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':');
    let hour = digits(time.next()?, 2)?;
    let minute = digits(time.next()?, 2)?;
    let second = digits(time.next().unwrap_or("00"), 2)?;
    let is_valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !is_valid {
        return None;
    }
    let nanos = format!("{:0<9}", fraction.get(..9).unwrap_or(fraction)).parse().ok()?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone.trim())?;
    Some(Timestamp::from_unix_epoch(Duration::new(
        seconds.try_into().ok()?,
        nanos,
    )))
}

fn digits(text: &str, len: usize) -> Option<i64> {
    (text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Returns the seconds of `Z`, `+01:00`, `-0130` or `+01`.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1) {
        None | Some(("Z" | "z", "")) => return Some(0),
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        Some(_) => return None,
    };
    let rest = rest.replace(':', "");
    let (hours, minutes) = rest.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { 0 } else { digits(minutes, 2)? };
    Some(sign * (digits(hours, 2)? * 3600 + minutes * 60))
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar.
/// <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_in_every_form_in_use() {
        // Seconds as `date -d TEXT +%s` has them.
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", "0"),
            ("2024-02-29T23:59:59.999Z", "1709251199.999"),
            ("2000-03-01 00:00:00+00:00", "951868800"),
            ("2026-11-27T19:25:43.123000+05:30", "1795787743.123"),
            ("2026-11-27T19:25:43-0800", "1795836343"),
            ("2026-11-27T19:25", "1795807500"),
            ("1700000000", "1700000000"),
            ("1700000000.123456789", "1700000000.123456789"),
            ("1700000000123", "1700000000.123"),
        ] {
            let time = Arrival::Text(text.into()).timestamp().map(|time| time.to_string());
            assert_eq!(time.as_deref(), Some(seconds), "{text}");
        }
        for text in [
            "",
            "then",
            "1969-12-31T23:59:59Z",
            "2026-13-01T00:00:00Z",
            "2026-11-27T24:00:00Z",
            "2026-11-27T19:25:43+1",
            "2026-11-27T19:25:43.Z",
            "20261127T192543Z",
            "-5",
            "1.7e9",
            "NaN",
            "inf",
            "é-é",
        ] {
            assert_eq!(Arrival::Text(text.into()).timestamp(), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_seconds_or_milliseconds() {
        for (number, seconds) in [
            (0.0, Some("0")),
            (1.5, Some("1.5")),
            (1_545_084_650.987, Some("1545084650.987")),
            (1_495_072_949_453.0, Some("1495072949.453")),
            (-1.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            let time = Arrival::from_number(number).timestamp().map(|time| time.to_string());
            assert_eq!(time.as_deref(), seconds, "{number}");
        }
    }
}
