use kpl::{FromKplRecord, KplRecord};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, check)]
struct Generic<T> {
    #[kpl(partition_key)]
    user: T,
}

#[derive(Deserialize, FromKplRecord)]
#[kpl(codec = kpl::codec::Json, check = samples)]
struct ReadOnly {
    url: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, check = samples)]
struct Secret {
    #[kpl(partition_key)]
    user: String,
    #[serde(skip_serializing)]
    password: String,
    #[serde(skip_serializing)]
    optional: Option<u64>,
    #[serde(skip)]
    skipped: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Postcard, check = samples)]
struct Positional {
    #[kpl(partition_key)]
    user: String,
    #[serde(skip_deserializing)]
    count: u64,
    #[serde(default, skip_serializing)]
    other: u64,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, check, chek = samples)]
struct Misspelt {
    #[kpl(partition_key, check)]
    user: String,
}

fn main() {}
