//! `#[derive(KplRecord)]`: keys, tags and payload of a type, and the same value read back.
#![cfg(all(
    feature = "derive",
    feature = "std",
    feature = "json",
    feature = "postcard",
    feature = "prost"
))]

use std::borrow::Cow;
use std::fmt::{self, Binary, Debug, Display, LowerExp, LowerHex, Octal, UpperExp, UpperHex};
use std::marker::PhantomData;
use std::str::FromStr;

use kpl::codec::{Decode, Encode, Json, Postcard};
use kpl::{
    Aggregator, CodecError, DeaggregateError, DeaggregateErrorKind, Deaggregator, FromKplRecord, FromKplRecordOwned,
    HashKey, KeyError, KinesisRecord, KplRecord, PartitionKey, RawRecord, ReadError, SealedRecord, Tags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Returns the records in one aggregate.
fn seal<T: KplRecord>(values: &[T]) -> SealedRecord {
    let mut aggregator = Aggregator::<T>::new();
    for value in values {
        assert!(aggregator.push(value).unwrap().is_none());
    }
    aggregator.finish().unwrap()
}

/// Returns what travels: the keys, the payload and the tags of each record.
fn raw(sealed: &SealedRecord) -> Vec<RawRecord> {
    let batch = [KinesisRecord::from(sealed)];
    let records = Deaggregator::<RawRecord>::new().records(&batch);
    records.map(|record| record.unwrap().value).collect()
}

fn keys(sealed: &SealedRecord) -> Vec<String> {
    raw(sealed)
        .into_iter()
        .map(|record| record.partition_key.unwrap())
        .collect()
}

fn payloads(sealed: &SealedRecord) -> Vec<String> {
    raw(sealed)
        .into_iter()
        .map(|record| String::from_utf8(record.data).unwrap())
        .collect()
}

fn open<T: FromKplRecordOwned>(sealed: &SealedRecord) -> Vec<T> {
    let batch = [KinesisRecord::from(sealed)];
    let records = Deaggregator::<T>::new().records(&batch);
    records.map(|record| record.unwrap().value).collect()
}

fn open_error<T: FromKplRecordOwned>(record: &RawRecord) -> DeaggregateError {
    let mut aggregator = Aggregator::<RawRecord>::builder().wrap_single(true).build().unwrap();
    aggregator.push(record).unwrap();
    let sealed = aggregator.finish().unwrap();
    let batch = [KinesisRecord::from(&sealed)];
    let mut records = Deaggregator::<T>::new().records(&batch);
    records.next().unwrap().map(|_| ()).unwrap_err()
}

/// Alone and together, the values come back.
fn round_trip<T: KplRecord + FromKplRecordOwned + PartialEq + Debug>(values: &[T]) {
    assert_eq!(open::<T>(&seal(values)), values);
    for value in values {
        let alone = std::slice::from_ref(value);
        assert_eq!(open::<T>(&seal(alone)), alone);
    }
}

mod shapes {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json)]
    struct Click {
        #[kpl(partition_key)]
        user: String,
        url: String,
        at_ms: u64,
    }

    #[test]
    fn a_struct() {
        let click = |user: &str, at_ms| Click {
            user: user.into(),
            url: "/".into(),
            at_ms,
        };
        let clicks = [click("ada", 1), click("bob", 2), click("ada", 3)];
        round_trip(&clicks);
        let sealed = seal(&clicks);
        assert_eq!(keys(&sealed), ["ada", "bob", "ada"]);
        assert_eq!(payloads(&sealed)[0], r#"{"user":"ada","url":"/","at_ms":1}"#);
    }

    #[test]
    fn a_key_that_is_text_is_not_copied() {
        let click = Click {
            user: "ada".into(),
            url: String::new(),
            at_ms: 0,
        };
        let mut buffer = String::new();
        let key = KplRecord::partition_key(&click, &mut buffer).unwrap();
        assert!(std::ptr::eq(key, click.user.as_str()));
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    struct Boxed {
        #[kpl(partition_key)]
        key: Box<str>,
    }

    #[test]
    fn a_key_of_boxed_text() {
        let boxed = [Boxed { key: "ada".into() }, Boxed { key: "bob".into() }];
        round_trip(&boxed);
        assert_eq!(keys(&seal(&boxed)), ["ada", "bob"]);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    struct Reading(#[kpl(partition_key)] u32, f64);

    #[test]
    fn a_tuple_struct() {
        let readings = [Reading(7, 0.5), Reading(u32::MAX, -1.0)];
        round_trip(&readings);
        assert_eq!(keys(&seal(&readings)), ["7", "4294967295"]);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json, partition_key = "heartbeat")]
    struct Heartbeat;

    #[test]
    fn a_unit_struct_with_a_constant_key() {
        round_trip(&[Heartbeat, Heartbeat]);
        assert_eq!(keys(&seal(&[Heartbeat])), ["heartbeat"]);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json, partition_key = "{type}")]
    struct Raw {
        r#type: String,
        #[kpl(explicit_hash_key)]
        r#match: Option<u128>,
    }

    #[test]
    fn raw_identifiers() {
        let raw = Raw {
            r#type: "a".into(),
            r#match: Some(1),
        };
        assert_eq!(keys(&seal(std::slice::from_ref(&raw))), ["a"]);
        round_trip(&[raw]);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    struct View<'a> {
        #[kpl(partition_key)]
        user: &'a str,
        #[serde(borrow)]
        url: Cow<'a, str>,
    }

    #[test]
    fn a_view_decodes_without_copying() {
        let view = View {
            user: "ada",
            url: "/".into(),
        };
        let sealed = seal(&[view]);
        let batch = [KinesisRecord::from(&sealed)];
        let got = Deaggregator::<View<'_>>::new().records(&batch).next().unwrap().unwrap();
        assert_eq!(
            got.value,
            View {
                user: "ada",
                url: "/".into()
            }
        );
        let bytes = sealed.data.as_ptr_range();
        assert!(bytes.contains(&got.value.user.as_ptr()));
        assert!(matches!(got.value.url, Cow::Borrowed(url) if bytes.contains(&url.as_ptr())));
    }
}

mod generic {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    struct Event<K, T = u8>
    where
        K: Clone,
    {
        #[kpl(partition_key)]
        key: K,
        body: Vec<T>,
    }

    /// Compiles only if the where clauses of the impls are no stronger than this.
    fn through<K, T>(event: Event<K, T>) -> Event<K, T>
    where
        K: Clone + Display + Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        open(&seal(&[event])).pop().unwrap()
    }

    #[test]
    fn types_with_bounds_and_defaults() {
        let event: Event<u32> = Event {
            key: 7,
            body: vec![1, 2],
        };
        assert_eq!(
            through(event),
            Event {
                key: 7,
                body: vec![1, 2]
            }
        );
        round_trip(&[Event {
            key: "a".to_string(),
            body: vec!["x".to_string()],
        }]);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(
        codec = Json,
        partition_key = "{whole:x}/{whole:#X}/{whole:o}/{whole:010b}/{real:e}/{real:.1E}/{whole:?}"
    )]
    struct Formatted<W, R> {
        whole: W,
        real: R,
    }

    /// Compiles only if the impls ask for what each format needs, and not for `Display`.
    fn formatted<W, R>(value: Formatted<W, R>) -> String
    where
        W: LowerHex + UpperHex + Octal + Binary + Debug + Serialize + DeserializeOwned,
        R: LowerExp + UpperExp + Serialize + DeserializeOwned,
    {
        keys(&seal(&[value])).remove(0)
    }

    #[test]
    fn every_format_of_a_template() {
        let value = Formatted {
            whole: 171_u8,
            real: 1500.0,
        };
        assert_eq!(formatted(value), "ab/0xAB/253/0010101011/1.5e3/1.5E3/171");
    }

    #[derive(Debug, PartialEq, KplRecord)]
    struct Fixed<const N: usize> {
        #[kpl(partition_key)]
        key: String,
        #[kpl(payload)]
        body: [u8; N],
    }

    #[test]
    fn constants() {
        round_trip(&[Fixed {
            key: "a".into(),
            body: [1, 2, 3],
        }]);
        let error = open_error::<Fixed<2>>(&RawRecord::new("a", [1, 2, 3]));
        assert!(
            error.to_string().contains("could not convert slice to array"),
            "{error}"
        );
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    #[serde(bound(deserialize = "T: Deserialize<'de>, 'de: 'a"))]
    struct Both<'a, T: Clone> {
        #[kpl(partition_key)]
        key: &'a str,
        body: T,
    }

    #[test]
    fn a_lifetime_and_a_type() {
        let sealed = seal(&[Both { key: "a", body: 7_u8 }]);
        let batch = [KinesisRecord::from(&sealed)];
        let got = Deaggregator::<Both<'_, u8>>::new()
            .records(&batch)
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(got.value, Both { key: "a", body: 7 });
    }

    /// Serializes for every `T`, which the derive cannot know.
    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json, bound = "")]
    #[serde(bound = "")]
    struct Marked<T> {
        #[kpl(partition_key)]
        id: u64,
        marker: PhantomData<T>,
    }

    #[derive(Debug, PartialEq)]
    struct NoTraits;

    #[test]
    fn a_bound_of_the_users_own() {
        round_trip(&[Marked::<NoTraits> {
            id: 1,
            marker: PhantomData,
        }]);
    }
}

