//! A crate that knows kpl as `aggregation` only, and re-exports it under yet another name, as a library does that
//! gives its users types with the derive.

use aggregation::CodecError;
use aggregation::codec::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// The crate kpl.
pub mod streams {
    pub use aggregation::*;
}

/// A record whose derive goes through the name that this crate gave to kpl.
#[derive(Debug, PartialEq, aggregation::KplRecord)]
#[kpl(crate = aggregation)]
pub struct Envelope {
    /// The partition key.
    #[kpl(partition_key)]
    pub key: u64,
    /// The explicit hash key.
    #[kpl(explicit_hash_key)]
    pub hash_key: Option<u128>,
    /// A tag.
    #[kpl(tag = "tag")]
    pub tag: String,
    /// The payload.
    #[kpl(payload)]
    pub body: Vec<u8>,
}

/// A codec of this crate's own that goes through serde.
#[derive(Debug)]
pub struct Pretty;

impl<T: Serialize> Encode<T> for Pretty {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer_pretty(out, value).map_err(|error| CodecError::encode("Pretty", error))
    }
}

impl<'de, T: Deserialize<'de>> Decode<'de, T> for Pretty {
    fn decode(bytes: &'de [u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(|error| CodecError::decode("Pretty", error))
    }
}

/// A record that leaves a field out with it.
#[derive(Debug, PartialEq, aggregation::KplRecord)]
#[kpl(crate = aggregation, codec = Pretty)]
pub struct Click {
    /// The partition key.
    #[kpl(partition_key, elide)]
    pub user: String,
    /// The rest.
    pub url: String,
}
