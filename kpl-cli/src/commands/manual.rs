//! `kpl completions` and `kpl man`: shell completions and man pages, generated from the definition of the command line.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, Command, ValueHint};
use clap_complete::Shell;

use crate::problems::Stop;

/// Write the completions of a shell to standard output
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kpl completions bash > ~/.local/share/bash-completion/completions/kpl")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut command_line: Command) -> Result<(), Stop> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command_line, "kpl", &mut script);
        let mut out = io::stdout().lock();
        out.write_all(&script)?;
        Ok(out.flush()?)
    }
}

/// Write the man pages into a directory
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kpl man ~/.local/share/man/man1 && man kpl-deaggregate")]
pub(crate) struct Man {
    /// The directory; it is created if it does not exist
    #[arg(value_hint = ValueHint::DirPath)]
    directory: PathBuf,
}

impl Man {
    /// Writes `kpl.1` and a page for each command.
    pub(crate) fn run(self, command_line: Command) -> Result<(), Stop> {
        let directory = &self.directory;
        fs::create_dir_all(directory)
            .and_then(|()| clap_mangen::generate_to(command_line, directory))
            .map_err(|error| Stop::Usage(format!("{}: {error}", directory.display())))
    }
}
