use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{tenant}/{usr}/{id}")]
struct UnknownFields {
    tenant: String,
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{0}/{2}")]
struct UnknownIndex(u8, u8);

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{user")]
struct NeverClosed {
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "user}")]
struct NeverOpened {
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{}")]
struct NoName {
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{user:>width$}")]
struct Argument {
    user: String,
    width: usize,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "user")]
struct NoBraces {
    user: String,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
enum Constants {
    #[kpl(partition_key = "")]
    Empty,
    #[kpl(partition_key = "{user}")]
    NoFields,
    #[kpl(partition_key = "\
        0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\
        0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\
        012345678901234567890123456789012345678901234567890123456")]
    TooLong,
}

fn main() {}
