use kpl::{FromKplRecord, KplRecord};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Event<K, T> {
    #[kpl(partition_key)]
    key: K,
    body: T,
}

/// Has all but `Display`.
#[derive(Serialize, Deserialize)]
struct NoText;

struct NoRecord;

fn write(_: impl KplRecord) {}

fn read<T: for<'de> FromKplRecord<'de>>() {}

fn main() {
    write(Event { key: 1, body: NoText });
    write(Event { key: NoText, body: 1 });
    write(NoRecord);
    read::<NoRecord>();
}
