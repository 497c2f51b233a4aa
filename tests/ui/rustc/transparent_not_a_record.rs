use kpl::{FromKplRecord, KplRecord};

#[derive(KplRecord)]
#[kpl(transparent)]
struct Newtype(String);

#[derive(FromKplRecord)]
#[kpl(transparent)]
struct OnlyRead(String);

fn main() {}
