//! A partition key built from several fields, and a field that travels as the key only.
//!
//! ```text
//! cargo run --example composite_key
//! ```

use std::error::Error;

use kpl::{Aggregator, Deaggregator, KinesisRecord, KplRecord};
use serde::{Deserialize, Serialize};

/// The key is a template over the fields: the events of a user of a tenant share a shard, and so keep their order.
#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{tenant}/{user}")]
struct Login {
    tenant: String,
    user: u64,
    at_ms: u64,
}

/// The order's number is the key, and is in the payload as well.
#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Order {
    #[kpl(partition_key)]
    order_id: u64,
    cents: u64,
}

/// The order's number is the key, and is left out of the payload: on reading it is restored from the key.
#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct SlimOrder {
    #[kpl(partition_key, elide)]
    order_id: u64,
    cents: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("A key of several fields:\n");
    let logins = [
        Login {
            tenant: "acme".into(),
            user: 7,
            at_ms: 1_760_000_000_000,
        },
        Login {
            tenant: "acme".into(),
            user: 8,
            at_ms: 1_760_000_000_250,
        },
        Login {
            tenant: "initech".into(),
            user: 7,
            at_ms: 1_760_000_000_500,
        },
    ];
    let (keys, payloads) = there_and_back(&logins)?;
    assert_eq!(keys, ["acme/7", "acme/8", "initech/7"]);
    show(&keys, &payloads);

    println!("\nA field that is the key and in the payload:\n");
    let orders = [
        Order {
            order_id: 48_210_077,
            cents: 1995,
        },
        Order {
            order_id: 48_210_078,
            cents: 250,
        },
    ];
    let (keys, full) = there_and_back(&orders)?;
    show(&keys, &full);

    println!("\nThe same with `elide`, which leaves it out of the payload:\n");
    let slim = orders.map(|Order { order_id, cents }| SlimOrder { order_id, cents });
    let (slim_keys, elided) = there_and_back(&slim)?;
    show(&slim_keys, &elided);

    assert_eq!(slim_keys, keys);
    assert_eq!(elided, [r#"{"cents":1995}"#, r#"{"cents":250}"#]);
    let saved = full[0].len() - elided[0].len();
    println!("\nThat saves {saved} bytes in each user record: `\"order_id\":48210077,`.");
    assert_eq!(saved, r#""order_id":48210077,"#.len());
    Ok(())
}

/// Sends records, checks that they come back equal, and returns the partition keys and payloads that travelled.
fn there_and_back<T>(records: &[T]) -> Result<(Vec<String>, Vec<String>), Box<dyn Error>>
where
    T: KplRecord + kpl::FromKplRecordOwned + PartialEq + std::fmt::Debug,
{
    let mut aggregator = Aggregator::<T>::new();
    for record in records {
        assert!(
            aggregator.push(record)?.is_none(),
            "so few records fit in one aggregate"
        );
    }
    let sealed = aggregator.finish().ok_or("nothing was pushed")?;

    let batch = [KinesisRecord::from(&sealed)];
    let mut keys = Vec::new();
    let mut payloads = Vec::new();
    let mut values = Vec::new();
    for record in Deaggregator::<T>::new().records(&batch) {
        let record = record?;
        keys.push(record.record.partition_key.unwrap_or_default().to_owned());
        payloads.push(String::from_utf8(record.record.data.to_vec())?);
        values.push(record.value);
    }
    assert_eq!(values, records);
    Ok((keys, payloads))
}

fn show(keys: &[String], payloads: &[String]) {
    println!("  {:12} payload", "key");
    for (key, payload) in keys.iter().zip(payloads) {
        println!("  {key:12} {payload}");
    }
}
