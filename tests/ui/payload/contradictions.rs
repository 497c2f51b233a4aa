use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct WithCodec {
    #[kpl(partition_key)]
    user: String,
    #[kpl(payload)]
    body: Vec<u8>,
}

#[derive(KplRecord)]
struct Two {
    #[kpl(partition_key)]
    user: String,
    #[kpl(payload)]
    body: Vec<u8>,
    #[kpl(payload)]
    more: Vec<u8>,
}

#[derive(KplRecord)]
struct AlsoTheKey {
    #[kpl(partition_key, payload, tag = "t")]
    body: String,
}

#[derive(KplRecord)]
enum InEnum {
    A {
        #[kpl(partition_key)]
        user: String,
        #[kpl(payload)]
        body: Vec<u8>,
    },
}

fn main() {}
