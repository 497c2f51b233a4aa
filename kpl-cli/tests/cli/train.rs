//! `kpl train`.

use std::fs;
use std::sync::OnceLock;

use data_encoding::BASE64;
use kpl_core::codec::{CompressionOptions, Decode as _, DefaultCompression, Encode as _, Raw, Zstd, ZstdDictionary};
use kpl_core::{Aggregator, RawRecord};
use serde_json::{Value, json};

use crate::support::{Directory, json_lines, kpl, record};

/// A click, with numbers in it that do not repeat.
fn click(number: u64) -> String {
    let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    json!({
        "id": format!("{mixed:016x}"),
        "url": (["/basket", "/pay", "/thanks"][mixed as usize % 3]),
        "referrer": "https://example.com/articles",
        "agent": "Mozilla/5.0 (X11; Linux x86_64)",
        "ms": mixed >> 50,
    })
    .to_string()
}

fn clicks(count: u64) -> Vec<Value> {
    (0..count)
        .map(|number| record(click(number).as_bytes(), &number.to_string()))
        .collect()
}

/// Trains with this input, and returns the dictionary and what was written.
fn train(directory: &Directory, name: &str, more: &[&str], input: &str) -> (Vec<u8>, String) {
    let file = directory.path().join(name);
    let arguments = [&["train", "--output", file.to_str().unwrap()], more].concat();
    let run = kpl(&arguments, input);
    assert_eq!(run.code, 0, "{run:?}");
    (fs::read(file).unwrap(), run.stdout + &run.stderr)
}

static TRAINED: OnceLock<[&'static ZstdDictionary; 1]> = OnceLock::new();

struct Trained;

impl CompressionOptions for Trained {
    const THRESHOLD: usize = 0;

    fn dictionaries() -> &'static [&'static ZstdDictionary] {
        TRAINED.get().expect("it is trained before")
    }
}

struct Untrained;

impl CompressionOptions for Untrained {
    const THRESHOLD: usize = 0;
}

#[test]
fn the_codec_writes_and_reads_with_a_trained_dictionary() {
    let directory = Directory::new();
    let (bytes, report) = train(
        &directory,
        "clicks-1.dictionary",
        &["--size", "2048"],
        &json_lines(&clicks(600)),
    );
    assert!(bytes.len() <= 2048, "{}", bytes.len());
    let dictionary: &'static ZstdDictionary = Box::leak(Box::new(ZstdDictionary::new(bytes.leak())));
    let id = dictionary.id().unwrap();
    assert!(TRAINED.set([dictionary]).is_ok());
    assert!(
        report.contains(&format!("clicks-1.dictionary: 2,048 bytes, id {id}\n")),
        "{report}"
    );
    assert!(
        report.contains("trained with 480 user records, 120 held out:\n"),
        "{report}"
    );

    // What the report says of the user records that were held out.
    let (mut plain, mut without, mut with) = (0, 0, 0);
    let (mut written, mut last) = (Vec::new(), String::new());
    for number in (0..600).filter(|number| number % 5 == 4) {
        last = click(number);
        plain += last.len();
        written.clear();
        Zstd::<Raw, Untrained>::encode(last.as_bytes(), &mut written).unwrap();
        without += written.len();
        written.clear();
        Zstd::<Raw, Trained>::encode(last.as_bytes(), &mut written).unwrap();
        with += written.len();
        let read: &[u8] = &<Zstd<Raw, Trained>>::decode(&written)
            .map(|read: Vec<u8>| read)
            .unwrap();
        assert_eq!(read, last.as_bytes());
    }
    assert!(with * 2 < without && without < plain, "{with} {without} {plain}");
    let column = |name: &str| {
        let row = report.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let bytes = row.split_whitespace().next().unwrap();
        bytes.replace(',', "").parse::<usize>().unwrap()
    };
    assert_eq!(
        ["as they are ", "zstd  ", "zstd, this dictionary "].map(column),
        [plain, without, with]
    );

    // The command reads it as well.
    let file = directory.path().join("clicks-1.dictionary");
    let arguments = [
        "deaggregate",
        "--decompress",
        "--dictionary",
        file.to_str().unwrap(),
        "--data",
        "text",
    ];
    let lines = kpl(&arguments, json_lines(&[record(&written, "1")])).lines();
    assert_eq!(
        (&lines[0]["Data"], &lines[0]["Compression"]),
        (&json!(last), &json!("zstd"))
    );
    let run = kpl(&["deaggregate", "--decompress"], json_lines(&[record(&written, "1")]));
    assert_eq!(run.lines_despite_problems()[0]["Data"], BASE64.encode(&written));
    let needed = format!("it needs the dictionary with the id {id}: --dictionary names its file");
    assert!(run.stderr.contains(&needed), "{run:?}");
}

