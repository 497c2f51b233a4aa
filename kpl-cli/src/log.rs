//! The warnings of the library, on standard error.

use std::fmt;
use std::io;

use indicatif::ProgressBar;
use tracing::field::{Field, Visit};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use crate::terminal;

/// Writes warnings from now on, above a progress bar if there is one.
pub(crate) fn tell_warnings(progress: ProgressBar) {
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .event_format(Line)
        .with_writer(move || Above(progress.clone()))
        .finish()
        .with(Targets::new().with_target("kpl_stream", LevelFilter::WARN));
    // It fails only if a subscriber is set already.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct Above(ProgressBar);

impl io::Write for Above {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if !terminal::is_guarded_stderr() {
            return self.0.suspend(|| io::Write::write(&mut io::stderr().lock(), text));
        }
        let line = String::from_utf8_lossy(text);
        let line = terminal::escaped(line.trim_end_matches('\n'));
        self.0.suspend(|| writeln!(io::stderr().lock(), "{line}"))?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One line, in the form of all the messages of this command.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        writeln!(writer, "kpl: {fields}")
    }
}

/// What an event has to say.
#[derive(Debug, Default)]
struct Fields {
    stream: Option<String>,
    shard: Option<String>,
    operation: Option<String>,
    message: String,
    error: Option<String>,
    others: Vec<String>,
}

impl Fields {
    fn set(&mut self, name: &str, value: String) {
        match name {
            "stream" => self.stream = Some(value),
            "shard" | "shard_id" => self.shard = Some(value),
            "operation" => self.operation = Some(value),
            "message" => self.message = value,
            "error" => self.error = Some(value),
            // A pause of less than some seconds.
            "delay" => {}
            _ => self.others.push(format!("{name} {value}")),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.to_owned());
    }

    /// Values that implement `Display` are recorded so as well.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        // An optional text.
        let text = value
            .strip_prefix("Some(\"")
            .and_then(|value| value.strip_suffix("\")"));
        self.set(field.name(), text.unwrap_or(&value).to_owned());
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = [("stream", &self.stream), ("shard", &self.shard)];
        let place = place.map(|(what, name)| name.as_ref().map(|name| format!("{what} {name}")));
        let place: Vec<_> = place.into_iter().flatten().collect();
        let place = Some(place.join(", ")).filter(|place| !place.is_empty());
        let message = Some(self.message.clone());
        let parts = [place, self.operation.clone(), message, self.error.clone()];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(": "))?;
        if !self.others.is_empty() {
            write!(f, " ({})", self.others.join(", "))?;
        }
        Ok(())
    }
}
