//! The commands that talk to the service.

mod args;
mod interrupts;
mod log;
mod pipe;
mod put;
mod service;
mod tail;

use tokio::runtime::Runtime;

pub(crate) use self::args::{Put, Tail};
use self::interrupts::Interrupts;
use crate::problems::{Problems, Stop};

pub(crate) fn put(options: Put, problems: &mut Problems) -> Result<(), Stop> {
    problems.strict = options.strict;
    run(|interrupts| put::run(options, interrupts, problems))
}

pub(crate) fn tail(options: Tail, problems: &mut Problems) -> Result<(), Stop> {
    problems.strict = options.strict;
    run(|interrupts| tail::run(options, interrupts, problems))
}

fn run<F: Future<Output = Result<(), Stop>>>(command: impl FnOnce(Interrupts) -> F) -> Result<(), Stop> {
    let runtime = Runtime::new().map_err(|error| Stop::Usage(format!("there are no threads to run on: {error}")))?;
    let result = runtime.block_on(async { command(Interrupts::listen()?).await });
    // What still waits, as a request does, needs no end.
    runtime.shutdown_background();
    result
}
