use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, codec = kpl::codec::Json)]
#[kpl(crate = kpl)]
#[kpl(crate = kpl)]
struct Click {
    #[kpl(partition_key, partition_key)]
    user: String,
    #[kpl(tag = "a", tag = "b")]
    url: String,
}

fn main() {}
