#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use kpl_core::*;
#[cfg(feature = "derive")]
#[cfg_attr(docsrs, doc(cfg(feature = "derive")))]
pub use kpl_derive::{FromKplRecord, KplRecord};

// The examples of the book's chapters.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../docs/types-and-keys.md")]
    struct TypesAndKeys;
    #[doc = include_str!("../docs/codecs.md")]
    struct Codecs;
    #[doc = include_str!("../docs/fuzzing-your-records.md")]
    struct Fuzzing;
    #[doc = include_str!("../docs/format.md")]
    struct Format;
}
