use kpl::{FromKplRecord, KplRecord};

#[derive(KplRecord)]
#[kpl(codec = String)]
struct NotACodec {
    #[kpl(partition_key)]
    user: String,
}

#[derive(FromKplRecord)]
#[kpl(codec = String)]
struct NotACodecToRead {
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Yaml)]
struct NoSuchType {
    #[kpl(partition_key)]
    user: String,
}

fn main() {}
