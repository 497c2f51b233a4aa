//! The warnings of the library, on standard error.

use std::fmt;
use std::io;

use indicatif::ProgressBar;
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
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        write!(writer, "kpl: ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
