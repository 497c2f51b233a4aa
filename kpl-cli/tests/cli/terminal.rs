//! Colours, and what happens when the reader of the output goes away.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{command, json_lines, kpl_golden, record, run};

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

/// util-linux's `script` runs a command on a terminal of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_gets_colours_unless_no_color_is_set() {
    use crate::support::Directory;

    let directory = Directory::new();
    let file = directory.file("record.bin", kpl_golden().aggregated);
    for (no_color, coloured) in [(None, true), (Some("1"), false)] {
        let mut command = std::process::Command::new("script");
        let inspect = format!("{} inspect {file}", env!("CARGO_BIN_EXE_kpl"));
        command
            .args(["-qec", &inspect, "/dev/null"])
            .env("TERM", "xterm-256color");
        command
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR")
            .env_remove("CLICOLOR_FORCE");
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        let output = match command.stdin(Stdio::null()).output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            output => output.unwrap(),
        };
        let drawing = String::from_utf8(output.stdout).unwrap();
        assert!(drawing.contains("an aggregated record"), "{drawing}");
        assert_eq!(drawing.contains('\u{1b}'), coloured, "{drawing}");
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