/// One aggregated record.
fn aggregate(data: impl Iterator<Item = Vec<u8>>) -> Value {
    let mut aggregator = Aggregator::new();
    for data in data {
        assert!(aggregator.push(&RawRecord::new("outer", data)).unwrap().is_none());
    }
    record(&aggregator.finish().unwrap().data, "1")
}

#[test]
fn what_is_aggregated_or_compressed_is_trained_with_as_it_was() {
    let directory = Directory::new();
    let size = ["--size", "1024"];
    let plain = train(&directory, "plain", &size, &json_lines(&clicks(200)));
    let aggregated = aggregate((0..200).map(|number| click(number).into_bytes()));
    let aggregated = train(&directory, "aggregated", &size, &json_lines(&[aggregated]));
    assert_eq!(plain.0, aggregated.0);
    let rows = |report: &str| report.split_once('\n').map(|(_, rest)| rest.to_owned());
    assert_eq!(rows(&plain.1), rows(&aggregated.1));
    let compressed = aggregate((0..200).map(|number| zstd::encode_all(click(number).as_bytes(), 3).unwrap()));
    let (compressed, told) = train(&directory, "compressed", &size, &json_lines(&[compressed]));
    assert_eq!(plain.0, compressed);
    assert!(
        told.contains("kpl: 200 user records were compressed; their data is trained with as it was before\n"),
        "{told}"
    );
}

#[test]
fn no_more_is_read_than_asked_for() {
    let directory = Directory::new();
    let whole = json_lines(&clicks(400));
    let (start, _) = train(&directory, "start", &["--size", "1024"], &json_lines(&clicks(150)));
    let count = ["--size", "1024", "--count", "150"];
    let (counted, told) = train(&directory, "count", &count, &whole);
    assert_eq!(start, counted);
    let ended = "kpl: the reading ended after 150 user records";
    assert!(told.contains(&format!("{ended}, the limit of --count\n")), "{told}");
    // The limit ends the reading when it is reached: what follows is not looked at.
    let damaged = json_lines(&clicks(150)) + "{\n";
    assert_eq!(start, train(&directory, "damaged", &count, &damaged).0);
    let bytes: usize = (0..150).map(|number| click(number).len() + "outer".len()).sum();
    let max = bytes.to_string();
    let max = ["--size", "1024", "--max-bytes", &max];
    let (counted, told) = train(&directory, "bytes", &max, &whole);
    assert_eq!(start, counted);
    let limit = format!(
        "{ended}: with the next one there would be more than {},{:03} bytes, the limit of --max-bytes\n",
        bytes / 1000,
        bytes % 1000
    );
    assert!(told.contains(&limit), "{told}");
}

