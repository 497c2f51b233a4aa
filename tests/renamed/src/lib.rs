//! A crate that knows kpl as `aggregation` only, and re-exports it under yet another name, as a library does that
//! gives its users types with the derive.

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
