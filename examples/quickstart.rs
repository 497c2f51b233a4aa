//! Deaggregates real records of the Kinesis Producer Library, then sends ten thousand events of a type there and back.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use std::error::Error;

use kpl::{Aggregator, Deaggregator, KinesisRecord, KplRecord, RawRecord, SealedRecord};
use kpl_testkit::golden::Golden;
use serde::{Deserialize, Serialize};

/// An event of the application. The marked field determines its shard.
#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    url: String,
    at_ms: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("1. Records that other libraries wrote");
    for golden in Golden::all() {
        read_golden_file(&golden)?;
    }

    println!("\n2. Ten thousand events of a type, there and back\n");
    there_and_back(&clicks(10_000))
}

/// Prints what an aggregated record of another library holds, and checks it against what is known to be inside.
fn read_golden_file(golden: &Golden) -> Result<(), Box<dyn Error>> {
    const SHOWN: u64 = 8;
    let (name, data) = (&golden.name, &golden.aggregated);
    let batch = [KinesisRecord::new(data)];

    let expected = golden.user_records.len();
    println!("\n{name}: {} bytes, {expected} user records", thousands(data.len()));
    println!("({})\n", golden.origin);
    println!("  {:>3}  {:36}  data", "sub", "partition key");

    let records = Deaggregator::<RawRecord>::new()
        .records(&batch)
        .collect::<Result<Vec<_>, _>>()?;
    check(records.len() == expected, || {
        format!("{name}: {} user records", records.len())
    })?;

    let mut aggregator = Aggregator::<RawRecord>::new();
    let expected_records = golden.sub_sequence_numbers.iter().zip(&golden.user_records);
    for (record, (&expected_sub, expected)) in records.iter().zip(expected_records) {
        let sub = record.record.sub_sequence_number;
        if sub < SHOWN {
            let key = record.record.partition_key.unwrap_or_default();
            let text = String::from_utf8_lossy(record.record.data);
            println!("  {sub:>3}  {key:36}  {}", text.trim_end());
        }
        check(sub == expected_sub && record.value == *expected, || {
            format!("{name}: user record {sub} is {:?}", record.value)
        })?;
        let full = aggregator.push(&record.value)?;
        check(full.is_none(), || format!("{name}: does not fit in one record"))?;
    }
    if expected > SHOWN as usize {
        println!("  ... and {} more", expected - SHOWN as usize);
    }

    let again = aggregator.finish().map(|sealed| sealed.data);
    check(again.as_ref() == Some(data), || {
        format!("{name}: other bytes when aggregated again")
    })?;
    println!("  All {expected} are as expected, and aggregated again they give the same bytes.");
    Ok(())
}

/// Aggregates events, deaggregates them, checks that nothing changed, and prints the cost.
fn there_and_back(clicks: &[Click]) -> Result<(), Box<dyn Error>> {
    // Sending: push events, send what comes out.
    let mut sealed: Vec<SealedRecord> = Vec::new();
    let mut aggregator = Aggregator::<Click>::new();
    for click in clicks {
        sealed.extend(aggregator.push(click)?);
    }
    sealed.extend(aggregator.finish());

    // Receiving: a batch of Kinesis records goes in, events come out.
    let batch: Vec<KinesisRecord<'_>> = sealed.iter().map(KinesisRecord::from).collect();
    let mut sent_alone = Totals::default();
    let mut received = Vec::new();
    for click in Deaggregator::<Click>::new().records(&batch) {
        let click = click?;
        sent_alone.add(click.record.data.len(), click.value.user.len());
        received.push(click.value);
    }
    let differs = received.iter().zip(clicks).position(|(back, there)| back != there);
    check(differs.is_none(), || format!("event {differs:?} came back changed"))?;
    check(received.len() == clicks.len(), || {
        format!("{} events came back", received.len())
    })?;

    let mut aggregated = Totals::default();
    for record in &sealed {
        aggregated.add(record.data.len(), record.partition_key.as_str().len());
    }
    let framing = aggregated.data as f64 / clicks.len() as f64 - sent_alone.data as f64 / clicks.len() as f64;
    let saved_units = sent_alone.put_payload_units - aggregated.put_payload_units;

    println!("  {:34} {:>15} {:>12}", "", "one record each", "aggregated");
    let row = |name, alone, aggregated| println!("  {name:34} {:>15} {:>12}", thousands(alone), thousands(aggregated));
    row("user records", clicks.len(), received.len());
    row("Kinesis records", sent_alone.records, aggregated.records);
    row("bytes (data and partition key)", sent_alone.size, aggregated.size);
    row(
        "PUT payload units of 25 KB (1)",
        sent_alone.put_payload_units,
        aggregated.put_payload_units,
    );
    println!();
    println!("  Framing per user record (2)        {framing:>28.2} bytes");
    println!(
        "  PUT payload units saved            {:>28} ({:.1} %)",
        thousands(saved_units),
        100.0 * saved_units as f64 / sent_alone.put_payload_units as f64
    );
    println!();
    println!("  (1) Each Kinesis record takes its size in steps of 25 KB, rounded up, 1 KB being 1,024 bytes:");
    println!("      https://aws.amazon.com/kinesis/data-streams/pricing/, provisioned mode.");
    println!("  (2) What aggregation adds to the payloads: magic, partition keys, lengths, digest.");
    println!(
        "\nAll {} events came back equal and in order.",
        thousands(received.len())
    );
    Ok(())
}

/// The cost of putting records into a stream.
#[derive(Default)]
struct Totals {
    records: usize,
    data: usize,
    size: usize,
    put_payload_units: usize,
}

impl Totals {
    fn add(&mut self, data: usize, partition_key: usize) {
        let size = data + partition_key;
        self.records += 1;
        self.data += data;
        self.size += size;
        self.put_payload_units += size.div_ceil(25 * 1024);
    }
}

/// Events that look like those of a web shop: the same ones in every run.
fn clicks(count: usize) -> Vec<Click> {
    const PAGES: [&str; 6] = ["/", "/search", "/basket", "/help", "/product", "/category"];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: u64| {
        // xorshift64: https://www.jstatsoft.org/article/view/v008i14
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut at_ms = 1_760_000_000_000;
    (0..count)
        .map(|_| {
            at_ms += random(40);
            Click {
                user: format!("user-{:04}", random(2_000)),
                url: match PAGES[random(6) as usize] {
                    page @ ("/product" | "/category") => format!("{page}/{}", random(5_000)),
                    page => page.to_owned(),
                },
                at_ms,
            }
        })
        .collect()
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Box<dyn Error>> {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}

/// Returns a number with commas between its thousands.
fn thousands(number: usize) -> String {
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
