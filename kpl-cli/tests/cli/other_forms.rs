//! Data in the forms of other programs, and compressed input.

use std::io::Write as _;
use std::process::Command;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use flate2::write::GzEncoder;
use kpl_testkit::golden::Golden;
use serde_json::{Value, json};

use crate::support::{Directory, command, golden_lines, kpl, kpl_golden, run};

/// What programs write in the place of base64.
fn forms(bytes: &[u8]) -> Vec<Value> {
    let base64 = BASE64.encode(bytes);
    let indexed = bytes
        .iter()
        .enumerate()
        .map(|(index, byte)| (index.to_string(), json!(byte)));
    vec![
        json!({ "type": "Buffer", "data": bytes }),
        json!(bytes),
        json!(bytes.iter().map(|&byte| byte as i8).collect::<Vec<_>>()),
        json!(format!("\"{base64}\"")),
        json!(BASE64.encode(base64.as_bytes())),
        json!(BASE64_NOPAD.encode(bytes)),
        json!(BASE64URL_NOPAD.encode(bytes)),
        json!(HEXLOWER.encode(bytes)),
        // `JSON.stringify` keeps the order, a map of `json!` does not.
        Value::String(format!(
            "{{{}}}",
            indexed
                .map(|(key, value)| format!("\"{key}\":{value}"))
                .collect::<Vec<_>>()
                .join(",")
        )),
    ]
}

#[test]
fn an_aggregate_in_every_form_is_read() {
    for golden in Golden::all() {
        let bytes = BASE64.decode(golden.base64().as_bytes()).unwrap();
        let expected = golden_lines(&golden, Some("1"), &Value::Null);
        for form in forms(&bytes) {
            let form = match form.as_str() {
                Some(object) if object.starts_with('{') => object.to_owned(),
                _ => form.to_string(),
            };
            let input = format!("{{\"SequenceNumber\":\"1\",\"Data\":{form}}}");
            assert_eq!(kpl(&["deaggregate"], &input).lines(), expected, "{form}");
        }
        // `--query 'Records[0].Data'`, `--query 'Records[].Data'`, and a Buffer on its own.
        let expected = golden_lines(&golden, None, &Value::Null);
        for document in [
            json!(golden.base64()),
            json!([golden.base64()]),
            json!({ "type": "Buffer", "data": bytes }),
        ] {
            assert_eq!(
                kpl(&["deaggregate"], document.to_string()).lines(),
                expected,
                "{document}"
            );
        }
    }
}

#[test]
fn what_is_not_bytes_says_what_it_looks_like() {
    for (data, expected) in [
        (
            json!("<Buffer f3 89 ... 9 more bytes>"),
            "; it looks like a Buffer as Node prints it, without all of its bytes: JSON.stringify writes them",
        ),
        (json!("84mawgoEY"), "; it looks like base64 that is cut off"),
        (json!("add-to-basket"), "; it looks like text"),
    ] {
        let run = kpl(&["deaggregate"], json!({ "Data": data }).to_string());
        assert_eq!((run.code, run.stdout.as_str()), (1, ""));
        assert!(run.stderr.trim_end().ends_with(expected), "{}", run.stderr);
    }
    for data in [
        json!([1, 256]),
        json!([1, "a"]),
        json!({ "type": "Buffer", "data": "AA" }),
    ] {
        let run = kpl(&["deaggregate"], json!({ "Data": data }).to_string());
        assert!(run.stderr.contains("not a base64 string"), "{}", run.stderr);
    }
}

/// Arrays that `--data json` wrote are never taken for bytes.
#[test]
fn json_that_looks_like_bytes_stays_json() {
    for payload in ["[1,2]", r#"{"type":"Buffer","data":[1,2]}"#, r#"{"0":1}"#] {
        let input = json!({ "PartitionKey": "k", "Data": BASE64.encode(payload.as_bytes()) }).to_string();
        let unpacked = kpl(&["deaggregate", "--data", "json"], &input);
        assert_eq!(unpacked.lines()[0]["DataEncoding"], "json");
        let packed = kpl(&["aggregate"], &unpacked.stdout).lines();
        assert_eq!(packed[0]["Data"], BASE64.encode(payload.as_bytes()));
        let again = kpl(&["deaggregate"], &unpacked.stdout).lines();
        assert_eq!(again[0]["Data"], BASE64.encode(payload.as_bytes()));
    }
}

