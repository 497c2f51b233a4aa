//! `--decompress`.

use std::io::Write as _;

use data_encoding::BASE64;
use flate2::write::{GzEncoder, ZlibEncoder};
use kpl_core::codec::{CompressionOptions, Encode as _, Lz4, Raw, Zstd, ZstdDictionary};
use kpl_core::{Aggregator, RawRecord};
use serde_json::{Value, json};

use crate::support::{Directory, json_lines, kpl, record};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One aggregated record with this data.
fn aggregate<const N: usize>(data: [&[u8]; N]) -> Vec<u8> {
    let mut aggregator = Aggregator::new();
    for data in data {
        assert!(aggregator.push(&RawRecord::new("k", data)).unwrap().is_none());
    }
    aggregator.finish().unwrap().data
}

/// What CloudWatch Logs sends to a stream that subscribes to a log group.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>
fn subscription() -> Value {
    json!({
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": "CloudTrail/logs",
        "logStream": "123456789012_CloudTrail_us-east-1",
        "subscriptionFilters": ["Destination"],
        "logEvents": [
            { "id": "31953106606966983378809025079804211143289615424298221568", "timestamp": 1432826855000_u64, "message": "{\"eventVersion\":\"1.03\"}" },
        ],
    })
}

#[test]
fn cloudwatch_logs_come_out_as_json() {
    let input = json_lines(&[record(&gzip(subscription().to_string().as_bytes()), "1")]);
    let lines = kpl(&["deaggregate", "--decompress", "--data", "json"], &input).lines();
    assert_eq!(lines[0]["Data"], subscription());
    assert_eq!(lines[0]["Compression"], "gzip");
    // Without the option nothing changes.
    let lines = kpl(&["deaggregate", "--data", "json"], &input).lines();
    assert_eq!(
        lines[0]["Data"],
        BASE64.encode(&gzip(subscription().to_string().as_bytes()))
    );
    assert_eq!(lines[0].get("Compression"), None);
}

#[test]
fn each_user_record_is_what_it_was() {
    let zstd = zstd::encode_all(&b"three"[..], 3).unwrap();
    let data = aggregate([&gzip(b"one"), &zlib(b"two"), &zstd, b"four"]);
    let input = json_lines(&[record(&data, "1")]);
    let lines = kpl(&["deaggregate", "--decompress", "--data", "text"], &input).lines();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line["Data"].as_str().unwrap(), line["Compression"].as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("one", Some("gzip")),
            ("two", Some("zlib")),
            ("three", Some("zstd")),
            ("four", None)
        ]
    );

    let report: Value =
        serde_json::from_str(&kpl(&["inspect", "--decompress", "--output", "json"], &input).stdout).unwrap();
    assert_eq!(report["UserRecords"][2]["Data"], BASE64.encode(b"three"));
    assert_eq!(report["UserRecords"][2]["Compression"], "zstd");
    let drawing = kpl(&["inspect", "--decompress"], &input).stdout;
    assert!(drawing.contains("decompressed by zlib: 3 bytes"), "{drawing}");

    let report: Value =
        serde_json::from_str(&kpl(&["stats", "--decompress", "--output", "json"], &input).stdout).unwrap();
    let bytes = gzip(b"one").len() + zlib(b"two").len() + zstd.len();
    assert_eq!(
        report["Compressed"],
        json!({ "UserRecords": 3, "Bytes": bytes, "DecompressedBytes": 11 })
    );
    let table = kpl(&["stats", "--decompress"], &input).stdout;
    assert!(table.contains("compressed data: 3 user records, 75.0 %"), "{table}");
}

#[test]
fn a_plain_record_is_drawn_decompressed() {
    let input = json_lines(&[record(&gzip(b"{\"a\":1}"), "1")]);
    let drawing = kpl(&["inspect", "--decompress"], &input).stdout;
    assert!(drawing.contains("decompressed by  gzip\n"), "{drawing}");
    assert!(drawing.contains("\n{\"a\":1}\n"), "{drawing}");
}

