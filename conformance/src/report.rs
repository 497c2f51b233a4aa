//! All vectors, one after the other, and what came of them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::VERSION;
use crate::compare::{Verdict, cut, judge_parsed, parse, unsupported};
use crate::runner::{Implementation, RunnerError};
use crate::vectors::{Case, Group};

/// After this many requests in a row without an answer, a runner is not asked any more.
const MOST_WITHOUT_ANSWER: usize = 3;

/// How often a runner is started anew at most.
const MOST_RESTARTS: usize = 10;

/// How many characters of an answer are kept.
const MOST_OF_ANSWER: usize = 64 << 10;

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
    /// The line that was answered, if there was one. A long one is cut, and ends with its length.
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

/// Asks an implementation for all vectors. One that does not answer is started anew for the next vector; after three in a row, or once it
/// has been started anew ten times, the rest is not asked.
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
    let implementation = version(&mut runner)?;
    let mut asked = Asked {
        start,
        runner: Some(runner),
        without_answer: 0,
        restarts: 0,
    };
    let mut report = Report {
        contract: VERSION,
        implementation,
        groups: Vec::new(),
        stopped: None,
    };
    for group in groups {
        let mut of_group = GroupReport {
            name: group.group.clone(),
            ..GroupReport::default()
        };
        for case in group.vectors.iter().flat_map(|vector| vector.cases()) {
            let (got, verdict) = match asked.for_answer(&case) {
                Ok(answered) => answered,
                Err(reason) => {
                    report.stopped = Some(format!("{reason}; the rest was not asked"));
                    break;
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
                        got: got.map(|line| cut(line, MOST_OF_ANSWER)),
                        differences,
                    });
                }
            }
        }
        report.groups.push(of_group);
        if report.stopped.is_some() {
            break;
        }
    }
    Ok(report)
}

/// Asks for the version. One who states none has to say that this is not supported: other lines may come from anything.
fn version<I: Implementation>(runner: &mut I) -> Result<Option<String>, RunnerError> {
    let request = json!({"id": "version", "operation": "version", "contract": VERSION});
    let line = runner.ask(&request)?;
    let answer = parse(&request, &line)?;
    match answer.get("version") {
        Some(Value::String(version)) => Ok(Some(version.clone())),
        _ if unsupported(&answer).is_some() => Ok(None),
        _ => Err(RunnerError::NotAnAnswer {
            line,
            problem: "it has neither \"version\", which is a string, nor \"unsupported\"".to_owned(),
        }),
    }
}

/// An implementation, which is started anew when it has not answered.
struct Asked<I, S> {
    start: S,
    /// `None` after a request that was not answered.
    runner: Option<I>,
    without_answer: usize,
    restarts: usize,
}

impl<I: Implementation, S: FnMut() -> Result<I, RunnerError>> Asked<I, S> {
    /// Returns the line that answers a case, if there is one, and what it is worth; or why no more is asked.
    fn for_answer(&mut self, case: &Case<'_>) -> Result<(Option<String>, Verdict), String> {
        if self.without_answer >= MOST_WITHOUT_ANSWER {
            return Err(format!(
                "the runner did not answer {MOST_WITHOUT_ANSWER} requests in a row"
            ));
        }
        let mut runner = match self.runner.take() {
            Some(runner) => runner,
            None => self.restarted()?,
        };
        let answered = runner
            .ask(&case.request)
            .and_then(|line| Ok((parse(&case.request, &line)?, line)));
        match answered {
            Ok((answer, line)) => {
                self.without_answer = 0;
                self.runner = Some(runner);
                Ok((Some(line), judge_parsed(case, &answer)))
            }
            Err(error) => {
                self.without_answer += 1;
                let verdict = Verdict::Failed(vec![error.to_string()]);
                Ok((error.into_line(), verdict))
            }
        }
    }

    fn restarted(&mut self) -> Result<I, String> {
        if self.restarts >= MOST_RESTARTS {
            return Err(format!("the runner was started anew {MOST_RESTARTS} times"));
        }
        self.restarts += 1;
        let again = (self.start)().and_then(|mut runner| {
            version(&mut runner)?;
            Ok(runner)
        });
        again.map_err(|error| format!("when the runner was started anew, {error}"))
    }
}
