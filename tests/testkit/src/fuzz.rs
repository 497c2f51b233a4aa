//! The inputs of the fuzz targets as tests: their seeds, and every input that ever broke one. FUZZING.md says how a file gets
//! there.

use std::fs;
use std::path::{Path, PathBuf};

/// Runs a check on a target's files, and on nothing. The name of the file that breaks it is the last that is printed.
pub fn run(target: &str, check: fn(&[u8])) {
    check(b"");
    let seeds = files("fuzz/seeds", target);
    assert!(!seeds.is_empty(), "{target} has seeds");
    for file in seeds.into_iter().chain(files("tests/regressions", target)) {
        println!("{}", file.display());
        check(&fs::read(file).expect("a file"));
    }
}

/// Returns what is in a folder of the repository for a target, in the order of the names. No folder: no files.
#[must_use]
pub fn files(folder: &str, target: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Ok(entries) = fs::read_dir(root.join(folder).join(target)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}
