//! What an answer is worth: what is compared, and what is not.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;
use std::time::Duration;

use kpl_conformance::{
    Group, Implementation, Report, RunnerError, Vector, Verdict, answer, built_in, expand, judge, run,
};
use serde_json::{Value, json};

fn verdict(input: Value, expected: Value, requires: &[&str], answer: &str) -> Verdict {
    let vector = Vector {
        id: "test/one".to_owned(),
        rule: "A rule.".to_owned(),
        input,
        requires: requires.iter().map(|&field| field.to_owned()).collect(),
        expected: BTreeMap::from([("any".to_owned(), expected)]),
    };
    let case = vector.cases().next().unwrap();
    judge(&case, answer)
}

fn read(expected: Value, answer: Value) -> Verdict {
    verdict(json!({"operation": "read"}), expected, &[], &answer.to_string())
}

fn write(expected: Value, answer: Value) -> Verdict {
    verdict(json!({"operation": "write"}), expected, &[], &answer.to_string())
}

fn failed(difference: &str) -> Verdict {
    Verdict::Failed(vec![difference.to_owned()])
}

#[test]
fn what_is_not_expected_is_not_compared() {
    let expected = json!({"records": [{"data": "eA=="}]});
    let more = json!({"records": [{"data": "eA==", "partitionKey": "a", "new": 1}], "new": true});
    assert_eq!(read(expected.clone(), more), Verdict::Passed);
    let other = json!({"records": [{"data": "eQ=="}]});
    let difference = "records[0].data: expected \"eA==\", got \"eQ==\"";
    assert_eq!(read(expected, other), failed(difference));
}

#[test]
fn how_many_there_are_is_compared() {
    let one = json!({"records": [{"data": "eA=="}]});
    let two = json!({"records": [{"data": "eA=="}, {"data": "eA=="}]});
    assert_eq!(
        read(one.clone(), two.clone()),
        failed("records: expected 1 of them, got 2")
    );
    assert_eq!(read(two, one.clone()), failed("records: expected 2 of them, got 1"));
    assert_eq!(
        read(one, json!({})),
        failed("records: expected [{\"data\":\"eA==\"}], got nothing")
    );
}

#[test]
fn one_of_several_answers_is_enough() {
    let [x, y, z] = ["eA==", "eQ==", "eg=="].map(|data| json!({"records": [{"data": data}]}));
    let expected = json!({"oneOf": [x, y]});
    assert_eq!(write(expected.clone(), x), Verdict::Passed);
    assert_eq!(write(expected.clone(), y), Verdict::Passed);
    let difference = "records[0].data: expected \"eA==\", got \"eg==\"";
    assert_eq!(write(expected, z), failed(difference));
}

/// An answer that repeats the id of its request has to repeat the right one.
#[test]
fn the_id_is_compared_if_it_is_there() {
    let expected = json!({"records": []});
    for answer in [json!({"records": []}), json!({"records": [], "id": "test/one"})] {
        assert_eq!(read(expected.clone(), answer), Verdict::Passed);
    }
    for id in [json!("test/two"), json!(1), Value::Null] {
        let verdict = read(expected.clone(), json!({"records": [], "id": id}));
        assert!(matches!(verdict, Verdict::Failed(_)), "{id}");
    }
}

#[test]
fn errors_have_to_be_those_that_are_expected() {
    let none = json!({"records": []});
    for answer in [
        json!({"records": [], "errors": []}),
        json!({"records": [], "errors": null, "error": null}),
    ] {
        assert_eq!(read(none.clone(), answer), Verdict::Passed);
    }
    let error = json!({"sequenceNumber": "1", "subSequenceNumber": 2, "data": "eA=="});
    let one = json!({"records": [], "errors": [error]});
    assert_eq!(
        read(none.clone(), one.clone()),
        failed("errors: expected 0 of them, got 1")
    );
    assert_eq!(
        read(one.clone(), none.clone()),
        failed("errors: expected 1 of them, got 0")
    );
    assert_eq!(read(one.clone(), one.clone()), Verdict::Passed);
    let mut other = one.clone();
    other["errors"][0]["data"] = "eQ==".into();
    assert_eq!(
        read(one, other),
        failed("errors[0].data: expected \"eA==\", got \"eQ==\"")
    );
    let broken = json!({"records": [], "error": "broken"});
    assert_eq!(
        read(none.clone(), broken),
        failed("error: expected none, got \"broken\"")
    );

    // Of a write, only how many user records were refused.
    let refused = json!({"records": [], "errors": 1});
    assert_eq!(
        write(refused.clone(), json!({"records": [], "errors": ["too large"]})),
        Verdict::Passed
    );
    assert_eq!(write(refused, none), failed("errors: expected 1 of them, got []"));
}

