//! Files in the form of Java's `java.util.Properties`, read as Java reads them.

use std::fmt::{self, Display};

/// A property and the line on which it starts. The first line is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) line: u64,
    pub(super) name: String,
    pub(super) value: String,
}

/// An escape that Java refuses. It refuses the whole file then.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) line: u64,
}

impl Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "after \\u there must be 4 hexadecimal digits; a backslash is written \\\\"
        )
    }
}

/// Returns the properties of a file in their order. Java takes the last of those with the same name.
pub(super) fn parse(file: &[u8]) -> Result<Vec<Property>, Malformed> {
    logical_lines(file)
        .into_iter()
        .map(|(line, text)| {
            let (name, value) = split(&text);
            Ok(Property {
                line,
                name: unescape(name).ok_or(Malformed { line })?,
                value: unescape(value).ok_or(Malformed { line })?,
            })
        })
        .collect()
}

/// Returns a value as it is written in such a file.
pub(super) fn escape(value: &str) -> String {
    let mut text = String::new();
    for (index, character) in value.chars().enumerate() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            ' ' if index == 0 => text.push_str("\\ "),
            ' '..='~' => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    text
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\x0c')
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_blank(byte)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// Joins lines that end with a backslash with the next one, and leaves out comments and empty lines.
fn logical_lines(file: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut lines = Vec::new();
    let mut continued = None;
    for (number, line) in (1..).zip(natural_lines(file)) {
        let mut text = trim_start(line);
        let (start, mut before) = continued.take().unwrap_or((number, Vec::new()));
        if before.is_empty() && matches!(text.first(), None | Some(b'#' | b'!')) {
            continue;
        }
        let backslashes = text.iter().rev().take_while(|&&byte| byte == b'\\').count();
        let is_continued = backslashes % 2 == 1;
        if is_continued {
            text = text.split_last().map(|(_, rest)| rest).unwrap_or_default();
        }
        let start = if before.is_empty() { number } else { start };
        before.extend_from_slice(text);
        if is_continued {
            continued = Some((start, before));
        } else {
            lines.push((start, before));
        }
    }
    lines.extend(continued.filter(|(_, text)| !text.is_empty()));
    lines
}

/// Returns the lines of a file, which end with LF, CR or both.
fn natural_lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = file;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r');
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after
            .strip_prefix(b"\r\n")
            .unwrap_or(after.get(1..).unwrap_or_default());
        Some(line)
    })
}

