use kpl::KplRecord;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Zstd<kpl::codec::Json>, check = samples)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    by_default: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    optional: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", with = "some_module")]
    with: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", with = "some_module", default)]
    with_default: Option<u64>,
    #[serde(skip_serializing, deserialize_with = "some_function")]
    never: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty", skip_deserializing)]
    not_read: Vec<u64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "constant", check = samples)]
enum Event {
    Named {
        #[serde(skip_serializing_if = "String::is_empty")]
        url: String,
    },
    Tuple(u64, #[serde(skip_serializing_if = "Option::is_none")] Option<u64>),
    Newtype(#[serde(skip_serializing_if = "String::is_empty")] String),
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "constant", check = samples)]
#[serde(default)]
struct ByDefault {
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
}

/// Not checked: values without a URL may be only written.
#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "constant")]
struct Unchecked {
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
}

fn main() {}
