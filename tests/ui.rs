//! What the compiler says about mistakes: by theme, in `tests/ui/`. `TRYBUILD=overwrite` writes the expectations anew.
#![cfg(all(
    feature = "derive",
    feature = "json",
    feature = "postcard",
    feature = "bincode",
    feature = "prost"
))]

use std::process::Command;

/// The compiler in whose words the expectations in `tests/ui/rustc/` are.
const RUSTC: &str = "rustc 1.95.";

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    for theme in [
        "attributes",
        "codec",
        "elide",
        "enums",
        "keys",
        "payload",
        "tags",
        "transparent",
    ] {
        cases.compile_fail(format!("tests/ui/{theme}/*.rs"));
    }
    let rustc = Command::new("rustc").arg("--version").output().unwrap();
    let version = String::from_utf8(rustc.stdout).unwrap();
    if version.starts_with(RUSTC) {
        cases.compile_fail("tests/ui/rustc/*.rs");
    } else {
        println!("not run: tests/ui/rustc, which is in the words of {RUSTC}x, and this is {version}");
    }
}