/// Splits a line at the first `=`, `:` or blank that is not escaped. Blanks around it belong neither to the name nor to
/// the value.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let mut is_escaped = false;
    let end = line.iter().position(|&byte| {
        let ends = !is_escaped && (is_blank(byte) || matches!(byte, b'=' | b':'));
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let value = trim_start(rest);
    match value.split_first() {
        Some((b'=' | b':', value)) => (name, trim_start(value)),
        _ => (name, value),
    }
}

/// Returns the text of bytes in ISO 8859-1 with escapes, or `None` if `\u` is not followed by four digits.
fn unescape(text: &[u8]) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        let unit = match byte {
            b'\\' => match bytes.next() {
                None => break,
                Some(b't') => u16::from(b'\t'),
                Some(b'n') => u16::from(b'\n'),
                Some(b'r') => u16::from(b'\r'),
                Some(b'f') => 0x0C,
                Some(b'u') => {
                    let mut unit = 0;
                    for _ in 0..4 {
                        let digit = char::from(bytes.next()?).to_digit(16)?;
                        unit = unit << 4 | u16::try_from(digit).ok()?;
                    }
                    unit
                }
                Some(byte) => byte.into(),
            },
            byte => byte.into(),
        };
        units.push(unit);
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;

    use data_encoding::BASE64;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    use super::*;

    fn properties(file: &str) -> Vec<(u64, String, String)> {
        let properties = parse(file.as_bytes()).unwrap();
        properties
            .into_iter()
            .map(|property| (property.line, property.name, property.value))
            .collect()
    }

    #[test]
    fn every_form_of_a_property_is_read() {
        for (line, name, value) in [
            ("a=b", "a", "b"),
            ("a = b ", "a", "b "),
            ("  a\t:\x0c b", "a", "b"),
            ("a b = c", "a", "b = c"),
            ("a == b", "a", "= b"),
            ("a : = b", "a", "= b"),
            ("a", "a", ""),
            ("a=", "a", ""),
            ("=b", "", "b"),
            ("a\\ b\\=c\\:d = e", "a b=c:d", "e"),
            ("a = \\ b\\t\\n\\r\\f\\\\\\x", "a", " b\t\n\r\x0c\\x"),
            ("a = \\u00e4\\uD83D\\uDE00", "a", "ä😀"),
            ("a = b # c", "a", "b # c"),
        ] {
            assert_eq!(properties(line), [(1, name.to_owned(), value.to_owned())], "{line}");
        }
    }

    #[test]
    fn lines_go_on_after_a_backslash_and_comments_are_left_out() {
        let file = "# a = 1\r\n ! b = 2\\\n\nc = 3\\\n   4\\\\\rd = \\\r\n  # 5\n\n  e\\\n= 6\\";
        let expected = [(4, "c", "34\\"), (6, "d", "# 5"), (9, "e", "6")];
        assert_eq!(
            properties(file),
            expected.map(|(line, name, value)| (line, name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn bytes_are_iso_8859_1() {
        assert_eq!(parse(b"a = \xe4").unwrap()[0].value, "ä");
        assert_eq!(parse("a = ä".as_bytes()).unwrap()[0].value, "Ã¤");
    }

    #[test]
    fn java_refuses_what_is_not_hexadecimal() {
        for text in ["a = 1\nb = \\u12", "a = 1\nb = C:\\users", "a = 1\n\\u00+1 = 1"] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed { line: 2 }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_value_that_was_escaped_is_read_back(value in any::<String>()) {
            let file = format!("name = {}\nnext = 1", escape(&value));
            let expected = [(1, "name".to_owned(), value), (2, "next".to_owned(), "1".to_owned())];
            prop_assert_eq!(properties(&file), expected);
        }
    }

    /// Reads files in base64, one a line. Writes, for each, names and values in base64 as a line, or `malformed`.
    const ORACLE: &str = r#"
        import java.io.*;
        import java.util.*;
        public class Oracle {
            static String text(String text) {
                return Base64.getEncoder().encodeToString(text.getBytes(java.nio.charset.StandardCharsets.UTF_8));
            }
            public static void main(String[] arguments) throws Exception {
                BufferedReader files = new BufferedReader(new FileReader(arguments[0]));
                for (String file; (file = files.readLine()) != null;) {
                    Properties properties = new Properties();
                    StringBuilder line = new StringBuilder();
                    try {
                        properties.load(new ByteArrayInputStream(Base64.getDecoder().decode(file)));
                        for (String name : properties.stringPropertyNames())
                            line.append(text(name)).append(',').append(text(properties.getProperty(name))).append(' ');
                    } catch (IllegalArgumentException error) {
                        line.append("malformed");
                    }
                    System.out.println(line.toString().trim());
                }
            }
        }"#;

    /// Needs a JDK, whose compiler runs the program above.
    #[test]
    fn files_are_read_as_java_reads_them() {
        let piece = proptest::sample::select(vec![
            "a", "b", "u", "n", "0041", "=", ":", " ", "\t", "\x0c", "\\", "\\\\", "#", "!", "\n", "\r", "\r\n",
            "\\\n", "ä",
        ]);
        let strategy = proptest::collection::vec(piece, 0..16);
        let mut runner = TestRunner::default();
        let files: Vec<String> = (0..4_000)
            .map(|_| strategy.new_tree(&mut runner).unwrap().current().concat())
            .collect();
        let directory = std::env::temp_dir().join(format!("kpl-properties-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (program, input) = (directory.join("Oracle.java"), directory.join("files"));
        std::fs::write(&program, ORACLE).unwrap();
        let lines: Vec<String> = files.iter().map(|file| BASE64.encode(file.as_bytes())).collect();
        std::fs::write(&input, lines.join("\n") + "\n").unwrap();
        let output = Command::new("java").arg(&program).arg(&input).output();
        std::fs::remove_dir_all(&directory).unwrap();
        let Some(output) = output.ok().filter(|output| output.status.success()) else {
            eprintln!("not compared: there is no JDK");
            return;
        };
        let output = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.lines().count(), files.len());
        for (file, line) in files.iter().zip(output.lines()) {
            let ours = parse(file.as_bytes()).ok().map(|properties| {
                let pairs = properties.into_iter().map(|property| (property.name, property.value));
                pairs.collect::<BTreeMap<_, _>>()
            });
            let decode = |text: &str| String::from_utf8(BASE64.decode(text.as_bytes()).unwrap()).unwrap();
            let theirs = (line != "malformed").then(|| {
                let pairs = line.split(' ').filter(|pair| !pair.is_empty());
                pairs
                    .map(|pair| {
                        let (name, value) = pair.split_once(',').unwrap();
                        (decode(name), decode(value))
                    })
                    .collect::<BTreeMap<_, _>>()
            });
            // Java takes a backslash at the end of a file as a property without a name.
            let without_name = |properties: Option<BTreeMap<String, String>>| {
                properties.map(|mut properties| {
                    let _ = properties.remove("");
                    properties
                })
            };
            assert_eq!(without_name(ours), without_name(theirs), "{file:?}");
        }
    }
}
