//! `kpl stats`: its figures, against what is known of the input.

use std::collections::{BTreeMap, HashMap};

use data_encoding::BASE64;
use kpl_core::{Aggregator, HashKey, RawRecord};
use kpl_testkit::bytes::sealed;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Directory, json_lines, kpl, kpl_golden, list_shards, record};

fn stats_json(arguments: &[&str], input: impl AsRef<[u8]>) -> Value {
    let run = kpl(&[&["stats", "--output", "json"], arguments].concat(), input);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

fn text(arguments: &[&str], input: impl AsRef<[u8]>) -> String {
    let run = kpl(&[&["stats"], arguments].concat(), input);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout
}

/// `kpl aggregate` of user records with these keys and this size.
fn aggregated(arguments: &[&str], count: usize, keys: usize, size: usize) -> String {
    let lines: Vec<_> = (0..count)
        .map(|number| json!({ "PartitionKey": format!("key {}", number % keys), "Data": "x".repeat(size) }))
        .collect();
    let run = kpl(
        &[&["aggregate", "--data", "text"], arguments].concat(),
        json_lines(&lines),
    );
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    run.stdout
}

#[test]
fn every_kind_of_record_is_counted() {
    let golden = kpl_golden().aggregated;
    let unresolved = sealed(b"\x0A\x03abc\x1A\x06\x08\x09\x1A\x02hi\x1A\x06\x08\x00\x1A\x02hi");
    let input = json_lines(&[
        record(&golden, "1"),
        record(b"plain", "2"),
        record(&golden[..600], "3"),
        record(&sealed(b"\x0A\x03abc"), "4"),
        record(&unresolved, "5"),
    ]);
    let json = stats_json(&[], &input);
    assert_eq!(
        json["KinesisRecords"],
        json!({ "Total": 5, "Aggregated": 3, "Plain": 1, "Malformed": 1, "EmptyAggregates": 1 })
    );
    assert_eq!((&json["UserRecords"], &json["WithoutKeys"]), (&json!(12), &json!(1)));
    let per_record = &json["UserRecordsPerKinesisRecord"];
    assert_eq!(
        *per_record,
        json!({ "Count": 5, "Min": 0, "Max": 8, "Sum": 12, "Buckets": [1, 2, 1, 0, 1] })
    );
    assert_eq!(json["DataBytes"]["Sum"], 8 * 32 + 5 + 600 + 2 + 2);
    assert_eq!(json["Keys"]["Different"], 10);
    assert_eq!(
        json["Keys"]["Top"][0],
        json!({ "PartitionKey": "outer", "UserRecords": 2 })
    );
    let drawing = text(&[], &input);
    assert!(
        drawing.starts_with("Kinesis records                       5\n"),
        "{drawing}"
    );
    for line in [
        "  malformed                           1   20.0 %",
        "  without keys                        1    8.3 %",
    ] {
        assert!(drawing.contains(line), "{drawing}");
    }
}

#[test]
fn what_aggregation_saves() {
    // 400 user records of 1,000 bytes of data and 5 or 6 of key.
    let packed = aggregated(&["--max-size", "10000"], 400, 40, 1_000);
    let records = packed.lines().count() as u64;
    let json = stats_json(
        &["--max-size", "10000", "--max-size", "51200", "--max-size", "1048576"],
        &packed,
    );
    assert_eq!(json["CostAlone"]["KinesisRecords"], 400);
    assert_eq!(json["CostAlone"]["PutPayloadUnits"], 400);
    assert_eq!(json["CostAlone"]["Bytes"], 400 * 1_005 + 30 * 10);
    assert_eq!(json["Cost"]["KinesisRecords"], records);
    assert_eq!(json["Cost"]["PutPayloadUnits"], records, "each is below 25 KiB");
    // Packed anew to the same size, it is what it was.
    let sizes: Vec<_> = json["Repacked"]
        .as_array()
        .unwrap()
        .iter()
        .map(|size| size["KinesisRecords"].clone())
        .collect();
    assert_eq!(sizes[0], records);
    let again = aggregated(&["--max-size", "51200"], 400, 40, 1_000);
    assert_eq!(sizes[1], again.lines().count());
    assert_eq!(sizes[2], 1);
    let units: u64 = again
        .lines()
        .map(|line| {
            let entry: Value = serde_json::from_str(line).unwrap();
            let data = data_encoding::BASE64
                .decode(entry["Data"].as_str().unwrap().as_bytes())
                .unwrap();
            ((data.len() + entry["PartitionKey"].as_str().unwrap().len()) as u64).div_ceil(25_600)
        })
        .sum();
    assert_eq!(json["Repacked"][1]["PutPayloadUnits"], units);
    let drawing = text(&[], &packed);
    assert!(drawing.contains("--max-size 102400"), "{drawing}");
    assert!(
        drawing
            .lines()
            .all(|line| line.chars().count() <= 80 && line.trim_end() == line),
        "{drawing}"
    );
}

#[test]
fn records_that_mix_shards_are_warned_of() {
    let directory = Directory::new();
    let shards = directory.file("shards.json", list_shards(4));
    let safe = aggregated(&["--shards", &shards, "--max-size", "2000"], 300, 40, 20);
    let json = stats_json(&["--shards", &shards], &safe);
    assert_eq!(json["Shards"]["Mixed"], 0);
    let by_shard = json["Shards"]["Shards"].as_array().unwrap();
    assert_eq!(
        by_shard
            .iter()
            .map(|shard| shard["UserRecords"].as_u64().unwrap())
            .sum::<u64>(),
        300
    );
    assert!(text(&["--shards", &shards], &safe).ends_with("\nNo aggregated record mixes shards.\n"));

    let mixed = aggregated(&["--max-size", "2000"], 300, 40, 20);
    let json = stats_json(&["--shards", &shards], &mixed);
    assert_eq!(json["Shards"]["Mixed"], mixed.lines().count());
    assert_eq!(
        json["Shards"]["FirstMixed"][0]["Location"],
        "standard input:1: record 1"
    );
    let drawing = text(&["--shards", &shards], format!("{}\n{mixed}", record(b"plain", "1")));
    let (_, warning) = drawing.split_once("warning: ").expect(&drawing);
    assert!(warning.contains(" aggregated records mix shards.\n"), "{warning}");
    assert!(
        warning.contains("\n  standard input:2: record 2: shardId-00000000000"),
        "{warning}"
    );
    // Packed for shards, it never mixes: so there are more records than without.
    let plain = stats_json(&[], &mixed)["Repacked"][0]["KinesisRecords"].clone();
    assert_eq!((plain, &json["Repacked"][0]["KinesisRecords"]), (json!(1), &json!(4)));
}

#[test]
fn too_many_keys_are_counted_within_a_stated_error() {
    let exact = stats_json(&["--limit", "3"], aggregated(&[], 24_000, 16_000, 1));
    assert_eq!(
        (&exact["Keys"]["Different"], &exact["Keys"]["Error"]),
        (&json!(16_000), &json!(0))
    );
    assert_eq!(exact["Keys"]["Top"].as_array().unwrap().len(), 3);
    let input = aggregated(&[], 45_000, 45_000, 1) + &aggregated(&[], 500, 1, 1);
    let json = stats_json(&["--limit", "1"], &input);
    assert_eq!(json["Keys"]["Different"], Value::Null);
    let (top, error) = (&json["Keys"]["Top"][0], json["Keys"]["Error"].as_u64().unwrap());
    assert_eq!(top["PartitionKey"], "key 0");
    let count = top["UserRecords"].as_u64().unwrap();
    assert!(count <= 501 && 501 <= count + error, "{json}");
    let drawing = text(&["--limit", "1"], &input);
    assert!(
        drawing.contains("partition keys: more than 20,000 different\n"),
        "{drawing}"
    );
    assert!(
        drawing.contains(&format!("these counts may be too low by {error}.")),
        "{drawing}"
    );
}

#[test]
fn problems_are_reported_and_counted() {
    let input = format!("{}\nnonsense\n{{}}\n{}", record(b"x", "1"), record(b"y", "2"));
    let run = kpl(&["stats", "--output", "json"], &input);
    assert_eq!(run.code, 1);
    assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&json["Unreadable"], &json["UserRecords"]), (&json!(2), &json!(2)));
    let strict = kpl(&["stats", "--strict"], &input);
    assert_eq!((strict.code, strict.stdout.as_str()), (1, ""));
    let malformed = json_lines(&[record(b"x", "1"), record(b"\xF3\x89\x9A\xC2", "2")]);
    let strict = kpl(&["stats", "--strict"], malformed);
    assert_eq!(strict.code, 1);
    assert_eq!(
        strict.stderr,
        "kpl: standard input:2: record 2 (sequence number 2): \
         it starts with the magic of an aggregate, but it has fewer than 21 bytes\n"
    );
}