#[test]
fn an_error_has_its_own_words() {
    let hash_key = |expected, answer: &str| verdict(json!({"operation": "hash_key"}), expected, &[], answer);
    assert_eq!(
        hash_key(json!({"error": true}), r#"{"error": "any words"}"#),
        Verdict::Passed
    );
    let answer = r#"{"hashKey":"7"}"#;
    assert_eq!(
        hash_key(json!({"error": true}), answer),
        failed("error: expected one, got {\"hashKey\":\"7\"}")
    );
    assert_eq!(hash_key(json!({"hashKey": "7"}), answer), Verdict::Passed);
    assert_eq!(
        hash_key(json!({"hashKey": "8"}), answer),
        failed("hashKey: expected 8, got 7")
    );
}

#[test]
fn some_fields_need_not_be_reported() {
    let record = json!({"data": "eA==", "sequenceNumber": "1", "subSequenceNumber": 0, "aggregated": true, "tags": []});
    let expected = json!({"records": [record]});
    for answer in [
        json!({"records": [{"data": "eA=="}]}),
        json!({"records": [{"data": "eA==", "subSequenceNumber": null}]}),
        expected.clone(),
    ] {
        assert_eq!(read(expected.clone(), answer.clone()), Verdict::Passed, "{answer}");
    }
    let other = json!({"records": [{"data": "eA==", "subSequenceNumber": 1}]});
    let difference = "records[0].subSequenceNumber: expected 0, got 1";
    assert_eq!(read(expected.clone(), other), failed(difference));

    let required = |answer: Value| {
        let input = json!({"operation": "read"});
        verdict(input, expected.clone(), &["subSequenceNumber"], &answer.to_string())
    };
    let not_reported = Verdict::Unsupported("does not report subSequenceNumber".to_owned());
    assert_eq!(required(json!({"records": [{"data": "eA=="}]})), not_reported);
    assert_eq!(required(expected.clone()), Verdict::Passed);
    // What is wrong is wrong, whatever else is missing.
    let wrong = json!({"records": [{"data": "eQ=="}]});
    assert_eq!(
        required(wrong),
        failed("records[0].data: expected \"eA==\", got \"eQ==\"")
    );
}

#[test]
fn explicit_hash_keys_that_were_read_are_none_or_numbers() {
    let at = |key: Value| json!({"records": [{"explicitHashKey": key}]});
    let missing = json!({"records": [{}]});
    assert_eq!(read(at(Value::Null), missing.clone()), Verdict::Passed);
    assert_eq!(read(at(Value::Null), at(Value::Null)), Verdict::Passed);
    for text in ["7", "007", "+7"] {
        assert_eq!(read(at("7".into()), at(text.into())), Verdict::Passed, "{text}");
    }
    assert_eq!(read(at("0".into()), at("000".into())), Verdict::Passed);
    let path = "records[0].explicitHashKey";
    assert_eq!(
        read(at("7".into()), at("70".into())),
        failed(&format!("{path}: expected 7, got 70"))
    );
    assert_eq!(
        read(at("0".into()), at("".into())),
        failed(&format!("{path}: expected 0, got "))
    );
    assert_eq!(
        read(at("7".into()), missing),
        failed(&format!("{path}: expected \"7\", got nothing"))
    );
    assert_eq!(
        read(at("7".into()), at(Value::Null)),
        failed(&format!("{path}: expected \"7\", got null"))
    );
    assert_eq!(
        read(at(Value::Null), at("7".into())),
        failed(&format!("{path}: expected null, got \"7\""))
    );
}

#[test]
fn explicit_hash_keys_that_were_written_may_be_those_of_the_partition_key() {
    let expected = json!({"records": [{"explicitHashKey": "191415658344158766168031473277922803570"}]});
    let at = |key: &str, hash_key: Value| json!({"records": [{"partitionKey": key, "explicitHashKey": hash_key}]});
    assert_eq!(write(expected.clone(), at("abc", Value::Null)), Verdict::Passed);
    assert!(matches!(
        write(expected.clone(), at("a", Value::Null)),
        Verdict::Failed(_)
    ));
    assert!(matches!(
        write(expected.clone(), at("abc", "7".into())),
        Verdict::Failed(_)
    ));
    let not_reported = json!({"records": [{"partitionKey": "a"}]});
    assert_eq!(write(expected, not_reported), Verdict::Passed);
}

#[test]
fn what_is_not_supported_has_a_reason() {
    let none = json!({"records": []});
    let unsupported = |reason: &str| Verdict::Unsupported(reason.to_owned());
    assert_eq!(read(none.clone(), json!({"unsupported": "tags"})), unsupported("tags"));
    assert_eq!(read(none.clone(), json!({"unsupported": true})), unsupported(""));
    assert_eq!(
        read(none.clone(), json!({"unsupported": false, "records": []})),
        Verdict::Passed
    );
    assert_eq!(
        read(none.clone(), json!({"unsupported": null, "records": []})),
        Verdict::Passed
    );
}

#[test]
fn long_values_are_cut_in_differences() {
    let long = |text: &str| json!({"records": [{"data": text.repeat(1_000)}]});
    let Verdict::Failed(differences) = read(long("AAAA"), long("BBBB")) else {
        panic!("they differ");
    };
    assert_eq!(differences.len(), 1);
    assert!(
        differences[0].len() < 400 && differences[0].contains("... (4002 bytes)"),
        "{}",
        differences[0]
    );
}

#[test]
fn a_vector_is_a_case_for_each_policy() {
    let vector = Vector {
        id: "test/one".to_owned(),
        rule: "A rule.".to_owned(),
        input: json!({"operation": "write", "records": [{"repeat": {"data": ["eA==", {"repeat": "eQ==", "count": 2}]}, "count": 2}]}),
        requires: Vec::new(),
        expected: BTreeMap::from([
            ("raw".to_owned(), json!({"errors": 1})),
            ("wrapped".to_owned(), json!({"errors": 2})),
        ]),
    };
    assert_eq!((vector.len(), vector.is_empty()), (2, false));
    let cases: Vec<_> = vector.cases().collect();
    let records = json!([{"data": "eHl5"}, {"data": "eHl5"}]);
    assert_eq!(cases[0].policy, Some("raw"));
    let request = json!({"id": "test/one, policy raw", "operation": "write", "policy": "raw", "records": records});
    assert_eq!(cases[0].request, request);
    assert_eq!(
        (cases[1].policy, &cases[1].expected),
        (Some("wrapped"), &json!({"errors": 2}))
    );
    // An object that only looks like a repetition.
    let value = json!([{"repeat": 1}, {"count": 2}]);
    assert_eq!(expand(&value), value);
}

fn report(answer: fn(&str) -> String) -> Result<Report, RunnerError> {
    run(&built_in().unwrap(), || Ok(answer))
}

#[test]
fn a_function_is_an_implementation() {
    let report = report(|_| r#"{"version": "mine 1", "unsupported": "all"}"#.to_owned()).unwrap();
    assert_eq!(report.implementation.as_deref(), Some("mine 1"));
    assert_eq!(
        (report.passed(), report.failures().count(), report.stopped.as_deref()),
        (0, 0, None)
    );
    let all: usize = built_in()
        .unwrap()
        .iter()
        .flat_map(|group| &group.vectors)
        .map(Vector::len)
        .sum();
    assert_eq!(report.unsupported(), all);
}

#[test]
fn only_the_start_of_a_long_answer_is_kept() {
    let long = |request: &str| match request.contains("\"version\"") {
        true => r#"{"version": "1"}"#.to_owned(),
        false => json!({"records": "x".repeat(1 << 20)}).to_string(),
    };
    let report = run(&built_in().unwrap()[4..5], || Ok(long)).unwrap();
    assert_eq!(report.passed(), 0);
    for failure in report.failures() {
        let got = failure.got.as_deref().unwrap();
        assert!(
            got.len() < 70_000 && got.ends_with("... (1048590 bytes)"),
            "{}",
            got.len()
        );
    }
}

/// An implementation that does not answer some requests after the one for its version, and of which one may be alive at a time.
struct Unreliable<'t> {
    asked: usize,
    answers: fn(usize) -> bool,
    alive: &'t Cell<usize>,
}

impl<'t> Unreliable<'t> {
    fn start(alive: &'t Cell<usize>, answers: fn(usize) -> bool) -> Self {
        assert_eq!(alive.replace(1), 0, "the one before is still alive");
        Self {
            asked: 0,
            answers,
            alive,
        }
    }
}

impl Drop for Unreliable<'_> {
    fn drop(&mut self) {
        self.alive.set(0);
    }
}

