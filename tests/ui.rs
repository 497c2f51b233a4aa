//! The compiler's messages about mistakes: by theme, in `tests/ui/`. `TRYBUILD=overwrite` rewrites the expectations.
#![cfg(all(
    feature = "derive",
    feature = "json",
    feature = "postcard",
    feature = "bincode",
    feature = "prost",
    feature = "gzip",
    feature = "zstd"
))]

use std::env;
use std::process::Command;

/// The compiler that wrote the messages in `tests/ui/rustc/`.
const RUSTC: &str = "rustc 1.95.";

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    for theme in [
        "attributes",
        "check",
        "codec",
        "elide",
        "enums",
        "keys",
        "payload",
        "read",
        "serde",
        "tags",
        "transparent",
    ] {
        cases.compile_fail(format!("tests/ui/{theme}/*.rs"));
    }
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = match Command::new(rustc).arg("--version").output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error) => format!("unknown: {error}"),
    };
    if version.starts_with(RUSTC) {
        cases.compile_fail("tests/ui/rustc/*.rs");
    } else {
        println!("not run: tests/ui/rustc, which is in the words of {RUSTC}x, and this one is {version}");
    }
}
