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

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
#[serde(tag = "t", content = "c")]
enum NothingToRead {
    Only(#[kpl(partition_key, elide)] String),
    Named {
        #[kpl(partition_key, elide)]
        key: String,
    },
    Two(#[kpl(partition_key, elide)] String, u8),
}

fn main() {}
