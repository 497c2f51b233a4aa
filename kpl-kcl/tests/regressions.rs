//! The check of the fuzz target `kcl_protocol`, on its seeds and on every input that ever broke it, as tests/regressions.rs
//! of kpl does for the other targets.
#![forbid(unsafe_code)]

#[allow(unreachable_pub, reason = "the fuzz target is another crate")]
#[path = "../../fuzz/src/kcl_protocol.rs"]
mod kcl_protocol;

#[test]
fn the_protocol_keeps_its_rules() {
    kpl_testkit::fuzz::run("kcl_protocol", kcl_protocol::kcl_protocol);
}
