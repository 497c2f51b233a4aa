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

/// Makes a type a record of a Kinesis stream: implements `KplRecord` to write it and `FromKplRecord` to read it.
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
/// for sealed in Aggregator::new().aggregate([&click]) {
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
/// A record needs two things: a payload, which is the matter of a codec, and a partition key.
///
/// # On the type
///
/// | attribute | meaning |
/// |---|---|
/// | [`codec = path`](#the-payload) | writes and reads the payload |
/// | [`partition_key = "{tenant}/{user}"`](#the-partition-key) | the key is made of fields |
/// | [`partition_key_with = path`](#the-partition-key) | the key is made by a function |
/// | [`explicit_hash_key_with = path`](#the-explicit-hash-key) | the explicit hash key is made by a function |
/// | [`transparent`](#newtypes) | everything is left to the only field |
/// | [`bound = "T: Trait"`](#generic-types) | instead of the where clauses that the derive makes |
/// | [`crate = path`](#re-exports) | where the crate kpl is to be found |
///
/// # On a field
///
/// | attribute | meaning |
/// |---|---|
/// | [`partition_key`](#the-partition-key) | this field is the key |
/// | [`elide`](#a-field-that-travels-only-once), beside it | ... and is left out of the payload |
/// | [`explicit_hash_key`](#the-explicit-hash-key) | this field is the explicit hash key |
/// | [`payload`](#the-payload) | this field is the payload, its bytes as they are |
/// | [`tag = "name"`](#tags) | this field also travels as a tag |
///
/// # On a variant
///
/// | attribute | meaning |
/// |---|---|
/// | [`partition_key = "{tenant}/{user}"`](#enums) | the variant's key is made of its fields |
///
/// # The partition key
///
/// It is a field of any type with [`Display`](std::fmt::Display), or a template of fields, or the result of a
/// function. A template is written as for [`format!`], with the names of fields or the indexes of tuple structs;
/// `{{` and `}}` are braces, and format specifications are passed on.
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
/// A record's partition key reaches the reader anyway. With `elide` the field that is the key is left out of the
/// payload, and restored from the key on reading. The payload is, byte for byte, that of a type without the field.
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
/// The field's type needs [`Display`](std::fmt::Display) and [`FromStr`](std::str::FromStr), and what is written must
/// parse to the same value; `&str` and `Cow<str>` borrow the key instead. A key that does not parse is an error of
/// that record alone, with the field, the text and the payload. serde's traits are needed of the other fields only:
/// `#[serde(...)]` attributes mean what they always do, also on a type that does not derive serde's traits itself.
///
/// Such a record is always sent inside an aggregate, also alone: a plain record has no key but the outer one, which not
/// every stream gives back to its readers. That costs a lone record 28 bytes and its key once more (a little more with
/// a key or payload of over 100 bytes); among others it costs nothing.
///
/// The codec must go through serde: with `Prost` or `Raw` there is an error at the codec. With none but a codec of your
/// own, the crate's feature `serde` must be on; `json`, `postcard` and `bincode` turn it on themselves.
///
/// Types with serde's container attributes `default`, `from`, `into`, `remote`, `transparent`, `try_from` or `untagged`
/// cannot leave a field out, nor can enums with an `untagged` variant. The only field of a tuple struct, or of a tuple
/// variant in an enum with `content`, needs a name to be left out.
///
/// # The explicit hash key
///
/// It decides about the shard instead of the partition key. The field, or the function's result, is a `u128`, a
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
/// By a codec: `kpl::codec::Json`, `Postcard`, `Bincode`, `Prost` or `Raw`, or a type of your own that implements
/// `kpl::Codec`. The codec writes and reads the whole type, so the type must have what the codec needs: for the first
/// three that is serde's `Serialize` and `Deserialize`. Types that borrow are read without copying where the codec can.
///
/// Or one field is the payload, its bytes as they are: a type with `AsRef<[u8]>` and `TryFrom<&[u8]>`. There is no
/// codec then, and every other field must be the key, the explicit hash key or a tag, from which it is restored. Where
/// one is restored from a key, the record is always sent inside an aggregate, also alone, as with `elide`.
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
/// for sealed in Aggregator::new().aggregate([&envelope]) {
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
/// Its type needs [`Display`](std::fmt::Display); an `Option` without a value is no tag. Records with tags are always
/// sent inside an aggregate, also alone, since a plain record cannot carry them.
///
/// # Enums
///
/// Every variant has its own key: a field, or a template on the variant, which may also be a constant. A template or a
/// function on the type is for all variants that have neither.
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
/// # Newtypes
///
/// ```
/// # use kpl::{KplRecord, RawRecord};
/// #[derive(KplRecord)]
/// #[kpl(transparent)]
/// struct Forwarded<'a>(RawRecord<'a>);
/// ```
///
/// # Generic types
///
/// The impls of a generic type ask for what the fields and the codec need. Where that is too much or too little,
/// `bound` says it instead, for both impls.
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
/// # Re-exports
///
/// The output names nothing but the crate `kpl`. A library that re-exports it says where:
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
/// The attributes are those of [`KplRecord`](macro@KplRecord). Those that only matter when a record is written may be
/// missing, and may also be present, so that a type reads the same whichever derive it has: a type that is only read
/// needs no partition key. It needs one where a field is restored from the key:
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
/// A type has one of the two derives: `KplRecord` implements both traits.
#[proc_macro_derive(FromKplRecord, attributes(kpl, serde))]
pub fn derive_from_kpl_record(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(Derive::FromKplRecord, input.into()).into()
}

/// Which of the derives stands on the type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Derive {
    /// To write the type, and to read it if it can be read.
    KplRecord,
    /// To read the type.
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
