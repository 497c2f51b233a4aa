//! The commands: each has its arguments, and runs them.

pub(crate) mod aggregate;
pub(crate) mod deaggregate;
pub(crate) mod inspect;
pub(crate) mod manual;
#[cfg(feature = "stream")]
pub(crate) mod put;
pub(crate) mod stats;
#[cfg(feature = "stream")]
pub(crate) mod tail;
