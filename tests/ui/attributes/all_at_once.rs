//! All mistakes are reported at once, and the type counts as a record all the same.

use kpl::{Aggregator, Deaggregator, KplRecord};

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{usr}", unknown)]
struct Click<'a, T: Clone> {
    #[kpl(explicit_hash_key)]
    user: &'a str,
    #[kpl(explicit_hash_key, elide)]
    url: T,
}

fn main() {
    let click = Click { user: "ada", url: "/" };
    let mut aggregator = Aggregator::<Click<'_, &str>>::new();
    aggregator.push(&click).unwrap();
    for record in Deaggregator::<Click<'_, &str>>::new().records(&[]) {
        let _ = record.unwrap().value.url;
    }
}
