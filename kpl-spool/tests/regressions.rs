//! The check of the fuzz target `spool_segment`, on its seeds and on every input that ever broke it, as tests/regressions.rs
//! of kpl does for the other targets.
#![forbid(unsafe_code)]

#[allow(unreachable_pub, reason = "the fuzz target is another crate")]
#[path = "../../fuzz/src/spool_segment.rs"]
mod spool_segment;

#[test]
fn damage_costs_only_what_it_touches() {
    kpl_testkit::fuzz::run("spool_segment", spool_segment::spool_segment);
}
