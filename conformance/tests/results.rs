//! RESULTS.md: what every implementation makes of the vectors. Needs them installed, so plain `cargo test` leaves it out:
//! `.ci/conformance` installs and asks them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kpl_conformance::{Report, Runner, RunnerError, VERSION, answer, built_in, run};

/// The implementations: their names on the page, and the programs of tests/interop.
const PEERS: [(&str, &str); 6] = [
    ("Amazon KCL", "kcl"),
    ("Java modules", "java-modules"),
    ("Node.js module", "node-module"),
    ("Python module", "python-module"),
    ("Go modules", "go"),
    ("aiokpl", "aiokpl"),
];
const OURS: &str = "kpl (this project)";

fn peers() -> PathBuf {
    std::env::var_os("KPL_INTEROP_PEERS")
        .map(PathBuf::from)
        .expect("run .ci/conformance, which installs the implementations")
}

fn start(program: &Path, argument: &Path) -> Result<Runner, RunnerError> {
    let mut command = Command::new(program);
    // A peer that is slow because much else is done at the same time must not make another page.
    Runner::start(command.arg(argument).stderr(Stdio::null()), Duration::from_secs(120))
}

#[test]
#[ignore = "needs the peers: run .ci/conformance"]
fn everyone_has_the_results_of_the_page() {
    let groups = built_in().unwrap();
    let reports: Vec<(&str, Report)> = std::thread::scope(|scope| {
        let runs: Vec<_> = PEERS
            .iter()
            .map(|(name, program)| {
                let (groups, program) = (&groups, peers().join("bin").join(program));
                let asked = scope.spawn(move || run(groups, || start(&program, Path::new("conformance"))));
                (*name, asked)
            })
            .collect();
        runs.into_iter()
            .map(|(name, asked)| {
                let report = asked.join().unwrap().unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(report.stopped, None, "{name}");
                (name, report)
            })
            .collect()
    });
    let ours = run(&groups, || Ok(answer)).unwrap();
    assert_eq!(ours.failures().count() + ours.unsupported(), 0, "{ours:?}");
    let mut all = vec![(OURS, ours)];
    all.extend(reports);

    let text = page(&all);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md");
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(&path, &text).unwrap();
    }
    let lasting = |text: &str| text.split("\n## Versions").next().unwrap_or_default().to_owned();
    let known = fs::read_to_string(&path).unwrap();
    assert!(
        lasting(&known) == lasting(&text),
        "RESULTS.md says something else; `UPDATE=1 .ci/conformance` writes it:\n{text}"
    );
}

/// The runner in README.md is one.
#[test]
#[ignore = "needs the peers: run .ci/conformance"]
fn the_runner_in_the_readme_answers() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let code = readme
        .split("```python\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let file = std::env::temp_dir().join(format!("kpl-conformance-{}.py", std::process::id()));
    fs::write(&file, code).unwrap();
    let report = run(&built_in().unwrap(), || {
        start(&peers().join("python/bin/python"), &file)
    })
    .unwrap();
    fs::remove_file(&file).unwrap();
    assert!(report.passed() > 180, "{report:?}");
    let implementation = report.implementation.as_deref().unwrap_or_default();
    assert!(implementation.starts_with("aws-kinesis-agg "), "{report:?}");
    assert!(report.failures().all(|failure| failure.got.is_some()), "{report:?}");
    assert!(
        report
            .groups
            .iter()
            .any(|group| group.name == "keys" && group.passed > 60),
        "{report:?}"
    );
}

fn page(all: &[(&str, Report)]) -> String {
    let mut text = format!(
        "\
# Who passes what

`.ci/conformance` wrote this page: it asks every implementation for all vectors of version {VERSION}. Each vector counts once for each policy.
What the vectors are, and what is compared: [README.md](README.md). What the implementations make of each other's records:
[INTEROP.md](../INTEROP.md).

A cell has how many vectors passed, how many failed, and how many are not supported.

"
    );
    let Some((_, first)) = all.first() else {
        return text;
    };
    let names: Vec<&str> = first.groups.iter().map(|group| group.name.as_str()).collect();
    let _ = writeln!(
        text,
        "| | {} | all |\n|---{}|---|",
        names.join(" | "),
        "|---".repeat(names.len())
    );
    for (name, report) in all {
        let cells: Vec<String> = report
            .groups
            .iter()
            .map(|group| cell(group.passed, group.failures.len(), group.unsupported_count()))
            .collect();
        let sum = cell(report.passed(), report.failures().count(), report.unsupported());
        let _ = writeln!(text, "| **{name}** | {} | {sum} |", cells.join(" | "));
    }
    text.push_str(
        "
The Amazon KPL is not here: it changes the order of records now and then, and with it the bytes. INTEROP.md has it.

## Rules that each implementation fails
",
    );
    for (name, report) in all {
        if report.failures().next().is_none() {
            continue;
        }
        let _ = writeln!(text, "\n### {name}\n\n| rule | vectors that fail |\n|---|---|");
        let mut rules: Vec<(&str, Vec<String>)> = Vec::new();
        for failure in report.failures() {
            let policy = failure.policy.as_ref().map(|policy| format!(" ({policy})"));
            let id = format!("`{}`{}", failure.id, policy.unwrap_or_default());
            match rules.iter_mut().find(|(rule, _)| *rule == failure.rule) {
                Some((_, ids)) => ids.push(id),
                None => rules.push((&failure.rule, vec![id])),
            }
        }
        for (rule, mut ids) in rules {
            let count = ids.len();
            if count > 6 {
                ids.truncate(4);
                ids.push(format!("and {} more", count - 4));
            }
            let _ = writeln!(text, "| {} | {count}: {} |", rule.replace('|', "\\|"), ids.join(", "));
        }
    }
    text.push_str("\n## What is not supported\n\n| | |\n|---|---|\n");
    for (name, report) in all {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for (reason, count) in report.groups.iter().flat_map(|group| &group.unsupported) {
            *reasons.entry(reason).or_default() += count;
        }
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(reason, count)| format!("{reason} ({count})"))
            .collect();
        if !reasons.is_empty() {
            let _ = writeln!(text, "| {name} | {} |", reasons.join("; "));
        }
    }
    text.push_str("\n## Versions\n\n| | |\n|---|---|\n");
    for (name, report) in all {
        let _ = writeln!(
            text,
            "| {name} | {} |",
            report.implementation.as_deref().unwrap_or("not stated")
        );
    }
    text
}

fn cell(passed: usize, failed: usize, unsupported: usize) -> String {
    format!("{passed} / {failed} / {unsupported}")
}
