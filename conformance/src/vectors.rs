//! Vectors, and the files that hold them.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::VERSION;
use crate::expand::{check, expand};

/// The policy under which every implementation has to give the same answer.
const ANY: &str = "any";

/// The vectors about one part of the format: a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The version of the vectors.
    pub version: u64,
    /// The name of the group.
    pub group: String,
    /// What its vectors test.
    pub about: String,
    /// The vectors.
    pub vectors: Vec<Vector>,
}

/// A request, and what has to be answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// The name of its group, a slash, and a name of its own.
    pub id: String,
    /// The sentence of the format that it tests.
    pub rule: String,
    /// The request. Bytes and lists may be shortened: see [`expand`](crate::expand()).
    pub input: Value,
    /// What has to be in the answer even though other vectors do without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// What has to be answered under each policy. `any` stands for all of them. A list `oneOf` has several answers that are all right.
    pub expected: BTreeMap<String, Value>,
}

/// A vector under one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Case<'v> {
    /// The vector.
    pub vector: &'v Vector,
    /// The policy. `None` if the answer does not depend on it.
    pub policy: Option<&'v str>,
    /// The request as it is sent to a runner.
    pub request: Value,
    /// What has to be answered: this, or one of the list `oneOf` if it has that.
    pub expected: Value,
}

impl Case<'_> {
    /// Returns the answers of which one is expected.
    #[must_use]
    pub fn any_of(&self) -> &[Value] {
        match self.expected.get("oneOf") {
            Some(Value::Array(answers)) => answers,
            _ => std::slice::from_ref(&self.expected),
        }
    }
}

impl Vector {
    /// Returns how many cases there are: one for each policy.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expected.len()
    }

    /// Returns whether nothing is expected, so that there is nothing to ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }

    /// Returns the vector under each policy, in full.
    pub fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        self.expected.iter().map(|(policy, expected)| {
            let policy = Some(policy.as_str()).filter(|policy| *policy != ANY);
            let mut request = expand(&self.input);
            if let Value::Object(request) = &mut request {
                let mut id = self.id.clone();
                if let Some(policy) = policy {
                    request.insert("policy".into(), policy.into());
                    id = format!("{id}, policy {policy}");
                }
                request.insert("id".into(), id.into());
            }
            Case {
                vector: self,
                policy,
                request,
                expected: expand(expected),
            }
        })
    }
}

impl Group {
    /// Reads the JSON of a file, whose name appears in errors.
    ///
    /// # Errors
    ///
    /// [`InvalidVectors`] if the text is not a group of vectors of this version.
    pub fn parse(file: &str, json: &str) -> Result<Self, InvalidVectors> {
        let invalid = |problem: String| InvalidVectors {
            file: file.to_owned(),
            problem,
        };
        let value: Value = serde_json::from_str(json).map_err(|error| invalid(format!("it is not JSON: {error}")))?;
        // Files of another version may have another form, so the version comes first.
        match value.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(version) => {
                return Err(invalid(format!(
                    "its version is {version}, and only {VERSION} is known"
                )));
            }
            None => return Err(invalid("it has no \"version\"".to_owned())),
        }
        let group: Self = serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
        let mut ids = BTreeSet::new();
        for vector in &group.vectors {
            let problem = if !ids.insert(&vector.id) {
                Some("there are two vectors with this id".to_owned())
            } else if vector.input.get("operation").and_then(Value::as_str).is_none() {
                Some("its input has no \"operation\"".to_owned())
            } else if vector.is_empty() {
                Some("it expects nothing".to_owned())
            } else {
                let values = vector.expected.values().chain([&vector.input]);
                values.map(check).find_map(Result::err)
            };
            if let Some(problem) = problem {
                return Err(invalid(format!("vector {:?}: {problem}", vector.id)));
            }
        }
        Ok(group)
    }
}

/// Why a file does not hold vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidVectors {
    /// The name of the file.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for InvalidVectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, problem } = self;
        write!(f, "{file}: {problem}")
    }
}

impl Error for InvalidVectors {}

const FILES: [(&str, &str); 8] = [
    ("v1/writing.json", include_str!("../v1/writing.json")),
    ("v1/sizes.json", include_str!("../v1/sizes.json")),
    ("v1/reading.json", include_str!("../v1/reading.json")),
    ("v1/malformed.json", include_str!("../v1/malformed.json")),
    ("v1/hash-keys.json", include_str!("../v1/hash-keys.json")),
    ("v1/hash-ranges.json", include_str!("../v1/hash-ranges.json")),
    (
        "v1/sub-sequence-numbers.json",
        include_str!("../v1/sub-sequence-numbers.json"),
    ),
    ("v1/keys.json", include_str!("../v1/keys.json")),
];

/// Returns the vectors of this crate.
///
/// # Errors
///
/// [`InvalidVectors`], which the tests of this crate rule out.
pub fn built_in() -> Result<Vec<Group>, InvalidVectors> {
    FILES.iter().map(|(file, json)| Group::parse(file, json)).collect()
}
