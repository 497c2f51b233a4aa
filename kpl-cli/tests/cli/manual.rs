//! Help, completions, man pages, and the exit code of a wrong command line.

use crate::support::{Directory, command, kpl, run};

#[cfg(feature = "stream")]
const COMMANDS: [&str; 7] = ["deaggregate", "aggregate", "inspect", "stats", "kcl", "put", "tail"];
#[cfg(not(feature = "stream"))]
const COMMANDS: [&str; 5] = ["deaggregate", "aggregate", "inspect", "stats", "kcl"];

#[test]
fn every_command_has_help_with_an_example() {
    let help = kpl(&["--help"], "");
    assert_eq!(help.code, 0);
    for command in COMMANDS.into_iter().chain(["completions", "man"]) {
        assert!(help.stdout.contains(&format!("  {command} ")), "{}", help.stdout);
        for option in ["--help", "-h"] {
            let run = kpl(&[command, option], "");
            assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{command}");
            assert!(run.stdout.contains("Example"), "{command}: {}", run.stdout);
            assert!(
                run.stdout.contains(&format!("kpl {command} ")),
                "{command}: {}",
                run.stdout
            );
        }
    }
    assert!(help.stdout.contains("Exit codes:"));
    assert_eq!(
        kpl(&["--version"], "").stdout,
        format!("kpl {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn examples_fit_80_columns_so_that_they_can_be_copied() {
    for name in COMMANDS
        .into_iter()
        .chain(["completions", "man", "kcl init", "kcl run"])
    {
        let help = |columns| {
            let arguments = name.split(' ').chain(["--help"]);
            run(command().args(arguments).env("COLUMNS", columns), b"").stdout
        };
        let (wrapped, wide) = (help("80"), help("1000"));
        let examples = |help: &str| help.split_once("\nExample").unwrap().1.to_owned();
        assert_eq!(examples(&wrapped), examples(&wide), "{name}");
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["deaggregate", "--output"],
        &["completions", "cmd"],
        &["man"],
    ] {
        let run = kpl(arguments, "");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(
            run.stderr.contains("--help") || run.stderr.contains("Usage: kpl"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = kpl(&["completions", shell], "");
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{shell}");
        for word in COMMANDS.into_iter().chain(["strict", "outer-key"]) {
            assert!(run.stdout.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn man_pages_are_written_into_a_directory() {
    let directory = Directory::new();
    let pages = directory.path().join("share/man1");
    let run = kpl(&["man", pages.to_str().unwrap()], "");
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
    for command in COMMANDS {
        let page = std::fs::read_to_string(pages.join(format!("kpl-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Example"), "{page}");
    }
    for command in ["init", "run"] {
        let page = std::fs::read_to_string(pages.join(format!("kpl-kcl-{command}.1"))).unwrap();
        assert!(page.contains(&format!("kpl\\-kcl\\-{command}")), "{page}");
    }
    assert!(
        std::fs::read_to_string(pages.join("kpl.1"))
            .unwrap()
            .contains("deaggregate")
    );
    let file = directory.file("file", "");
    assert_eq!(kpl(&["man", &file], "").code, 2);
}
