//! A worker of a fleet: prints the clicks of its share of the shards of the stream `clicks`, until Ctrl-C or SIGTERM. Start as
//! many as you like, on one machine or many: see docs/fleet.md.
use aws_config::BehaviorVersion;
use kpl::KplRecord;
use kpl_fleet::{Fleet, Received};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    url: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let mut terminate = signal(SignalKind::terminate())?; // from Kubernetes, ECS and systemd
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    Fleet::<Click>::builder("click-printer", "clicks")
        .load_aws_config(&config)
        .until(stop)
        .run(print)
        .await?;
    Ok(())
}

async fn print(click: Received<Click>) -> Result<(), std::fmt::Error> {
    let position = click.position().ok_or(std::fmt::Error)?;
    println!("{position} {} {}", click.value.user, click.value.url);
    Ok(())
}
