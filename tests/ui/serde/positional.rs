use kpl::{FromKplRecord, KplRecord};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Postcard, partition_key = "{user}")]
#[serde(tag = "type")]
enum Tagged {
    Click { user: u64 },
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Bincode, partition_key = "{user}")]
#[serde(untagged)]
enum Untagged {
    Click { user: u64 },
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Gzip<kpl::codec::Bincode>, partition_key = "{user}")]
enum Variant {
    Tick { user: u64 },
    #[serde(untagged)]
    Click { user: u64 },
}

#[derive(Serialize, Deserialize)]
struct Rest {
    url: String,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Postcard)]
struct Click {
    #[kpl(partition_key)]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Deserialize, FromKplRecord)]
#[kpl(codec = kpl::codec::Postcard)]
struct ReadOnly {
    #[serde(flatten)]
    rest: Rest,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    url: String,
}

fn main() {}
