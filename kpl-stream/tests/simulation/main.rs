//! Runs the pipeline against a model of Kinesis, with a seeded scheduler and a clock of its own.
//!
//! `KPL_SEEDS=100000` runs this many seeds; `KPL_SEED=17` runs only that one, and prints what happens in it.
#![forbid(unsafe_code)]

mod claims;
mod plan;
#[path = "../common/seeds.rs"]
mod seeds;
mod watch;
mod world;

use crate::seeds::{number, run_seeds};
use crate::world::{Statistics, World};

/// The number of seeds that plain `cargo test` runs. CI runs more.
const SEEDS: u64 = 300;

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
    let (seeds, sum) = run_seeds(SEEDS, |seed| run(seed, false), |sum, statistics| *sum += statistics);
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
