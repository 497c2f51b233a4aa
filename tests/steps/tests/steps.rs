//! "Nor more than linear time": builds the program beside this with a counter at every step, and runs it.

use std::env;
use std::path::Path;
use std::process::Command;

/// The triple of the compiler's own machine. Flags for a named target are not those of build scripts and macros.
fn host() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().expect("rustc runs");
    let version = String::from_utf8(output.stdout).expect("text");
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("a host").to_owned()
}

#[test]
fn a_hostile_input_never_costs_more_than_linear_time() {
    let flags = [
        "-Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=3",
        "-Cllvm-args=-sanitizer-coverage-trace-pc",
    ];
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--target", &host(), "--target-dir"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("steps"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1F"))
        .output()
        .expect("cargo runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    println!("{}", text(&output.stdout));
    assert!(output.status.success(), "{}", text(&output.stderr));
}
