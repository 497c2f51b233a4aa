//! What was answered, compared with what is expected.

use std::fmt::Write as _;

use kpl_core::HashKey;
use serde_json::Value;

use crate::runner::RunnerError;
use crate::vectors::Case;

/// What an answer to a case is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the expected one.
    Passed,
    /// It is another one. These are the differences.
    Failed(Vec<String>),
    /// The implementation does not do what was asked for, or does not report a field that the vector is about. This is the reason.
    Unsupported(String),
}

/// Fields of user records that a reader may not report, and fields of Kinesis records that a writer may not.
const OPTIONAL_WHEN_READ: [&str; 4] = ["sequenceNumber", "subSequenceNumber", "aggregated", "tags"];
const OPTIONAL_WHEN_WRITTEN: [&str; 1] = ["explicitHashKey"];

/// Returns what a runner's answer to a case is worth.
#[must_use]
pub fn judge(case: &Case<'_>, answer: &str) -> Verdict {
    match parse(&case.request, answer) {
        Ok(got) => judge_parsed(case, &got),
        Err(error) => Verdict::Failed(vec![error.to_string()]),
    }
}

/// Returns the answer to a request.
///
/// # Errors
///
/// [`RunnerError::NotAnAnswer`] if the line is not a JSON object, or is the answer to another request.
pub(crate) fn parse(request: &Value, line: &str) -> Result<Value, RunnerError> {
    let problem = match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(fields)) => match (fields.get("id"), request.get("id")) {
            (Some(id), Some(asked)) if id != asked => {
                format!("its \"id\" is {}, and that of the request is {asked}", show(id))
            }
            _ => return Ok(Value::Object(fields)),
        },
        Ok(_) => "it is not a JSON object".to_owned(),
        Err(error) => format!("it is not JSON: {error}"),
    };
    let line = line.to_owned();
    Err(RunnerError::NotAnAnswer { line, problem })
}

pub(crate) fn judge_parsed(case: &Case<'_>, got: &Value) -> Verdict {
    if let Some(reason) = unsupported(got) {
        return Verdict::Unsupported(reason);
    }
    let (first, others) = case.any_of().split_first().unwrap_or((&case.expected, &[]));
    let verdict = compare(case, first, got);
    if verdict == Verdict::Passed {
        return verdict;
    }
    let is_another = others
        .iter()
        .any(|expected| compare(case, expected, got) == Verdict::Passed);
    if is_another { Verdict::Passed } else { verdict }
}

/// Compares an answer with one of those that are expected.
fn compare(case: &Case<'_>, expected: &Value, got: &Value) -> Verdict {
    let is_written = case.request.get("operation").and_then(Value::as_str) == Some("write");
    let mut comparison = Comparison {
        is_written,
        optional: match is_written {
            true => &OPTIONAL_WHEN_WRITTEN,
            false => &OPTIONAL_WHEN_READ,
        },
        required: &case.vector.requires,
        not_reported: None,
        differences: Vec::new(),
    };
    comparison.answers(expected, got);
    match (comparison.differences, comparison.not_reported) {
        (differences, None) if differences.is_empty() => Verdict::Passed,
        (differences, Some(field)) if differences.is_empty() => {
            Verdict::Unsupported(format!("does not report {field}"))
        }
        (differences, _) => Verdict::Failed(differences),
    }
}

/// Returns the reason if an answer says that what was asked for is not supported.
pub(crate) fn unsupported(got: &Value) -> Option<String> {
    match got.get("unsupported")? {
        Value::Null | Value::Bool(false) => None,
        Value::String(reason) => Some(reason.clone()),
        _ => Some(String::new()),
    }
}

struct Comparison<'c> {
    is_written: bool,
    optional: &'c [&'static str],
    required: &'c [String],
    not_reported: Option<String>,
    differences: Vec<String>,
}

