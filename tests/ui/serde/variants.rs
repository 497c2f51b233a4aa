use kpl::{FromKplRecord, KplRecord};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Postcard, partition_key = "constant")]
enum First {
    #[serde(skip)]
    Skipped,
    Click,
    #[serde(rename = "n", skip_deserializing)]
    NotRead(u64),
    Tick,
    #[serde(skip)]
    Last,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Gzip<kpl::codec::Bincode>, partition_key = "constant")]
#[serde(tag = "type", content = "content")]
enum Adjacent {
    #[serde(skip)]
    Skipped,
    Click,
    #[serde(skip_serializing)]
    NotWritten,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "constant")]
enum ByName {
    #[serde(skip)]
    Skipped,
    Click,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Postcard, partition_key = "constant")]
enum NotMoved {
    #[serde(skip_serializing)]
    NotWritten,
    Click,
    #[serde(skip)]
    Skipped,
    #[serde(skip_deserializing)]
    NotRead,
}

#[derive(Deserialize, FromKplRecord)]
#[kpl(codec = kpl::codec::Postcard)]
enum ReadOnly {
    #[serde(skip)]
    Skipped,
    Click,
}

fn main() {}
