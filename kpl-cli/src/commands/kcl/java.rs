//! Java and the jars of the daemon.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::problems::Stop;

/// What the daemon is compiled for, in 2.5.4 and in 3.1.3.
const MIN_JAVA: u32 = 8;

const ARTIFACT: &str = "amazon-kinesis-client-multilang-";

/// Returns the program `java` after checking its version: the one that is asked for, of JAVA_HOME, or of PATH.
pub(super) fn find(asked: Option<&Path>) -> Result<PathBuf, Stop> {
    let (java, from) = match (asked, env::var_os("JAVA_HOME").filter(|home| !home.is_empty())) {
        (Some(java), _) => (java.to_owned(), "--java"),
        (None, Some(home)) => (Path::new(&home).join("bin/java"), "JAVA_HOME"),
        (None, None) => (PathBuf::from("java"), "PATH"),
    };
    let shown = java.display();
    let output = Command::new(&java).arg("-version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| {
        let hint = "the daemon needs Java: install it, or set JAVA_HOME or --java";
        Stop::Usage(format!("{shown}, of {from}, cannot be started: {error}; {hint}"))
    })?;
    let text = String::from_utf8_lossy(&output.stderr);
    match version(&text) {
        Some(MIN_JAVA..) => Ok(java),
        Some(version) => Err(Stop::Usage(format!(
            "{shown}, of {from}, is Java {version}; the daemon needs Java {MIN_JAVA} or later: set JAVA_HOME or --java"
        ))),
        None => {
            let said = text.lines().next().unwrap_or("nothing");
            Err(Stop::Usage(format!(
                "{shown}, of {from}, does not tell its version, but: {said}"
            )))
        }
    }
}

/// Returns the major version in what `java -version` writes.
fn version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("version \"")?;
    let mut numbers = version.split(|character: char| !character.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

/// Copies the jars of the daemon and of what it needs into a folder, as the pom in the folder of the properties says.
pub(super) fn fetch(folder: &Path, jars: &Path) -> Result<(), Stop> {
    let pom = folder.join("pom.xml");
    if !pom.is_file() {
        return Err(Stop::Usage(format!(
            "{} does not exist: `kpl kcl init` writes it, and --fetch needs it",
            pom.display()
        )));
    }
    let mut output = OsString::from("-DoutputDirectory=");
    output.push(std::path::absolute(jars).map_err(|error| Stop::Usage(format!("{}: {error}", jars.display())))?);
    let maven = if cfg!(windows) { "mvn.cmd" } else { "mvn" };
    let status = Command::new(maven)
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(&pom)
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(output)
        .stdin(Stdio::null())
        // Standard output is for what this command writes.
        .stdout(io::stderr())
        .status()
        .map_err(|error| {
            Stop::Usage(format!(
                "{maven}, which --fetch needs, cannot be started: {error}; install Maven"
            ))
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(Stop::Usage(format!("{maven} could not fetch the jars: {status}")))
    }
}

/// Returns the version of the daemon whose jars are in a folder.
pub(super) fn daemon_version(jars: &Path) -> Result<String, Stop> {
    let usage = |problem: &str| Stop::Usage(format!("{}: {problem}", jars.display()));
    let entries = match fs::read_dir(jars) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(usage(
                "the folder of the jars does not exist: --fetch fetches them, --jars names another",
            ));
        }
        Err(error) => return Err(usage(&error.to_string())),
    };
    let mut versions = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| usage(&error.to_string()))?.file_name();
        let name = name.to_string_lossy();
        let version = name.strip_prefix(ARTIFACT).and_then(|name| name.strip_suffix(".jar"));
        versions.extend(version.map(str::to_owned));
    }
    versions.sort();
    match versions.as_slice() {
        [version] => Ok(version.clone()),
        [] => Err(usage(&format!(
            "does not have {ARTIFACT}*.jar: --fetch fetches it, --jars names another folder"
        ))),
        versions => Err(usage(&format!(
            "has more than one version of the daemon, {}: empty the folder and fetch them again",
            versions.join(" and ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_java_writes() {
        for (text, expected) in [
            ("openjdk version \"17.0.15\" 2025-04-15", Some(17)),
            ("java version \"1.8.0_392\"", Some(8)),
            (
                "Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version \"21-ea\" 2023-09-19",
                Some(21),
            ),
            ("openjdk version \"25\"", Some(25)),
            ("command not found", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
    }
}
