//! `kpl conformance serve`: kpl as a runner.

use std::io::{self, BufRead as _, Write as _};

use clap::Args;

use crate::problems::Stop;

/// Answer requests on standard input, one per line, as the runner of kpl itself
///
/// Use it to see what has to be answered, or to compare kpl with vectors of your own.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kpl conformance serve < requests.jsonl")]
pub(super) struct Serve {}

impl Serve {
    pub(super) fn run(self) -> Result<(), Stop> {
        let mut out = io::stdout().lock();
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input.read_until(b'\n', &mut line);
            if read.map_err(|error| Stop::Usage(format!("standard input: {error}")))? == 0 {
                return Ok(());
            }
            // What is not UTF-8 is not JSON either, and its answer says that.
            let answer = kpl_conformance::answer(&String::from_utf8_lossy(&line));
            writeln!(out, "{answer}")?;
            out.flush()?;
        }
    }
}
