//! What the output of the derive calls. Not part of the public API.
//!
//! The derive does not know types, only tokens. Where the type of a field decides what is done with it, the output
//! asks a [`Probe`] of the field's type: the method is found on `Probe<T>` for the special types, and one reference
//! further, on `&Probe<T>`, for all others. The answer is a unit struct, whose method has the trait bound that the
//! compiler reports.
#![allow(
    missing_debug_implementations,
    clippy::new_without_default,
    reason = "none of this is public API"
)]

#[cfg(feature = "serde")]
mod elide;
mod hash_key;
mod partition_key;
mod payload;
mod restore;
mod tag;

#[cfg(feature = "serde")]
pub use self::elide::{ElidingCodec, ReadOnly, WriteOnly, decode_elided, encode_elided};
pub use self::hash_key::{HashKeyField, hash_key, restore_hash_key};
pub use self::partition_key::{
    DisplayKind, KeyField, Text, TextKind, ViaDisplay, ViaText, display, write_key, write_key_of,
};
pub use self::payload::{PayloadField, raw_payload, restore_payload};
pub use self::restore::{BorrowKind, ElidedField, KeyText, ParseKind, ViaBorrow, ViaParse};
pub use self::tag::{OptionTagKind, RestoredTag, TagField, TagKind, ViaOptionTag, ViaTag};

pub use crate::{
    Codec, CodecError, FromKplRecord, HashKey, KeyError, KplRecord, MalformedPolicy, ReadError, Tags, UserRecord,
};
pub use alloc::string::String;
pub use alloc::vec::Vec;
pub use core;
pub use core::marker::PhantomData;
pub use core::option::Option::{self, None, Some};
pub use core::primitive::{bool, str, u8};
pub use core::result::Result::{self, Err, Ok};
#[cfg(feature = "serde")]
pub use serde;

/// Stands for a type while it is found out what kind of type it is.
pub struct Probe<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> Probe<T> {
    #[inline]
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// The probe of a value's type.
    #[inline]
    pub const fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}
