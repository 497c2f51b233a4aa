//! Prints a line for each figure, and remembers whether one falls short.

use std::fmt::Display;

/// The figures so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: usize,
    short: Vec<String>,
    group: &'static str,
}

impl Report {
    pub(crate) fn group(&mut self, name: &'static str) {
        if !self.group.is_empty() {
            println!();
        }
        self.group = name;
    }

    /// Adds a figure.
    pub(crate) fn figure(&mut self, name: impl Display, measured: impl Display, wanted: impl Display, ok: bool) {
        let name = format!("{}: {name}", self.group);
        let (measured, wanted) = (measured.to_string(), wanted.to_string());
        let verdict = if ok { "ok" } else { "FALLS SHORT" };
        println!("{name:<82} {measured:<72} wanted {wanted:<38} {verdict}");
        self.figures += 1;
        if !ok {
            self.short.push(name);
        }
    }

    /// Says why a figure cannot be measured on this machine.
    pub(crate) fn skip(&mut self, name: impl Display, why: impl Display) {
        println!("{}: {name}: skipped, because {why}", self.group);
    }

    /// Prints what explains a figure.
    pub(crate) fn note(&mut self, line: impl Display) {
        println!("    {line}");
    }

    /// Prints the sum. Returns whether no figure falls short.
    pub(crate) fn finish(self) -> bool {
        println!("\n{} figures, {} fall short", self.figures, self.short.len());
        for name in &self.short {
            println!("    {name}");
        }
        self.short.is_empty()
    }
}

/// Shows bytes in MiB.
pub(crate) fn mib(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / 1_048_576.0)
}
