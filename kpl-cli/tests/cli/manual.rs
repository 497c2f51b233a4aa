//! Help, completions, man pages, and the exit code of a wrong command line.

use crate::support::{Directory, command, kpl, run};

#[cfg(feature = "stream")]
const COMMANDS: [&str; 11] = [
    "deaggregate",
    "aggregate",
    "inspect",
    "stats",
    "train",
    "kcl",
    "conformance",
    "put",
    "tail",
    "leases",
    "spool",
];
#[cfg(not(feature = "stream"))]
const COMMANDS: [&str; 7] = [
    "deaggregate",
    "aggregate",
    "inspect",
    "stats",
    "train",
    "kcl",
    "conformance",
];

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
        .chain(["completions", "man", "kcl init", "kcl run", "conformance serve"])
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

/// Those of Elvish and PowerShell do not complete values.
#[test]
fn completions_know_the_values_of_options() {
    for shell in ["bash", "zsh", "fish"] {
        let script = kpl(&["completions", shell], "").stdout;
        assert!(script.contains("drop-aggregate"), "{shell}");
        #[cfg(feature = "stream")]
        for start in ["trim-horizon", "latest", "5m", "1d"] {
            assert!(script.contains(start), "{shell}: {start}");
        }
    }
}

#[test]
fn man_pages_are_written_into_a_directory() {
    let directory = Directory::new();
    let pages = directory.path().join("share/man1");
    let run = kpl(&["man", pages.to_str().unwrap()], "");
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
    let page = |name: &str| std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
    let names = COMMANDS
        .into_iter()
        .chain(["kcl-init", "kcl-run", "conformance-serve", "completions", "man"]);
    for name in names {
        let page = page(&format!("kpl-{name}"));
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"] {
            assert!(
                page.contains(&format!(".SH {section}")) || page.contains(&format!(".SH \"{section}\"")),
                "{name} {section}: {page}"
            );
        }
        let examples = page.split_once("EXAMPLES").unwrap().1;
        assert!(
            examples.contains(&format!("kpl {}", name.replace('-', " "))),
            "{examples}"
        );
        assert!(
            page.contains("the service refused a request or cannot be reached"),
            "{page}"
        );
    }
    assert!(page("kpl").contains(".SH \"EXIT STATUS\""), "{}", page("kpl"));
    for value in ["base64", "text", "json", "drop\\-aggregate"] {
        assert!(page("kpl-deaggregate").contains(value), "{value}");
    }
    #[cfg(feature = "stream")]
    assert!(page("kpl-tail").contains("trim\\-horizon"));
    assert!(
        std::fs::read_to_string(pages.join("kpl.1"))
            .unwrap()
            .contains("deaggregate")
    );
    let file = directory.file("file", "");
    assert_eq!(kpl(&["man", &file], "").code, 2);
}
