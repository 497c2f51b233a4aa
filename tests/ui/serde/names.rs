#![allow(unreachable_patterns)]

use kpl::{FromKplRecord, KplRecord};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{user}")]
#[serde(tag = "type")]
struct Tagged {
    user: u64,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Zstd<kpl::codec::Json>, partition_key = "{user}")]
#[serde(tag = "eventType", rename_all = "camelCase")]
struct Styled {
    user: u64,
    event_type: String,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{user}")]
#[serde(rename_all_fields = "kebab-case")]
enum Twice {
    Click {
        user: u64,
        user_id: u64,
        #[serde(rename = "user-id")]
        other: u64,
    },
}

/// Read only: what matters is how it is read.
#[derive(Deserialize, FromKplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Visit {
    url: String,
    #[serde(rename(serialize = "other", deserialize = "url"))]
    referrer: String,
    #[serde(skip, rename = "url")]
    skipped: String,
}

fn main() {}
