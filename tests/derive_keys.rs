//! `#[derive(KplRecord)]`: what can be a key, and whose key a variant has.
#![cfg(all(feature = "derive", feature = "std", feature = "json", feature = "postcard"))]

use std::fmt::Debug;

use kpl::{Aggregator, Deaggregator, FromKplRecordOwned, HashKey, KeyError, KinesisRecord, KplRecord, RawRecord, Tags};
use serde::{Deserialize, Serialize};

/// Returns the key of a record, and whether it was written to the buffer.
fn key(record: &impl KplRecord) -> Result<(String, bool), KeyError> {
    let mut buffer = String::new();
    let key = record.partition_key(&mut buffer)?.to_owned();
    let copied = !buffer.is_empty();
    Ok((key, copied))
}

fn text(record: &impl KplRecord) -> String {
    key(record).unwrap().0
}

/// Sends a value alone, and returns it as a raw record and as it is read.
fn travel<T: KplRecord + FromKplRecordOwned + Debug>(value: &T) -> (RawRecord, T) {
    let mut aggregator = Aggregator::<T>::new();
    aggregator.push(value).unwrap();
    let sealed = aggregator.finish().unwrap();
    let batch = [KinesisRecord::from(&sealed)];
    let raw = Deaggregator::<RawRecord>::new()
        .records(&batch)
        .next()
        .unwrap()
        .unwrap();
    let read = Deaggregator::<T>::new().records(&batch).next().unwrap().unwrap();
    (raw.value, read.value)
}

mod variants {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json)]
    struct OrderPlaced {
        #[kpl(partition_key)]
        order: String,
        #[kpl(explicit_hash_key)]
        shard: Option<u128>,
        #[kpl(tag = "tenant")]
        tenant: Option<String>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct OrderShipped {
        order: String,
        parcel: Parcel,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Parcel(u32, Box<Address>);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Address {
        r#type: char,
        country: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json)]
    enum Event {
        #[kpl(transparent)]
        Placed(OrderPlaced),
        #[kpl(transparent)]
        Changed { to: Box<OrderPlaced2> },
        #[kpl(partition_key = "{0.order}")]
        Shipped(OrderShipped),
        #[kpl(partition_key = "{shipped.parcel.0:04x}/{shipped.parcel.1.r#type}{shipped.parcel.1.country:?}/{at}")]
        Arrived { shipped: OrderShipped, at: u64 },
        Cancelled {
            #[kpl(partition_key)]
            order: String,
            #[kpl(tag = "why")]
            why: String,
        },
    }

    /// A record behind a pointer is not a record: a type that says so.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct OrderPlaced2(OrderPlaced);

    impl KplRecord for Box<OrderPlaced2> {
        fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, KeyError> {
            self.0.partition_key(buffer)
        }
        fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], kpl::CodecError> {
            unreachable!("the payload is the enum's")
        }
        fn always_wrapped(&self) -> bool {
            true
        }
    }

    fn placed(shard: Option<u128>, tenant: Option<&str>) -> OrderPlaced {
        OrderPlaced {
            order: "o-1".into(),
            shard,
            tenant: tenant.map(Into::into),
        }
    }

    #[test]
    fn a_transparent_variant_has_the_keys_and_tags_of_its_field() {
        let order = placed(Some(7), Some("acme"));
        let event = Event::Placed(order.clone());
        assert_eq!(key(&event), Ok(("o-1".into(), false)));
        let (raw, read) = travel(&event);
        assert_eq!(read, event);
        assert_eq!(raw.partition_key.as_deref(), Some("o-1"));
        assert_eq!(raw.explicit_hash_key, Some(HashKey::new(7)));
        assert_eq!(raw.tags.iter().collect::<Vec<_>>(), [("tenant", Some("acme"))]);
        // The payload is the enum's.
        assert_eq!(
            String::from_utf8(raw.data).unwrap(),
            r#"{"Placed":{"order":"o-1","shard":7,"tenant":"acme"}}"#
        );
        let event = Event::Placed(placed(None, None));
        assert!(!event.always_wrapped());
        assert_eq!(event.explicit_hash_key(), Ok(None));
        assert_eq!(travel(&event).1, event);
    }

    #[test]
    fn a_variant_is_wrapped_if_its_field_is() {
        let event = Event::Changed {
            to: Box::new(OrderPlaced2(placed(None, None))),
        };
        assert!(event.always_wrapped());
        assert_eq!(text(&event), "o-1");
        assert_eq!(travel(&event).1, event);
    }

    #[test]
    fn templates_name_fields_of_fields() {
        let shipped = OrderShipped {
            order: "o-2".into(),
            parcel: Parcel(
                255,
                Box::new(Address {
                    r#type: 'p',
                    country: "É".into(),
                }),
            ),
        };
        let event = Event::Shipped(shipped.clone());
        assert_eq!(text(&event), "o-2");
        assert_eq!(travel(&event).1, event);
        let event = Event::Arrived { shipped, at: 3 };
        assert_eq!(text(&event), "00ff/p\"É\"/3");
        assert_eq!(travel(&event).1, event);
    }

    #[test]
    fn other_variants_have_their_own() {
        let event = Event::Cancelled {
            order: "o-3".into(),
            why: "late".into(),
        };
        assert_eq!(text(&event), "o-3");
        assert_eq!(event.explicit_hash_key(), Ok(None));
        assert!(!event.always_wrapped());
        let mut tags = Tags::new();
        event.tags(&mut tags).unwrap();
        assert_eq!(tags.iter().collect::<Vec<_>>(), [("why", Some("late"))]);
    }

    /// What the field leaves out of its own payload is in the payload of the enum.
    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = kpl::codec::Postcard)]
    struct Eliding {
        #[kpl(partition_key, elide)]
        user: String,
        at: u64,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = kpl::codec::Postcard)]
    enum Mixed<T> {
        #[kpl(transparent)]
        Inner(T),
        Own {
            #[kpl(partition_key, elide)]
            user: String,
        },
        #[kpl(partition_key = "unit")]
        Unit,
    }

    #[test]
    fn beside_a_variant_that_leaves_a_field_out() {
        let user = || String::from("ada");
        let inner = Mixed::Inner(Eliding { user: user(), at: 300 });
        let own = Mixed::<Eliding>::Own { user: user() };
        let unit = Mixed::<Eliding>::Unit;
        for (event, key, wrapped, len) in [
            (&inner, "ada", true, 7),
            (&own, "ada", true, 1),
            (&unit, "unit", false, 1),
        ] {
            assert_eq!(text(event), key);
            assert_eq!(event.always_wrapped(), wrapped, "{event:?}");
            let (raw, read) = travel(event);
            assert_eq!(raw.data.len(), len, "{event:?}");
            assert_eq!(&read, event);
        }
    }

    #[derive(Serialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json, partition_key = "{0.order}/{1}")]
    struct Pair<T>(Named<T>, T);

    #[derive(Serialize)]
    struct Named<T> {
        order: &'static str,
        rest: T,
    }

    #[test]
    fn a_template_of_a_generic_struct() {
        let pair = Pair(Named { order: "o", rest: 1 }, 2);
        assert_eq!(text(&pair), "o/2");
        assert_eq!(pair.0.rest, 1);
    }
}

