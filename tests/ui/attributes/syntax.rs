use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl]
#[kpl = "codec"]
#[kpl(codec = kpl::codec::Json partition_key = "{user}")]
#[kpl("codec")]
struct Click {
    user: String,
}

fn main() {}
