//! One check for each fuzz target: any bytes go in, and it panics if a rule is broken.
//!
//! Nothing here depends on the fuzzer, so that plain tests can run the same checks on seeds and on past crashes.

#[path = "../../../tests/testkit/src/bytes.rs"]
#[allow(dead_code, reason = "tests of the format use the rest")]
mod bytes;
#[path = "../../../tests/support/oracle.rs"]
mod oracle;

mod batches;
mod body;
mod deaggregate;
mod digest;
mod input;
mod position;
mod reading;
mod roundtrip;
mod sharded;
mod typed;
mod writing;

pub use self::batches::batches;
pub use self::body::body;
pub use self::deaggregate::deaggregate;
pub use self::digest::digest;
pub use self::position::position;
pub use self::roundtrip::roundtrip;
pub use self::sharded::sharded;
pub use self::typed::typed;