mod kinds {
    use super::*;

    /// `AsRef<str>`, and not `Display`.
    #[derive(Serialize)]
    struct Sku(String);

    impl AsRef<str> for Sku {
        fn as_ref(&self) -> &str {
            &self.0
        }
    }

    #[derive(Serialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json)]
    struct Stock {
        #[kpl(partition_key)]
        sku: Sku,
    }

    #[test]
    fn a_string_by_as_ref_is_not_copied() {
        let stock = Stock { sku: Sku("s-1".into()) };
        assert_eq!(key(&stock), Ok(("s-1".into(), false)));
    }

    #[test]
    fn a_string_by_as_ref_in_a_template() {
        let pair = Pair(Sku("s-1".into()), 7);
        assert_eq!(text(&pair), "   s-1/07");
    }

    #[derive(Serialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json, partition_key = "{0:>6}/{1:02}")]
    struct Pair(Sku, u8);

    /// `Display` decides if there are both: it may write something else.
    #[derive(Serialize)]
    struct Both;

    impl AsRef<str> for Both {
        fn as_ref(&self) -> &str {
            "as_ref"
        }
    }

    impl std::fmt::Display for Both {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("display")
        }
    }

    #[derive(Serialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json)]
    struct OfBoth {
        #[kpl(partition_key)]
        both: Both,
    }

    #[test]
    fn display_before_as_ref() {
        assert_eq!(text(&OfBoth { both: Both }), "display");
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json, partition_key_with = Self::key)]
    struct Visit {
        user: Option<String>,
        session: Vec<u8>,
    }

    impl Visit {
        /// The user, or else the session, which must be a string.
        fn key(&self) -> Result<&str, KeyError> {
            match &self.user {
                Some(user) => Ok(user),
                None => str::from_utf8(&self.session).map_err(|error| KeyError::new(error.to_string())),
            }
        }
    }

    #[test]
    fn a_function_can_refuse_a_record() {
        let visit = |user: Option<&str>, session: &[u8]| Visit {
            user: user.map(Into::into),
            session: session.into(),
        };
        assert_eq!(text(&visit(Some("ada"), b"")), "ada");
        assert_eq!(text(&visit(None, b"s-1")), "s-1");
        let error = key(&visit(None, b"\xFF")).unwrap_err();
        assert_eq!(error.to_string(), "invalid utf-8 sequence of 1 bytes from index 0");
    }
}
