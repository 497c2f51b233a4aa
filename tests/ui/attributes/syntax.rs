use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl]
#[kpl = "codec"]
#[kpl(codec = kpl::codec::Json partition_key = "{user}")]
#[kpl("codec")]
struct Click {
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json partition_key = "{user}", nothing, partition_key = "{user}")]
struct Pause {
    user: String,
}

fn main() {}
