//! `kpl`: unpacks, packs and shows Amazon Kinesis records in the KPL format.
#![forbid(unsafe_code)]

mod aggregate;
mod args;
mod deaggregate;
mod draw;
mod input;
mod inspect;
mod manual;
mod output;
mod problems;
mod shards;
mod stats;
#[cfg(feature = "stream")]
mod stream;
mod user_record_line;
mod user_records;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};
use crate::problems::Problems;

fn main() -> ExitCode {
    let mut problems = Problems::default();
    let result = match Args::parse().command {
        Command::Deaggregate(options) => deaggregate::run(&options, &mut problems),
        Command::Aggregate(options) => aggregate::run(&options, &mut problems),
        Command::Inspect(options) => inspect::run(&options, &mut problems),
        Command::Stats(options) => stats::run(&options, &mut problems),
        #[cfg(feature = "stream")]
        Command::Put(options) => stream::put(options, &mut problems),
        #[cfg(feature = "stream")]
        Command::Tail(options) => stream::tail(options, &mut problems),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { directory } => manual::man_pages(&directory),
    };
    match result {
        Ok(()) => problems.exit_code(),
        Err(stop) => stop.exit_code(),
    }
}
