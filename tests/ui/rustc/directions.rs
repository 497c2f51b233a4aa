use kpl::{Aggregator, Deaggregator, FromKplRecord, KplRecord};
use serde::{Deserialize, Serialize};

#[derive(Serialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct OnlyWritten {
    #[kpl(partition_key)]
    user: String,
}

#[derive(KplRecord)]
#[kpl(transparent)]
struct Newtype(OnlyWritten);

#[derive(Deserialize, FromKplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct OnlyRead {
    user: String,
}

fn main() {
    let _ = Deaggregator::<OnlyWritten>::new().records(&[]);
    let _ = Deaggregator::<Newtype>::new().records(&[]);
    let _ = Aggregator::<OnlyRead>::new().push(&OnlyRead { user: "ada".into() });
}
