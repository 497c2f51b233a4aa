//! The commands. Each module has the arguments of one, and runs it.

pub(crate) mod aggregate;
pub(crate) mod conformance;
pub(crate) mod deaggregate;
pub(crate) mod inspect;
pub(crate) mod kcl;
#[cfg(feature = "stream")]
pub(crate) mod leases;
pub(crate) mod manual;
#[cfg(feature = "stream")]
pub(crate) mod put;
#[cfg(feature = "stream")]
pub(crate) mod spool;
pub(crate) mod stats;
#[cfg(feature = "stream")]
pub(crate) mod tail;
pub(crate) mod train;
