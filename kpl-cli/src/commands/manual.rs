//! `kpl completions` and `kpl man`: shell completions and man pages, generated from the definition of the command line.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueHint};
use clap_complete::Shell;
use roff::{Roff, bold, roman};

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
    pub(crate) fn run(self, mut command_line: Command, exit_codes: &str) -> Result<(), Stop> {
        let directory = &self.directory;
        command_line = command_line.disable_help_subcommand(true);
        command_line.build();
        fs::create_dir_all(directory)
            .and_then(|()| write_pages(&command_line, exit_codes, directory))
            .map_err(|error| Stop::Usage(format!("{}: {error}", directory.display())))
    }
}

/// Writes the page of a command, and those of its subcommands.
fn write_pages(command: &Command, exit_codes: &str, directory: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands() {
        write_pages(subcommand, exit_codes, directory)?;
    }
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    if command.get_arguments().next().is_some() {
        page.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for line in exit_codes.lines().skip(1) {
        // A code and its meaning.
        let (code, meaning) = line.trim_start().split_once("  ").unwrap_or((line, ""));
        roff.control("TP", []);
        roff.text([bold(code)]);
        roff.text([roman(meaning)]);
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if let Some((_, examples)) = after.split_once("Example").filter(|(before, _)| before.is_empty()) {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        for line in examples.lines().skip(1) {
            roff.text([roman(line.trim_start())]);
        }
        roff.control("fi", []);
    }
    roff.to_writer(&mut text)?;
    if command.get_version().is_some() {
        page.render_version_section(&mut text)?;
    }
    fs::write(directory.join(page.get_filename()), text)
}
