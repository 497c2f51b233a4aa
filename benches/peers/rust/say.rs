//! What every program here says and is told (../measure.py).

use std::io::{self, BufRead as _, Write as _};

/// Says something to measure.py.
pub(crate) fn say(line: impl std::fmt::Display) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .expect("measure.py listens");
}

/// Returns what measure.py wants to be done, line by line.
pub(crate) fn orders() -> impl Iterator<Item = String> {
    io::stdin().lock().lines().map(|line| line.expect("lines are UTF-8"))
}
