use kpl::KplRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct AsField {
    #[kpl(partition_key)]
    user: String,
    #[kpl(explicit_hash_key)]
    at: u64,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{user}", explicit_hash_key_with = at)]
struct FromFunction {
    user: String,
}

fn at(_: &FromFunction) -> String {
    "7".into()
}

fn main() {}
