//! The figures: how many records were delivered, while they are sent and at the end.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kpl_stream::Receipt;

use super::client::Sent;
use crate::draw::{count, thousands};

/// The figures so far.
#[derive(Debug)]
pub(super) struct Figures {
    started: Instant,
    sent: Arc<Sent>,
    delivered: u64,
    bytes: u64,
    retries: u64,
    maybe_twice: u64,
    pub(super) not_delivered: u64,
    pub(super) left_out: u64,
}

impl Figures {
    pub(super) fn new(sent: Arc<Sent>) -> Self {
        Self {
            started: Instant::now(),
            sent,
            delivered: 0,
            bytes: 0,
            retries: 0,
            maybe_twice: 0,
            not_delivered: 0,
            left_out: 0,
        }
    }

    /// Counts a record of this many bytes that was delivered.
    pub(super) fn deliver(&mut self, receipt: &Receipt, bytes: usize) {
        self.delivered += 1;
        self.bytes += bytes as u64;
        self.retries += receipt.attempts().len().saturating_sub(1) as u64;
        self.maybe_twice += u64::from(receipt.may_be_duplicated());
    }

    /// Returns a line that shows the progress.
    fn line(&self, under_way: usize) -> String {
        let mut line = format!(
            "{} delivered, {}, {} under way",
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
    pub(super) fn table(&self) -> String {
        let mut rows = vec![
            ("user records delivered", self.delivered),
            ("Kinesis records", self.sent.kinesis_records()),
            ("requests", self.sent.requests()),
            ("retries", self.retries),
            ("not delivered", self.not_delivered),
        ];
        if self.left_out > 0 {
            rows.push(("lines left out", self.left_out));
        }
        if self.maybe_twice > 0 {
            rows.push(("possibly duplicated", self.maybe_twice));
        }
        let mut table = String::new();
        for (what, number) in rows {
            let _ = writeln!(table, "{what:<24}{:>12}", thousands(number));
        }
        let time = format!("{:.1} s", self.started.elapsed().as_secs_f64());
        let _ = writeln!(table, "{:<24}{time:>12}  {}", "time", self.rates());
        table
    }
}

/// Shows the progress on standard error, if that is a terminal.
#[derive(Clone, Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// The time between two drawings.
    pub(super) const INTERVAL: Duration = Duration::from_millis(100);

    pub(super) fn new() -> Self {
        let style = ProgressStyle::default_spinner();
        Self(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style))
    }

    pub(super) fn bar(&self) -> ProgressBar {
        self.0.clone()
    }

    pub(super) fn draw(&self, figures: &Figures, under_way: usize) {
        if !self.0.is_hidden() {
            self.0.set_message(figures.line(under_way));
            self.0.tick();
        }
    }

    /// Hides the progress while something else is written to standard error.
    pub(super) fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        self.0.suspend(write)
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_counts_one_record_in_the_singular() {
        let mut figures = Figures::new(Arc::default());
        figures.delivered = 1;
        figures.left_out = 1;
        let line = figures.line(1);
        assert!(line.starts_with("1 user record delivered, "), "{line}");
        assert!(line.ends_with(", 1 under way, 1 left out"), "{line}");
        figures.delivered = 2;
        assert!(figures.line(0).starts_with("2 user records delivered, "));
    }
}
