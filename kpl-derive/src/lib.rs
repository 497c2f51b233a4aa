//! The derive macros of [kpl](https://docs.rs/kpl). Programs use them through that crate, as `kpl::KplRecord` and
//! `kpl::FromKplRecord`.
#![forbid(unsafe_code)]

mod attr;
mod elide;
mod errors;
mod expand;
mod generics;
mod model;
mod names;
mod parse;
mod serde_attr;
mod stub;
mod template;
#[cfg(test)]
mod tests;
mod validate;

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

/// Turns a type into a record of a Kinesis stream: implements `KplRecord`, to write it, and `FromKplRecord`, to read it.
///
/// ```
/// use kpl::{Aggregator, Deaggregator, KinesisRecord, KplRecord};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json)]
/// struct Click {
///     #[kpl(partition_key)]
///     user: String,
///     url: String,
/// }
///
/// let click = Click { user: "ada".into(), url: "/".into() };
/// for sealed in Aggregator::<Click>::new().aggregate([&click]) {
///     let sealed = sealed?; // what goes to the stream
///     assert_eq!(sealed.partition_key.as_str(), "ada");
///
///     let batch = [KinesisRecord::from(&sealed)]; // what comes from it
///     for record in Deaggregator::<Click>::new().records(&batch) {
///         assert_eq!(record?.value, click);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A record needs two things: a payload, which a codec writes and reads, and a partition key.
///
/// A type that is only read needs neither a partition key nor serde's `Serialize`: derive
/// [`FromKplRecord`](macro@FromKplRecord) instead. A type that is only written needs no `Deserialize`:
/// [see below](#types-that-are-only-written).
///
/// # On the type
///
/// | attribute | meaning |
/// |---|---|
/// | [`codec = path`](#the-payload) | writes and reads the payload |
/// | [`partition_key = "{tenant}/{user}"`](#the-partition-key) | the key is built from fields |
/// | [`partition_key_with = path`](#the-partition-key) | a function returns the key |
/// | [`explicit_hash_key_with = path`](#the-explicit-hash-key) | a function returns the explicit hash key |
/// | [`transparent`](#newtypes) | everything is left to the only field |
/// | [`check`, `check = path`](#is-it-read-as-it-was-written) | generates a test |
/// | [`bound = "T: Trait"`](#generic-types) | replaces the where clauses that the derive generates |
/// | [`crate = path`](#re-exports) | the path of the crate kpl |
///
/// # On a field
///
/// | attribute | meaning |
/// |---|---|
/// | [`partition_key`](#the-partition-key) | this field is the key |
/// | [`elide`](#a-field-that-travels-only-once), beside `partition_key` | ... and is left out of the payload |
/// | [`explicit_hash_key`](#the-explicit-hash-key) | this field is the explicit hash key |
/// | [`payload`](#the-payload) | this field is the payload, its bytes as they are |
/// | [`tag = "name"`](#tags) | this field also travels as a tag |
///
/// # On a variant
///
/// | attribute | meaning |
/// |---|---|
/// | [`partition_key = "{tenant}/{user}"`](#enums) | the variant's key is built from its fields |
/// | [`transparent`](#enums) | keys and tags are those of the only field, which is a record itself |
///
/// # The partition key
///
/// The key is a field of any type that implements [`Display`](std::fmt::Display), or else [`AsRef<str>`], or a template of
/// fields, or the result of a function. A template is written as for [`format!`], with the names of fields, or their indexes
/// in a tuple struct. A dot leads to a field inside of a field, which
/// must implement `Display`: `{order.customer.id}`, `{0.id}`. `{{` and `}}` stand for
/// braces, and format specifications work as usual.
///
/// A function returns a string, anything else that implements `Display`, or a `Result` of it with a `KeyError`, which
/// refuses the record. It decides what an `Option` cannot, and what bytes cannot, such as `bytes::Bytes`:
///
/// ```
/// # use kpl::{KeyError, KplRecord};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json, partition_key_with = Self::key)]
/// struct Visit { user: Option<String>, session: Vec<u8> }
///
/// impl Visit {
///     fn key(&self) -> Result<&str, KeyError> {
///         match &self.user {
///             Some(user) => Ok(user),
///             None => str::from_utf8(&self.session).map_err(|error| KeyError::new(error.to_string())),
///         }
///     }
/// }
/// # let mut buffer = String::new();
/// # assert_eq!(Visit { user: None, session: b"s-1".into() }.partition_key(&mut buffer)?, "s-1");
/// # Ok::<(), KeyError>(())
/// ```
///
/// ```
/// # use kpl::KplRecord;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json, partition_key = "{tenant}/{user:08x}")]
/// struct Login { tenant: String, user: u32 }
///
/// #[derive(Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json, partition_key_with = Reading::bucket)]
/// struct Reading { sensor: u32, value: f64 }
///
/// impl Reading {
///     fn bucket(&self) -> impl std::fmt::Display + use<> {
///         self.sensor % 16
///     }
/// }
///
/// let mut buffer = String::new();
/// assert_eq!(Login { tenant: "t".into(), user: 255 }.partition_key(&mut buffer)?, "t/000000ff");
/// buffer.clear();
/// assert_eq!(Reading { sensor: 17, value: 0.5 }.partition_key(&mut buffer)?, "1");
/// # Ok::<(), kpl::KeyError>(())
/// ```
///
/// # A field that travels only once
///
/// The partition key of a record reaches the reader anyway. With `elide`, the field that is the key is left out of the
/// payload, and restored from the key when the record is read. The payload is, byte for byte, that of a type without the
/// field.
///
/// ```
/// # use kpl::KplRecord;
/// # use serde::{Deserialize, Serialize};
/// # macro_rules! payload_len { ($codec:path) => {{
/// #[derive(Serialize, Deserialize, KplRecord)]
/// # #[kpl(codec = $codec)] /*
/// #[kpl(codec = kpl::codec::Json)]
/// # */
/// struct Whole {
///     #[kpl(partition_key)]
///     user: String,
///     at_ms: u64,
/// }
///
/// #[derive(Serialize, Deserialize, KplRecord)]
/// # #[kpl(codec = $codec)] /*
/// #[kpl(codec = kpl::codec::Json)]
/// # */
/// struct Elided {
///     #[kpl(partition_key, elide)]
///     user: String,
///     at_ms: u64,
/// }
///
/// # fn len(record: &impl KplRecord) -> usize { record.payload(&mut Vec::new()).unwrap().len() }
/// # let user = || String::from("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
/// # (len(&Whole { user: user(), at_ms: 1 }), len(&Elided { user: user(), at_ms: 1 }))
/// # }}}
/// // Bytes of the payload, with a UUID as `user`:
/// // (whole, elided)
/// # let of_json = payload_len!(kpl::codec::Json);
/// # let of_postcard = payload_len!(kpl::codec::Postcard);
/// # let of_bincode = payload_len!(kpl::codec::Bincode);
/// assert_eq!(of_json, (57, 11)); // 46 bytes saved per record: `"user":"6ba7b810-9dad-11d1-80b4-00c04fd430c8",`
/// assert_eq!(of_postcard, (38, 1)); // 37 bytes saved
/// assert_eq!(of_bincode, (38, 1)); // 37 bytes saved
/// ```
///
/// The type of the field must implement [`Display`](std::fmt::Display) and [`FromStr`](std::str::FromStr), and what
/// `Display` writes must parse to the same value; `&str` and `Cow<str>` borrow the key instead. If a key does not parse,
/// only that record is an error, with the field, the key and the payload.
///
/// Only the other fields need serde's traits, and they need both. `#[serde(...)]` attributes have their usual meaning,
/// even on a type that does not derive serde's traits itself.
///
/// Such a record is always sent inside an aggregate, even when it is alone: the only key of a plain record is the outer
/// one, which not every stream returns to its readers. That costs a lone record 28 bytes and a second copy of its key (a
/// little more if the key or the payload is longer than 100 bytes); a record that shares its aggregate costs nothing
/// extra.
///
/// The codec must go through serde: `Prost` and `Raw` are an error at the codec. If you use only a codec of your own,
/// enable the feature `serde` of the crate; `json`, `postcard` and `bincode` enable it themselves. A codec of your own
/// must implement `Encode<T>` for every `T: Serialize`, and `Decode<'de, T>` for every `T: Deserialize<'de>`.
///
/// Types with serde's container attributes `default`, `from`, `into`, `remote`, `transparent`, `try_from` or `untagged`
/// cannot leave a field out, nor can enums with an `untagged` variant. The only field of a tuple struct, or of a tuple
/// variant in an enum with `content`, can be left out only if it has a name.
///
/// # The explicit hash key
///
/// It determines the shard instead of the partition key. The field, or the result of the function, is a `u128`, a
/// `HashKey`, or an `Option` of one of them.
///
/// ```
/// # use kpl::{HashKey, KplRecord};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json, explicit_hash_key_with = upper_half)]
/// struct Click {
///     #[kpl(partition_key)]
///     user: String,
///     vip: bool,
/// }
///
/// fn upper_half(click: &Click) -> Option<HashKey> {
///     click.vip.then(|| HashKey::new(1 << 127))
/// }
/// # let click = Click { user: "ada".into(), vip: true };
/// # assert_eq!(click.explicit_hash_key()?, Some(HashKey::new(1 << 127)));
/// # Ok::<(), kpl::KeyError>(())
/// ```
///
/// # The payload
///
/// A codec writes and reads the whole type: `kpl::codec::Json`, `Postcard`, `Bincode`, `Prost` or `Raw`, or a type of
/// your own that implements `kpl::codec::Encode` and `kpl::codec::Decode`. The type must implement what the codec needs:
/// for the first three that is serde's `Serialize` and `Deserialize`. Types that borrow are read without copying if the
/// codec supports it.
///
/// Alternatively, the bytes of one field are the payload, and there is no codec. The type of that field must implement
/// `AsRef<[u8]>` and `TryFrom<&[u8]>`. Every other field must be the key, the explicit hash key or a tag, and is restored
/// from it. If one is restored from a key, the record is always sent inside an aggregate, even when it is alone, as with
/// `elide`.
///
/// ```
/// # use kpl::{Aggregator, Deaggregator, KinesisRecord, KplRecord};
/// #[derive(Debug, PartialEq, KplRecord)]
/// struct Envelope<'a> {
///     #[kpl(partition_key)]
///     customer: u64,
///     #[kpl(tag = "content-type")]
///     content_type: Option<String>,
///     #[kpl(payload)]
///     body: &'a [u8],
/// }
///
/// let envelope = Envelope { customer: 7, content_type: Some("text/plain".into()), body: b"hello" };
/// for sealed in Aggregator::<Envelope<'_>>::new().aggregate([&envelope]) {
///     let sealed = sealed?;
///     let batch = [KinesisRecord::from(&sealed)];
///     for received in Deaggregator::<Envelope<'_>>::new().records(&batch) {
///         let received = received?;
///         assert_eq!(received.value, envelope);
///         assert_eq!(received.record.data, b"hello");
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Tags
///
/// A field with `tag = "name"` also travels as a tag of the KPL's format: readers see it without decoding the payload.
/// Its type must implement [`Display`](std::fmt::Display); for an `Option` without a value, no tag is written. Records
/// with tags are always sent inside an aggregate, even when they are alone, because a plain record cannot carry tags.
///
/// # Enums
///
/// Every variant has its own key: a field, or a template on the variant, which may also be a constant. A template on the
/// type applies to the variants that have neither; a function on the type applies to all variants.
///
/// ```
/// # use kpl::KplRecord;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json)]
/// enum Event {
///     Created {
///         #[kpl(partition_key)]
///         user: String,
///     },
///     #[kpl(partition_key = "{0}/{1}")]
///     Moved(u32, u32),
///     #[kpl(partition_key = "heartbeat")]
///     Heartbeat,
/// }
/// # let mut buffer = String::new();
/// # assert_eq!(Event::Moved(1, 2).partition_key(&mut buffer)?, "1/2");
/// # Ok::<(), kpl::KeyError>(())
/// ```
///
/// With `transparent` on a variant with one field, which is a record itself, keys and tags are those of that field, and
/// the record is sent inside an aggregate where that field would be. The payload is the enum's, by its codec: the codec of
/// the field is not used, nor are its `elide` and `payload`. If the field is not a record, a template can name a field of it.
///
/// ```
/// # use kpl::KplRecord;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json)]
/// struct OrderPlaced {
///     #[kpl(partition_key)]
///     order: String,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct OrderShipped { order: String, parcel: u64 }
///
/// #[derive(Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json)]
/// enum OrderEvent {
///     #[kpl(transparent)]
///     Placed(OrderPlaced),
///     #[kpl(partition_key = "{0.order}")]
///     Shipped(OrderShipped),
/// }
/// # let mut buffer = String::new();
/// # assert_eq!(OrderEvent::Placed(OrderPlaced { order: "o-1".into() }).partition_key(&mut buffer)?, "o-1");
/// # let shipped = OrderShipped { order: "o-1".into(), parcel: 7 };
/// # assert_eq!(OrderEvent::Shipped(shipped).partition_key(&mut buffer)?, "o-1");
/// # Ok::<(), kpl::KeyError>(())
/// ```
///
/// # Newtypes
///
/// With `transparent`, a struct with one field is the same record as that field.
///
/// ```
/// # use kpl::{KplRecord, RawRecord};
/// #[derive(KplRecord)]
/// #[kpl(transparent)]
/// struct Forwarded(RawRecord);
/// ```
///
/// # Generic types
///
/// The impls of a generic type require what the fields and the codec need. Where that is too much or too little, `bound`
/// replaces it, in both impls.
///
/// ```
/// # use kpl::KplRecord;
/// # use serde::{Deserialize, Serialize, de::DeserializeOwned};
/// #[derive(Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json)]
/// struct Event<K, T> {
///     #[kpl(partition_key)]
///     key: K,
///     body: T,
/// }
///
/// #[derive(Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json, bound = "T: Serialize + DeserializeOwned")]
/// struct Bounded<T> {
///     #[kpl(partition_key)]
///     key: u64,
///     body: T,
/// }
/// ```
///
/// # Types that are only written
///
/// The derive implements `FromKplRecord` for a type that its codec can read, and only for such a type. A producer's type
/// that implements `Serialize` alone can be written; the compiler reports the missing `Deserialize` where a program reads
/// the type. The same is true of `transparent`: the struct can be read if its field can.
///
/// ```
/// # use kpl::KplRecord;
/// # use serde::Serialize;
/// #[derive(Serialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json)]
/// struct Alert<'a> {
///     #[kpl(partition_key)]
///     host: &'static str, // cannot be deserialized
///     lines: &'a [String],
/// }
///
/// let alert = Alert { host: "web-1", lines: &["disk full".into()] };
/// let mut buffer = Vec::new();
/// assert_eq!(alert.payload(&mut buffer)?, br#"{"host":"web-1","lines":["disk full"]}"#);
/// # Ok::<(), kpl::CodecError>(())
/// ```
///
/// # Is it read as it was written?
///
/// serde lets a type say how it is written and how it is read, and the two need not agree. What the derive can see, it
/// reports:
///
/// * with `Json`, two names in a payload that are the same, such as `#[serde(tag = "type")]` on a struct and a field that
///   is named `type` or renamed to it;
/// * with `Postcard` and `Bincode`, which do not write the names of fields, the attributes `flatten`, `untagged`, `tag`
///   without `content`, and `skip_serializing_if`;
/// * with `Postcard` and `Bincode`, `skip` or `skip_deserializing` on a variant before one that is read: serde writes the
///   index of a variant among all of them and reads it among those that are not skipped, so that a later variant would be
///   read as another one. At the end such a variant does no harm. `FromKplRecord` does not report it: the type that is
///   written may not have the variant.
///
/// The rest is a test. With `check` the derive generates one, `kpl_check_` and the name of the type, beside the type. It
/// writes values, reads them back and compares the values, their keys and their tags; the message of a failure starts with the
/// field that is another one. The type must implement `Debug` and `PartialEq`, must not have parameters, and must not be inside
/// of a function, where tests are not found.
///
/// ```
/// # use kpl::KplRecord;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
/// #[kpl(codec = kpl::codec::Json, check = Click::samples)]
/// struct Click {
///     #[kpl(partition_key)]
///     user: String,
///     referrer: Option<String>,
/// }
///
/// impl Click {
///     # #[cfg(any())] /*
///     #[cfg(test)]
///     # */
///     fn samples() -> Vec<Self> {
///         vec![
///             Click { user: "ada".into(), referrer: Some("/".into()) },
///             Click { user: "bob".into(), referrer: None },
///         ]
///     }
/// }
/// ```
///
/// `check` alone takes 256 arbitrary values, the same ones in every run: enable the feature `arbitrary` of the crate in
/// `[dev-dependencies]`, and derive `Arbitrary` of the crate arbitrary, with `#[cfg_attr(test, derive(arbitrary::Arbitrary))]`.
/// Values whose partition key, explicit hash key or tags are an error, such as those that the function of
/// `partition_key_with` refuses, are not compared; if all values are like this, or there are none, the test fails. Values
/// that are not equal to themselves, such as those with NaN, are compared by their payloads.
///
/// What is written must then be readable: `check` also reports
///
/// * a field with `skip_serializing`, or, with `Json`, with `skip_serializing_if`, that reading needs: it does not have a
///   `default`, and is not a named field of type `Option` without `with` and `deserialize_with`;
/// * with `Postcard` and `Bincode`, a field that only one of `skip_serializing` and `skip_deserializing` leaves out.
///
/// # Re-exports
///
/// The output names only the crate `kpl`. If a library re-exports it, name that path:
/// `#[kpl(crate = my_library::kpl)]`.
#[proc_macro_derive(KplRecord, attributes(kpl, serde))]
pub fn derive_kpl_record(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(Derive::KplRecord, input.into()).into()
}

