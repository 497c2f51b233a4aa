use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    tenant: String,
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Tick;

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Pair(u8, u8);

fn main() {}
