use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(codc = kpl::codec::Json, partitionkey_with = "f", serde, Codec)]
struct Container {
    #[kpl(partition_key, elid)]
    user: String,
    #[kpl(colour = "red")]
    url: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, elide)]
enum Misplaced {
    #[kpl(codec = kpl::codec::Json)]
    A {
        #[kpl(partition_key, transparent)]
        user: String,
    },
}

fn main() {}
