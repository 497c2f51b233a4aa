//! Colours, and what happens when the reader of the output goes away.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Directory, command, json_lines, kpl, kpl_golden, record, run};

#[test]
fn colours_are_for_terminals_only() {
    let golden = kpl_golden().aggregated;
    let is_coloured = |variables: &[(&str, &str)]| {
        let mut command = command();
        let run = run(command.arg("inspect").envs(variables.iter().copied()), &golden);
        assert_eq!(run.code, 0);
        run.stdout.contains('\u{1b}')
    };
    assert!(!is_coloured(&[]));
    assert!(!is_coloured(&[("TERM", "xterm-256color")]));
    assert!(is_coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!is_coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

/// Runs a command of the shell, `$kpl` in it, on a terminal of its own, by util-linux's `script`. Returns what the terminal
/// gets, or `None` if there is no `script`.
#[cfg(target_os = "linux")]
fn on_a_terminal(shell: &str, variables: &[(&str, &str)]) -> Option<String> {
    let mut command = std::process::Command::new("script");
    command
        .args(["-qec", shell, "/dev/null"])
        .env("TERM", "xterm-256color")
        .env("kpl", env!("CARGO_BIN_EXE_kpl"))
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR")
        .env_remove("CLICOLOR_FORCE")
        .envs(variables.iter().copied());
    match command.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        output => Some(String::from_utf8(output.unwrap().stdout).unwrap()),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_gets_colours_unless_they_are_turned_off() {
    let directory = Directory::new();
    let file = directory.file("record.bin", kpl_golden().aggregated);
    for (option, variables, coloured) in [
        ("", &[][..], true),
        ("", &[("NO_COLOR", "1")], false),
        ("--color never", &[], false),
        ("--color always", &[("NO_COLOR", "1")], true),
    ] {
        for (command, expected) in [
            ("inspect", "an aggregated record"),
            ("deaggregate --raw", "SequenceNumber"),
        ] {
            let Some(drawing) = on_a_terminal(&format!("$kpl {command} {option} {file}"), variables) else {
                return;
            };
            assert!(drawing.contains(expected), "{drawing}");
            assert_eq!(drawing.contains('\u{1b}'), coloured, "{command} {option}: {drawing}");
        }
    }
}

#[test]
fn colours_can_be_asked_for() {
    let golden = kpl_golden().aggregated;
    let line = |when: &str| {
        let run = kpl(&["--color", when, "deaggregate", "--raw", "--data", "json"], &golden);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        run.stdout.lines().next().unwrap().to_owned()
    };
    let coloured = line("always");
    assert!(
        coloured.starts_with("{\u{1b}[36m\"PartitionKey\"\u{1b}[0m:"),
        "{coloured}"
    );
    let mut plain = coloured
        .replace("\u{1b}[36m", "")
        .replace("\u{1b}[32m", "")
        .replace("\u{1b}[0m", "");
    assert_eq!(plain, line("never"));
    plain.retain(|character| character != '\u{1b}');
    assert_eq!(plain, line("auto"));
    assert_eq!(kpl(&["inspect", "--color", "sometimes"], "").code, 2);
}

/// Controls a terminal, or the order of what it shows: DEL, C1's CSI, right-to-left override, an isolate.
#[cfg(target_os = "linux")]
const HOSTILE: &str = "a\u{7f}b\u{9b}31mc\u{202e}d\u{2066}e";

#[cfg(target_os = "linux")]
fn is_hostile(text: &str) -> bool {
    ['\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}']
        .iter()
        .any(|character| text.contains(*character))
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_that_controls_a_terminal_gets_there() {
    let directory = Directory::new();
    let mut hostile = record(format!("{{\"x\":\t\"{HOSTILE}\"}}").as_bytes(), "1");
    hostile["PartitionKey"] = HOSTILE.into();
    let file = directory.file("records.json", json_lines(&[hostile]));
    let name = directory.file(&format!("{HOSTILE}\u{1b}[31m.json"), std::fs::read(&file).unwrap());
    for form in ["base64", "text", "json"] {
        let arguments = format!("deaggregate --data {form}");
        let piped = kpl(&["deaggregate", "--data", form, &file], "").lines().remove(0);
        let Some(shown) = on_a_terminal(&format!("$kpl {arguments} --color never {file}"), &[]) else {
            return;
        };
        assert!(!is_hostile(&shown), "{shown:?}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            piped,
            "the same value"
        );
        let coloured = on_a_terminal(&format!("$kpl {arguments} {file}"), &[]).unwrap();
        assert!(!is_hostile(&coloured) && coloured.contains('\u{1b}'), "{coloured:?}");
        let raw = on_a_terminal(&format!("$kpl {arguments} --raw-output {file}"), &[]).unwrap();
        assert!(is_hostile(&raw), "{raw:?}");
        let piped = on_a_terminal(&format!("$kpl {arguments} {file} | cat"), &[]).unwrap();
        assert!(is_hostile(&piped), "a pipe gets the characters: {piped:?}");
    }
    for (command, expected) in [
        ("inspect \"$name\"", "a·b·31mc·d·e"),
        ("inspect --output json \"$name\"", r"a\u007fb\u009b31mc\u202ed\u2066e"),
        ("stats --limit 1 \"$name\"", "a·b·31mc·d·e"),
        (
            "stats --limit 1 --output json \"$name\"",
            r"a\u007fb\u009b31mc\u202ed\u2066e",
        ),
        (
            "deaggregate \"$name.not\"",
            r"a\u007fb\u009b31mc\u202ed\u2066e\u001b[31m.json.not: No such file",
        ),
        (
            "aggregate --shards \"$name\" /dev/null",
            r"a\u007fb\u009b31mc\u202ed\u2066e\u001b[31m.json: ",
        ),
        (
            "deaggregate --data \"$name\"",
            r"b\u009b31mc\u202ed\u2066e.json' for '--data <FORM>'",
        ),
        (
            "deaggregate --data \"$(printf 'a\\033[31mb')\"",
            "'ab' for '--data <FORM>'",
        ),
        (
            "kcl run \"$name.not\"",
            r"a\u007fb\u009b31mc\u202ed\u2066e\u001b[31m.json.not: No such file",
        ),
        (
            "kcl init \"$name.d\"",
            r"a\u007fb\u009b31mc\u202ed\u2066e\u001b[31m.json.d/pom.xml",
        ),
    ] {
        let shown = on_a_terminal(&format!("$kpl --color never {command}"), &[("name", &name)]).unwrap();
        assert!(shown.contains(expected), "{command}: {shown:?}");
        assert!(!is_hostile(&shown) && !shown.contains('\u{1b}'), "{command}: {shown:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let golden = kpl_golden().aggregated;
    let directory = Directory::new();
    let file = directory.file("record.bin", &golden);
    let pages = directory.path().join("pages").display().to_string();
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["help", "stats"],
        &["deaggregate", "--help"],
        &["aggregate", "--help"],
        &["inspect", "--help"],
        &["stats", "--help"],
        #[cfg(feature = "stream")]
        &["put", "--help"],
        #[cfg(feature = "stream")]
        &["tail", "-h"],
        &["kcl", "--help"],
        &["kcl", "init", "--help"],
        &["kcl", "run", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
        &["completions", "bash"],
        #[cfg(feature = "stream")]
        &["put", "clicks", "--dry-run"],
        &["deaggregate", "--raw", &file],
        &["inspect", &file],
        &["inspect", "--output", "json", &file],
        &["stats", "--raw", &file],
        &["kcl", "init", &pages, "--force"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let read_only = std::fs::File::open("/dev/null").unwrap();
        let outputs = [(full, "No space left on device"), (read_only, "Bad file descriptor")];
        for (stdout, expected) in outputs {
            let output = command()
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(stdout)
                .output()
                .unwrap();
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
            let expected = format!("kpl: the output cannot be written: {expected}");
            let last = told.lines().last().unwrap_or_default();
            assert!(last.starts_with(&expected), "{arguments:?}: {told}");
        }
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let lines = json_lines(&[record(&kpl_golden().aggregated, "1")]);
    for arguments in [
        &["deaggregate"][..],
        &["aggregate", "--data", "text", "--max-count", "1"],
    ] {
        let mut child = command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut one = [0];
        let writer = thread::spawn({
            let lines = lines.clone();
            move || while stdin.write_all(lines.as_bytes()).is_ok() {}
        });
        stdout.read_exact(&mut one).unwrap();
        drop(stdout);
        // Its input never ends, so only the closed pipe can end it.
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
    for arguments in [&["inspect"][..], &["stats"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn records_come_out_as_soon_as_they_came_in() {
    let mut child = command()
        .arg("deaggregate")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(len @ 1..) = stdout.read(&mut buffer) {
            let lines = buffer[..len].iter().filter(|&&byte| byte == b'\n').count();
            let _ = sender.send(lines);
        }
    });
    let whole = |records: &str| format!("{{\"Records\":[{records}],\n\"MillisBehindLatest\":0}}\n");
    let golden = record(&kpl_golden().aggregated, "1").to_string();
    for (input, lines) in [(format!("{golden}\n"), 8), (whole(&golden), 8), (golden, 8)] {
        stdin.write_all(input.as_bytes()).unwrap();
        let (deadline, mut seen) = (Instant::now() + Duration::from_secs(60), 0);
        while seen < lines {
            let left = deadline.saturating_duration_since(Instant::now());
            seen += receiver
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("{seen} of {lines} lines of {input}"));
        }
        assert_eq!(seen, lines);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}