#[test]
fn a_large_record_does_not_end_the_reading() {
    let directory = Directory::new();
    let large: Vec<u8> = (0..3_000).flat_map(|number| click(number).into_bytes()).collect();
    assert!(large.len() > 300_000);
    let rest = clicks(200);
    let limits = ["--size", "1024", "--max-bytes", "200000"];
    // Plain, it takes the room of 128 KiB.
    let plain = [&[record(&large, "1")], &rest[..]].concat();
    let (_, told) = train(&directory, "plain", &limits, &json_lines(&plain));
    assert!(
        told.contains("kpl: 1 user record is longer than 131,072 bytes; only the start of it is used and counted\n"),
        "{told}"
    );
    assert!(told.contains("trained with 161 user records, 40 held out:\n"), "{told}");
    // Compressed, it must fit into what is left of the limit as a whole.
    let compressed = zstd::encode_all(&large[..], 3).unwrap();
    let input = json_lines(&[&[record(&compressed, "1")], &rest[..]].concat());
    let file = directory.path().join("compressed");
    let run = kpl(
        &[&["train", "-o", file.to_str().unwrap()], &limits[..]].concat(),
        &input,
    );
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stderr
            .contains(": decompressed by zstd it is longer than 200000 bytes, which is what is left of --max-bytes\n"),
        "{run:?}"
    );
    assert!(
        run.stdout.contains("trained with 160 user records, 40 held out:\n"),
        "{run:?}"
    );
}

#[test]
fn data_below_the_threshold_of_the_codec_is_named() {
    let directory = Directory::new();
    let data = |number| match number % 2 {
        0 => click(number),
        _ => click(number)[..100].to_owned(),
    };
    let records: Vec<_> = (0..200).map(|number| record(data(number).as_bytes(), "1")).collect();
    let (_, told) = train(&directory, "short", &["--size", "1024"], &json_lines(&records));
    let short = (0..200)
        .filter(|number| number % 5 == 4 && data(*number).len() < DefaultCompression::THRESHOLD)
        .count();
    assert_eq!(short, 20);
    assert!(
        told.contains("\nshorter than 128 bytes: 20 of 40 held-out user records. "),
        "{told}"
    );
    assert!(told.contains("sets CompressionOptions::THRESHOLD lower.\n"), "{told}");
    let (_, told) = train(&directory, "long", &["--size", "1024"], &json_lines(&clicks(200)));
    assert!(!told.contains("THRESHOLD"), "{told}");
}

#[test]
fn at_most_one_dictionary_without_an_id_is_taken() {
    let directory = Directory::new();
    let text = click(7);
    let raw = directory.file("raw", click(8));
    let other = directory.file("other", click(9));
    train(&directory, "trained", &["--size", "1024"], &json_lines(&clicks(200)));
    let trained = directory.path().join("trained");
    let trained = trained.to_str().unwrap();
    let mut compressor = zstd::bulk::Compressor::with_dictionary(3, click(8).as_bytes()).unwrap();
    let data = json_lines(&[record(&compressor.compress(text.as_bytes()).unwrap(), "1")]);
    let read = |dictionaries: &[&str]| {
        let options = dictionaries.iter().flat_map(|file| ["--dictionary", *file]);
        let arguments: Vec<_> = ["deaggregate", "--decompress", "--data", "text"]
            .into_iter()
            .chain(options)
            .collect();
        kpl(&arguments, &data)
    };
    for dictionaries in [&[raw.as_str()][..], &[trained, &raw], &[&raw, trained]] {
        assert_eq!(read(dictionaries).lines()[0]["Data"], text, "{dictionaries:?}");
    }
    let run = read(&[&raw, trained, &other]);
    assert_eq!(run.code, 2, "{run:?}");
    let problem = format!(
        "these dictionaries do not have an id, so data cannot name the one that it needs: {raw}, {other}; give one of them"
    );
    assert!(run.stderr.contains(&problem), "{run:?}");
    // A dictionary is of use only to what decompresses.
    let run = kpl(&["deaggregate", "--dictionary", &raw], "");
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("--decompress"), "{run:?}");
}