#[test]
fn lines_to_pack_may_have_other_forms() {
    let bytes = b"\xF3\x89 some bytes\xFF";
    for (form, is_read) in [
        (json!({ "type": "Buffer", "data": bytes }), true),
        (json!(format!("\"{}\"", BASE64.encode(bytes))), true),
        (json!(BASE64_NOPAD.encode(bytes)), true),
        (json!(BASE64URL_NOPAD.encode(bytes)), true),
        (json!(bytes), false),
    ] {
        let run = kpl(&["aggregate"], json!({ "PartitionKey": "k", "Data": form }).to_string());
        let data = &run.lines_despite_problems()[0]["Data"];
        let expected = if is_read {
            bytes.to_vec()
        } else {
            form.to_string().into_bytes()
        };
        assert_eq!(*data, json!(BASE64.encode(&expected)), "{form}");
        assert_eq!((run.code, run.stderr.is_empty()), (0, is_read), "{}", run.stderr);
    }
    for (data, expected) in [
        (
            HEXLOWER.encode(&[0xA1; 16]),
            "looks like hexadecimal digits, but is read as base64 of 24 bytes",
        ),
        (
            BASE64.encode(BASE64.encode(&[0xAB; 30]).as_bytes()),
            "looks like base64 that was encoded twice, but is decoded once",
        ),
    ] {
        let run = kpl(&["aggregate"], json!({ "PartitionKey": "k", "Data": data }).to_string());
        assert_eq!((run.code, run.stderr.lines().count()), (0, 1));
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    let run = kpl(&["aggregate"], r#"{"PartitionKey":"k","Data":"hello world"}"#);
    assert!(
        run.stderr.contains("; it looks like text: --data text reads it: {"),
        "{}",
        run.stderr
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_input_is_read_as_what_it_is() {
    let golden = kpl_golden();
    let input = json!({ "SequenceNumber": "1", "Data": golden.base64() }).to_string();
    let directory = Directory::new();
    for compressed in [gzip(input.as_bytes()), zstd::encode_all(input.as_bytes(), 3).unwrap()] {
        // By its content, on standard input and in a file of any name.
        let file = directory.file("records.json", &compressed);
        for run in [kpl(&["deaggregate"], &compressed), kpl(&["deaggregate", &file], "")] {
            assert_eq!(run.lines(), golden_lines(&golden, Some("1"), &Value::Null));
        }
        assert_eq!(kpl(&["inspect"], &compressed).stdout, kpl(&["inspect"], &input).stdout);
    }
    let line = r#"{"PartitionKey":"k","Data":"AAAA"}"#;
    assert_eq!(
        kpl(&["aggregate"], gzip(line.as_bytes())).stdout,
        kpl(&["aggregate"], line).stdout
    );
    // With --raw a file is what it is.
    let raw = kpl(&["deaggregate", "--raw"], gzip(b"one")).lines();
    assert_eq!(raw[0]["Data"], BASE64.encode(&gzip(b"one")));
}

/// What the program `zstd` writes, if there is one.
#[test]
fn zstd_of_the_program_is_read() {
    let Ok(version) = Command::new("zstd").arg("--version").output() else {
        return;
    };
    assert!(version.status.success());
    let lines: String = (0..20_000)
        .map(|number| format!("{{\"Data\":\"AAAA\",\"SequenceNumber\":\"{number}\"}}\n"))
        .collect();
    let compressed = crate::support::output(Command::new("zstd").args(["-q", "-c", "-19"]), lines.as_bytes());
    let read = run(command().arg("deaggregate"), &compressed);
    assert_eq!(read.lines().len(), 20_000);
}

#[test]
fn inspect_names_causes() {
    let bytes = BASE64.decode(kpl_golden().base64().as_bytes()).unwrap();
    let mangled = String::from_utf8_lossy(&bytes).into_owned();
    for (data, expected) in [
        (gzip(b"one"), "It starts like gzip: --decompress shows"),
        (mangled.into_bytes(), "It was an aggregated record."),
        (
            BASE64.encode(b"some text that is long enough").into_bytes(),
            "It is base64 itself: it was encoded twice",
        ),
    ] {
        let input = json!({ "Data": BASE64.encode(&data) }).to_string();
        let drawing = kpl(&["inspect"], &input).stdout;
        assert!(drawing.contains(expected), "{drawing}");
        let report: Value = serde_json::from_str(&kpl(&["inspect", "--output", "json"], &input).stdout).unwrap();
        assert!(report["Cause"].as_str().unwrap().contains(expected));
    }
    // Digits of hexadecimal and what the AWS CLI prints are read.
    let golden = kpl_golden();
    for text in [HEXLOWER.encode(&bytes), format!("{:?}\n", golden.base64())] {
        assert!(kpl(&["inspect"], text).stdout.starts_with("an aggregated record, "));
    }
}
