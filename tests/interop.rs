//! This crate and every other implementation of the format: each reads what the others write. Needs them installed, so
//! plain `cargo test` leaves these tests out: `.ci/interop` installs the peers and runs them. See tests/interop/README.md.

mod support;

#[path = "interop/rust/exchange.rs"]
mod exchange;
#[path = "interop/rust/judge.rs"]
mod judge;
#[path = "interop/rust/odd.rs"]
mod odd;
#[path = "interop/rust/peers.rs"]
mod peers;
#[path = "interop/rust/report.rs"]
mod report;
#[path = "interop/rust/sets.rs"]
mod sets;

use std::collections::{BTreeMap, BTreeSet};

use exchange::{Batch, Program, Read, Set, UserRecord, Written};
use judge::{Fault, Shown, faults, hash_key, of_writer, run, show, shrink};
use kpl::{Aggregator, HashKey, RawRecord};
use peers::{MIB, OURS, READERS, Reader, WRITERS, Writer, raw, sent, versions};
use report::{Note, Report, Whose};
use sets::{Random, sets};

fn all_writers() -> Vec<(&'static str, Writer)> {
    let mut writers = vec![(OURS, Writer::Ours)];
    writers.extend(WRITERS.map(|(name, program)| (name, Writer::peer(program))));
    writers
}

fn all_readers() -> Vec<(&'static str, Reader)> {
    let mut readers = vec![(OURS, Reader::Ours)];
    readers.extend(READERS.map(|(name, program)| (name, Reader::peer(program))));
    readers
}

