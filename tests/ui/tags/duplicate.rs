use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Twice {
    #[kpl(partition_key, tag = "a")]
    user: String,
    #[kpl(tag = "a")]
    url: String,
}

fn main() {}
