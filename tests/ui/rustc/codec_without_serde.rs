use kpl::{FromKplRecord, KplRecord};
use serde::{Deserialize, Serialize};

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Neither {
    #[kpl(partition_key)]
    user: String,
}

#[derive(Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Bincode)]
struct WrittenWithoutSerialize {
    #[kpl(partition_key)]
    user: String,
}

#[derive(Serialize, FromKplRecord)]
#[kpl(codec = kpl::codec::Postcard)]
struct ReadWithoutDeserialize {
    user: String,
}

fn main() {}
