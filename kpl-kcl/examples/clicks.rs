//! A record processor: prints the clicks of a shard. It is started by the daemon, such as by `kpl kcl run`: see docs/kcl.md.
use kpl::KplRecord;
use kpl_kcl::{Received, RunError};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    url: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RunError> {
    kpl_kcl::run(print).await
}

async fn print(click: Received<Click>) -> Result<(), std::fmt::Error> {
    let position = click.position().ok_or(std::fmt::Error)?;
    // It goes to the log of the daemon: standard output belongs to the protocol.
    println!("{position} {} {}", click.value.user, click.value.url);
    Ok(())
}
