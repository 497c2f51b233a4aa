//! The checks of the fuzz targets, on their seeds and on every input that ever broke one. FUZZING.md says how a file
//! gets here.

#[allow(unreachable_pub, reason = "the fuzz targets are other crates")]
#[path = "../fuzz/src/checks/mod.rs"]
mod checks;

use kpl_testkit::fuzz::{files, run};

macro_rules! targets {
    ($($target:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];

        $(#[test]
        fn $target() {
            run(stringify!($target), checks::$target);
        })*
    };
}

targets!(batches body deaggregate digest position roundtrip sharded typed);

/// Targets that the tests/regressions.rs of kpl-stream, kpl-kcl, kpl-fleet and kpl-spool run.
const ELSEWHERE: [&str; 4] = ["pipeline", "kcl_protocol", "lease_row", "spool_segment"];

/// No target is left out, and no file lies where it is never run.
#[test]
fn every_file_belongs_to_a_target() {
    for (folder, extension) in [
        ("fuzz/fuzz_targets", ".rs"),
        ("fuzz/seeds", ""),
        ("tests/regressions", ""),
    ] {
        for path in files(folder, "") {
            let name = path.file_name().expect("a name").to_string_lossy();
            let target = name.strip_suffix(extension).expect("the extension");
            let is_known = TARGETS.contains(&target) || ELSEWHERE.contains(&target);
            assert!(is_known, "{} belongs to no target", path.display());
        }
    }
}
