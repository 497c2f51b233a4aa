//! The functions that the output of the derive calls. Not part of the public API.
//!
//! The derive sees tokens, not types. If the type of a field decides what to do, the output asks a [`Probe`] of that
//! type: for the special types the method is found on `Probe<T>`, and for all others one reference further, on
//! `&Probe<T>`. The method returns a unit struct, and the method of that struct has the trait bound that the compiler
//! reports.
#![allow(
    missing_debug_implementations,
    clippy::new_without_default,
    reason = "none of this is public API"
)]

mod check;
#[cfg(feature = "serde")]
mod elide;
mod hash_key;
mod partition_key;
mod payload;
mod restore;
mod tag;

pub use self::check::{ArbitraryValue, arbitrary_values, check};
#[cfg(feature = "serde")]
pub use self::elide::{DecodeElided, EncodeElided, decode_elided, encode_elided};
pub use self::hash_key::{HashKeyField, hash_key, restore_hash_key};
pub use self::partition_key::{
    AlwaysPresent, AsRefKind, DisplayKind, KeyField, OptionKind, Part, PlainKind, ResultKind, Text, TextKind, ViaAsRef,
    ViaDisplay, ViaOption, ViaOther, ViaPlain, ViaResult, ViaText, write_key,
};
pub use self::payload::{PayloadField, RestoredPayload, raw_payload, restore_payload};
pub use self::restore::{BorrowKind, ElidedField, KeyText, ParseKind, ViaBorrow, ViaParse};
pub use self::tag::{OptionTagKind, RestoredTag, TagField, TagKind, ViaOptionTag, ViaTag};

pub use crate::codec::{Decode, Encode};
pub use crate::{
    CodecError, FromKplRecord, HashKey, KeyError, KplRecord, MalformedPolicy, ReadError, Tags, UserRecord,
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

/// Stands for a type whose kind is not known yet.
pub struct Probe<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> Probe<T> {
    #[inline]
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// Returns the probe of a value's type.
    #[inline]
    pub const fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}
