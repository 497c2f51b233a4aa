//! `kpl kcl`: record processors under the Kinesis Client Library.

mod check;
mod executable;
mod init;
mod java;
mod names;
mod properties;
mod region;
mod run;

use clap::{Args, Subcommand};

use self::init::Init;
use self::run::Run;
use crate::problems::Stop;

/// Set up and start record processors under the Kinesis Client Library
///
/// The Kinesis Client Library (KCL) shares the shards of a stream among machines. Its MultiLangDaemon, a Java program,
/// starts one process of yours for each shard: one that is written with the crate kpl-kcl, or any other that speaks
/// the daemon's protocol.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Example:
  kpl kcl init consumer --stream clicks --application click-counter
  kpl kcl run consumer/app.properties --fetch"
)]
pub(crate) struct Kcl {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(Init),
    Run(Run),
}

impl Kcl {
    pub(crate) fn run(self) -> Result<(), Stop> {
        match self.command {
            Command::Init(options) => options.run(),
            Command::Run(options) => options.run(),
        }
    }
}
