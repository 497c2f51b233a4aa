//! Runs the pipeline against a model of Kinesis, with a seeded scheduler and a clock of its own.
//!
//! `KPL_SEEDS=100000` runs this many seeds; `KPL_SEED=17` runs only that one, and prints what happens in it.
#![forbid(unsafe_code)]

mod claims;
mod plan;
mod watch;
mod world;

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::world::{Statistics, World};

/// The number of seeds that plain `cargo test` runs. CI runs more.
const SEEDS: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number"))
    })
}

fn run(seed: u64, trace: bool) -> Result<Statistics, String> {
    World::new(seed, trace).run().map_err(|problem| format!("seed {seed}: {problem}\nreplay it: KPL_SEED={seed} cargo test -p kpl-stream --test simulation -- --nocapture"))
}

#[test]
fn every_claim_holds_for_every_seed() {
    if let Some(seed) = number("KPL_SEED") {
        let statistics = run(seed, true).unwrap_or_else(|problem| panic!("{problem}"));
        println!("{statistics:#?}");
        return;
    }
    let seeds = number("KPL_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let work = || {
        let mut sum = Statistics::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return Ok(sum);
            }
            match run(seed, false) {
                Ok(statistics) => sum += statistics,
                Err(problem) => {
                    next.store(seeds, Ordering::Relaxed);
                    return Err(problem);
                }
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<Result<Statistics, String>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a seed panicked"))
            .collect()
    });
    let mut sum = Statistics::default();
    for result in results {
        sum += result.unwrap_or_else(|problem| panic!("{problem}"));
    }
    println!("{seeds} seeds: {sum:#?}");
    // Something that never happens is not tested.
    if seeds >= SEEDS {
        sum.check_all_happened();
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        let (once, again) = (run(seed, false), run(seed, false));
        assert_eq!(
            once.map(|statistics| statistics.trace),
            again.map(|statistics| statistics.trace),
            "seed {seed}"
        );
    }
}
