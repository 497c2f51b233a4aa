use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{user}", crate = "nowhere::kpl")]
struct Click {
    user: String,
}

fn main() {}
