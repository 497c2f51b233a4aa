//! Forwarding user records without decoding them: from one stream to others, by their partition key.
//!
//! ```text
//! cargo run --example raw_records
//! ```

use std::collections::BTreeMap;
use std::error::Error;

use kpl::{Aggregator, Deaggregator, KinesisRecord, RawRecord};

fn main() -> Result<(), Box<dyn Error>> {
    // The input: an aggregate of mixed user records, and a plain record. Their payloads do not matter here.
    let mut aggregator = Aggregator::new();
    let mut sealed = Vec::new();
    sealed.extend(aggregator.push(&RawRecord::new("eu/anna", "order 1"))?);
    sealed.extend(aggregator.push(&RawRecord::new("us/bob", "order 2").with_explicit_hash_key(1_u128 << 127))?);
    sealed.extend(aggregator.push(&RawRecord::new("eu/carla", b"\xFF\x00\xFE").with_tag("trace", Some("4bf92f35")))?);
    sealed.extend(aggregator.finish());
    let mut incoming: Vec<KinesisRecord<'_>> = sealed.iter().map(KinesisRecord::from).collect();
    incoming.push(KinesisRecord::new(b"order 4").with_partition_key("ap/dora"));

    // One aggregator for each outgoing stream. A record that is alone in its aggregate would travel raw by default, and
    // its reader would not get its explicit hash key: `wrap_single` keeps it.
    let template = Aggregator::<RawRecord>::builder().wrap_single(true).build()?;
    let mut streams: BTreeMap<String, Aggregator<RawRecord>> = BTreeMap::new();
    let mut expected = Vec::new();
    for record in Deaggregator::<RawRecord>::new().records(&incoming) {
        let record = record?.value;
        let partition_key = record.partition_key.as_deref().unwrap_or_default();
        let region = partition_key.split('/').next().unwrap_or_default();
        let aggregator = streams
            .entry(format!("orders-{region}"))
            .or_insert_with(|| template.clone());
        let full = aggregator.push(&record)?;
        assert!(full.is_none(), "so few records fit in one aggregate");
        expected.push(record);
    }
    assert_eq!(streams.len(), 3);

    // Keys, bytes and tags arrive as they were.
    expected.sort_by(|one, other| one.partition_key.cmp(&other.partition_key));
    let mut forwarded = Vec::new();
    for (stream, aggregator) in &mut streams {
        let sealed = aggregator.finish().ok_or("a stream without records")?;
        println!("{stream}: one Kinesis record of {} bytes", sealed.size());
        let batch = [KinesisRecord::from(&sealed)];
        for record in Deaggregator::<RawRecord>::new().records(&batch) {
            let record = record?;
            let partition_key = record.partition_key().unwrap_or_default();
            print!(
                "  {partition_key:9} {:13}",
                record.record.data.escape_ascii().to_string()
            );
            if let Some(key) = record.value.explicit_hash_key {
                print!("  explicit hash key {key}");
            }
            for (key, value) in &record.value.tags {
                print!("  tag {key}={}", value.unwrap_or_default());
            }
            println!();
            forwarded.push(record.value);
        }
    }
    assert_eq!(forwarded, expected);
    Ok(())
}
