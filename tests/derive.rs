//! What `#[derive(KplRecord)]` makes of types: keys, tags, payload, and the same value back.
#![cfg(all(feature = "derive", feature = "json"))]

use serde::{Deserialize, Serialize};
use kpl::{KplRecord, Aggregator, Deaggregator, KinesisRecord};

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click { #[kpl(partition_key)] user: String, url: String, at_ms: u64 }

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Postcard)]
struct View<'a> { #[kpl(partition_key, elide)] user: &'a str, url: &'a str }

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Gen<K, T, const N: usize> { #[kpl(partition_key, elide)] user: K, t: T, v: Vec<T> }

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
enum E<K> { A { #[kpl(partition_key, elide)] user: K, x: u8 }, #[kpl(partition_key = "c")] B, C(#[kpl(partition_key)] u32, u8) }

#[derive(Debug, PartialEq, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click2 { #[kpl(partition_key, elide)] user: String, url: String, at_ms: u64 }

#[derive(Debug, PartialEq, KplRecord)]
struct P<'a> { #[kpl(partition_key)] user: &'a str, #[kpl(payload)] body: &'a [u8], #[kpl(tag = "t")] t: Option<u8>, #[kpl(explicit_hash_key)] h: Option<u128> }

#[test]
fn t() {
    let mut a = Aggregator::<Click>::new();
    let c = Click { user: "u".into(), url: "x".into(), at_ms: 4 };
    a.push(&c).unwrap();
    let s = a.finish().unwrap();
    let batch = [KinesisRecord::from(&s)];
    let got = Deaggregator::<Click>::new().records(&batch).next().unwrap().unwrap();
    assert_eq!(got.value, c);
}
