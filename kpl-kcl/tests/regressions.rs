//! The check of the fuzz target `kcl_protocol`, on its seeds and on every input that ever broke it, as tests/regressions.rs
//! of kpl does for the other targets.
#![forbid(unsafe_code)]

#[allow(unreachable_pub, reason = "the fuzz target is another crate")]
#[path = "../../fuzz/src/kcl_protocol.rs"]
mod kcl_protocol;

use std::fs;
use std::path::Path;

#[test]
fn the_protocol_keeps_its_rules() {
    kcl_protocol::kcl_protocol(b"");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in ["fuzz/seeds/kcl_protocol", "tests/regressions/kcl_protocol"] {
        let files = fs::read_dir(root.join(folder)).expect("a folder of inputs");
        let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        files.sort();
        for file in files {
            // The name of the one that breaks it is the last that is printed.
            println!("{}", file.display());
            kcl_protocol::kcl_protocol(&fs::read(file).expect("a file"));
        }
    }
}
