use std::fmt;
use std::str::FromStr;

use kpl::KplRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct OnlyDisplay(u64);

impl fmt::Display for OnlyDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Serialize, Deserialize)]
struct SilentError(u64);

impl fmt::Display for SilentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SilentError {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(Self).map_err(drop)
    }
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct NoFromStr {
    #[kpl(partition_key, elide)]
    id: OnlyDisplay,
    url: String,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct NoErrorText {
    #[kpl(partition_key, elide)]
    id: SilentError,
    url: String,
}

fn main() {}
