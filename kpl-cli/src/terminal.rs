//! What may be sent to a terminal: text from outside must neither control it nor change the order of what is shown.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use anstream::ColorChoice;
use clap::{Args, ValueEnum};

/// How the command writes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Writing {
    /// When to use colours. `auto` is for terminals, and heeds NO_COLOR and CLICOLOR_FORCE
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", global = true)]
    color: When,

    /// Write also those characters as they are that can control a terminal; otherwise a terminal gets \u and their number
    #[arg(long, global = true)]
    raw_output: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum When {
    #[default]
    Auto,
    Always,
    Never,
}

static RAW: OnceLock<bool> = OnceLock::new();

impl Writing {
    /// Makes this hold for all that is written.
    pub(crate) fn apply(&self) {
        // Once for each process.
        let _ = RAW.set(self.raw_output);
        match self.color {
            When::Auto => ColorChoice::Auto,
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
        }
        .write_global();
    }
}

/// Returns whether standard output gets colours.
pub(crate) fn is_coloured() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// Returns whether characters have to be escaped on standard output.
pub(crate) fn is_guarded() -> bool {
    !RAW.get().is_some_and(|raw| *raw) && io::stdout().is_terminal()
}

/// Returns whether characters have to be escaped on standard error.
pub(crate) fn is_guarded_stderr() -> bool {
    !RAW.get().is_some_and(|raw| *raw) && io::stderr().is_terminal()
}

/// Returns text in which nothing controls a terminal: such characters are escaped as in JSON.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    escape(text, |character| character.is_control() || changes_direction(character))
}

/// Returns JSON, perhaps in colours, in which nothing from outside controls a terminal. The control characters of ASCII
/// are escaped already where they are in strings; elsewhere they are white space, or our own.
pub(crate) fn escaped_json(json: &[u8]) -> Vec<u8> {
    let controls = |character: char| matches!(character, '\u{7f}'..='\u{9f}') || changes_direction(character);
    match str::from_utf8(json) {
        Ok(json) => escape(json, controls).into_owned().into_bytes(),
        Err(_) => json.to_owned(),
    }
}

fn escape(text: &str, controls: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&controls) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if controls(character) {
            // All of them have four digits. Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

fn changes_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_control_a_terminal_are_escaped() {
        for (text, expected) in [
            ("plain ä 😀 \u{2029}\u{2070}", "plain ä 😀 \u{2029}\u{2070}"),
            ("\u{1b}[31m", "\\u001b[31m"),
            ("\0\t\n\u{7f}", "\\u0000\\u0009\\u000a\\u007f"),
            ("\u{80}\u{9b}\u{9f}\u{a0}", "\\u0080\\u009b\\u009f\u{a0}"),
            ("\u{202a}\u{202e}\u{2066}\u{2069}", "\\u202a\\u202e\\u2066\\u2069"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn json_stays_the_same_value() {
        let text: String = (0..0x3000).filter_map(char::from_u32).collect();
        let json = serde_json::to_string(&text).unwrap();
        let line = format!("{{\t\"a\": {json}\n}}");
        let guarded = String::from_utf8(escaped_json(line.as_bytes())).unwrap();
        assert!(guarded.len() > line.len() && guarded.starts_with("{\t") && guarded.ends_with("\n}"));
        assert!(
            !guarded
                .contains(|character| changes_direction(character) || character == '\u{7f}' || character == '\u{9b}')
        );
        let value: serde_json::Value = serde_json::from_str(&guarded).unwrap();
        assert_eq!(value["a"], text);
    }
}