mod keys_of_records {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json, partition_key = "{tenant}/{{{user:>4}}}/{flags:#x}/{ids:?}")]
    struct Composite {
        tenant: String,
        user: u8,
        flags: u32,
        ids: Vec<u8>,
    }

    #[test]
    fn a_character_to_fill_with_can_be_any() {
        #[derive(Serialize, Deserialize, KplRecord)]
        #[kpl(codec = Json, partition_key = "{0:*>8}/{1:$<4.1}/{0:#^7x}")]
        struct Filled(u32, f32);

        assert_eq!(keys(&seal(&[Filled(7, 0.25)])), ["*******7/0.2$/###7###"]);
    }

    #[test]
    fn a_pointer_is_where_the_field_points_to() {
        #[derive(Serialize, Deserialize, KplRecord)]
        #[kpl(codec = Json, partition_key = "{at:p}")]
        struct Pointing {
            at: Box<u8>,
        }

        let pointing = Pointing { at: Box::new(7) };
        let mut buffer = String::new();
        let key = KplRecord::partition_key(&pointing, &mut buffer).unwrap();
        assert_eq!(key, format!("{:p}", pointing.at));
    }

    #[test]
    fn a_template() {
        let composite = Composite {
            tenant: "t".into(),
            user: 7,
            flags: 255,
            ids: vec![1, 2],
        };
        assert_eq!(keys(&seal(std::slice::from_ref(&composite))), ["t/{   7}/0xff/[1, 2]"]);
        round_trip(&[composite]);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json, partition_key = "{1}:{0}:{1}")]
    struct Pair(String, u8);

    #[test]
    fn a_template_of_tuple_indexes() {
        assert_eq!(keys(&seal(&[Pair("a".into(), 1)])), ["1:a:1"]);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(
        codec = Json,
        partition_key_with = "Hashed::bucket",
        explicit_hash_key_with = half,
    )]
    struct Hashed {
        id: u64,
    }

    impl Hashed {
        fn bucket(&self) -> impl Display + use<> {
            self.id % 10
        }
    }

    fn half(hashed: &Hashed) -> Option<HashKey> {
        (hashed.id > 20).then(|| HashKey::new(1 << 127))
    }

    #[test]
    fn functions() {
        let hashed = [Hashed { id: 17 }, Hashed { id: 25 }];
        let sealed = seal(&hashed);
        assert_eq!(keys(&sealed), ["7", "5"]);
        let explicit: Vec<_> = raw(&sealed)
            .into_iter()
            .map(|record| record.explicit_hash_key)
            .collect();
        assert_eq!(explicit, [None, Some(HashKey::new(1 << 127))]);
        round_trip(&hashed);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    struct Placed {
        #[kpl(partition_key)]
        id: u8,
        #[kpl(explicit_hash_key)]
        at: u128,
    }

    #[test]
    fn an_explicit_hash_key_field() {
        let sealed = seal(&[Placed { id: 1, at: u128::MAX }, Placed { id: 2, at: 0 }]);
        let explicit: Vec<_> = raw(&sealed)
            .into_iter()
            .map(|record| record.explicit_hash_key)
            .collect();
        assert_eq!(explicit, [Some(HashKey::MAX), Some(HashKey::MIN)]);
        assert_eq!(sealed.explicit_hash_key, HashKey::MAX);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    struct TypedKeys {
        #[kpl(partition_key)]
        key: PartitionKey<'static>,
        #[kpl(explicit_hash_key)]
        at: Option<HashKey>,
    }

    #[test]
    fn keys_of_the_crates_own_types() {
        let key = PartitionKey::new("ada").unwrap();
        let typed = TypedKeys {
            key,
            at: Some(HashKey::MAX),
        };
        let sealed = seal(std::slice::from_ref(&typed));
        assert_eq!(keys(&sealed), ["ada"]);
        assert_eq!(
            payloads(&sealed),
            [r#"{"key":"ada","at":"340282366920938463463374607431768211455"}"#]
        );
        assert_eq!(sealed.explicit_hash_key, HashKey::MAX);
        round_trip(&[
            typed,
            TypedKeys {
                key: PartitionKey::new("b").unwrap(),
                at: None,
            },
        ]);
        let error = open_error::<TypedKeys>(&RawRecord::new("a", r#"{"key":"","at":null}"#));
        assert!(
            error.to_string().contains("a partition key has 1 to 256 characters"),
            "{error}"
        );
        let error = open_error::<TypedKeys>(&RawRecord::new("a", r#"{"key":"a","at":"007"}"#));
        assert!(error.to_string().contains("a hash key is a decimal number"), "{error}");
        let error = open_error::<TypedKeys>(&RawRecord::new("a", r#"{"key":"a","at":7}"#));
        assert!(
            error.to_string().contains("expected a hash key in decimal digits"),
            "{error}"
        );

        let mut bytes = Vec::new();
        Postcard::encode(&HashKey::new(300), &mut bytes).unwrap();
        assert_eq!(bytes, [0xAC, 2], "a number in a format that is not human-readable");
        let key: HashKey = Postcard::decode(&bytes).unwrap();
        assert_eq!(key, HashKey::new(300));
    }

    #[derive(Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    struct Failing {
        #[kpl(partition_key)]
        key: NoText,
    }

    #[derive(Serialize, Deserialize)]
    struct NoText;

    impl Display for NoText {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }

    #[test]
    fn a_display_that_fails_is_an_error() {
        let mut aggregator = Aggregator::<Failing>::new();
        let error = aggregator.push(&Failing { key: NoText }).unwrap_err();
        assert_eq!(error.to_string(), "the key's Display implementation failed");
        assert!(aggregator.is_empty());
    }
}

mod enums {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json)]
    enum Event {
        Created {
            #[kpl(partition_key)]
            user: String,
            #[kpl(explicit_hash_key)]
            at: u128,
        },
        #[kpl(partition_key = "{0}-{1}")]
        Moved(u8, u8),
        Deleted(#[kpl(partition_key, tag = "id")] u64),
        #[kpl(partition_key = "tick")]
        Tick,
    }

    #[test]
    fn a_key_per_variant() {
        let events = [
            Event::Created {
                user: "ada".into(),
                at: 5,
            },
            Event::Moved(1, 2),
            Event::Deleted(3),
            Event::Tick,
        ];
        round_trip(&events);
        let sealed = seal(&events);
        assert_eq!(keys(&sealed), ["ada", "1-2", "3", "tick"]);
        let raw = raw(&sealed);
        let explicit: Vec<_> = raw.iter().map(|record| record.explicit_hash_key).collect();
        assert_eq!(explicit, [Some(HashKey::new(5)), None, None, None]);
        let tags: Vec<Vec<_>> = raw.iter().map(|record| record.tags.iter().collect()).collect();
        assert_eq!(tags, [vec![], vec![], vec![("id", Some("3"))], vec![]]);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json, partition_key = "{tenant}")]
    enum Common {
        A {
            tenant: String,
        },
        B {
            tenant: u8,
            more: (),
        },
        #[kpl(partition_key = "none")]
        C,
    }

    #[test]
    fn a_template_for_all_variants_that_have_no_other() {
        let events = [
            Common::A { tenant: "a".into() },
            Common::B { tenant: 7, more: () },
            Common::C,
        ];
        assert_eq!(keys(&seal(&events)), ["a", "7", "none"]);
        round_trip(&events);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json, partition_key_with = "Self::name")]
    enum Named {
        A,
        B(u8),
    }

    impl Named {
        fn name(&self) -> &'static str {
            match self {
                Self::A => "a",
                Self::B(_) => "b",
            }
        }
    }

    #[test]
    fn a_function_for_all_variants() {
        let events = [Named::A, Named::B(1)];
        assert_eq!(keys(&seal(&events)), ["a", "b"]);
        round_trip(&events);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    enum Generic<K: Display> {
        A(#[kpl(partition_key)] K),
        #[kpl(partition_key = "b/{key}")]
        B {
            key: K,
        },
    }

    #[test]
    fn generics() {
        let events = [Generic::A(1_u8), Generic::B { key: 2 }];
        assert_eq!(keys(&seal(&events)), ["1", "b/2"]);
        round_trip(&events);
    }
}

mod payload {
    use super::*;

    #[derive(Debug, PartialEq, KplRecord)]
    struct Envelope {
        #[kpl(partition_key)]
        id: u32,
        #[kpl(explicit_hash_key)]
        at: Option<u128>,
        #[kpl(tag = "kind")]
        kind: String,
        #[kpl(tag = "trace")]
        trace: Option<u64>,
        #[kpl(payload)]
        body: Vec<u8>,
    }

    fn envelope(at: Option<u128>, trace: Option<u64>) -> Envelope {
        Envelope {
            id: 7,
            at,
            kind: "k".into(),
            trace,
            body: vec![1, 2, 3],
        }
    }

    #[test]
    fn a_reference_to_a_record_is_the_same_record() {
        fn lone<T: KplRecord>(value: &T) -> SealedRecord {
            let mut aggregator = Aggregator::new();
            assert_eq!(aggregator.push(value).unwrap(), None);
            aggregator.finish().unwrap()
        }

        #[derive(KplRecord)]
        struct Wrapped {
            #[kpl(partition_key)]
            key: String,
            #[kpl(payload)]
            body: Vec<u8>,
        }

        #[derive(Serialize, Deserialize, KplRecord)]
        #[kpl(codec = Json, partition_key = "key")]
        struct Plain(u8);

        let tagged = envelope(Some(5), Some(6));
        assert_eq!(lone(&&tagged), lone(&tagged));
        let wrapped = Wrapped {
            key: "key".into(),
            body: vec![1, 2, 3],
        };
        assert!(lone(&wrapped).aggregated);
        assert_eq!(lone(&&wrapped), lone(&wrapped));
        assert!(!lone(&Plain(7)).aggregated);
        assert_eq!(lone(&&Plain(7)), lone(&Plain(7)));
    }

    #[test]
    fn all_other_fields_come_back_from_keys_and_tags() {
        round_trip(&[envelope(None, None), envelope(Some(5), Some(6))]);
        let raw = raw(&seal(&[envelope(Some(5), None)]));
        let expected = RawRecord::new("7", [1, 2, 3])
            .with_explicit_hash_key(5)
            .with_tag("kind", Some("k"));
        assert_eq!(raw, [expected]);
    }

    #[test]
    fn a_tag_that_is_missing_or_no_such_value() {
        let error = open_error::<Envelope>(&RawRecord::new("7", "data"));
        assert!(
            error
                .to_string()
                .ends_with("field kind: the record has no tag \"kind\" with a value"),
            "{error}"
        );

        let record = RawRecord::new("7", "data")
            .with_tag("kind", Some("k"))
            .with_tag("trace", Some("x"));
        let error = open_error::<Envelope>(&record);
        assert!(matches!(
            error.kind(),
            DeaggregateErrorKind::Read(ReadError::Field { field: "trace", text: Some(text), .. }) if text == "x"
        ));
        assert_eq!(error.data(), b"data");
    }

    #[derive(Debug, PartialEq, KplRecord)]
    struct Placed {
        #[kpl(partition_key)]
        id: u32,
        #[kpl(explicit_hash_key)]
        at: HashKey,
        #[kpl(payload)]
        body: Box<[u8]>,
    }

    #[test]
    fn a_lone_record_keeps_its_explicit_hash_key() {
        let placed = Placed {
            id: 1,
            at: HashKey::new(9),
            body: [1].into(),
        };
        assert!(placed.always_wrapped());
        assert!(seal(std::slice::from_ref(&placed)).aggregated);
        round_trip(&[placed]);

        #[derive(KplRecord)]
        #[kpl(partition_key = "all")]
        struct MaybePlaced {
            #[kpl(explicit_hash_key)]
            at: Option<HashKey>,
            #[kpl(payload)]
            body: Vec<u8>,
        }
        for at in [None, Some(HashKey::new(9))] {
            let placed = MaybePlaced { at, body: vec![1] };
            assert_eq!(placed.always_wrapped(), at.is_some());
            assert_eq!(placed.body, [1]);
        }

        let error = open_error::<Placed>(&RawRecord::new("1", "data"));
        assert!(
            error
                .to_string()
                .ends_with("field at: the record has no explicit hash key"),
            "{error}"
        );
    }

    #[derive(Debug, PartialEq, KplRecord)]
    struct View<'a>(#[kpl(partition_key)] &'a str, #[kpl(payload)] &'a [u8]);

    #[test]
    fn nothing_is_copied() {
        let view = View("key", b"body");
        let (mut text, mut bytes) = (String::new(), Vec::new());
        assert!(std::ptr::eq(view.partition_key(&mut text).unwrap(), view.0));
        assert!(std::ptr::eq(view.payload(&mut bytes).unwrap(), view.1));

        let sealed = seal(&[View("a", b"one"), View("b", b"two")]);
        let batch = [KinesisRecord::from(&sealed)];
        for record in Deaggregator::<View<'_>>::new().records(&batch) {
            let View(key, body) = record.unwrap().value;
            assert!(sealed.data.as_ptr_range().contains(&key.as_ptr()));
            assert!(sealed.data.as_ptr_range().contains(&body.as_ptr()));
        }
    }

    #[derive(Debug, PartialEq, KplRecord)]
    struct Generic<K, B, T> {
        #[kpl(partition_key)]
        key: K,
        #[kpl(tag = "t")]
        tag: Option<T>,
        #[kpl(payload)]
        body: B,
    }

    #[test]
    fn generics() {
        round_trip(&[Generic {
            key: 1_u8,
            tag: Some(2_u8),
            body: vec![3],
        }]);
        round_trip(&[Generic {
            key: "a".to_string(),
            tag: None::<char>,
            body: Box::<[u8]>::from([4]),
        }]);
    }
}

mod tags {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    struct Traced {
        #[kpl(partition_key)]
        id: u8,
        #[kpl(tag = "trace id")]
        trace: Option<String>,
        #[kpl(tag = "level")]
        level: u8,
    }

    #[test]
    fn fields_that_also_travel_as_tags() {
        let traced = [
            Traced {
                id: 1,
                trace: Some("x".into()),
                level: 3,
            },
            Traced {
                id: 1,
                trace: None,
                level: 4,
            },
        ];
        round_trip(&traced);
        let tags: Vec<Vec<_>> = raw(&seal(&traced))
            .iter()
            .map(|record| {
                record
                    .tags
                    .iter()
                    .map(|(key, value)| format!("{key}={}", value.unwrap()))
                    .collect()
            })
            .collect();
        assert_eq!(tags, [vec!["trace id=x", "level=3"], vec!["level=4"]]);
    }

    /// Writes its text in two pieces, between which it can fail.
    struct Pieces(&'static str, bool);

    impl Display for Pieces {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)?;
            if self.1 { f.write_str(self.0) } else { Err(fmt::Error) }
        }
    }

    #[derive(KplRecord)]
    #[kpl(codec = NoPayload)]
    struct Piecewise {
        #[kpl(partition_key)]
        id: u8,
        #[kpl(tag = "first")]
        first: Pieces,
        #[kpl(tag = "second")]
        second: Pieces,
    }

    struct NoPayload;

    impl Encode<Piecewise> for NoPayload {
        fn encode(_: &Piecewise, _: &mut Vec<u8>) -> Result<(), CodecError> {
            Ok(())
        }
    }

    fn piecewise(first: &'static str, second: Pieces) -> Piecewise {
        Piecewise {
            id: 1,
            first: Pieces(first, true),
            second,
        }
    }

    /// Around the lengths at which their own lengths take one more byte.
    #[test]
    fn texts_of_all_lengths() {
        let text: &str = Box::leak("é0".repeat(6_000).into_boxed_str());
        for len in [0, 3, 54, 60, 63, 66, 126, 129, 8_190, 8_193, 8_196] {
            for other in [0, 3, 63, 66, 8_193] {
                let (first, second) = (&text[..len], &text[..other]);
                let record = piecewise(first, Pieces(second, true));
                let mut tags = Tags::new();
                tags.push("before", None);
                record.tags(&mut tags).unwrap();
                let (first, second) = (first.repeat(2), second.repeat(2));
                let expected = [
                    ("before", None),
                    ("first", Some(first.as_str())),
                    ("second", Some(second.as_str())),
                ];
                assert_eq!(tags, Tags::from_iter(expected));
                assert_eq!(
                    raw(&seal(&[record]))[0].tags,
                    Tags::from_iter(expected[1..].iter().copied())
                );
            }
        }
    }

    #[test]
    fn a_display_that_fails_leaves_the_tags_as_they_were() {
        let mut tags = Tags::new();
        let error = piecewise("a", Pieces("half", false)).tags(&mut tags).unwrap_err();
        assert!(matches!(error, KeyError::Display));
        assert_eq!(tags.iter().collect::<Vec<_>>(), [("first", Some("aa"))]);
        piecewise("b", Pieces("c", true)).tags(&mut tags).unwrap();
        let texts: Vec<_> = tags.iter().map(|(_, value)| value.unwrap()).collect();
        assert_eq!(texts, ["aa", "bb", "cc"]);
    }
}

mod codecs {
    use super::*;

    /// `key=value`.
    struct Equation;

    impl Encode<Setting> for Equation {
        fn encode(value: &Setting, out: &mut Vec<u8>) -> Result<(), CodecError> {
            out.extend(format!("{}={}", value.name, value.value).bytes());
            Ok(())
        }
    }

    impl Decode<'_, Setting> for Equation {
        fn decode(bytes: &[u8]) -> Result<Setting, CodecError> {
            let text = std::str::from_utf8(bytes).map_err(|error| CodecError::decode("Equation", error))?;
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| CodecError::decode("Equation", "no ="))?;
            Ok(Setting {
                name: name.into(),
                value: value.into(),
            })
        }
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = "Equation", partition_key = "{name}")]
    struct Setting {
        name: String,
        value: String,
    }

    #[test]
    fn a_codec_of_the_users_own() {
        let setting = Setting {
            name: "a".into(),
            value: "b".into(),
        };
        assert_eq!(payloads(&seal(std::slice::from_ref(&setting))), ["a=b"]);
        round_trip(&[setting]);
        let error = open_error::<Setting>(&RawRecord::new("a", "ab"));
        assert!(matches!(
            error.kind(),
            DeaggregateErrorKind::Read(ReadError::Payload(_))
        ));
    }

    #[derive(Clone, PartialEq, prost::Message, KplRecord)]
    #[kpl(codec = kpl::codec::Prost)]
    struct Message {
        #[prost(string, tag = "1")]
        #[kpl(partition_key)]
        user: String,
        #[prost(uint64, tag = "2")]
        at: u64,
    }

    #[test]
    fn prost_beside_its_own_derive() {
        round_trip(&[Message {
            user: "ada".into(),
            at: 300,
        }]);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = kpl::codec::Postcard)]
    struct Small {
        #[kpl(partition_key)]
        user: String,
        at: u64,
    }

    #[test]
    fn postcard_refuses_trailing_bytes() {
        round_trip(&[Small {
            user: "ada".into(),
            at: 300,
        }]);
        let error = open_error::<Small>(&RawRecord::new("a", [1, b'a', 0, 0]));
        assert!(error.to_string().contains("1 byte is left"), "{error}");
    }
}

