use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(codec, partition_key_with = 7, bound = "T:: ", crate = "a b")]
struct Container {
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key)]
struct NoTemplate {
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, transparent = true)]
struct Fields {
    #[kpl(partition_key = "{user}", elide = "yes")]
    user: String,
    #[kpl(tag)]
    tag: String,
    #[kpl(tag = 7)]
    other: String,
}

#[derive(KplRecord)]
#[kpl(transparent = true)]
struct Transparent(kpl::RawRecord);

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
enum Variants {
    #[kpl(partition_key)]
    Moved { user: String },
    Left {
        #[kpl(partition_key = "{user}")]
        user: String,
    },
}

fn main() {}
