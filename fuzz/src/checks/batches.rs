use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use kpl::arbitrary::DamagedBatch;
use kpl::codec::{Bincode, Json, Postcard};
use kpl::{HashKey, KplRecord, PartitionKey, RawRecord};
use serde::{Deserialize, Serialize};

macro_rules! check {
    ($type:ty, $u:expr) => {{
        let batch = DamagedBatch::<$type>::arbitrary_take_rest($u).expect("bytes of any number make one");
        batch.intact().check();
        batch.check();
        assert!(!format!("{batch:?}").is_empty());
    }};
}

/// Batches of arbitrary values of derived types, intact and damaged, with the helper that users have for types of their
/// own: what goes in comes out, and damage does not affect other records.
pub fn batches(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let u = Unstructured::new(rest);
    match kind % 6 {
        0 => check!(Event, u),
        1 => check!(Elided, u),
        2 => check!(Kind, u),
        3 => check!(Envelope, u),
        4 => check!(View<'_>, u),
        _ => {
            // A lone raw record does not carry its explicit hash key.
            let batch = DamagedBatch::<RawRecord>::arbitrary_take_rest(u).expect("bytes of any number make one");
            let same = |sent: &RawRecord, back: &RawRecord| {
                (&sent.partition_key, &sent.data, &sent.tags) == (&back.partition_key, &back.data, &back.tags)
                    && (back.explicit_hash_key.is_none() || back.explicit_hash_key == sent.explicit_hash_key)
            };
            batch.intact().check_by(same);
            batch.check_by(same);
            assert!(!format!("{batch:?}").is_empty());
        }
    }
}

#[derive(Arbitrary, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Json)]
struct Event {
    #[kpl(partition_key)]
    key: PartitionKey<'static>,
    #[kpl(explicit_hash_key)]
    place: Option<HashKey>,
    #[kpl(tag = "note")]
    note: Option<String>,
    attributes: BTreeMap<String, Option<i64>>,
    letter: char,
}

#[derive(Arbitrary, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Postcard)]
struct Elided {
    #[kpl(partition_key, elide)]
    id: u64,
    #[kpl(explicit_hash_key)]
    place: Option<u128>,
    numbers: Vec<i16>,
}

#[derive(Arbitrary, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Bincode)]
enum Kind {
    One {
        #[kpl(partition_key)]
        key: u32,
        text: String,
    },
    #[kpl(partition_key = "{0}/{1}")]
    Two(u32, i8),
    #[kpl(partition_key = "three")]
    Three,
}

#[derive(Arbitrary, Debug, PartialEq, KplRecord)]
struct Envelope {
    #[kpl(partition_key)]
    #[arbitrary(with = kpl::arbitrary::partition_key)]
    key: String,
    #[kpl(payload)]
    body: Vec<u8>,
}

/// Borrows from the fuzzer's bytes when it is created, and from the record's when it is read.
#[derive(Arbitrary, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Postcard)]
struct View<'a> {
    #[kpl(partition_key)]
    id: u16,
    text: &'a str,
}
