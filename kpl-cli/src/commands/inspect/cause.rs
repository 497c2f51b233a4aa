//! Why the bytes of a record are not what they should be: what programs on its way did to them.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use kpl_core::wire::MAGIC;

use crate::compression::Compression;

/// The UTF-8 of U+FFFD, which stands for bytes that are not UTF-8.
const REPLACEMENT: [u8; 3] = [0xEF, 0xBF, 0xBD];

/// Text of digits may be a number that only looks like base64 or hexadecimal. This many characters are hardly one by accident.
const LONG: usize = 24;

/// Says what the bytes of a plain record seem to be, if they are probably not meant as they are.
pub(super) fn of(data: &[u8]) -> Option<String> {
    if let Some(compression) = Compression::of(data).filter(|_| str::from_utf8(data).is_err()) {
        return Some(format!(
            "It starts like {compression}: --decompress shows what it was before it was compressed."
        ));
    }
    let replaced = data.windows(REPLACEMENT.len()).filter(|three| *three == REPLACEMENT);
    let replaced = replaced.count();
    if replaced > 0 {
        let was = if is_mangled_aggregate(data) {
            " It was an aggregated record."
        } else {
            ""
        };
        return Some(format!(
            "It contains U+FFFD (efbfbd) {replaced}×: bytes were read as UTF-8 text on its way, and those that are not are lost.{was}"
        ));
    }
    let text = data.trim_ascii();
    if text.len() < LONG {
        return None;
    }
    if HEXLOWER_PERMISSIVE.decode(text).is_ok() {
        return Some("It is hexadecimal digits: bytes were put as text.".into());
    }
    let bytes = BASE64.decode(text).ok()?;
    let what = if bytes.starts_with(&MAGIC) {
        ", of an aggregated record"
    } else {
        ""
    };
    Some(format!(
        "It is base64 itself{what}: it was encoded twice, since the service encodes data once more."
    ))
}

/// Says of a user record that it was unpacked before, and then what its bytes seem to be.
pub(super) fn with_unpacked(sub_sequence_number: u64, cause: Option<String>) -> String {
    let unpacked = format!("It is user record {sub_sequence_number} of an aggregated record, and was unpacked before.");
    match cause {
        Some(cause) => format!("{unpacked} {cause}"),
        None => unpacked,
    }
}

/// The magic f3899ac2 is two or more characters that are not UTF-8, and a key table follows it.
fn is_mangled_aggregate(data: &[u8]) -> bool {
    let mut rest = data;
    let mut count = 0;
    while let Some(after) = rest.strip_prefix(&REPLACEMENT) {
        rest = after;
        count += 1;
    }
    (2..=4).contains(&count) && rest.starts_with(b"\n")
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn causes_are_named() {
        let aggregate = [&MAGIC[..], b"\n\x01a\x1a\x20", &[0xFF; 30]].concat();
        for (data, expected) in [
            (
                String::from_utf8_lossy(&aggregate).as_bytes(),
                Some("was an aggregated record"),
            ),
            (
                BASE64.encode(&aggregate).as_bytes(),
                Some("base64 itself, of an aggregated record"),
            ),
            (
                BASE64.encode(b"a text that is long enough").as_bytes(),
                Some("base64 itself:"),
            ),
            (HEXLOWER.encode(&aggregate).as_bytes(), Some("hexadecimal digits")),
            (b"\x1f\x8b\x08\0", Some("starts like gzip")),
            (b"x^2 + 1", None),
            (b"caf\xEF\xBF\xBD", Some("efbfbd) 1×")),
            (b"test", None),
            (b"1795580728", None),
            (b"{\"a\":1}", None),
            (b"", None),
        ] {
            let cause = of(data);
            match expected {
                Some(expected) => assert!(
                    cause.as_ref().is_some_and(|cause| cause.contains(expected)),
                    "{cause:?}"
                ),
                None => assert_eq!(cause, None),
            }
        }
    }
}
