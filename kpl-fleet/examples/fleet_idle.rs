//! A worker that does nothing with the records: `benches/fleet/run` measures what the rest costs. The arguments are the application and
//! the stream.
use std::convert::Infallible;
use std::error::Error;

use aws_config::BehaviorVersion;
use kpl::RawRecord;
use kpl_fleet::{Fleet, Received};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (application, stream) = arguments
        .next()
        .zip(arguments.next())
        .ok_or("fleet_idle APPLICATION STREAM")?;
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    Fleet::<RawRecord>::builder(application, stream)
        .load_aws_config(&config)
        .run(|_: Received<RawRecord>| async { Ok::<_, Infallible>(()) })
        .await?;
    Ok(())
}