#[test]
fn a_file_is_replaced_only_by_force() {
    let directory = Directory::new();
    let file = directory.file("dictionary", "mine");
    let input = json_lines(&clicks(100));
    let run = kpl(&["train", "-o", &file, "--size", "512"], &input);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr
            .contains("dictionary: would be replaced; --force replaces it"),
        "{run:?}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    let run = kpl(&["train", "-o", &file, "--size", "512", "--force"], &input);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(fs::read(&file).unwrap().len() <= 512);
    // Nothing else is left in the directory.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_file_stays_if_its_replacement_cannot_be_made() {
    let directory = Directory::new();
    let file = directory.file("dictionary", "mine");
    let run = kpl(&["train", "-o", &file, "--force"], json_lines(&clicks(99)));
    assert_eq!(run.code, 2, "{run:?}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_link_stays_and_its_file_is_replaced_with_its_permissions() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let directory = Directory::new();
    let file = directory.file("dictionary", "mine");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let link = directory.path().join("link");
    symlink(&file, &link).unwrap();
    let input = json_lines(&clicks(100));
    let run = kpl(
        &["train", "-o", link.to_str().unwrap(), "--size", "512", "--force"],
        &input,
    );
    assert_eq!(run.code, 0, "{run:?}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_ne!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn the_directory_is_looked_for_before_anything_is_read() {
    let directory = Directory::new();
    let missing = directory.path().join("missing");
    let file = missing.join("dictionary");
    // What is read would be an error of its own.
    let run = kpl(&["train", "--strict", "-o", file.to_str().unwrap()], "{\n");
    assert_eq!(run.code, 2, "{run:?}");
    let problem = format!("kpl: {}: {} is not a directory\n", file.display(), missing.display());
    assert_eq!(run.stderr, problem);
    let run = kpl(&["train", "-o", directory.path().to_str().unwrap(), "--force"], "");
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.ends_with(": this is a directory\n"), "{run:?}");
}

#[test]
fn too_few_user_records_are_an_error() {
    let directory = Directory::new();
    let file = directory.path().join("dictionary");
    let arguments = ["train", "--output", file.to_str().unwrap()];
    let problem = "kpl: there are 99 user records: a dictionary needs 100, and some thousands make a good one\n";
    let few = json_lines(&clicks(99));
    let run = kpl(&arguments, &few);
    assert_eq!((run.code, run.stderr.as_str(), run.stdout.as_str()), (2, problem, ""));
    // Those that are missing may be in what cannot be read.
    let run = kpl(&arguments, few + "{\n");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.ends_with(problem), "{run:?}");
    assert!(!file.exists());
}

#[test]
fn a_dictionary_that_does_not_help_says_so() {
    let directory = Directory::new();
    let mut state = 7_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let noise: Vec<_> = (0..300)
        .map(|_| record(&(0..200).map(|_| byte()).collect::<Vec<u8>>(), "1"))
        .collect();
    let (_, told) = train(&directory, "noise", &["--size", "1024"], &json_lines(&noise));
    assert!(told.contains("kpl: the dictionary hardly helps: "), "{told}");
}

#[cfg(feature = "stream")]
#[test]
fn a_stream_trains_as_its_records_do() {
    let directory = Directory::new();
    let server = crate::stream::Server::start(1);
    let input = json_lines(&clicks(200));
    assert_eq!(server.kpl(&["put", "clicks"], &input).code, 0);
    let file = directory.path().join("stream");
    let run = server.kpl(
        &[
            "train",
            "--stream",
            "clicks",
            "--size",
            "1024",
            "-o",
            file.to_str().unwrap(),
        ],
        "",
    );
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.stdout.contains("trained with 160 user records, 40 held out:\n"),
        "{run:?}"
    );
    // The records come in any order, so that their dictionaries are as good as each other, but not the same.
    let of_stream = fs::read(file).unwrap();
    let (of_records, _) = train(&directory, "records", &["--size", "1024"], &input);
    for dictionary in [of_stream, of_records] {
        assert!(dictionary.len() <= 1024);
        let mut compressor = zstd::bulk::Compressor::with_dictionary(3, &dictionary).unwrap();
        let (mut plain, mut compressed) = (0, 0);
        for click in (0..200).map(click) {
            plain += click.len();
            compressed += compressor.compress(click.as_bytes()).unwrap().len();
        }
        assert!(compressed * 2 < plain, "{compressed} {plain}");
    }
    // Files, or a stream.
    let run = kpl(&["train", "--stream", "clicks", "a", "-o", "b"], "");
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("cannot be used with"), "{run:?}");
}
