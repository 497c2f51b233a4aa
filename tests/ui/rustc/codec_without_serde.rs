use kpl::KplRecord;
use serde::Serialize;

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Neither {
    #[kpl(partition_key)]
    user: String,
}

#[derive(Serialize, KplRecord)]
#[kpl(codec = kpl::codec::Postcard)]
struct OnlySerialize {
    #[kpl(partition_key)]
    user: String,
}

fn main() {}
