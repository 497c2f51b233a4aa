use kpl::KplRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Id(u64);

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct AsField {
    #[kpl(partition_key)]
    id: Id,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct AsOption {
    #[kpl(partition_key)]
    user: Option<String>,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{tenant}/{id}")]
struct InTemplate {
    tenant: String,
    id: Id,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key_with = "FromFunction::key")]
struct FromFunction {
    id: u8,
}

impl FromFunction {
    fn key(&self) -> Option<u8> {
        Some(self.id)
    }
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key_with = "NoFunction::key")]
struct NoFunction {
    id: u8,
}

fn main() {}
