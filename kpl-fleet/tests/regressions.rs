//! The check of the fuzz target `lease_row`, on its seeds and on every input that ever broke it, as tests/regressions.rs
//! of kpl does for the other targets.
#![forbid(unsafe_code)]

#[allow(unreachable_pub, reason = "the fuzz target is another crate")]
#[path = "../../fuzz/src/lease_row.rs"]
mod lease_row;

#[test]
fn rows_keep_their_rules() {
    kpl_testkit::fuzz::run("lease_row", lease_row::lease_row);
}
