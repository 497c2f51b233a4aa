//! A record processor as the process that a daemon starts: standard output, signals, and how it ends.
#![cfg(unix)]

#[path = "../../../kpl-kcl/tests/common/mod.rs"]
mod common;

use std::io::Read as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use common::{action, initialize, position, records};
use rustix::process::{Pid, Signal, kill_process};

type Daemon = common::Daemon<ChildStdin, ChildStdout>;

fn start() -> (Daemon, Child) {
    start_with(&[])
}

fn start_with(arguments: &[&str]) -> (Daemon, Child) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kcl-child"));
    command.args(arguments);
    command.env_remove("RUST_BACKTRACE");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut daemon = Daemon::new(child.stdin.take().unwrap(), child.stdout.take().unwrap());
    assert_eq!(daemon.tell(&initialize()), [""; 0]);
    (daemon, child)
}

/// Closes standard input, and returns whether the process succeeded, and what it wrote to standard error.
fn end(daemon: Daemon, mut child: Child) -> (bool, String) {
    drop(daemon);
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    (child.wait().unwrap().success(), errors)
}

#[test]
fn nothing_but_the_protocol_is_on_standard_output() {
    let (mut daemon, child) = start();
    // Each line is a message, or the daemon that is asked for here would complain.
    let checkpoints = daemon.tell(&records([("1:0", "print"), ("1:1", "start"), ("1:2", "print")]));
    assert_eq!(checkpoints.last().map(String::as_str), Some("1:2"));
    assert_eq!(daemon.tell(&action("shardEnded")), ["all"]);
    let (succeeded, errors) = end(daemon, child);
    assert!(succeeded);
    assert_eq!(errors.matches("printed\n").count(), 2, "{errors}");
    assert_eq!(errors.matches("printed by another process\n").count(), 1, "{errors}");
    assert_eq!(errors.matches("responseFor").count(), 2, "{errors}");
    assert!(
        errors.contains("INFO kpl_kcl::processor: the shard has ended"),
        "{errors}"
    );
}

/// A program that a handler starts does not read what the daemon says.
#[test]
fn standard_input_belongs_to_the_protocol() {
    let (mut daemon, child) = start();
    assert_eq!(
        daemon
            .tell(&records([("1:0", "read"), ("1:1", "a")]))
            .last()
            .map(String::as_str),
        Some("1:1")
    );
    let (succeeded, errors) = end(daemon, child);
    assert!(succeeded, "{errors}");
}

#[test]
fn signals_leave_the_process_to_the_daemon() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (mut daemon, child) = start_with(&["lazy"]);
        assert_eq!(daemon.tell(&records([("1:0", "a")])), [""; 0]);
        kill_process(Pid::from_child(&child), signal).unwrap();
        // It makes a checkpoint as soon as it can, long before it would otherwise be due, and lives on.
        let made = (0..200).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            daemon.tell(&records([])).pop()
        });
        assert_eq!(made.as_deref(), Some("1:0"));
        assert_eq!(daemon.tell(&records([("1:1", "b")])), ["1:1"]);
        assert_eq!(daemon.tell(&action("shutdownRequested")), [""; 0]);
        assert_eq!(daemon.tell(&action("leaseLost")), [""; 0]);
        let (succeeded, errors) = end(daemon, child);
        assert!(succeeded, "{errors}");
        assert!(errors.contains("a signal asks the process to end"), "{errors}");
    }
}

#[test]
fn the_end_of_standard_input_ends_the_process_whatever_it_does() {
    let (mut daemon, child) = start();
    daemon.say(&records([("1:0", "a"), ("1:1", "wait")]));
    let checkpoint = daemon.hear().unwrap();
    assert_eq!(position(&checkpoint), "1:0");
    daemon.answer(&checkpoint, None);
    let (succeeded, errors) = end(daemon, child);
    assert!(succeeded, "{errors}");
}

#[test]
fn failures_and_panics_say_where_on_standard_error() {
    for (data, expected) in [
        (
            "fail",
            "Error: a user record failed (shard shardId-0, position 1:1): the record says so\n",
        ),
        (
            "panic",
            "Error: a user record failed (shard shardId-0, position 1:1): the handler panicked: the record says so\n",
        ),
    ] {
        let (mut daemon, child) = start_with(&["lazy"]);
        daemon.say(&records([("1:0", "a"), ("1:1", data), ("1:2", "b")]));
        if data == "fail" {
            let checkpoint = daemon.hear().unwrap();
            assert_eq!(position(&checkpoint), "1:0");
            daemon.answer(&checkpoint, None);
        }
        assert_eq!(daemon.hear(), None);
        let (succeeded, errors) = end(daemon, child);
        assert!(!succeeded);
        assert!(errors.ends_with(expected), "{errors}");
    }
}
