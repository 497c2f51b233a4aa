use kpl::KplRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: Option<String>,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{tenant}/{user}")]
struct Login {
    tenant: String,
    user: Option<String>,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Session {
    #[kpl(partition_key)]
    id: Vec<u8>,
}

fn main() {}