mod transparent {
    use super::*;
    use kpl::MalformedPolicy;

    #[derive(Debug, PartialEq, KplRecord)]
    struct Envelope {
        #[kpl(partition_key)]
        id: u32,
        #[kpl(explicit_hash_key)]
        at: HashKey,
        #[kpl(tag = "t")]
        tag: u8,
        #[kpl(payload)]
        body: Vec<u8>,
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(transparent)]
    struct Newtype(Envelope);

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(transparent)]
    struct Generic<T> {
        inner: T,
    }

    #[test]
    fn all_is_left_to_the_field() {
        let envelope = || Envelope {
            id: 1,
            at: HashKey::new(2),
            tag: 3,
            body: vec![4],
        };
        assert_eq!(seal(&[Newtype(envelope())]), seal(&[envelope()]));
        assert!(Newtype(envelope()).always_wrapped());
        round_trip(&[Newtype(envelope())]);
        round_trip(&[Generic {
            inner: Newtype(envelope()),
        }]);
    }

    #[test]
    fn also_the_policy_for_malformed_bytes() {
        assert_eq!(<Newtype as FromKplRecord<'_>>::MALFORMED, MalformedPolicy::Error);
        assert_eq!(
            <Generic<RawRecord> as FromKplRecord<'_>>::MALFORMED,
            MalformedPolicy::Deliver
        );
    }
}