/// Implements `FromKplRecord` alone, for a type that is only read from a Kinesis stream.
///
/// The type needs what its codec needs to read it: for `kpl::codec::Json`, `Postcard` and `Bincode` that is serde's
/// `Deserialize`, and not `Serialize`.
///
/// ```
/// use kpl::{Deaggregator, FromKplRecord, KinesisRecord};
/// use serde::Deserialize;
///
/// /// What this program reads of the records that another one writes.
/// #[derive(Debug, PartialEq, Deserialize, FromKplRecord)]
/// #[kpl(codec = kpl::codec::Json)]
/// struct Visit<'a> {
///     url: &'a str,
/// }
///
/// let batch = [KinesisRecord::new(br#"{"user":"ada","url":"/"}"#)];
/// for record in Deaggregator::<Visit<'_>>::new().records(&batch) {
///     assert_eq!(record?.value, Visit { url: "/" });
/// }
/// # Ok::<(), kpl::DeaggregateError>(())
/// ```
///
/// The attributes are those of [`KplRecord`](macro@KplRecord). Those that matter only when a record is written are
/// optional: a type that is only read does not need a partition key, unless a field is restored from it.
///
/// ```
/// # use kpl::{Deaggregator, FromKplRecord, KinesisRecord};
/// # use serde::Deserialize;
/// #[derive(Debug, PartialEq, Deserialize, FromKplRecord)]
/// #[kpl(codec = kpl::codec::Json)]
/// struct Click {
///     #[kpl(partition_key, elide)]
///     user: String,
///     url: String,
/// }
///
/// let batch = [KinesisRecord::new(br#"{"url":"/"}"#).with_partition_key("ada")];
/// for record in Deaggregator::<Click>::new().records(&batch) {
///     assert_eq!(record?.value, Click { user: "ada".into(), url: "/".into() });
/// }
/// # Ok::<(), kpl::DeaggregateError>(())
/// ```
///
/// A type has one of the two derives, because `KplRecord` implements both traits.
#[proc_macro_derive(FromKplRecord, attributes(kpl, serde))]
pub fn derive_from_kpl_record(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(Derive::FromKplRecord, input.into()).into()
}

/// Which derive the user wrote.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Derive {
    /// Implements both traits: reading only if the type can be read.
    KplRecord,
    /// Implements reading alone.
    FromKplRecord,
}

fn derive(derive: Derive, input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = errors::Errors::default();
    let container = parse::Container::parse(derive, &input, &mut errors);
    let record = validate::validate(&container, &mut errors);
    match (record, errors.into_compile_errors()) {
        (Some(record), None) => expand::expand(&record),
        (_, mistakes) => {
            let stub = stub::stub(&container);
            quote!(#mistakes #stub)
        }
    }
}
