//! What `kpl tail` says on standard error about how far it is.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kpl_stream::reader::Progress;

use crate::draw::count;
use crate::problems::tell;
use crate::terminal;

/// A line on standard error while the command waits for records, if that is a terminal.
pub(super) struct Status {
    stream: String,
    bar: ProgressBar,
    is_drawn: bool,
    pub(super) user_records: u64,
}

impl Status {
    /// The time between two drawings.
    pub(super) const INTERVAL: Duration = Duration::from_millis(250);

    pub(super) fn new(stream: &str) -> Self {
        let style = ProgressStyle::default_spinner();
        Self {
            stream: stream.to_owned(),
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style),
            is_drawn: false,
            user_records: 0,
        }
    }

    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Says once what is read, where the line cannot be shown.
    pub(super) fn begin(&self, progress: &Progress) {
        if self.bar.is_hidden() {
            let shards = count(progress.shards as u64, "shard");
            tell(format_args!("reading stream {}, {shards}", self.stream));
        }
    }

    pub(super) fn draw(&mut self, progress: &Progress) {
        if self.bar.is_hidden() {
            return;
        }
        if !self.is_drawn {
            self.bar.reset();
        }
        self.is_drawn = true;
        self.bar.set_message(self.line(progress));
        self.bar.tick();
    }

    /// Removes the line, so that records can be written to the same terminal.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            self.bar.finish_and_clear();
        }
    }

    fn line(&self, progress: &Progress) -> String {
        let behind = match progress.behind_latest {
            None => "not read yet".to_owned(),
            Some(Duration::ZERO) => "up to date".to_owned(),
            Some(behind) => format!("{:.1} s behind", behind.as_secs_f64()),
        };
        let (shards, user_records) = (progress.shards as u64, self.user_records);
        format!(
            "{}: {}, {}, {behind}",
            terminal::escaped(&self.stream),
            count(shards, "shard"),
            count(user_records, "user record")
        )
    }
}
