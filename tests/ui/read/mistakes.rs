//! What reading needs is missing; the partition key is not.

use kpl::{Deaggregator, FromKplRecord};

#[derive(FromKplRecord)]
struct NoCodec {
    user: String,
}

#[derive(FromKplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct ElidedWithoutKey {
    #[kpl(elide)]
    user: String,
    url: String,
}

#[derive(FromKplRecord)]
struct NotRestored {
    user: String,
    #[kpl(payload)]
    body: Vec<u8>,
}

#[derive(FromKplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{usr}")]
struct UnknownField {
    user: String,
}

#[derive(FromKplRecord)]
#[kpl(codec = kpl::codec::Json)]
enum Empty {}

#[derive(FromKplRecord)]
#[kpl(codec = kpl::codec::Json, codc = kpl::codec::Json)]
union Union {
    a: u8,
    b: u8,
}

fn main() {
    for record in Deaggregator::<NoCodec>::new().records(&[]) {
        let _ = record.unwrap().value.user;
    }
}
