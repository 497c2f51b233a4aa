use kpl::KplRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, bound = "K: Serialize + for<'de> Deserialize<'de>")]
struct Event<K> {
    #[kpl(partition_key)]
    key: K,
}

fn main() {}