/// The output of the derive must not depend on what the user's names mean.
mod hygiene {
    #![no_implicit_prelude]
    #![allow(dead_code)]

    use ::kpl as _kpl;

    pub(super) struct String;
    pub(super) struct Vec;
    pub(super) struct Result;
    pub(super) struct Option;
    pub(super) struct Ok;
    pub(super) struct Some;
    pub(super) trait KplRecord {}
    pub(super) trait Display {}
    mod core {}
    mod std {}
    mod serde {}

    #[derive(_kpl::KplRecord)]
    #[kpl(
        codec = _kpl::codec::Json,
        partition_key = "{buffer}/{tags}",
        explicit_hash_key_with = record
    )]
    #[derive(::serde::Serialize, ::serde::Deserialize)]
    pub(super) struct Names {
        pub(super) buffer: ::std::string::String,
        #[kpl(tag = "t")]
        pub(super) tags: u16,
    }

    fn record(_: &Names) -> u128 {
        7
    }

    #[derive(_kpl::KplRecord)]
    #[kpl(codec = _kpl::codec::Json)]
    pub(super) struct Elided {
        #[kpl(partition_key, elide)]
        pub(super) read: ::std::string::String,
        pub(super) record: u16,
    }

    /// A pattern cannot bind the name of a constant or a unit struct.
    pub(super) mod constants {
        #![allow(dead_code, non_camel_case_types, non_upper_case_globals)]

        use ::kpl as _kpl;

        const field_user: u8 = 0;
        const field_0: u8 = 0;
        const read: u8 = 0;
        const serializer: u8 = 0;
        struct buffer;
        struct field_at;
        struct field_kind;
        struct field_1;
        struct record;
        struct tags;

        #[derive(_kpl::KplRecord)]
        #[kpl(codec = _kpl::codec::Json)]
        pub(in super::super) struct Elided {
            #[kpl(partition_key, elide)]
            pub(in super::super) user: ::std::string::String,
            #[kpl(tag = "kind")]
            pub(in super::super) kind: u8,
            #[kpl(explicit_hash_key)]
            pub(in super::super) at: u128,
        }

        #[derive(_kpl::KplRecord)]
        pub(in super::super) struct Payload(
            #[kpl(partition_key)] pub(in super::super) u16,
            #[kpl(payload)] pub(in super::super) [::core::primitive::u8; 2],
        );

        #[derive(_kpl::KplRecord)]
        #[kpl(transparent)]
        pub(in super::super) struct Newtype(pub(in super::super) Payload);
    }

    /// Not even on the primitive types, beyond what serde does.
    pub(super) mod primitives {
        #![allow(non_camel_case_types)]

        use ::kpl as _kpl;

        pub(super) struct str;
        pub(super) struct bool;
        pub(super) struct u8;

        #[derive(_kpl::KplRecord)]
        pub(in super::super) struct Payload {
            #[kpl(partition_key)]
            pub(in super::super) key: u16,
            #[kpl(explicit_hash_key)]
            pub(in super::super) hash: u128,
            #[kpl(tag = "t")]
            pub(in super::super) tag: u16,
            #[kpl(payload)]
            pub(in super::super) body: [::core::primitive::u8; 2],
        }
    }
}

