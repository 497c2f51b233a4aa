use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{tenant}/{user}")]
struct WithTemplate {
    tenant: String,
    #[kpl(elide)]
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct NothingLeft(#[kpl(partition_key, elide)] String);

#[derive(KplRecord)]
struct BesidePayload {
    #[kpl(partition_key, elide)]
    user: String,
    #[kpl(payload)]
    body: Vec<u8>,
}

fn main() {}
