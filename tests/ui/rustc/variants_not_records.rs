use kpl::KplRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Placed {
    order: String,
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
enum Event {
    #[kpl(transparent)]
    Placed(Placed),
    #[kpl(partition_key = "{0.ordre}")]
    Shipped(Placed),
}

fn main() {}