/// What each reader makes of the same batches.
fn all_read(readers: &mut [(&'static str, Reader)], batches: &[Batch]) -> Vec<Vec<Read>> {
    std::thread::scope(|scope| {
        let reading: Vec<_> = readers
            .iter_mut()
            .map(|(_, reader)| scope.spawn(move || reader.read(batches)))
            .collect();
        reading
            .into_iter()
            .map(|reading| reading.join().expect("it reads"))
            .collect()
    })
}

/// Everyone writes, everyone reads, and INTEROP.md reports the results.
#[test]
#[ignore = "needs the peers: run .ci/interop"]
fn everyone_reads_everyone() {
    let start = std::time::Instant::now();
    let sets = sets();
    let mut report = Report {
        user_records: sets.iter().map(|set| set.records.len()).sum(),
        sets: sets.iter().map(|set| (set.name.clone(), set.records.len())).collect(),
        readers: [OURS].into_iter().chain(READERS.map(|(name, _)| name)).collect(),
        versions: versions(),
        ..Report::default()
    };
    assert!(report.user_records >= 2_000, "{}", report.user_records);
    let (mut writers, mut readers) = (all_writers(), all_readers());

    // For each pair, each fault and the set that shows it.
    let mut found: BTreeMap<(usize, usize), BTreeMap<Fault, usize>> = BTreeMap::new();
    for (w, (name, writer)) in writers.iter_mut().enumerate() {
        println!("{name} writes, at {:.0?}", start.elapsed());
        let written = writer.write(&sets);
        println!("and all read, at {:.0?}", start.elapsed());
        let batches: Vec<Batch> = written.iter().map(Written::batch).collect();
        let read = all_read(&mut readers, &batches);
        if ["Amazon KPL", "aiokpl", "Python module"].contains(name) {
            assert_written_alike(name, &written);
        }
        for (r, read) in read.iter().enumerate() {
            let of_pair = found.entry((w, r)).or_default();
            for (index, (set, written)) in sets.iter().zip(&written).enumerate() {
                let mut faults = faults(set, written, &read[index]);
                if r == 0 {
                    faults.extend(of_writer(written, &read[index]));
                }
                for fault in faults.into_keys() {
                    let smallest = of_pair.entry(fault).or_insert(index);
                    if set.records.len() < sets[*smallest].records.len() {
                        *smallest = index;
                    }
                }
            }
        }
    }
    assert_eq!(found[&(0, 0)], BTreeMap::new(), "we read what we write");

    for w in 0..writers.len() {
        let mut cells = Vec::new();
        for r in 0..readers.len() {
            let mut notes = BTreeSet::new();
            // Some faults of writers are seen by every reader.
            let of_writer = found[&(w, 0)]
                .iter()
                .filter(|(fault, _)| **fault <= Fault::OuterHashKey);
            for (&fault, &set) in found[&(w, r)].iter().chain(of_writer) {
                let mut guilty = Vec::new();
                if found[&(w, 0)].contains_key(&fault) {
                    guilty.push(Whose::Writer(writers[w].0));
                }
                if found[&(0, r)].contains_key(&fault) {
                    guilty.push(Whose::Reader(readers[r].0));
                }
                if guilty.is_empty() {
                    guilty.push(Whose::Both(writers[w].0, readers[r].0));
                }
                for whose in guilty {
                    let known = report
                        .notes
                        .iter()
                        .position(|note| note.whose == whose && note.fault == fault);
                    notes.insert(known.unwrap_or_else(|| {
                        let (w, r, set) = match whose {
                            Whose::Writer(_) => (w, 0, found[&(w, 0)][&fault]),
                            Whose::Reader(_) => (0, r, found[&(0, r)][&fault]),
                            Whose::Both(..) => (w, r, set),
                        };
                        let shown = shrink(&mut writers[w].1, &mut readers[r].1, &sets[set], fault);
                        println!("{whose:?} {fault}: {} -> {}", show(&shown.set.records), shown.instead);
                        assert_not_ours(whose, fault, &shown, &mut writers, &mut readers);
                        report.notes.push(Note { whose, fault, shown });
                        report.notes.len() - 1
                    }));
                }
            }
            cells.push(notes.into_iter().collect());
        }
        report.rows.push((writers[w].0, cells));
    }

    println!("shards and odd bytes, at {:.0?}", start.elapsed());
    report.shards = shards(&mut readers[1].1);
    let odd = odd::bodies();
    let batches: Vec<Batch> = odd.iter().map(|(_, bytes)| odd::batch(bytes)).collect();
    let read = all_read(&mut readers, &batches);
    for (index, (name, bytes)) in odd.iter().enumerate() {
        report.odd.push((
            name,
            read.iter().map(|read| odd::outcome(bytes, &read[index])).collect(),
        ));
    }

    println!("\n{}", report.matrix());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/INTEROP.md");
    std::fs::write(path, report.text()).expect("INTEROP.md");
}

/// Stops the run where a fault may be ours: if others misread what we write, or if we alone misread what others write.
fn assert_not_ours(
    whose: Whose,
    fault: Fault,
    shown: &Shown,
    writers: &mut [(&'static str, Writer)],
    readers: &mut [(&'static str, Reader)],
) {
    let count = |writer: &mut Writer, readers: &mut [(&'static str, Reader)]| {
        readers[1..]
            .iter_mut()
            .filter_map(|(_, reader)| run(writer, reader, &shown.set).remove(&fault))
            .count()
    };
    match whose {
        Whose::Reader(_) => {
            let faulty = count(&mut writers[0].1, readers);
            assert!(
                faulty <= READERS.len() / 2,
                "{faulty} readers: {fault} of ours: {}",
                show(&shown.set.records)
            );
        }
        Whose::Writer(name) if fault > Fault::OuterHashKey && fault != Fault::Order => {
            let writer = writers
                .iter_mut()
                .find(|(writer, _)| *writer == name)
                .expect("a writer");
            let faulty = count(&mut writer.1, readers);
            assert!(
                faulty >= 2,
                "only {faulty} others see that {name} {fault}: {}",
                show(&shown.set.records)
            );
        }
        _ => {}
    }
}

/// The same user records make the same bytes here: of every aggregate, whatever its writer put into it.
fn assert_written_alike(writer: &str, written: &[Written]) {
    let mut aggregates = 0;
    for record in written.iter().flat_map(|written| &written.records) {
        if !judge::is_aggregated(record) {
            continue;
        }
        aggregates += 1;
        let bytes = record.bytes();
        let records = support::user_records(&bytes, &record.partition_key);
        if records.iter().any(|record| record.partition_key.as_deref() == Some("")) {
            continue; // no key: a fault, which the matrix names
        }
        assert!(
            support::aggregate_into_one(&records).data == bytes,
            "{writer} writes other bytes"
        );
    }
    assert!(aggregates > 10, "{writer}");
}

/// What the KCL delivers of 2,000 user records that went to four shards, read with each shard's range.
fn shards(kcl: &mut Reader) -> Vec<(&'static str, usize, usize, usize)> {
    let map = support::shards(&[1 << 126, 2 << 126, 3 << 126]);
    let mut random = Random(9);
    let records: Vec<UserRecord> = (0..2_000)
        .map(|number| {
            let record = UserRecord::new(format!("key-{}", random.below(500)), format!("{number}"));
            if random.below(4) == 0 {
                record.at(random.hash_key())
            } else {
                record
            }
        })
        .collect();
    let set = [Set {
        name: "shards".to_owned(),
        records: records.clone(),
    }];
    let mut all: Vec<(&str, Written)> = Vec::new();

    let mut sharded = Aggregator::<RawRecord>::builder()
        .build_sharded(map.clone())
        .expect("options are valid");
    let mut sealed = Vec::new();
    for record in &records {
        sealed.extend(sharded.push(&raw(record)).expect("the record fits"));
    }
    sealed.extend(sharded.finish());
    all.push((
        "kpl's `ShardedAggregator`",
        Written {
            records: sealed.iter().map(sent).collect(),
            errors: Vec::new(),
        }
        .number(1),
    ));
    for (name, program) in WRITERS {
        let mut writer = Program::start(program, "write", &[("SHARDS", "4")]);
        let written: Written = writer.ask(&set).remove(0);
        assert_eq!(written.errors, [""; 0], "{name}");
        all.push((name, written.number(1)));
    }

    let mut figures = Vec::new();
    for (name, written) in all {
        let batches: Vec<Batch> = written
            .records
            .iter()
            .map(|record| {
                let to = hash_key(&record.partition_key, record.explicit_hash_key.as_deref()).parse::<u128>();
                let shard = record
                    .shard
                    .unwrap_or_else(|| map.index_of(HashKey::new(to.expect("a hash key"))));
                let range = map.shards().nth(shard).expect("a shard").range;
                Batch {
                    records: vec![record.clone()],
                    range: Some([range.start(), range.end()].map(|key| key.to_string())),
                }
            })
            .collect();
        let delivered: usize = kcl.read(&batches).iter().map(|read| read.records.len()).sum();
        // Under one partition key nothing strays; that is not the user's key, which the matrix says.
        let apart = !name.ends_with("module");
        assert_eq!(delivered == records.len(), apart, "{name}: {delivered} delivered");
        figures.push((name, written.records.len(), records.len(), delivered));
    }
    figures
}

/// The KCL and `StrayPolicy::DropAggregate` deliver the same user records.
#[test]
#[ignore = "needs the peers: run .ci/interop"]
fn the_kcl_drops_what_drop_aggregate_drops() {
    let one = |records: &[UserRecord]| {
        let records: Vec<_> = records.iter().map(raw).collect();
        let mut record = sent(&support::aggregate_into_one(&records));
        record.sequence_number = "1".to_owned();
        record
    };
    let range = |start: u128, end: u128| Some([start.to_string(), end.to_string()]);
    let mut batches = Vec::new();
    let mut expected = Vec::new();
    for stray in [Some(0), Some(3), Some(6), None] {
        let keys = (0..7).map(|index| if stray == Some(index) { 500 } else { index as u128 });
        let records: Vec<_> = keys.map(|key| UserRecord::new("k", "x").at(key)).collect();
        batches.push(Batch {
            records: vec![one(&records)],
            range: range(0, 99),
        });
        expected.push(if stray.is_some() { 0 } else { 7 });
        batches.push(Batch {
            records: vec![one(&records)],
            range: None,
        });
        expected.push(7);
    }
    let certain = batches.len();

    let mut random = Random(3);
    for _ in 0..500 {
        let count = 1 + random.below(5);
        let mut keys: Vec<u128> = Vec::new();
        let records: Vec<_> = (0..count)
            .map(|_| {
                let record = UserRecord::new(format!("key-{}", random.below(50)), random.bytes(3));
                let record = if random.below(2) == 0 {
                    record.at(random.hash_key())
                } else {
                    record
                };
                keys.push(
                    hash_key(&record.partition_key, record.explicit_hash_key.as_deref())
                        .parse()
                        .expect("a number"),
                );
                record
            })
            .collect();
        // Ends of the range that are hash keys of the aggregate, or just beside them.
        let end = |random: &mut Random| {
            let key = keys[random.below(keys.len())];
            [key, key.saturating_sub(1), key.saturating_add(1), 0, u128::MAX][random.below(5)]
        };
        let (one_end, other) = (end(&mut random), end(&mut random));
        let mut plain = one(&records);
        plain.data = data_encoding::BASE64.encode(b"plain");
        plain.explicit_hash_key = None;
        batches.push(Batch {
            records: vec![one(&records), plain],
            range: range(one_end.min(other), one_end.max(other)),
        });
    }

    let theirs = Reader::peer("kcl").read(&batches);
    let ours = Reader::Ours.read(&batches);
    assert_eq!(
        theirs[..certain]
            .iter()
            .map(|read| read.records.len())
            .collect::<Vec<_>>(),
        expected
    );
    let mut dropped = 0;
    for ((theirs, ours), batch) in theirs.iter().zip(&ours).zip(&batches) {
        assert_eq!(theirs, ours, "{batch:?}");
        dropped += usize::from(theirs.records.len() == 1);
    }
    assert!((100..400).contains(&dropped), "{dropped} of 500");
}

/// The Python module writes the bytes that we write.
#[test]
#[ignore = "needs the peers: run .ci/interop"]
fn the_python_module_writes_the_same_bytes() {
    const CHARACTERS: [char; 12] = [
        'a',
        'b',
        '0',
        '7',
        ' ',
        '\0',
        'é',
        'ß',
        '語',
        'キ',
        '\u{1F980}',
        '\u{10FFFF}',
    ];
    let mut random = Random(1);
    let lists: Vec<Set> = (0..10_000)
        .map(|_| {
            let records = (0..1 + random.below(10)).map(|_| {
                let longest = if random.below(20) == 0 { 256 } else { 3 };
                let length = 1 + random.below(longest);
                let key: String = (0..length)
                    .map(|_| CHARACTERS[random.below(CHARACTERS.len())])
                    .collect();
                let longest = if random.below(20) == 0 { 300 } else { 20 };
                let length = random.below(longest);
                let record = UserRecord::new(key, random.bytes(length));
                if random.below(3) == 0 {
                    record.at(random.hash_key())
                } else {
                    record
                }
            });
            Set {
                name: String::new(),
                records: records.collect(),
            }
        })
        .collect();
    let theirs = Writer::peer("python-module").write(&lists);
    for (list, theirs) in lists.iter().zip(theirs) {
        let mut aggregator = Aggregator::<RawRecord>::builder()
            .max_size(MIB)
            .wrap_single(true)
            .build()
            .expect("options are valid");
        for record in &list.records {
            assert_eq!(aggregator.push(&raw(record)).expect("the record fits"), None);
        }
        let ours = aggregator.finish().expect("there are records");
        assert_eq!(theirs.errors, [""; 0]);
        let [theirs] = &theirs.records[..] else {
            panic!("one record for {list:?}")
        };
        assert_eq!(theirs.bytes(), ours.data, "{list:?}");
        assert_eq!(theirs.partition_key, ours.partition_key.as_str());
        let to = hash_key(&theirs.partition_key, theirs.explicit_hash_key.as_deref());
        assert_eq!(to, ours.explicit_hash_key.to_string());
    }
}

/// The user records of golden files of the peers.
fn golden_set(name: &str) -> Set {
    let mut random = Random(7);
    let record = |index: usize| match name {
        "number-like-keys" => UserRecord::new(["b", "10", "9", "a", "2"][index % 5], format!("{index}")),
        "many-keys" => UserRecord::new(format!("key-{index}"), format!("{index}")),
        _ => {
            let key = ["abc", "ключ", "\u{1F980}", "e\u{301}", " ", "a longer partition key"][random.below(6)];
            let length = [0, 1, 5, 127, 128][random.below(5)];
            let record = UserRecord::new(key, random.bytes(length));
            if random.below(3) == 0 {
                record.at(random.hash_key())
            } else {
                record
            }
        }
    };
    let count = match name {
        "many-keys" => 150,
        "number-like-keys" => 10,
        _ => 40,
    };
    Set {
        name: name.to_owned(),
        records: (0..count).map(record).collect(),
    }
}

/// The golden files of the peers: file, program, the set that it was given, and whether we write the same bytes.
const GOLDEN: [(&str, &str, &str, bool); 8] = [
    ("kpl-mixed-keys", "kpl", "mixed-keys", true),
    ("kpl-many-keys", "kpl", "many-keys", true),
    ("aiokpl-mixed-keys", "aiokpl", "mixed-keys", true),
    ("python-mixed-keys", "python-module", "mixed-keys", true),
    ("java-mixed-keys", "java-modules", "mixed-keys", true),
    ("node-mixed-keys", "node-module", "mixed-keys", true),
    ("node-number-like-keys", "node-module", "number-like-keys", false),
    ("go-one-key", "go", "mixed-keys", true),
];

/// The golden files are what the peers write, and their user records are what the KCL reads of that.
#[test]
#[ignore = "needs the peers: run .ci/interop"]
fn golden_files_are_what_the_peers_write() {
    let mut kcl = Reader::peer("kcl");
    for (file, program, set, encodes_back) in GOLDEN {
        // The Amazon KPL changes the order now and then, and where aggregates end.
        let set = golden_set(set);
        let mut writer = Writer::peer(program);
        let (record, read) = (0..100)
            .find_map(|_| {
                let mut written = writer.write(std::slice::from_ref(&set)).remove(0);
                let read = kcl.read(&[written.batch()]).remove(0).records;
                let in_order = read
                    .iter()
                    .map(|record| record.data.as_deref())
                    .eq(set.records.iter().map(|record| Some(&*record.data)));
                (in_order && written.records.len() == 1).then(|| (written.records.remove(0), read))
            })
            .unwrap_or_else(|| panic!("{program} does not write the set {} in order", set.name));
        let version = exchange::version(program);
        let library = version.split(", ").find(|library| match program {
            "java-modules" => library.starts_with("amazon-kinesis-aggregator"),
            _ => true,
        });
        let user_records: Vec<_> = read
            .iter()
            .map(|record| {
                serde_json::json!({
                    "partitionKey": record.partition_key,
                    "explicitHashKey": record.explicit_hash_key,
                    "subSequenceNumber": record.sub_sequence_number,
                    "data": record.data,
                })
            })
            .collect();
        let mut json = serde_json::json!({
            "origin": format!("written by {}, read by the Amazon KCL", library.expect("a library")),
            "aggregated": record.data,
            "userRecords": user_records,
        });
        if !encodes_back {
            json["encodesBack"] = false.into();
        }
        // Which order they have otherwise depends on a feature that other crates of the workspace may switch on.
        json.sort_all_objects();
        let text = serde_json::to_string_pretty(&json).expect("JSON") + "\n";
        let path = support::golden::path(&format!("{file}.json"));
        if std::env::var_os("KPL_INTEROP_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(&path, &text).expect("the golden file");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("the golden file"), text, "{file}");
    }
}
