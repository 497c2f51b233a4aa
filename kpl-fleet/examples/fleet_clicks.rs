//! A worker of a fleet: prints the clicks of its share of the shards of the stream `clicks`, until Ctrl-C. Start as many as you
//! like, on one machine or many: see docs/fleet.md.
use aws_config::BehaviorVersion;
use kpl::KplRecord;
use kpl_fleet::{Fleet, FleetError, Received};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    url: String,
}

#[tokio::main]
async fn main() -> Result<(), FleetError> {
    tracing_subscriber::fmt::init();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    Fleet::<Click>::builder("click-printer", "clicks")
        .load_aws_config(&config)
        .until(tokio::signal::ctrl_c())
        .run(print)
        .await
}

async fn print(click: Received<Click>) -> Result<(), std::fmt::Error> {
    let position = click.position().ok_or(std::fmt::Error)?;
    println!("{position} {} {}", click.value.user, click.value.url);
    Ok(())
}
