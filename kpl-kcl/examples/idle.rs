//! A record processor that does nothing with the records: `benches/kcl/run` measures what the rest costs.
use std::convert::Infallible;

use kpl_kcl::{RawRecord, Received, RunError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RunError> {
    kpl_kcl::run(|_: Received<RawRecord>| async { Ok::<_, Infallible>(()) }).await
}
