use kpl::KplRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{user}")]
struct NoText {
    user: String,
    #[kpl(tag = "ids")]
    ids: Vec<u8>,
    #[kpl(tag = "more")]
    more: Option<Vec<u8>>,
}

fn main() {}
