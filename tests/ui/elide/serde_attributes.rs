use kpl::KplRecord;
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
#[serde(default, rename_all = "camelCase")]
struct WithDefault {
    #[kpl(partition_key, elide)]
    user: String,
    url: String,
}

#[derive(Clone, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
#[serde(from = "String", into = "String")]
struct Through {
    #[kpl(partition_key, elide)]
    user: String,
    url: String,
}

impl From<String> for Through {
    fn from(url: String) -> Self {
        Self { user: String::new(), url }
    }
}

impl From<Through> for String {
    fn from(through: Through) -> Self {
        through.url
    }
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
#[serde(untagged)]
enum Untagged {
    Number {
        number: u64,
        #[kpl(partition_key, elide)]
        user: String,
    },
    Count {
        number: u64,
        #[kpl(partition_key, elide)]
        count: u8,
    },
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
enum UntaggedVariant {
    Click(#[kpl(partition_key, elide)] String),
    #[serde(untagged)]
    Other(#[kpl(partition_key)] String),
}

fn main() {}
