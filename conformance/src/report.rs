//! All vectors, one after the other, and what came of them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::VERSION;
use crate::compare::{Verdict, judge};
use crate::runner::{Implementation, RunnerError};
use crate::vectors::Group;

/// A runner that does not answer so many requests in a row is not asked any more.
const MOST_WITHOUT_ANSWER: usize = 3;

/// What a runner made of the vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// The version of the vectors.
    pub contract: u64,
    /// The implementation and its version, as its runner states them.
    pub implementation: Option<String>,
    /// What came of each group.
    pub groups: Vec<GroupReport>,
    /// Why the rest was not asked, if it was not.
    pub stopped: Option<String>,
}

/// What a runner made of the vectors of a group. Each counts once for each policy.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct GroupReport {
    /// The name of the group.
    pub name: String,
    /// How many were answered as expected.
    pub passed: usize,
    /// Those that were not.
    pub failures: Vec<Failure>,
    /// How many are not supported, for each reason.
    pub unsupported: BTreeMap<String, usize>,
}

/// A vector that was not answered as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Failure {
    /// The vector's id.
    pub id: String,
    /// The policy, if the answer depends on it.
    pub policy: Option<String>,
    /// The sentence of the format that it tests.
    pub rule: String,
    /// The request, as it is in the file.
    pub input: Value,
    /// What is expected, as it is in the file.
    pub expected: Value,
    /// The line that was answered, if there was one.
    pub got: Option<String>,
    /// What is different, or why there was no answer.
    pub differences: Vec<String>,
}

impl GroupReport {
    /// Returns how many vectors are not supported.
    #[must_use]
    pub fn unsupported_count(&self) -> usize {
        self.unsupported.values().sum()
    }
}

impl Report {
    /// Returns how many vectors were answered as expected.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.groups.iter().map(|group| group.passed).sum()
    }

    /// Returns the vectors that were not answered as expected.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.groups.iter().flat_map(|group| &group.failures)
    }

    /// Returns how many vectors are not supported.
    #[must_use]
    pub fn unsupported(&self) -> usize {
        self.groups.iter().map(GroupReport::unsupported_count).sum()
    }
}

/// Asks an implementation for all vectors. One that does not answer is started anew for the next vector; after three in a row the rest is not
/// asked.
///
/// # Errors
///
/// [`RunnerError`] if the runner cannot be started, or does not even answer the first request, which is for its version.
///
/// ```
/// let groups = kpl_conformance::built_in()?;
/// let report = kpl_conformance::run(&groups[4..5], || Ok(kpl_conformance::answer))?;
/// assert_eq!((report.groups[0].name.as_str(), report.failures().count()), ("hash-keys", 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run<I: Implementation>(
    groups: &[Group],
    mut start: impl FnMut() -> Result<I, RunnerError>,
) -> Result<Report, RunnerError> {
    let mut runner = start()?;
    let version = runner.ask(&json!({"operation": "version", "contract": VERSION}))?;
    let version: Value = serde_json::from_str(&version).unwrap_or_default();
    let mut report = Report {
        contract: VERSION,
        implementation: version.get("version").and_then(Value::as_str).map(str::to_owned),
        groups: Vec::new(),
        stopped: None,
    };
    let mut without_answer = 0;
    for group in groups {
        let mut of_group = GroupReport {
            name: group.group.clone(),
            ..GroupReport::default()
        };
        for case in group.vectors.iter().flat_map(|vector| vector.cases()) {
            let (got, verdict) = match runner.ask(&case.request) {
                Ok(answer) => {
                    without_answer = 0;
                    let verdict = judge(&case, &answer);
                    (Some(answer), verdict)
                }
                Err(error) => {
                    without_answer += 1;
                    if without_answer < MOST_WITHOUT_ANSWER {
                        drop(std::mem::replace(&mut runner, start()?));
                    }
                    (None, Verdict::Failed(vec![error.to_string()]))
                }
            };
            match verdict {
                Verdict::Passed => of_group.passed += 1,
                Verdict::Unsupported(reason) => *of_group.unsupported.entry(reason).or_default() += 1,
                Verdict::Failed(differences) => {
                    let policy = case.policy.unwrap_or("any");
                    of_group.failures.push(Failure {
                        id: case.vector.id.clone(),
                        policy: case.policy.map(str::to_owned),
                        rule: case.vector.rule.clone(),
                        input: case.vector.input.clone(),
                        expected: case.vector.expected.get(policy).cloned().unwrap_or_default(),
                        got,
                        differences,
                    });
                }
            }
            if without_answer >= MOST_WITHOUT_ANSWER {
                report.groups.push(of_group);
                report.stopped = Some(format!(
                    "the runner did not answer {MOST_WITHOUT_ANSWER} requests in a row; the rest was not asked"
                ));
                return Ok(report);
            }
        }
        report.groups.push(of_group);
    }
    Ok(report)
}