#[test]
fn hygiene() {
    let sealed = seal(&[hygiene::Names {
        buffer: "b".into(),
        tags: 1,
    }]);
    assert_eq!(keys(&sealed), ["b/1"]);
    let sealed = seal(&[hygiene::Elided {
        read: "b".into(),
        record: 1,
    }]);
    assert_eq!(open::<hygiene::Elided>(&sealed)[0].read, "b");
    let sealed = seal(&[hygiene::primitives::Payload {
        key: 1,
        hash: 2,
        tag: 3,
        body: [4, 5],
    }]);
    assert_eq!(open::<hygiene::primitives::Payload>(&sealed)[0].body, [4, 5]);
    let sealed = seal(&[hygiene::constants::Elided {
        user: "ada".into(),
        kind: 1,
        at: 2,
    }]);
    let elided = &open::<hygiene::constants::Elided>(&sealed)[0];
    assert_eq!((&*elided.user, elided.kind, elided.at), ("ada", 1, 2));
    let sealed = seal(&[hygiene::constants::Newtype(hygiene::constants::Payload(1, [2, 3]))]);
    let payload = &open::<hygiene::constants::Newtype>(&sealed)[0].0;
    assert_eq!((payload.0, payload.1), (1, [2, 3]));
}

/// In a macro, where the user's tokens come from two places.
mod in_a_macro {
    use super::*;

