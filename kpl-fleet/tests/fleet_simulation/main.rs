//! Runs a fleet of engines against a model of a lease table and a stream, with a seeded scheduler, and a clock for each worker.
//!
//! `KPL_SEEDS=100000` runs this many seeds; `KPL_SEED=17` runs only that one, and prints what happens in it.
#![forbid(unsafe_code)]

#[path = "../../../kpl-stream/tests/common/seeds.rs"]
mod seeds;
mod stream;
mod table;
mod world;

use crate::seeds::{number, run_seeds};
use crate::world::{Statistics, World};

/// The number of seeds that plain `cargo test` runs. CI runs more.
const SEEDS: u64 = 100;

fn run(seed: u64, trace: bool) -> Result<Statistics, String> {
    World::new(seed, trace).run().map_err(|problem| {
        format!(
            "seed {seed}: {problem}\nreplay it: KPL_SEED={seed} cargo test -p kpl-fleet --no-default-features --test fleet_simulation -- --nocapture"
        )
    })
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
