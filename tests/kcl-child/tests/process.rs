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
    let mut command = Command::new(env!("CARGO_BIN_EXE_kcl-child"));
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
    assert_eq!(
        daemon.tell(&records([("1:0", "print"), ("1:1", "start"), ("1:2", "print")])),
        ["1:0", "1:1", "1:2"]
    );
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

#[test]
fn signals_leave_the_process_to_the_daemon() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (mut daemon, child) = start();
        daemon.tell(&records([("1:0", "a")]));
        kill_process(Pid::from_child(&child), signal).unwrap();
        // It says that it was told, and lives on.
        while daemon.tell(&records([])) != [""; 0] {}
        assert_eq!(daemon.tell(&records([("1:1", "b")])), ["1:1"]);
        assert_eq!(daemon.tell(&action("shutdownRequested")), [""; 0]);
        assert_eq!(daemon.tell(&action("leaseLost")), [""; 0]);
        let (succeeded, errors) = end(daemon, child);
        assert!(succeeded, "{errors}");
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
        let (mut daemon, child) = start();
        daemon.say(&records([("1:0", "a"), ("1:1", data), ("1:2", "b")]));
        let checkpoint = daemon.hear().unwrap();
        assert_eq!(position(&checkpoint), "1:0");
        daemon.answer(&checkpoint, None);
        assert_eq!(daemon.hear(), None);
        let (succeeded, errors) = end(daemon, child);
        assert!(!succeeded);
        assert!(errors.ends_with(expected), "{errors}");
    }
}
