//! `kpl`: unpacks, packs and shows Amazon Kinesis records in the KPL format.
#![forbid(unsafe_code)]

mod commands;
mod draw;
mod forms;
mod input;
#[cfg(feature = "stream")]
mod interrupts;
#[cfg(feature = "stream")]
mod log;
mod output;
#[cfg(feature = "stream")]
mod pipe;
mod problems;
#[cfg(feature = "stream")]
mod service;
mod shards;
mod user_record_line;
mod user_records;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use self::commands::aggregate::Aggregate;
use self::commands::deaggregate::Deaggregate;
use self::commands::inspect::Inspect;
use self::commands::kcl::Kcl;
use self::commands::manual::{Completions, Man};
#[cfg(feature = "stream")]
use self::commands::put::Put;
use self::commands::stats::Stats;
#[cfg(feature = "stream")]
use self::commands::tail::Tail;
use self::problems::Problems;
#[cfg(feature = "stream")]
use self::problems::Stop;

const EXIT_CODES: &str = "\
Exit codes:
  0  all of the input came out
  1  some of it did not, or --strict stopped at the first problem
  2  the command line or the configuration of AWS is wrong, or a file cannot be opened
  3  the service refused a request or cannot be reached
  129, 130, 143  SIGHUP, Ctrl-C or SIGTERM ended it, and everything that it had read came out";

/// Unpacks, packs and shows Amazon Kinesis records in the aggregated format of the KPL.
#[derive(Debug, Parser)]
#[command(name = "kpl", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Deaggregate(Deaggregate),
    Aggregate(Aggregate),
    Inspect(Inspect),
    Stats(Stats),
    #[cfg(feature = "stream")]
    Put(Put),
    #[cfg(feature = "stream")]
    Tail(Tail),
    Kcl(Kcl),
    Completions(Completions),
    Man(Man),
}

fn main() -> ExitCode {
    let mut problems = Problems::default();
    let result = match Args::parse().command {
        Command::Deaggregate(options) => options.run(&mut problems),
        Command::Aggregate(options) => options.run(&mut problems),
        Command::Inspect(options) => options.run(&mut problems),
        Command::Stats(options) => options.run(&mut problems),
        #[cfg(feature = "stream")]
        Command::Put(options) => options.run(&mut problems),
        #[cfg(feature = "stream")]
        Command::Tail(options) => options.run(&mut problems),
        Command::Kcl(options) => options.run(),
        Command::Completions(options) => options.run(Args::command()),
        Command::Man(options) => options.run(Args::command()),
    };
    match result {
        Ok(()) => problems.exit_code(),
        #[cfg(feature = "stream")]
        Err(Stop::Interrupted(_)) if problems.has_not_delivered() => problems.exit_code(),
        Err(stop) => stop.exit_code(),
    }
}
