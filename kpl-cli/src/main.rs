//! `kpl`: unpacks, packs and shows Amazon Kinesis records in the KPL format.
#![forbid(unsafe_code)]

mod arn;
mod commands;
mod compression;
mod cost;
mod decompress;
mod draw;
mod forms;
mod html;
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
mod terminal;
mod user_record_line;
mod user_records;

use std::borrow::Cow;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use self::commands::aggregate::Aggregate;
use self::commands::conformance::Conformance;
use self::commands::deaggregate::Deaggregate;
use self::commands::inspect::Inspect;
use self::commands::kcl::Kcl;
#[cfg(feature = "stream")]
use self::commands::leases::Leases;
use self::commands::manual::{Completions, Man};
#[cfg(feature = "stream")]
use self::commands::put::Put;
#[cfg(feature = "stream")]
use self::commands::spool::Spool;
use self::commands::stats::Stats;
#[cfg(feature = "stream")]
use self::commands::tail::Tail;
use self::commands::train::Train;
use self::problems::{Problems, Stop};
use self::terminal::Writing;

const EXIT_CODES: &str = "\
Exit codes:
  0  all of the input came out
  1  some of it did not, --strict stopped at the first problem, leases or a spool have problems, or vectors failed
  2  the command line or the configuration of AWS is wrong, or a file cannot be opened
  3  the service refused a request or cannot be reached
  129, 130, 143  SIGHUP, Ctrl-C or SIGTERM ended it, and everything that it had read came out";

/// Unpacks, packs and shows Amazon Kinesis records in the aggregated format of the KPL.
#[derive(Debug, Parser)]
#[command(name = "kpl", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    writing: Writing,
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
    Train(Train),
    Kcl(Kcl),
    #[cfg(feature = "stream")]
    Leases(Leases),
    #[cfg(feature = "stream")]
    Spool(Spool),
    Conformance(Conformance),
    Completions(Completions),
    Man(Man),
}

fn main() -> ExitCode {
    if let Err(stop) = output::check() {
        return stop.exit_code();
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return explain(&error).unwrap_or_else(Stop::exit_code),
    };
    args.writing.apply();
    let mut problems = Problems::default();
    let result = match args.command {
        Command::Deaggregate(options) => options.run(&mut problems),
        Command::Aggregate(options) => options.run(&mut problems),
        Command::Inspect(options) => options.run(&mut problems),
        Command::Stats(options) => options.run(&mut problems),
        #[cfg(feature = "stream")]
        Command::Put(options) => options.run(&mut problems),
        #[cfg(feature = "stream")]
        Command::Tail(options) => options.run(&mut problems),
        Command::Train(options) => options.run(&mut problems),
        Command::Kcl(options) => options.run(),
        #[cfg(feature = "stream")]
        Command::Leases(options) => options.run(&mut problems),
        #[cfg(feature = "stream")]
        Command::Spool(options) => options.run(&mut problems),
        Command::Conformance(options) => options.run(&mut problems),
        Command::Completions(options) => options.run(Args::command()),
        Command::Man(options) => options.run(Args::command(), EXIT_CODES),
    };
    match result {
        Ok(()) => problems.exit_code(),
        #[cfg(feature = "stream")]
        Err(Stop::Interrupted(_)) if problems.has_not_delivered() => problems.exit_code(),
        Err(stop) => stop.exit_code(),
    }
}

/// Writes help, or what is wrong with the command line.
fn explain(error: &clap::Error) -> Result<ExitCode, Stop> {
    if !error.use_stderr() {
        error.print()?;
        io::stdout().flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    // An argument may be the name of a file, which may control terminals.
    let controls = |argument: OsString| matches!(terminal::escaped(&argument.to_string_lossy()), Cow::Owned(_));
    if terminal::is_guarded_stderr() && env::args_os().any(controls) {
        // Plain text, without the sequences that colours consist of.
        let text = error.render().to_string();
        let lines: Vec<_> = text.split('\n').map(terminal::escaped).collect();
        let _ = io::stderr().write_all(lines.join("\n").as_bytes());
    } else {
        let _ = error.print();
    }
    Ok(ExitCode::from(problems::USAGE))
}
