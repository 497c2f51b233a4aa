//! Test vectors for the aggregated record format of the Amazon Kinesis Producer Library, for implementations in any language.
//!
//! A vector is a request, what has to be answered under each policy, and the sentence of the format that it tests. An implementation is
//! tested through its *runner*: a program that answers each line of JSON on its standard input with one on its standard output. The
//! README of this crate is the contract; `kpl conformance --run "COMMAND"` is the command around it.
//!
//! ```no_run
//! use std::process::Command;
//! use std::time::Duration;
//!
//! use kpl_conformance::{Runner, built_in, run};
//!
//! let report = run(&built_in()?, || Runner::start(&mut Command::new("my-runner"), Duration::from_secs(10)))?;
//! for group in &report.groups {
//!     println!("{}: {} passed, {} failed", group.name, group.passed, group.failures.len());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod answer;
mod compare;
mod expand;
mod report;
mod runner;
mod vectors;

pub use self::answer::answer;
pub use self::compare::{Verdict, judge};
pub use self::expand::expand;
pub use self::report::{Failure, GroupReport, Report, run};
pub use self::runner::{Implementation, MAX_ANSWER, Runner, RunnerError};
pub use self::vectors::{Case, Group, InvalidVectors, Vector, built_in};

/// The version of the vectors and of the contract with runners.
pub const VERSION: u64 = 1;
