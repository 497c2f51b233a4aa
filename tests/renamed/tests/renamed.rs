//! Types derived through a re-export survive the round trip.

use std::fmt::Debug;

use renamed::Envelope;
use renamed::streams::{Aggregator, Deaggregator, FromKplRecord, FromKplRecordOwned, KinesisRecord, KplRecord};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(crate = "renamed::streams", codec = renamed::streams::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    url: String,
}

/// Its helper types go through serde as the re-export has it.
#[derive(Debug, PartialEq, KplRecord)]
#[kpl(crate = renamed::streams, codec = renamed::streams::codec::Postcard)]
enum Elided<T> {
    A {
        #[kpl(partition_key, elide)]
        user: String,
        body: T,
    },
    #[kpl(partition_key = "b/{0}")]
    B(u8),
}

#[derive(Debug, PartialEq, KplRecord)]
#[kpl(crate = "renamed::streams", transparent)]
struct Newtype(Click);

/// Is only read, with a field from the key.
#[derive(Debug, PartialEq, FromKplRecord)]
#[kpl(crate = renamed::streams, codec = renamed::streams::codec::Json)]
struct Visit {
    #[kpl(partition_key, elide)]
    user: String,
    url: String,
}

fn round_trip<T: KplRecord + FromKplRecordOwned + PartialEq + Debug>(values: &[T]) {
    let mut aggregator = Aggregator::<T>::new();
    for value in values {
        assert!(aggregator.push(value).unwrap().is_none());
    }
    let sealed = aggregator.finish().unwrap();
    let batch = [KinesisRecord::from(&sealed)];
    let got: Vec<T> = Deaggregator::new()
        .records(&batch)
        .map(|record| record.unwrap().value)
        .collect();
    assert_eq!(got, values);
}

#[test]
fn the_derive_goes_through_the_re_export() {
    let click = |user: &str| Click {
        user: user.into(),
        url: "/".into(),
    };
    round_trip(&[click("ada"), click("bob")]);
    round_trip(&[Newtype(click("ada"))]);
    round_trip(&[
        Elided::A {
            user: "ada".into(),
            body: vec![1_u16],
        },
        Elided::B(2),
    ]);
    round_trip(&[renamed::Click {
        user: "ada".into(),
        url: "/".into(),
    }]);
    round_trip(&[Envelope {
        key: 1,
        hash_key: Some(2),
        tag: "3".into(),
        body: vec![4],
    }]);
}

#[test]
fn the_derive_for_reading_goes_through_the_re_export() {
    let batch = [KinesisRecord::new(br#"{"url":"/"}"#).with_partition_key("ada")];
    let record = Deaggregator::<Visit>::new().records(&batch).next().unwrap();
    let expected = Visit {
        user: "ada".into(),
        url: "/".into(),
    };
    assert_eq!(record.unwrap().value, expected);
}
