//! The check of the fuzz target `pipeline`, on its seeds and on every input that ever broke it, as tests/regressions.rs of
//! kpl does for the other targets.
#![forbid(unsafe_code)]

#[allow(unreachable_pub, reason = "the fuzz target is another crate")]
#[path = "../../fuzz/src/pipeline.rs"]
mod pipeline;

#[test]
fn the_pipeline_keeps_its_rules() {
    kpl_testkit::fuzz::run("pipeline", pipeline::pipeline);
}
