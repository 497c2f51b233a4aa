//! Partition keys in many scripts, written, read and hashed.

use kpl_conformance::{Group, Vector};
use kpl_testkit::bytes::{aggregate_of, key, md5, record};
use serde_json::json;

use crate::make::{any, group, inner, read_one, records, user, with, write, written};

const TEXT: &str = "A partition key is any Unicode text, and is written as its UTF-8 bytes, without normalisation or a change of case.";
const LENGTH: &str = "A partition key has 1 to 256 Unicode characters, however many bytes they take: 256 characters of four bytes are \
                      valid, and 257 characters of any length are not.";
const HASH: &str = "The effective hash key of a user record is its explicit hash key if it has one. Otherwise it is the MD5 of its \
                    partition key in UTF-8, read as an unsigned 128-bit big-endian integer.";
const READ: &str = "The partition key of a user record is the entry of the partition-key table at its index.";

const SCRIPTS: [(&str, &str); 34] = [
    ("latin", "Zürich–Ærøskøbing"),
    ("vietnamese", "Nguyễn Thị Ánh"),
    ("greek", "Ελληνικά"),
    ("cyrillic", "Ключ раздела"),
    ("armenian", "բանալի"),
    ("georgian", "გასაღები"),
    ("arabic", "مفتاح"),
    ("arabic-digits", "١٢٣"),
    ("hebrew", "מפתח"),
    ("hebrew-with-points", "מַפְתֵּחַ"),
    ("devanagari", "कुंजी"),
    ("bengali", "চাবি"),
    ("tamil", "சாவி"),
    ("thai", "กุญแจ"),
    ("khmer", "កូនសោ"),
    ("amharic", "ቁልፍ"),
    ("chinese", "分区键"),
    ("japanese", "パーティションキー"),
    ("hangul", "열쇠"),
    ("hangul-decomposed", "\u{110B}\u{1167}\u{11AF}"),
    ("beyond-the-first-plane", "𠮷野家"),
    ("emoji", "🦀🎉"),
    ("emoji-of-many-characters", "👩🏽‍🚀"),
    ("flag", "🇨🇭"),
    ("composed", "\u{E9}"),
    ("decomposed", "e\u{301}"),
    ("ligature", "\u{FB01}"),
    ("upper-case", "STRASSE"),
    ("right-to-left-mark", "a\u{200F}b"),
    ("no-break-and-zero-width-space", "a\u{A0}b\u{200B}c"),
    ("byte-order-mark", "\u{FEFF}a"),
    ("control-characters", "\0\t\r\n\u{7F}"),
    ("quotes-and-backslash", "\"\\'`"),
    ("last-character", "\u{10FFFF}"),
];

pub(crate) fn keys() -> Group {
    let mut vectors: Vec<Vector> = Vec::new();
    for (name, text) in SCRIPTS {
        let bytes = aggregate_of(&[key(text), key("a"), record(0, "1"), record(1, "2"), record(0, "3")]);
        vectors.extend([
            any(
                format!("keys/{name}-written"),
                TEXT,
                write(json!([user(text, "1"), user("a", "2"), user(text, "3")])),
                written([bytes.clone()]),
            ),
            any(
                format!("keys/{name}-read"),
                READ,
                read_one(&bytes),
                records(vec![
                    inner(1, 0, text, None, "1"),
                    inner(1, 1, "a", None, "2"),
                    inner(1, 2, text, None, "3"),
                ]),
            ),
            any(
                format!("keys/{name}-hashed"),
                HASH,
                json!({"operation": "hash_key", "partitionKey": text}),
                json!({"hashKey": u128::from_be_bytes(md5(text.as_bytes())).to_string()}),
            ),
        ]);
    }
    // Two texts that look the same are two keys.
    vectors.push(any(
        "keys/not-normalised",
        TEXT,
        write(json!([user("\u{E9}", "1"), user("e\u{301}", "2"), user("É", "3")])),
        written([aggregate_of(&[
            key("\u{E9}"),
            key("e\u{301}"),
            key("É"),
            record(0, "1"),
            record(1, "2"),
            record(2, "3"),
        ])]),
    ));
    for (name, character) in [
        ("1-byte", "a"),
        ("2-byte", "é"),
        ("3-byte", "語"),
        ("4-byte", "\u{1F980}"),
        ("combining", "\u{301}"),
    ] {
        let long = character.repeat(256);
        let whole = aggregate_of(&[key(&long), record(0, "1"), record(0, "2")]);
        vectors.extend([
            any(
                format!("keys/256-characters-of-{name}-written"),
                LENGTH,
                write(json!([user(&long, "1"), user(&long, "2")])),
                written([whole.clone()]),
            ),
            any(
                format!("keys/256-characters-of-{name}-read"),
                LENGTH,
                read_one(&whole),
                records(vec![inner(1, 0, &long, None, "1"), inner(1, 1, &long, None, "2")]),
            ),
            any(
                format!("keys/257-characters-of-{name}"),
                LENGTH,
                write(json!([
                    user("a", "1"),
                    user(&character.repeat(257), "refused"),
                    user("a", "2")
                ])),
                with(
                    written([aggregate_of(&[key("a"), record(0, "1"), record(0, "2")])]),
                    "errors",
                    1.into(),
                ),
            ),
        ]);
    }
    vectors.push(any(
        "keys/empty",
        LENGTH,
        write(json!([user("a", "1"), user("", "refused"), user("a", "2")])),
        with(
            written([aggregate_of(&[key("a"), record(0, "1"), record(0, "2")])]),
            "errors",
            1.into(),
        ),
    ));
    group(
        "keys",
        "Partition keys of many scripts, of characters of one to four bytes, and of the least and the most characters.",
        vectors,
    )
}
