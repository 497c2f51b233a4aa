//! Which codec, and which layer around it? The same events through each of them, in bytes.
//!
//! ```text
//! cargo run --example choosing_a_codec
//! ```

use std::error::Error;

use kpl::codec::{
    Bincode, CompressionOptions, Decode, Encode, Glue, GlueSchema, Json, Postcard, Prost, Zstd, ZstdDictionary,
};
use kpl::{Aggregator, Deaggregator, KinesisRecord, RawRecord, SealedRecord};
use serde::{Deserialize, Serialize};

/// A type that works with every codec: it has serde's traits for Json, Postcard and Bincode, and prost's for Prost.
///
/// A type in a program needs the traits of one codec only.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Reading {
    #[prost(string, tag = "1")]
    sensor: String,
    #[prost(double, tag = "2")]
    celsius: f64,
    #[prost(uint64, tag = "3")]
    at_ms: u64,
    #[prost(bool, tag = "4")]
    battery_low: bool,
}

/// Zstandard with a dictionary. `kpl train` makes one from the records of a stream; what all readings have in common does as well.
struct Readings;

static DICTIONARY: ZstdDictionary =
    ZstdDictionary::new(br#"{"sensor":"sensor-0","celsius":12.25,"at_ms":17600,"battery_low":false}"#);
static DICTIONARIES: [&ZstdDictionary; 1] = [&DICTIONARY];

impl CompressionOptions for Readings {
    const THRESHOLD: usize = 0;

    fn dictionaries() -> &'static [&'static ZstdDictionary] {
        &DICTIONARIES
    }
}

impl GlueSchema for Readings {
    fn version_id() -> Option<u128> {
        Some(0xb7b4a7f0_9c96_4e4a_a687_fb5de9ef0c63)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let readings: Vec<Reading> = (0..10_000_u32)
        .map(|number| Reading {
            sensor: format!("sensor-{:03}", number * 7 % 250),
            celsius: f64::from(number % 160) / 4.0 - 5.0,
            at_ms: 1_760_000_000_000 + u64::from(number) * 250,
            battery_low: number % 97 == 0,
        })
        .collect();

    println!("{} readings, as user records of one aggregator each:\n", readings.len());
    println!(
        "{:20} {:>18} {:>15} {:>12}",
        "", "bytes per payload", "Kinesis records", "bytes in all"
    );
    let json = measure::<Json>("Json", &readings)?;
    let postcard = measure::<Postcard>("Postcard", &readings)?;
    let bincode = measure::<Bincode>("Bincode", &readings)?;
    let prost = measure::<Prost>("Prost", &readings)?;
    println!();
    let zstd = measure::<Zstd<Json>>("Zstd<Json>", &readings)?;
    let dictionary = measure::<Zstd<Json, Readings>>("  with a dictionary", &readings)?;
    let glue = measure::<Glue<Json, Readings>>("Glue<Json>", &readings)?;

    // Json carries the names of fields, Prost their numbers, the other two neither. README.md shows these sizes.
    let average = |payloads: usize| (payloads as f64 / readings.len() as f64).round();
    assert_eq!([json, prost, postcard, bincode].map(average), [80.0, 28.0, 26.0, 29.0]);
    // Short payloads shrink with a dictionary only. The header of Glue takes 18 bytes.
    assert_eq!([zstd, dictionary, glue].map(average), [80.0, 34.0, 98.0]);

    println!();
    println!("Json      every language and every person can read it; fields can be added and removed");
    println!("Prost     languages that share a .proto file; fields can be added and removed");
    println!("Postcard  Rust on both ends; the fields and their order are the format");
    println!("Bincode   as Postcard, for streams that have Bincode in them already");
    println!(
        "Zstd      around any of them: for long payloads, or with a dictionary; also reads what is not compressed"
    );
    println!("Glue      around any of them: for readers that use the AWS Glue Schema Registry");
    Ok(())
}

/// Sends the readings through a codec and prints the sizes. Returns the size of all payloads, in bytes.
fn measure<C>(name: &str, readings: &[Reading]) -> Result<usize, Box<dyn Error>>
where
    C: Encode<Reading> + for<'de> Decode<'de, Reading>,
{
    // `#[derive(KplRecord)]` with `#[kpl(codec = kpl::codec::Json)]` does the same inside `push`: here the codec is a
    // parameter, so that one function measures all of them.
    let mut sealed: Vec<SealedRecord> = Vec::new();
    let mut aggregator = Aggregator::<RawRecord>::new();
    let mut payloads = 0;
    for reading in readings {
        let mut payload = Vec::new();
        C::encode(reading, &mut payload)?;
        payloads += payload.len();
        sealed.extend(aggregator.push(&RawRecord::new(&reading.sensor, payload))?);
    }
    sealed.extend(aggregator.finish());

    let batch: Vec<KinesisRecord<'_>> = sealed.iter().map(KinesisRecord::from).collect();
    let mut expected = readings.iter();
    for record in Deaggregator::<RawRecord>::new().records(&batch) {
        let reading = C::decode(record?.record.data)?;
        assert_eq!(
            Some(&reading),
            expected.next(),
            "{name} must give back what it was given"
        );
    }
    assert_eq!(expected.next(), None);

    println!(
        "{name:20} {:>18.1} {:>15} {:>12}",
        payloads as f64 / readings.len() as f64,
        sealed.len(),
        sealed.iter().map(SealedRecord::size).sum::<usize>()
    );
    Ok(payloads)
}
