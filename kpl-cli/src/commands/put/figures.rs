//! The figures: how many records were delivered, while they are sent and at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kpl_stream::{Attempts, Failure, Receipt};

use super::client::Counters;
use crate::draw::{count, thousands};

const RETRIES: &str = "retries";

/// The figures so far.
#[derive(Debug)]
pub(crate) struct Figures {
    started: Instant,
    sent: Arc<Counters>,
    /// Whether nothing is really sent.
    is_dry: bool,
    delivered: u64,
    bytes: u64,
    retries: u64,
    /// Why, by the codes of the errors.
    reasons: BTreeMap<String, u64>,
    maybe_twice: u64,
    pub(crate) not_delivered: u64,
    pub(crate) left_out: u64,
    /// How many records stay in the spool, if there is one.
    pub(crate) spooled: Option<u64>,
    /// The size of the input, if all of it are files.
    input: Option<u64>,
    /// How much of it has its outcome.
    done: u64,
}

impl Figures {
    pub(crate) fn new(sent: Arc<Counters>, is_dry: bool, input: Option<u64>) -> Self {
        Self {
            input,
            done: 0,
            started: Instant::now(),
            sent,
            is_dry,
            delivered: 0,
            bytes: 0,
            retries: 0,
            reasons: BTreeMap::new(),
            maybe_twice: 0,
            not_delivered: 0,
            left_out: 0,
            spooled: None,
        }
    }

    /// Counts a record of this many bytes that was delivered.
    pub(crate) fn deliver(&mut self, receipt: &Receipt, bytes: usize) {
        self.delivered += 1;
        self.bytes += bytes as u64;
        self.retry(receipt.attempts(), None);
        self.maybe_twice += u64::from(receipt.may_be_duplicated());
    }

    /// Counts a record that was not delivered.
    pub(crate) fn give_up(&mut self, failure: &Failure) {
        self.not_delivered += 1;
        // Nothing followed the last attempt.
        let attempts = failure.attempts();
        let last = attempts.iter().last().and_then(|attempt| attempt.error);
        self.retry(attempts, last.map(|error| &*error.code));
    }

    /// Counts the attempts that others followed.
    fn retry(&mut self, attempts: Attempts<'_>, last: Option<&str>) {
        self.retries += attempts.len().saturating_sub(1) as u64;
        for (code, count) in attempts.error_counts() {
            let retries = count - usize::from(last == Some(code));
            if retries > 0 {
                *self.reasons.entry(code.to_owned()).or_default() += retries as u64;
            }
        }
    }

    /// Notes that this many bytes of the input have their outcome.
    pub(crate) fn finish(&mut self, bytes: u64) {
        self.done += bytes;
    }

    /// Returns the share of the input that has its outcome, and how long the rest will take.
    fn share(&self, elapsed: Duration) -> Option<String> {
        let input = self.input.filter(|input| *input > 0)?;
        let done = self.done.min(input) as f64 / input as f64;
        let share = format!("{:.0} %", 100.0 * done);
        if elapsed < Duration::from_secs(1) || done == 0.0 {
            return Some(share);
        }
        let left = Duration::try_from_secs_f64((elapsed.as_secs_f64() * (1.0 - done) / done).ceil()).ok()?;
        Some(format!("{share}, {} left", humantime::format_duration(left)))
    }

    /// Returns a line that shows the progress.
    fn line(&self, under_way: usize) -> String {
        let share = self.share(self.started.elapsed()).map(|share| share + ", ");
        let mut line = format!(
            "{}{} delivered, {}, {} under way",
            share.unwrap_or_default(),
            count(self.delivered, "user record"),
            self.rates(),
            thousands(under_way as u64)
        );
        for (number, what) in [(self.not_delivered, "not delivered"), (self.left_out, "left out")] {
            if number > 0 {
                // Writing to a string cannot fail.
                let _ = write!(line, ", {} {what}", thousands(number));
            }
        }
        line
    }

    fn rates(&self) -> String {
        let seconds = self.started.elapsed().max(Duration::from_millis(1)).as_secs_f64();
        let records = thousands((self.delivered as f64 / seconds) as u64);
        let mebibytes = self.bytes as f64 / seconds / (1024.0 * 1024.0);
        format!("{records} records/s, {mebibytes:.2} MiB/s")
    }

    /// Returns the table for the end.
    pub(crate) fn table(&self) -> String {
        let mut rows = vec![
            ("user records delivered", self.delivered),
            ("Kinesis records", self.sent.kinesis_records()),
            ("requests", self.sent.requests()),
            (RETRIES, self.retries),
            ("not delivered", self.not_delivered),
        ];
        if self.is_dry {
            rows = vec![
                ("user records", self.delivered),
                ("  bytes", self.bytes),
                ("Kinesis records", self.sent.kinesis_records()),
                ("  aggregated", self.sent.aggregated()),
                ("  bytes", self.sent.bytes()),
                ("requests", self.sent.requests()),
            ];
        }
        if let Some(spooled) = self.spooled {
            rows.push(("left in the spool", spooled));
        }
        if self.left_out > 0 {
            rows.push(("lines left out", self.left_out));
        }
        if self.maybe_twice > 0 {
            rows.push(("possibly duplicated", self.maybe_twice));
        }
        let mut table = String::new();
        for (what, number) in rows {
            let _ = writeln!(table, "{what:<24}{:>12}", thousands(number));
            if what == RETRIES {
                for (code, count) in &self.reasons {
                    let _ = writeln!(table, "{:>36}  {code}", thousands(*count));
                }
            }
        }
        let time = format!("{:.1} s", self.started.elapsed().as_secs_f64());
        let _ = writeln!(table, "{:<24}{time:>12}  {}", "time", self.rates());
        table
    }
}

/// Shows the progress on standard error, if that is a terminal.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// The time between two drawings.
    pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

    pub(crate) fn new() -> Self {
        let style = ProgressStyle::default_spinner();
        Self(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style))
    }

    pub(crate) fn bar(&self) -> ProgressBar {
        self.0.clone()
    }

    pub(crate) fn draw(&self, figures: &Figures, under_way: usize) {
        if !self.0.is_hidden() {
            self.0.set_message(figures.line(under_way));
            self.0.tick();
        }
    }

    /// Hides the progress while something else is written to standard error.
    pub(crate) fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        self.0.suspend(write)
    }

    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_counts_one_record_in_the_singular() {
        let mut figures = Figures::new(Arc::default(), false, None);
        figures.delivered = 1;
        figures.left_out = 1;
        let line = figures.line(1);
        assert!(line.starts_with("1 user record delivered, "), "{line}");
        assert!(line.ends_with(", 1 under way, 1 left out"), "{line}");
        figures.delivered = 2;
        assert!(figures.line(0).starts_with("2 user records delivered, "));
    }

    #[test]
    fn the_progress_of_files_has_a_share_and_the_time_left() {
        let mut figures = Figures::new(Arc::default(), false, Some(1000));
        let seconds = Duration::from_secs;
        assert_eq!(figures.share(seconds(5)).as_deref(), Some("0 %"));
        figures.finish(250);
        assert_eq!(figures.share(Duration::from_millis(10)).as_deref(), Some("25 %"));
        assert_eq!(figures.share(seconds(30)).as_deref(), Some("25 %, 1m 30s left"));
        figures.finish(900);
        assert_eq!(
            figures.share(seconds(30)).as_deref(),
            Some("100 %, 0s left"),
            "the file grew"
        );
        assert!(figures.line(0).starts_with("100 %, 0 user records delivered, "));
        assert_eq!(Figures::new(Arc::default(), false, None).share(seconds(5)), None);
    }
}