impl Comparison<'_> {
    fn answers(&mut self, expected: &Value, got: &Value) {
        let error = got.get("error").filter(|error| !error.is_null());
        match (expected.get("error"), error) {
            (None, Some(error)) => return self.differs("error", "none", &show(error)),
            (Some(_), None) => return self.differs("error", "one", &show(got)),
            // Which words it has is up to the implementation.
            (Some(_), Some(_)) => return,
            (None, None) => {}
        }
        self.errors(
            expected.get("errors"),
            got.get("errors").filter(|errors| !errors.is_null()),
        );
        for (name, expected) in expected.as_object().into_iter().flatten() {
            if name != "errors" {
                self.value(name, name, expected, got.get(name));
            }
        }
    }

    /// Compares the user records that could not be read, or how many were refused when they were written.
    fn errors(&mut self, expected: Option<&Value>, got: Option<&Value>) {
        let none = Value::Array(Vec::new());
        let got = got.unwrap_or(&none);
        match expected.unwrap_or(&none) {
            Value::Number(count) => {
                let refused = got.as_array().map(Vec::len);
                if refused.map(|len| len as u64) != count.as_u64() {
                    self.differs("errors", &format!("{count} of them"), &show(got));
                }
            }
            expected => self.value("errors", "errors", expected, Some(got)),
        }
    }

    fn value(&mut self, path: &str, name: &str, expected: &Value, got: Option<&Value>) {
        let Some(got) = got else {
            if self.optional.contains(&name) {
                if self.required.iter().any(|required| required == name) {
                    self.not_reported.get_or_insert_with(|| name.to_owned());
                }
            } else if !expected.is_null() {
                self.differs(path, &show(expected), "nothing");
            }
            return;
        };
        match (expected, got) {
            // What is null is not reported, either; but an explicit hash key may be none.
            (expected, Value::Null)
                if !expected.is_null() && self.optional.contains(&name) && name != "explicitHashKey" =>
            {
                self.value(path, name, expected, None);
            }
            (Value::Object(expected), Value::Object(got)) => {
                for (name, expected) in expected {
                    let path = format!("{path}.{name}");
                    match (got.get(name), got.get("partitionKey").and_then(Value::as_str)) {
                        // What is sent without an explicit hash key goes where its partition key says.
                        (Some(Value::Null), Some(key)) if self.is_written && name == "explicitHashKey" => {
                            let effective = HashKey::of_partition_key(key).to_string();
                            self.value(&path, name, expected, Some(&effective.into()));
                        }
                        (got, _) => self.value(&path, name, expected, got),
                    }
                }
            }
            (Value::Array(expected), Value::Array(got)) => {
                if expected.len() != got.len() {
                    self.differs(path, &format!("{} of them", expected.len()), &format!("{}", got.len()));
                }
                for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                    let before = self.differences.len();
                    self.value(&format!("{path}[{index}]"), name, expected, Some(got));
                    // After the first that differs, all others often do.
                    if self.differences.len() > before {
                        break;
                    }
                }
            }
            (Value::String(expected), Value::String(got)) if matches!(name, "explicitHashKey" | "hashKey") => {
                if number(expected) != number(got) {
                    self.differs(path, expected, got);
                }
            }
            (expected, got) if expected == got => {}
            (expected, got) => self.differs(path, &show(expected), &show(got)),
        }
    }

    fn differs(&mut self, path: &str, expected: &str, got: &str) {
        self.differences.push(format!("{path}: expected {expected}, got {got}"));
    }
}

/// Returns a decimal number without a sign that says nothing and without leading zeros.
fn number(text: &str) -> &str {
    let digits = text.strip_prefix('+').unwrap_or(text);
    match digits.trim_start_matches('0') {
        "" if !digits.is_empty() => "0",
        significant => significant,
    }
}

/// Returns JSON as one line that is not too long.
fn show(value: &Value) -> String {
    const MOST: usize = 120;

    cut(value.to_string(), MOST)
}

/// Cuts a text after this many characters, and adds how many bytes it had.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    let len = text.len();
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        let _ = write!(text, "... ({len} bytes)");
    }
    text
}