impl Implementation for Unreliable<'_> {
    fn ask(&mut self, request: &Value) -> Result<String, RunnerError> {
        assert_eq!(request["operation"] == "version", self.asked == 0, "{request}");
        self.asked += 1;
        match self.asked == 1 || (self.answers)(self.asked) {
            true => Ok(answer(&request.to_string())),
            false => Err(RunnerError::Timeout(Duration::from_secs(1))),
        }
    }
}

fn hash_keys() -> Vec<Group> {
    built_in().unwrap().drain(4..5).collect()
}

/// The number of cases that passed, of those that failed, of starts, and why the rest was not asked.
fn run_unreliable(answers: fn(usize) -> bool) -> (usize, usize, usize, Option<String>) {
    let (alive, starts) = (Cell::new(0), Cell::new(0));
    let start = || {
        starts.set(starts.get() + 1);
        Ok(Unreliable::start(&alive, answers))
    };
    let report = run(&hash_keys(), start).unwrap();
    let failed = report.failures().count();
    (report.passed(), failed, starts.get(), report.stopped)
}

#[test]
fn each_new_start_begins_with_the_version_and_ends_the_one_before() {
    let stopped = |why: &str| Some(format!("{why}; the rest was not asked"));
    let in_a_row = "the runner did not answer 3 requests in a row";
    assert_eq!(run_unreliable(|_| false), (0, 3, 3, stopped(in_a_row)));
    let anew = "the runner was started anew 10 times";
    assert_eq!(run_unreliable(|asked| asked % 2 == 0), (11, 11, 11, stopped(anew)));
    let all = hash_keys()[0].vectors.iter().map(Vector::len).sum::<usize>();
    assert_eq!(run_unreliable(|asked| asked != 30), (all - 1, 1, 2, None));
}

#[test]
fn a_new_start_that_fails_leaves_the_report() {
    let (alive, starts) = (Cell::new(0), Cell::new(0));
    let start = || match starts.replace(starts.get() + 1) {
        0 => Ok(Unreliable::start(&alive, |asked| asked < 10)),
        _ => Err(RunnerError::Start(io::Error::other("no more of them"))),
    };
    let report = run(&hash_keys(), start).unwrap();
    assert_eq!((report.passed(), report.failures().count()), (8, 1));
    let stopped = report.stopped.unwrap();
    assert!(
        stopped.contains("the runner cannot be started: no more of them; the rest was not asked"),
        "{stopped}"
    );
}

#[test]
fn the_cause_of_an_error_is_its_source() {
    let error = RunnerError::Start(io::Error::other("the cause"));
    assert_eq!(error.source().unwrap().to_string(), "the cause");
    assert!(RunnerError::NotText.source().is_none());
}
