//! The sessions in the READMEs are real: each command in them gives what is written below it.

use std::path::Path;
use std::process::Command;

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

#[cfg(unix)]
#[test]
fn the_sessions_in_the_readmes_are_real() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let binaries = Path::new(env!("CARGO_BIN_EXE_kpl")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    for (readme, least) in [("README.md", 5), ("../README.md", 1)] {
        let commands = commands(&std::fs::read_to_string(package.join(readme)).unwrap());
        assert!(commands.len() >= least, "{readme}");
        for (command, expected) in commands {
            let output = Command::new("sh")
                .args(["-c", &format!("exec 2>&1; {command}")])
                .current_dir(package.join("tests/data"))
                .env("PATH", &path)
                .env_remove("CLICOLOR_FORCE")
                .output()
                .unwrap();
            let output = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output, expected, "{readme}: $ {command}");
        }
    }
}
