use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(partition_key = "{tenant}/{user}")]
struct Named {
    tenant: String,
    #[kpl(tag = "user")]
    user: String,
    at: u64,
    #[kpl(payload)]
    body: Vec<u8>,
}

#[derive(KplRecord)]
struct Tuple(#[kpl(partition_key)] u8, u16, #[kpl(payload)] Vec<u8>);

fn main() {}
