//! Shell completions and man pages, made of the command line's definition.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;
use crate::problems::Stop;

pub(crate) fn completions(shell: Shell) -> Result<(), Stop> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "kpl", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}

/// Writes `kpl.1` and a page for each command.
pub(crate) fn man_pages(directory: &Path) -> Result<(), Stop> {
    fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Args::command(), directory))
        .map_err(|error| Stop::Usage(format!("{}: {error}", directory.display())))
}
