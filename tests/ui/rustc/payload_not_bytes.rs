use std::fmt;

use kpl::{FromKplRecord, KplRecord};

#[derive(KplRecord)]
struct NotBytes {
    #[kpl(partition_key)]
    user: String,
    #[kpl(payload)]
    body: Vec<u32>,
}

#[derive(KplRecord)]
struct NotFromBytes {
    #[kpl(partition_key)]
    user: String,
    #[kpl(payload)]
    body: String,
}

struct OnlyDisplay(u64);

impl fmt::Display for OnlyDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(KplRecord)]
struct NotRestorable {
    #[kpl(partition_key)]
    user: OnlyDisplay,
    #[kpl(tag = "tag")]
    tag: OnlyDisplay,
    #[kpl(tag = "maybe")]
    maybe: Option<OnlyDisplay>,
    #[kpl(payload)]
    body: Vec<u8>,
}

#[derive(FromKplRecord)]
struct OnlyRead {
    #[kpl(payload)]
    body: Vec<u32>,
}

fn main() {}
