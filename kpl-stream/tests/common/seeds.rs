//! Runs a simulation with many seeds.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Returns the number that an environment variable contains.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")),
    )
}

/// Runs as many seeds as `KPL_SEEDS` says, or `default`, on all cores, and adds up what happened. Panics with the
/// problem of a seed that fails.
pub(crate) fn run_seeds<S: Default + Send>(
    default: u64,
    run: impl Fn(u64) -> Result<S, String> + Sync,
    add: impl Fn(&mut S, S) + Sync,
) -> (u64, S) {
    let seeds = number("KPL_SEEDS").unwrap_or(default);
    let next = AtomicU64::new(0);
    let work = || {
        let mut sum = S::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return Ok(sum);
            }
            match run(seed) {
                Ok(statistics) => add(&mut sum, statistics),
                Err(problem) => {
                    next.store(seeds, Ordering::Relaxed);
                    return Err(problem);
                }
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<Result<S, String>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a seed panicked"))
            .collect()
    });
    let mut sum = S::default();
    for result in results {
        add(&mut sum, result.unwrap_or_else(|problem| panic!("{problem}")));
    }
    (seeds, sum)
}
