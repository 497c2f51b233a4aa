//! The parts of drawings for a terminal of 80 columns. Styles are left out if standard output is not a terminal or
//! NO_COLOR is set.

use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};

use crate::problems::Stop;

pub(crate) const HEADING: Style = Style::new().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();
pub(crate) const KEY: Style = AnsiColor::Cyan.on_default();
pub(crate) const DATA: Style = AnsiColor::Green.on_default();
pub(crate) const FRAMING: Style = AnsiColor::BrightBlack.on_default();

/// Adds a line to the field `text` of a drawing. Writing to a string cannot fail.
macro_rules! line {
    ($drawing:expr) => { $drawing.text.push('\n') };
    ($drawing:expr, $($arguments:tt)*) => {{ let _ = writeln!($drawing.text, $($arguments)*); }};
}

pub(crate) use line;

/// Writes a drawing to standard output.
pub(crate) fn print(drawing: &str) -> Result<(), Stop> {
    let mut out = anstream::stdout().lock();
    out.write_all(drawing.as_bytes())?;
    Ok(out.flush()?)
}

/// Returns text in a style.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Returns a number with commas between the thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number and what it counts: `1 key`, `2 keys`.
pub(crate) fn count(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", thousands(number))
}

pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0.0 %".into();
    }
    format!("{:.1} %", 100.0 * part as f64 / whole as f64)
}

/// Returns a bar for `part`, where that of `whole` is `width` long. It is empty only for 0.
pub(crate) fn bar(part: u64, whole: u64, width: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if part == 0 || whole == 0 {
        return String::new();
    }
    let eighths = (u128::from(part) * u128::from(width) * 8 / u128::from(whole)).max(1);
    let (full, rest) = ((eighths / 8) as usize, (eighths % 8) as usize);
    "█".repeat(full) + EIGHTHS.get(rest).unwrap_or(&"")
}

/// Returns a bar of length `width` in parts, each with its own mark and style.
pub(crate) fn parts(parts: &[(u64, &str, Style)], width: u64) -> String {
    let whole: u64 = parts.iter().map(|part| part.0).sum();
    let mut drawing = String::new();
    let (mut before, mut drawn) = (0, 0);
    for (part, mark, style) in parts {
        before += part;
        let end = before * width / whole.max(1);
        let length = end.saturating_sub(drawn);
        drawn = end;
        let _ = write!(drawing, "{style}{}{style:#}", mark.repeat(length as usize));
    }
    drawing
}

/// Returns the start of a string, on one line and without characters that control a terminal.
pub(crate) fn line_of(text: &str, width: usize) -> String {
    let mut line: String = text.chars().take(width).map(visible).collect();
    if text.chars().nth(width).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

fn visible(character: char) -> char {
    let is_plain = matches!(character, '"' | '\'' | '\\') || character.escape_debug().len() == 1;
    if is_plain { character } else { '·' }
}

/// Returns the start of some bytes: as text if they are UTF-8, in hexadecimal otherwise.
pub(crate) fn start_of(data: &[u8], width: usize) -> String {
    if let Ok(text) = std::str::from_utf8(data) {
        return line_of(text, width);
    }
    let shown = width / 3;
    let mut line: Vec<String> = data.iter().take(shown).map(|byte| format!("{byte:02x}")).collect();
    if data.len() > shown {
        line.pop();
        line.push("…".into());
    }
    line.join(" ")
}

pub(crate) fn hexadecimal(data: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(data)
}

/// Returns a dump of the bytes around an offset, which is marked.
pub(crate) fn bytes_around(data: &[u8], offset: usize) -> String {
    const WIDTH: usize = 16;
    let row = offset.min(data.len().saturating_sub(1)) / WIDTH;
    let mut drawing = String::new();
    let rows = data
        .chunks(WIDTH)
        .enumerate()
        .skip(row.saturating_sub(2))
        .take(4.min(row + 2));
    for (number, bytes) in rows {
        let start = number * WIDTH;
        let _ = write!(drawing, "  {}  ", styled(FAINT, format_args!("{start:08x}")));
        for column in 0..WIDTH {
            let gap = if column == WIDTH / 2 { " " } else { "" };
            let byte = bytes.get(column).map_or("  ".into(), |byte| format!("{byte:02x}"));
            let style = if start + column == offset { BAD } else { Style::new() };
            let _ = write!(drawing, "{gap}{style}{byte}{style:#} ");
        }
        let text: String = bytes
            .iter()
            .map(|&byte| {
                if byte == b' ' || byte.is_ascii_graphic() {
                    char::from(byte)
                } else {
                    '.'
                }
            })
            .collect();
        let _ = writeln!(drawing, " {text}");
        if (start..start + WIDTH).contains(&offset) {
            let column = offset - start;
            let indent = 12 + 3 * column + usize::from(column >= WIDTH / 2);
            let _ = writeln!(drawing, "{}{}", " ".repeat(indent), styled(BAD, "^^"));
        }
    }
    drawing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_between_thousands() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn bars_are_as_long_as_their_part() {
        assert_eq!(bar(0, 10, 8), "");
        assert_eq!(bar(1, 1_000_000, 8), "▏");
        assert_eq!(bar(5, 10, 8), "████");
        assert_eq!(bar(10, 10, 8), "████████");
        assert_eq!(bar(u64::MAX, u64::MAX, 8), "████████");
        let plain = Style::new();
        assert_eq!(
            parts(&[(1, "a", plain), (0, "b", plain), (3, "c", plain)], 8),
            "aacccccc"
        );
    }

    #[test]
    fn nothing_in_a_line_controls_the_terminal() {
        assert_eq!(line_of("a\u{1b}[31mb\u{202e}\n\"c\"", 20), "a·[31mb··\"c\"");
        assert_eq!(line_of("abcdef", 6), "abcdef");
        assert_eq!(line_of("abcdefg", 6), "abcde…");
        assert_eq!(start_of(&[0xFF, 0x00], 9), "ff 00");
        assert_eq!(start_of(&[0xFF; 9], 9), "ff ff …");
    }
}
