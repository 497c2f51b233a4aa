//! `kpl kcl run`: starts the daemon after checking its properties.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueHint};

use super::check::{Finding, check, check_credentials, last};
use super::properties::{Property, parse};
use super::{java, names};
use crate::problems::{Location, Stop, tell};

const MAIN_CLASS: &str = "software.amazon.kinesis.multilang.MultiLangDaemon";

/// Check the properties and start the daemon
///
/// Looks first for the mistakes with which the daemon hangs or loses its place, and reports each with its line; after a mistake it
/// does not start. Java is that of --java, JAVA_HOME or PATH.
///
/// On Unix the daemon then takes the place of this process, with its process ID: SIGTERM reaches it directly, and its exit code is that
/// of this command. Elsewhere it is a child of this process.
///
/// It writes its log to standard output, as logback.xml beside the properties says, and each line that a processor writes to standard
/// error there as well.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kpl kcl run app.properties --fetch
  kpl kcl run app.properties --print
  kpl kcl run app.properties -- -Xmx512m")]
pub(super) struct Run {
    /// The properties of the daemon
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    properties: PathBuf,

    /// The program that runs Java; the default is that of JAVA_HOME, or of PATH
    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::ExecutablePath)]
    java: Option<PathBuf>,

    /// The folder of the daemon's jars; the default is `jars` beside the properties
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    jars: Option<PathBuf>,

    /// Fetch the jars by Maven, as pom.xml beside the properties says
    #[arg(long)]
    fetch: bool,

    /// Write the command that starts the daemon, for a shell, and do not start it
    #[arg(long)]
    print: bool,

    /// Options of Java
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<OsString>,
}

impl Run {
    pub(super) fn run(self) -> Result<(), Stop> {
        let file = self.properties.display().to_string();
        let usage = |error: &dyn std::fmt::Display| Stop::Usage(format!("{file}: {error}"));
        let text = fs::read(&self.properties).map_err(|error| usage(&error))?;
        let properties = parse(&text).map_err(|error| Stop::Usage(format!("{file}:{}: {error}", error.line)))?;
        let folder = self.properties.parent().unwrap_or(Path::new(""));
        report(&file, check(&properties, folder))?;

        let java = java::find(self.java.as_deref())?;
        let jars = self.jars.clone().unwrap_or_else(|| folder.join("jars"));
        if self.fetch {
            java::fetch(folder, &jars)?;
        }
        let version = java::daemon_version(&jars)?;
        report(&file, check_credentials(&properties, &version).into_iter().collect())?;

        let arguments = self.arguments(&properties, folder, &jars)?;
        if self.print {
            return print(&java, &arguments);
        }
        start(&java, &arguments)
    }

    fn arguments(&self, properties: &[Property], folder: &Path, jars: &Path) -> Result<Vec<OsString>, Stop> {
        // Java takes every path of a class path, between separators, as a folder of classes, a jar, or with `*` a folder of jars.
        let class_path = env::join_paths([jars.join("*")])
            .map_err(|_| Stop::Usage(format!("{}: Java cannot take jars from such a folder", jars.display())))?;
        let mut arguments = self.options.clone();
        let endpoint = last(properties, names::KINESIS_ENDPOINT);
        if endpoint.is_some_and(|endpoint| endpoint.value.starts_with("http://")) {
            // Local servers speak JSON.
            arguments.push("-Daws.cborEnabled=false".into());
        }
        arguments.extend(["-cp".into(), class_path, MAIN_CLASS.into()]);
        arguments.extend(["--properties-file".into(), not_on_the_class_path(&self.properties)]);
        let log = folder.join("logback.xml");
        if log.is_file() {
            arguments.extend(["--log-configuration".into(), log.into()]);
        }
        Ok(arguments)
    }
}

/// The daemon looks on the class path first, where no name starts with a dot.
fn not_on_the_class_path(file: &Path) -> OsString {
    if file.is_absolute() || file.starts_with(".") || file.starts_with("..") {
        return file.into();
    }
    Path::new(".").join(file).into()
}

/// Reports all findings. An error among them ends the command.
fn report(file: &str, findings: Vec<Finding>) -> Result<(), Stop> {
    let mut errors = 0_u64;
    for Finding {
        line,
        is_error,
        problem,
    } in findings
    {
        let location = Location {
            file,
            line,
            ..Location::default()
        };
        let kind = if is_error { "" } else { "warning: " };
        tell(format_args!("{location}: {kind}{problem}"));
        errors += u64::from(is_error);
    }
    if errors == 0 {
        return Ok(());
    }
    Err(Stop::Usage(format!(
        "{file}: the daemon is not started: {}",
        crate::draw::count(errors, "mistake")
    )))
}

fn print(java: &Path, arguments: &[OsString]) -> Result<(), Stop> {
    let words = [java.as_os_str()]
        .into_iter()
        .chain(arguments.iter().map(OsString::as_os_str));
    let quoted: Result<Vec<_>, _> = words
        .map(|word: &OsStr| {
            let word = word.to_str().ok_or("is not Unicode");
            word.and_then(|word| shlex::try_quote(word).map_err(|_| "has a zero byte"))
        })
        .collect();
    let quoted =
        quoted.map_err(|problem| Stop::Usage(format!("a part of the command {problem}, so it cannot be written")))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", quoted.join(" "))?;
    Ok(out.flush()?)
}

#[cfg(unix)]
fn start(java: &Path, arguments: &[OsString]) -> Result<(), Stop> {
    use std::os::unix::process::CommandExt as _;

    let error = Command::new(java).args(arguments).exec();
    Err(Stop::Usage(format!("{}: {error}", java.display())))
}

#[cfg(not(unix))]
fn start(java: &Path, arguments: &[OsString]) -> Result<(), Stop> {
    let status = Command::new(java).args(arguments).status();
    let status = status.map_err(|error| Stop::Usage(format!("{}: {error}", java.display())))?;
    if status.success() {
        return Ok(());
    }
    Err(Stop::Usage(format!("{}: {status}", java.display())))
}
