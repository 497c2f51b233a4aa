//! `#[kpl(check)]`: the test that the derive generates, and what it finds.
#![cfg(all(
    feature = "derive",
    feature = "std",
    feature = "json",
    feature = "postcard",
    feature = "arbitrary"
))]

use arbitrary::Arbitrary;
use kpl::KplRecord;
use kpl::codec::{Decode as _, Encode as _};
use kpl::derive_support::{arbitrary_values, check};
use serde::{Deserialize, Serialize};

/// Its test is `kpl_check_Click` of this file.
#[derive(Arbitrary, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, check)]
struct Click {
    #[kpl(partition_key, elide)]
    user: String,
    #[kpl(explicit_hash_key)]
    shard: Option<u128>,
    #[kpl(tag = "tenant")]
    tenant: Option<String>,
    url: String,
    ratio: Option<i64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Postcard, partition_key = "{sensor}", check = Reading::samples)]
struct Reading {
    sensor: u32,
    value: f64,
}

impl Reading {
    /// NaN is not equal to itself: the payloads are compared.
    fn samples() -> [Self; 2] {
        [0.5, f64::NAN].map(|value| Self { sensor: 7, value })
    }
}

/// Uses of a deprecated type are warnings, but not in what the derive generates.
mod deprecated {
    #![deny(deprecated)]

    use super::{Deserialize, KplRecord, Serialize};

    #[deprecated]
    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json, partition_key = "{sensor}", check = Self::samples)]
    struct Old {
        sensor: u32,
    }

    #[allow(deprecated)]
    impl Old {
        fn samples() -> Vec<Self> {
            vec![Self { sensor: 7 }]
        }
    }
}

/// A variant that is not read does not move the others from the end, nor does one that is not written from anywhere.
#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Postcard, partition_key = "constant", check = <Self>::samples)]
enum Skipping {
    #[serde(skip_serializing)]
    NotWritten,
    First(u8),
    Second(u8),
    #[serde(skip)]
    _Skipped,
}

impl Skipping {
    fn samples() -> [Self; 2] {
        [Self::First(1), Self::Second(2)]
    }
}

/// Why the derive refuses a variant that is not read before one that is.
#[test]
fn serde_reads_another_variant() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Moved {
        #[serde(skip)]
        _Skipped,
        First(u8),
        Second(u8),
    }

    let mut payload = Vec::new();
    kpl::codec::Postcard::encode(&Moved::First(1), &mut payload).unwrap();
    let read: Moved = kpl::codec::Postcard::decode(&payload).unwrap();
    assert_eq!(read, Moved::Second(1));
}

/// Returns the message of the panic with which these values fail.
fn failure<T>(values: Vec<T>) -> String
where
    T: KplRecord + kpl::FromKplRecordOwned + PartialEq + std::fmt::Debug + std::panic::UnwindSafe,
{
    let panic = std::panic::catch_unwind(|| check(values)).unwrap_err();
    *panic.downcast::<String>().unwrap()
}

/// A field that no compiler can see is lost: serde's functions for it do not match.
#[derive(Arbitrary, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "{user}")]
struct Lossy {
    user: u8,
    #[serde(default, skip_serializing_if = "is_large")]
    age: u8,
}

fn is_large(age: &u8) -> bool {
    *age > 200
}

#[test]
fn a_lost_field_is_named() {
    let lossy = |age| Lossy { user: 1, age };
    check([lossy(0), lossy(200)]);
    let message = failure(vec![lossy(200), lossy(201)]);
    assert!(
        message.contains("is not read as it was written: `age: 201,` became `age: 0,`"),
        "{message}"
    );
    assert!(message.ends_with(r#"payload: b"{\"user\":1}""#), "{message}");
    // Arbitrary values find it as well.
    assert!(failure(arbitrary_values::<Lossy>()).contains("became `age: 0,`"));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Placed {
    #[serde(rename = "type")]
    kind: u8,
}

/// The field of the inner struct has the name of the tag: the derive does not see it.
#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key = "constant")]
#[serde(tag = "type")]
enum Event {
    Placed(Placed),
}

#[test]
fn a_value_that_cannot_be_read() {
    let message = failure(vec![Event::Placed(Placed { kind: 7 })]);
    assert!(
        message.contains("cannot be read as it is written: Json: the bytes cannot be read: duplicate field `type`"),
        "{message}"
    );
}

/// The key is not in the payload.
#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Forgetful {
    #[kpl(partition_key)]
    #[serde(skip)]
    user: Same,
    at: u8,
}

/// Always equal, so that only the key shows the difference.
#[derive(Debug, Default)]
struct Same(u8);

impl PartialEq for Same {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl std::fmt::Display for Same {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[test]
fn a_key_that_is_another_one() {
    let message = failure(vec![Forgetful { user: Same(7), at: 1 }]);
    assert!(message.contains("has other keys or tags once it is read"), "{message}");
}

#[test]
fn without_values_nothing_is_checked() {
    assert!(failure(Vec::<Reading>::new()).contains("there are no values"));
}

/// A value that cannot be sent is not compared; one that cannot be written is a mistake.
#[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json, partition_key_with = Self::key)]
struct Refused {
    user: Option<u8>,
    #[serde(skip_deserializing)]
    lost: u8,
    maps: Vec<std::collections::BTreeMap<Option<u8>, u8>>,
}

impl Refused {
    fn key(&self) -> Result<u8, kpl::KeyError> {
        self.user.ok_or(kpl::KeyError::Missing)
    }
}

#[test]
fn values_that_are_not_sent() {
    let refused = |user, lost, maps: &[u8]| Refused {
        user,
        lost,
        maps: maps.iter().map(|key| [(Some(*key), 0), (None, 0)].into()).collect(),
    };
    check([refused(None, 1, &[1]), refused(Some(1), 0, &[])]);
    let message = failure(vec![refused(None, 0, &[]), refused(None, 1, &[])]);
    assert!(message.contains("Refused` was compared: "), "{message}");
    let error = kpl::KeyError::Missing;
    let rest = format!("\n  the first error: {error}\n  the value: Refused {{ user: None, lost: 0, maps: [] }}");
    assert!(message.ends_with(&rest), "{message}");
    assert!(failure(vec![refused(Some(1), 1, &[])]).contains("`lost: 1,` became `lost: 0,`"));
    assert!(failure(vec![refused(Some(1), 1, &[1])]).contains("cannot be written: Json: "));
}
