use kpl::{FromKplRecord, KplRecord};

#[derive(Clone, PartialEq, prost::Message, KplRecord)]
#[kpl(codec = kpl::codec::Prost)]
struct Message {
    #[prost(string, tag = "1")]
    #[kpl(partition_key, elide)]
    user: String,
    #[prost(uint64, tag = "2")]
    at: u64,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Raw)]
struct Bytes {
    #[kpl(partition_key, elide)]
    user: String,
    at: u64,
}

#[derive(FromKplRecord)]
#[kpl(codec = kpl::codec::Raw)]
struct OnlyRead {
    #[kpl(partition_key, elide)]
    user: String,
    at: u64,
}

fn main() {}
