use kpl::{HashKey, KplRecord};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Placed {
    #[kpl(partition_key)]
    order: String,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
enum Event {
    Forgotten(Placed),
    #[kpl(transparent)]
    Unit,
    #[kpl(transparent)]
    Two(Placed, u64),
    #[kpl(transparent, partition_key = "{0.order}")]
    Template(Placed),
    #[kpl(transparent)]
    Marked(#[kpl(partition_key, tag = "placed")] Placed),
    #[kpl(partition_key = "{0.}")]
    Nameless(Placed),
    #[kpl(partition_key = "{0.order-id}")]
    NotAName(Placed),
    #[kpl(transparent = true)]
    Value(Placed),
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key_with = key, explicit_hash_key_with = hash_key)]
enum WithFunctions {
    #[kpl(transparent)]
    Placed(Placed),
}

fn key(_: &WithFunctions) -> u8 {
    1
}

fn hash_key(_: &WithFunctions) -> HashKey {
    HashKey::new(1)
}

fn main() {}
