use kpl::KplRecord;

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
enum KeyLess {
    Created {
        user: String,
        url: String,
    },
    Moved(u8, u8),
    Tick,
    Fine(#[kpl(partition_key)] u8),
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{tenant}")]
enum NotInAll {
    A { tenant: String },
    B { user: String },
    C,
}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
enum Empty {}

#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
union Union {
    a: u8,
    b: u8,
}

fn main() {}