#[test]
fn what_cannot_be_decompressed_stays_and_is_told() {
    let bomb = gzip(&vec![0; 10 << 20]);
    let mut damaged = gzip(b"one");
    damaged[14] ^= 0xFF;
    let data = aggregate([&bomb, &damaged, &gzip(b"two")]);
    let input = json_lines(&[record(&data, "7")]);
    let limit = ["--decompress", "--max-decompressed", "1048576"];
    let place = "kpl: standard input:1: record 1 (sequence number 7), user record";
    let told = [
        format!(
            "{place} 0: its data stays as it is: decompressed by gzip it is longer than 1048576 bytes, the limit of \
             --max-decompressed"
        ),
        format!("{place} 1: its data stays as it is: it starts like gzip, but cannot be decompressed: "),
    ];
    for command in ["deaggregate", "inspect", "stats"] {
        let run = kpl(&[&[command], &limit[..]].concat(), &input);
        assert_eq!(run.code, 0, "{run:?}");
        let problems: Vec<_> = run.stderr.lines().collect();
        assert_eq!((problems.len(), problems[0]), (2, told[0].as_str()), "{command}");
        assert!(problems[1].starts_with(&told[1]), "{}", problems[1]);
        if command == "deaggregate" {
            let lines = run.lines_despite_problems();
            let data: Vec<_> = lines.iter().map(|line| line["Data"].as_str().unwrap()).collect();
            assert_eq!(
                data,
                [BASE64.encode(&bomb), BASE64.encode(&damaged), BASE64.encode(b"two")]
            );
            assert_eq!(lines[0].get("Compression"), None);
        }
        let strict = kpl(&[&[command, "--strict"], &limit[..]].concat(), &input);
        assert_eq!((strict.code, strict.stderr.lines().count()), (1, 1), "{command}");
    }
}

#[test]
fn a_limit_needs_the_option() {
    let run = kpl(&["deaggregate", "--max-decompressed", "1"], "");
    assert_eq!(run.code, 2);
}

/// What clicks have in common. zstd takes any bytes for a dictionary; these do not have an id.
const CLICKS: &[u8] =
    b"{\"user\":\"anna\",\"url\":\"/basket\",\"referrer\":\"https://example.com/\",\"agent\":\"Mozilla/5.0\"}";

struct Clicks;

impl CompressionOptions for Clicks {
    const THRESHOLD: usize = 0;

    fn dictionaries() -> &'static [&'static ZstdDictionary] {
        static DICTIONARY: ZstdDictionary = ZstdDictionary::new(CLICKS);
        static DICTIONARIES: [&ZstdDictionary; 1] = [&DICTIONARY];
        &DICTIONARIES
    }
}

#[test]
fn what_the_codecs_write_is_read() {
    let click = str::from_utf8(CLICKS).unwrap().replace("anna", "carla");
    let (mut lz4, mut zstd) = (Vec::new(), Vec::new());
    Lz4::<Raw, Clicks>::encode(click.repeat(9).as_bytes(), &mut lz4).unwrap();
    Zstd::<Raw, Clicks>::encode(click.as_bytes(), &mut zstd).unwrap();
    assert!(zstd.len() < 30, "{}", zstd.len());
    let input = json_lines(&[record(&aggregate([&lz4, &zstd]), "1")]);
    let directory = Directory::new();
    let dictionary = directory.file("clicks.dictionary", CLICKS);
    let arguments = [
        "deaggregate",
        "--decompress",
        "--dictionary",
        &dictionary,
        "--data",
        "text",
    ];
    let lines = kpl(&arguments, &input).lines();
    assert_eq!(
        (&lines[0]["Data"], &lines[0]["Compression"]),
        (&json!(click.repeat(9)), &json!("lz4"))
    );
    assert_eq!(
        (&lines[1]["Data"], &lines[1]["Compression"]),
        (&json!(click), &json!("zstd"))
    );
    // Without the dictionary that it needs, it stays as it is.
    let run = kpl(&["deaggregate", "--decompress", "--data", "text"], &input);
    assert_eq!(run.lines_despite_problems()[1]["Data"], BASE64.encode(&zstd));
    assert!(
        run.stderr.contains("user record 1: its data stays as it is: "),
        "{run:?}"
    );
}

#[test]
fn a_dictionary_is_a_file_with_bytes() {
    let directory = Directory::new();
    let empty = directory.file("empty", "");
    let missing = directory.path().join("missing");
    for (file, problem) in [
        (empty.as_str(), "this is empty"),
        (missing.to_str().unwrap(), "No such file"),
    ] {
        let run = kpl(&["deaggregate", "--decompress", "--dictionary", file], "");
        assert!(run.code == 2 && run.stderr.contains(problem), "{run:?}");
    }
}
