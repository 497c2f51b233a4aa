//! The check of the fuzz target `pipeline`, on its seeds and on every input that ever broke it, as tests/regressions.rs of
//! kpl does for the other targets.
#![forbid(unsafe_code)]

#[allow(unreachable_pub, reason = "the fuzz target is another crate")]
#[path = "../../fuzz/src/pipeline.rs"]
mod pipeline;

use std::fs;
use std::path::Path;

#[test]
fn the_pipeline_keeps_its_rules() {
    pipeline::pipeline(b"");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in ["fuzz/seeds/pipeline", "tests/regressions/pipeline"] {
        let files = fs::read_dir(root.join(folder)).expect("a folder of inputs");
        let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        files.sort();
        for file in files {
            // The name of the one that breaks it is the last that is printed.
            println!("{}", file.display());
            pipeline::pipeline(&fs::read(file).expect("a file"));
        }
    }
}