    macro_rules! record {
        ($name:ident, $codec:path, $key:ident: $ty:ty, $template:literal) => {
            #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
            #[kpl(codec = $codec, partition_key = $template)]
            struct $name {
                $key: $ty,
                body: u8,
            }
        };
    }

    macro_rules! elided {
        ($name:ident, $codec:ty, $key:ident: $ty:ty) => {
            #[derive(Debug, PartialEq, KplRecord)]
            #[kpl(codec = $codec, crate = $crate::in_a_macro::reexport)]
            struct $name {
                #[kpl(partition_key, elide)]
                $key: $ty,
                body: u8,
            }
        };
    }

    pub(crate) mod reexport {
        pub(crate) use kpl::derive_support;
    }

    record!(Templated, kpl::codec::Json, id: u8, "{id}");
    elided!(Elided, kpl::codec::Json, id: u8);

    #[test]
    fn the_derive_works() {
        round_trip(&[Templated { id: 1, body: 2 }]);
        round_trip(&[Elided { id: 1, body: 2 }]);
    }
}

/// A key type of the user's own, as in the documentation.
#[derive(Debug, PartialEq)]
struct Sensor(u16);

impl Display for Sensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{:04x}", self.0)
    }
}

impl FromStr for Sensor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix('s').ok_or("no s")?;
        u16::from_str_radix(digits, 16)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

#[derive(Debug, PartialEq, KplRecord)]
struct Measured {
    #[kpl(partition_key)]
    sensor: Sensor,
    #[kpl(payload)]
    body: Vec<u8>,
}

#[test]
fn a_key_type_of_the_users_own() {
    let measured = Measured {
        sensor: Sensor(255),
        body: vec![],
    };
    assert_eq!(keys(&seal(std::slice::from_ref(&measured))), ["s00ff"]);
    round_trip(&[measured]);
    let error = open_error::<Measured>(&RawRecord::new("x", "data"));
    assert!(
        error
            .to_string()
            .ends_with("field sensor cannot be restored from \"x\": no s"),
        "{error}"
    );
}
