use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(transparent)]
struct Newtype(String);

fn main() {}
