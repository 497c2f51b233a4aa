//! The sessions in the READMEs are real: each command in them writes what is below it.

use std::path::Path;
use std::process::Command;

use crate::support::Directory;

/// The commands of a README's sessions, each with what is written below it.
fn commands(readme: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for line in block.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, output))) => output.push_str(&format!("{line}\n")),
                (None, None) => panic!("a session starts with a command, not with {line}"),
            }
        }
    }
    commands
}

/// What is the same each time: without sequence numbers, times and rates.
fn lasting(output: &str) -> String {
    let mut lasting = String::new();
    for line in output.lines().filter(|line| !line.starts_with("time ")) {
        let mut rest = line;
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, number) = rest.split_at(at);
            let end = number
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(number.len());
            let (number, after) = number.split_at(end);
            let is_service = number.len() > 40 || before.ends_with("ApproximateArrivalTimestamp\":");
            lasting.push_str(before);
            lasting.push_str(if is_service { "#" } else { number });
            rest = after;
        }
        lasting.push_str(rest);
        lasting.push('\n');
    }
    lasting
}

#[cfg(unix)]
#[test]
fn the_sessions_in_the_readmes_are_real() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Sessions may write files.
    let folder = Directory::new();
    for file in std::fs::read_dir(package.join("tests/data")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let binaries = Path::new(env!("CARGO_BIN_EXE_kpl")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    #[cfg(feature = "stream")]
    let server = crate::stream::Server::start(1);
    for (readme, least) in [("README.md", 5), ("../README.md", 1)] {
        let commands = commands(&std::fs::read_to_string(package.join(readme)).unwrap());
        assert!(commands.len() >= least, "{readme}");
        for (command, expected) in commands {
            let mut shell = Command::new("sh");
            shell
                .args(["-c", &format!("exec 2>&1; {command}")])
                .current_dir(folder.path())
                .env_remove("CLICOLOR_FORCE");
            #[cfg(feature = "stream")]
            server.lead(&mut shell);
            if command.starts_with("kpl kcl ") {
                // The daemon looks for its region there.
                shell.env_remove("AWS_REGION").env("AWS_CONFIG_FILE", "no-such-file");
            }
            #[cfg(not(feature = "stream"))]
            if ["kpl put ", "kpl tail ", "kpl leases "]
                .iter()
                .any(|start| command.starts_with(start))
            {
                continue;
            }
            let output = shell.env("PATH", &path).output().unwrap();
            let output = String::from_utf8(output.stdout).unwrap();
            if command.starts_with("kpl put ") || command.starts_with("kpl tail ") {
                assert_eq!(lasting(&output), lasting(&expected), "{readme}: $ {command}\n{output}");
            } else {
                assert_eq!(output, expected, "{readme}: $ {command}");
            }
        }
    }
}
