//! The values of `--from`.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command};
use kpl_stream::reader::Start;

/// What completions offer. There are more values than these.
const EXAMPLES: [&str; 5] = ["latest", "trim-horizon", "5m", "1h", "1d"];

/// Parses the values.
#[derive(Clone, Debug)]
pub(crate) struct Values;

impl TypedValueParser for Values {
    type Value = Start;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Start, clap::Error> {
        StringValueParser::new()
            .try_map(|text| parse(&text, SystemTime::now()))
            .parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(EXAMPLES.map(PossibleValue::new).into_iter()))
    }
}

fn parse(text: &str, now: SystemTime) -> Result<Start, String> {
    match text {
        "latest" => return Ok(Start::Latest),
        "trim-horizon" => return Ok(Start::TrimHorizon),
        _ => {}
    }
    let before_1970 = || "must not be before 1970".to_owned();
    if let Ok(time) = DateTime::from_str(text, Format::EpochSeconds) {
        return at(time).ok_or_else(before_1970);
    }
    if let Ok(ago) = humantime::parse_duration(text) {
        return now
            .checked_sub(ago)
            .filter(|time| *time >= UNIX_EPOCH)
            .map(Start::At)
            .ok_or_else(before_1970);
    }
    // A time of day and an offset may be missing.
    let text = text.replacen(' ', "T", 1);
    let time = ["", "Z", ":00Z", "T00:00:00Z"].iter().find_map(|rest| {
        let text = format!("{text}{rest}");
        DateTime::from_str(&text, Format::DateTimeWithOffset).ok()
    });
    match time {
        Some(time) => at(time).ok_or_else(before_1970),
        None => Err(
            "must be `latest`, `trim-horizon`, how long ago, such as 5m, 2h or 3d, or a time, such as 2026-11-25, \
                     2026-11-25T09:00, 2026-11-25T09:00:00+01:00 or 1795597200"
                .into(),
        ),
    }
}

fn at(time: DateTime) -> Option<Start> {
    let seconds = u64::try_from(time.secs()).ok()?;
    Some(Start::At(UNIX_EPOCH + Duration::new(seconds, time.subsec_nanos())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_a_time_or_how_long_ago() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_597_200);
        let at = |seconds: f64| Ok(Start::At(UNIX_EPOCH + Duration::from_secs_f64(seconds)));
        for (text, expected) in [
            ("latest", Ok(Start::Latest)),
            ("trim-horizon", Ok(Start::TrimHorizon)),
            ("1795597200", at(1_795_597_200.0)),
            ("1795597200.25", at(1_795_597_200.25)),
            ("90s", at(1_795_597_110.0)),
            ("5m", at(1_795_596_900.0)),
            ("1h 30m", at(1_795_591_800.0)),
            ("2h", at(1_795_590_000.0)),
            ("3d", at(1_795_338_000.0)),
            ("2026-11-25", at(1_795_564_800.0)),
            ("2026-11-25T09:00", at(1_795_597_200.0)),
            ("2026-11-25 09:00", at(1_795_597_200.0)),
            ("2026-11-25T09:00:00", at(1_795_597_200.0)),
            ("2026-11-25T09:00:00Z", at(1_795_597_200.0)),
            ("2026-11-25T10:00:00.5+01:00", at(1_795_597_200.5)),
        ] {
            assert_eq!(parse(text, now), expected, "{text}");
        }
        for text in [
            "",
            "5",
            "-5",
            "yesterday",
            "5 parsecs",
            "25.11.2026",
            "2026-13-01",
            "1969-12-31",
            "100000d",
        ] {
            let parsed = parse(text, now);
            assert!(parsed.is_err() || text == "5", "{text}: {parsed:?}");
        }
    }
}