#[test]
fn no_records_are_no_division_by_zero() {
    let drawing = text(&[], "");
    assert!(
        drawing.contains("user records                          0\n"),
        "{drawing}"
    );
    assert!(!drawing.contains("NaN"), "{drawing}");
    assert_eq!(stats_json(&[], "")["UserRecordsPerKinesisRecord"]["Count"], 0);
}

/// A Kinesis record: plain if it has one user record that is not wrapped.
#[derive(Clone, Debug)]
struct Sent {
    user_records: Vec<(u8, Option<u128>, u16)>,
    wrapped: bool,
    millis_later: u16,
}

impl Sent {
    fn raw_records(&self) -> Vec<RawRecord> {
        let records = self.user_records.iter();
        let explicit = |hash_key: &Option<u128>| hash_key.filter(|_| self.is_aggregated()).map(HashKey::new);
        records
            .map(|(key, hash_key, len)| {
                let mut record = RawRecord::new(format!("key {key}"), vec![b'x'; usize::from(*len)]);
                record.explicit_hash_key = explicit(hash_key);
                record
            })
            .collect()
    }

    fn is_aggregated(&self) -> bool {
        self.wrapped || self.user_records.len() > 1
    }

    /// Returns the data and the partition key.
    fn sealed(&self) -> (Vec<u8>, String) {
        let records = self.raw_records();
        if !self.is_aggregated() {
            return (records[0].data.clone(), records[0].partition_key.clone().unwrap());
        }
        (seal(&records).data, "a".into())
    }
}

