use kpl::{KplRecord, RawRecord};

#[derive(KplRecord)]
#[kpl(transparent, codec = kpl::codec::Json, partition_key = "{0}")]
struct WithMore(#[kpl(partition_key, tag = "t")] RawRecord);

#[derive(KplRecord)]
#[kpl(transparent)]
struct TwoFields(RawRecord, u8);

#[derive(KplRecord)]
#[kpl(transparent)]
struct NoField;

#[derive(KplRecord)]
#[kpl(transparent)]
enum Enum {
    A(RawRecord),
}

fn main() {}
