//! `kpl conformance`: tests implementations of the format, and is a runner itself.

mod report;
mod serve;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use kpl_conformance::{Group, Runner, RunnerError, built_in, run};

use self::serve::Serve;
use crate::draw;
use crate::forms::positive_seconds;
use crate::output;
use crate::problems::{Problems, Stop};

/// Test an implementation of the aggregated format, in any language
///
/// Starts a runner, which is a small program around the implementation, sends it one request per line, and compares its answers with what
/// the format says: what is written byte for byte, what is read, malformed records, hash keys, the ranges of shards, positions, and keys
/// in many scripts. Each request has a time limit, and a runner that ends or hangs is started anew.
///
/// What an implementation does not do is `unsupported`, which is not a failure. conformance/README.md of the project has the requests and
/// answers, and a whole runner.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  kpl conformance --run 'python3 runner.py'
  kpl conformance --run ./runner --group malformed --limit 10
  kpl conformance --run 'kpl conformance serve' --output json"
)]
pub(crate) struct Conformance {
    #[command(subcommand)]
    command: Option<Action>,

    /// The command that starts the runner. Its words are split as a shell does; there is no shell
    #[arg(long, value_name = "COMMAND", required = true, value_hint = ValueHint::CommandString)]
    run: Option<String>,

    /// Take the vectors from the *.json files of a folder, instead of those of kpl
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    vectors: Option<PathBuf>,

    /// Only the vectors of this group; may be repeated
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,

    /// How many of the vectors that fail to show in full. JSON has all of them
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    limit: usize,

    /// How long each answer may take
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = positive_seconds)]
    timeout: Duration,

    /// What to write
    #[arg(long, visible_alias = "format", value_enum, default_value_t, value_name = "FORM")]
    output: Form,
}

#[derive(Debug, Subcommand)]
enum Action {
    Serve(Serve),
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Form {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

impl Conformance {
    pub(crate) fn run(self, problems: &mut Problems) -> Result<(), Stop> {
        if let Some(Action::Serve(serve)) = self.command {
            return serve.run();
        }
        let command = self.run.unwrap_or_default();
        let mut groups = match &self.vectors {
            Some(folder) => read(folder)?,
            None => built_in().map_err(|error| Stop::Usage(error.to_string()))?,
        };
        choose(&mut groups, &self.group)?;
        let words = shlex::split(&command).unwrap_or_default();
        let Some((program, arguments)) = words.split_first() else {
            return Err(Stop::Usage(format!("--run {command:?}: it is not a command")));
        };
        let start = || Runner::start(Command::new(program).args(arguments), self.timeout);
        let report = run(&groups, start).map_err(|error| cannot_be_tested(program, &error))?;
        if report.failures().next().is_some() || report.passed() == 0 {
            problems.found();
        }
        match self.output {
            Form::Text => draw::print(&report::draw(&report, self.limit)),
            Form::Json => output::document(&report),
        }
    }
}

fn cannot_be_tested(program: &str, error: &RunnerError) -> Stop {
    Stop::Usage(match error {
        RunnerError::Start(error) => format!("{program}: the runner cannot be started: {error}"),
        error => format!("{program}: {error}; this was the first request, for its version"),
    })
}

/// Reads the groups of all JSON files of a folder, in the order of their names.
fn read(folder: &Path) -> Result<Vec<Group>, Stop> {
    let problem = |path: &Path, error: &dyn std::fmt::Display| Stop::Usage(format!("{}: {error}", path.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| problem(folder, &error))? {
        let path = entry.map_err(|error| problem(folder, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(problem(folder, &"it has no *.json files"));
    }
    let parsed = paths.iter().map(|path| {
        let json = fs::read_to_string(path).map_err(|error| problem(path, &error))?;
        Group::parse(&path.display().to_string(), &json).map_err(|error| Stop::Usage(error.to_string()))
    });
    parsed.collect()
}

/// Leaves only the groups with these names, if there are any names.
fn choose(groups: &mut Vec<Group>, names: &[String]) -> Result<(), Stop> {
    if let Some(name) = names
        .iter()
        .find(|name| !groups.iter().any(|group| group.group == **name))
    {
        let known: Vec<_> = groups.iter().map(|group| group.group.as_str()).collect();
        return Err(Stop::Usage(format!(
            "--group {name}: there is no such group, only {}",
            known.join(", ")
        )));
    }
    groups.retain(|group| names.is_empty() || names.contains(&group.group));
    Ok(())
}