fn seal(records: &[RawRecord]) -> kpl_core::SealedRecord {
    let mut aggregator = Aggregator::<RawRecord>::builder()
        .max_size(1 << 20)
        .wrap_single(true)
        .build()
        .unwrap();
    let mut sealed = aggregator.aggregate(records);
    let one = sealed.next().unwrap().unwrap();
    assert!(sealed.next().is_none());
    one
}

fn sent() -> impl Strategy<Value = Sent> {
    let user_record = (
        0_u8..6,
        proptest::option::weighted(0.2, any::<u128>()),
        prop_oneof![0_u16..100, 0_u16..9_000],
    );
    let user_records = prop_oneof![
        proptest::collection::vec(user_record.clone(), 1..2),
        proptest::collection::vec(user_record, 1..9)
    ];
    (user_records, any::<bool>(), 0_u16..900).prop_map(|(user_records, wrapped, millis_later)| Sent {
        user_records,
        wrapped,
        millis_later,
    })
}

/// Records, bytes and PUT payload units.
type Costs = [u64; 3];

fn add(costs: &mut Costs, bytes: u64) {
    *costs = [costs[0] + 1, costs[1] + bytes, costs[2] + bytes.div_ceil(25_600)];
}

fn costs(json: &Value) -> Costs {
    ["KinesisRecords", "Bytes", "PutPayloadUnits"].map(|name| json[name].as_u64().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn hot_keys_and_shards_are_those_of_an_exact_model(records in proptest::collection::vec(sent(), 1..30), shards in 1_u128..6) {
        let width = match shards {
            1 => u128::MAX,
            shards => u128::MAX / shards + u128::from(u128::MAX % shards == shards - 1),
        };
        let shard_of = |hash_key: u128| (hash_key / width).min(shards - 1) as usize;
        let middle = |shard: usize| {
            let start = shard as u128 * width;
            let end = if shard as u128 == shards - 1 { u128::MAX } else { start + width - 1 };
            start + (end - start) / 2 + 1
        };
        let hash_key = |record: &RawRecord| {
            HashKey::effective(record.partition_key.as_deref().unwrap(), record.explicit_hash_key).value()
        };
        let mut keys: HashMap<String, (u64, u64)> = HashMap::new();
        let mut loads = vec![(Costs::default(), [Costs::default(); 2], BTreeMap::<u64, Costs>::new()); shards as usize];
        let (mut whole, mut millis, mut lines) = (Costs::default(), 1_795_580_728_000, Vec::new());
        for sent in &records {
            millis += u64::from(sent.millis_later);
            let (data, key) = sent.sealed();
            lines.push(json!({ "Data": BASE64.encode(&data), "PartitionKey": key, "ApproximateArrivalTimestamp": millis as f64 / 1e3 }));
            let inside = sent.raw_records();
            for record in &inside {
                let (count, bytes) = keys.entry(record.partition_key.clone().unwrap()).or_default();
                *count += 1;
                *bytes += (record.data.len() + record.partition_key.as_ref().unwrap().len()) as u64;
            }
            let shard = shard_of(hash_key(&inside[0]));
            let (load, halves, seconds) = &mut loads[shard];
            let bytes = (data.len() + key.len()) as u64;
            add(load, bytes);
            add(&mut whole, bytes);
            add(seconds.entry(millis / 1000).or_default(), bytes);
            let (lower, upper): (Vec<_>, Vec<_>) = inside.into_iter().partition(|record| hash_key(record) < middle(shard));
            match (lower.is_empty(), upper.is_empty()) {
                (false, true) => add(&mut halves[0], bytes),
                (true, _) => add(&mut halves[1], bytes),
                (false, false) => {
                    for (half, records) in halves.iter_mut().zip([&lower, &upper]) {
                        let size = if records.len() == 1 { records[0].size() } else { seal(records).size() };
                        add(half, size as u64);
                    }
                }
            }
        }
        let json = stats_json(&["--keys", "--limit", "100", "--shards", &shards.to_string()], json_lines(&lines));
        let hot = &json["Hot"];
        prop_assert_eq!(hot["Error"].as_u64(), Some(0));
        let found: HashMap<_, _> = hot["Keys"].as_array().unwrap().iter().map(|key| {
            let number = |name: &str| key[name].as_u64().unwrap();
            (key["PartitionKey"].as_str().unwrap().to_owned(), (number("UserRecords"), number("Bytes")))
        }).collect();
        prop_assert_eq!(found, keys);
        let span = records.iter().skip(1).map(|sent| u64::from(sent.millis_later)).sum::<u64>() as f64 / 1e3;
        let share = |costs: &Costs| (costs[0] as f64 / 1e3).max(costs[1] as f64 / 1_048_576.0);
        let mut hottest = 0;
        for (index, (shard, (load, _, seconds))) in hot["Shards"]["Shards"].as_array().unwrap().iter().zip(&loads).enumerate() {
            prop_assert_eq!(costs(shard), *load);
            if span >= 1.0 {
                let difference = shard["Load"].as_f64().unwrap() - share(load) / span;
                prop_assert!(difference.abs() < 1e-6, "{}", difference);
                let busiest = seconds.values().map(share).fold(0.0, f64::max);
                prop_assert!((shard["Busiest"].as_f64().unwrap() - busiest).abs() < 1e-9);
            } else {
                prop_assert_eq!(&shard["Load"], &Value::Null);
            }
            if share(load) > share(&loads[hottest].0) + 1e-5 {
                hottest = index;
            }
        }
        let split = &hot["Shards"]["Split"];
        let id = split["ShardId"].as_str().unwrap();
        let shard: usize = id.strip_prefix("shardId-").unwrap().parse().unwrap();
        prop_assert!((share(&loads[shard].0) - share(&loads[hottest].0)).abs() < 2e-5);
        let (load, halves, _) = &loads[shard];
        prop_assert_eq!(split["NewStartingHashKey"].as_str().unwrap(), middle(shard).to_string());
        prop_assert_eq!([costs(&split["Halves"][0]), costs(&split["Halves"][1])], *halves);
        prop_assert_eq!(costs(&split["Today"]), whole);
        let then: Vec<u64> = (0..3).map(|place| whole[place] + halves[0][place] + halves[1][place] - load[place]).collect();
        prop_assert_eq!(costs(&split["Then"]).to_vec(), then);
        prop_assert_eq!(split["Then"]["ShardHoursADay"].as_u64(), Some(24 * (shards as u64 + 1)));
    }
}

/// 40 aggregated records over 3.9 seconds, of which key 0 has most bytes.
fn hot_stream() -> String {
    let lines: Vec<_> = (0..40_u32)
        .map(|number| {
            let records: Vec<_> = (0..10_u32)
                .map(|place| {
                    let key = if place < 5 { 0 } else { (number + place) % 7 };
                    RawRecord::new(format!("key {key}"), vec![b'x'; if key == 0 { 2_000 } else { 100 }])
                })
                .collect();
            json!({
                "Data": BASE64.encode(&seal(&records).data),
                "PartitionKey": "a",
                "ApproximateArrivalTimestamp": f64::from(1_795_580_728) + f64::from(number) / 10.0,
            })
        })
        .collect();
    json_lines(&lines)
}

#[test]
fn hot_keys_and_hot_shards_are_drawn() {
    let drawing = text(&["--keys", "--limit", "3", "--shards", "2"], hot_stream());
    let (_, hot) = drawing.split_once("\nhot keys ").expect(&drawing);
    assert_eq!(hot, GOLDEN, "{drawing}");
    assert!(
        drawing
            .lines()
            .all(|line| line.chars().count() <= 80 && line.trim_end() == line),
        "{drawing}"
    );
    let without = text(&["--keys", "--limit", "1"], hot_stream());
    assert!(
        without.contains("\nhot keys ") && !without.contains("hot shards"),
        "{without}"
    );
    let plain = text(&["--shards", "2"], hot_stream());
    assert!(!plain.contains("hot"), "{plain}");
}

const GOLDEN: &str = "      bytes   share       user records   shard  key
             457,140  96.2 %  ████████      228       0  key 0
               3,150   0.7 %  ▏              30       0  key 2
               3,045   0.6 %  ▏              29       0  key 1

hot shards             records/s      KiB/s    load                    busiest
  shardId-000000000000      10.3      119.8  11.7 %  █▊                 11.6 %
  shardId-000000000001       0.0        0.0   0.0 %                      0.0 %
  On average over 3 seconds; 100 % is the limit of a shard.

if shardId-000000000000 is split              today               then
  shards                                          2                  3   +50.0 %
  shard hours a day                              48                 72   +50.0 %
  Kinesis records                                40                 74   +85.0 %
  PUT payload units                              40                 74   +85.0 %
  the same, a day                           886,154          1,639,385   +85.0 %
  At hash key 85070591730234615865843651857942052864.
  Its halves get 98.6 % and 1.4 % of its bytes: a load of 11.5 % and 0.9 %.
warning: a single key has 96.2 % of its bytes, and no split divides a key:
  key 0

  A Kinesis record is in the shard of its first user record, by its explicit
    hash key or the MD5 of its partition key.
  A shard accepts 1,000 records and 1 MiB a second. The busiest second is
    exact if records come in the order of arrival.
  If a shard is split, an aggregated record with user records of both halves
    becomes two: fuller records cost less.
  Streams in provisioned mode are billed by shard hours and PUT payload units,
    at prices that depend on the region.
";

#[test]
fn without_times_there_is_no_rate() {
    let input = aggregated(&[], 100, 10, 100);
    let drawing = text(&["--keys", "--shards", "2"], &input);
    assert!(drawing.contains("There is no rate: "), "{drawing}");
    assert!(
        drawing
            .lines()
            .all(|line| line.chars().count() <= 80 && line.trim_end() == line),
        "{drawing}"
    );
    let hot = &stats_json(&["--keys", "--shards", "2"], &input)["Hot"]["Shards"];
    assert_eq!(
        (&hot["Seconds"], &hot["Shards"][0]["Load"]),
        (&Value::Null, &Value::Null)
    );
    let empty = text(&["--keys", "--shards", "2"], "");
    assert!(!empty.contains("NaN") && !empty.contains("is split"), "{empty}");
}

#[test]
fn a_split_never_makes_less_than_nothing() {
    // An unknown field makes up most of the record: its halves are smaller than it.
    let body = [
        &b"\x0A\x01a\x0A\x01b\x1A\x04\x08\x00\x1A\x00\x1A\x04\x08\x01\x1A\x00\x22\xC0\x9A\x0C"[..],
        &[b'x'; 200_000],
    ]
    .concat();
    let json = stats_json(&["--keys", "--shards", "1"], record(&sealed(&body), "1").to_string());
    let split = &json["Hot"]["Shards"]["Split"];
    assert_eq!(
        (&split["Today"]["PutPayloadUnits"], &split["Then"]["PutPayloadUnits"]),
        (&json!(8), &json!(2))
    );
}

#[test]
fn a_number_of_shards_is_one_a_stream_can_have() {
    for (shards, problem) in [
        ("0", "kpl: --shards 0: must be from 1 to 100000 shards, or a file\n"),
        ("x", "kpl: x: No such file or directory (os error 2)\n"),
    ] {
        let run = kpl(&["stats", "--shards", shards], "");
        assert_eq!((run.code, run.stderr.as_str()), (2, problem));
    }
}
