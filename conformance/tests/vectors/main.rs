//! The vectors: made here, from bytes that are put together by hand and from the golden files, and never from what this project's
//! reader or writer does. `UPDATE=1 cargo test -p kpl-conformance --test vectors` writes the files; without it the test compares them.

mod hash_keys;
mod keys;
mod make;
mod malformed;
#[path = "../../../tests/support/oracle.rs"]
#[allow(dead_code, reason = "tests of the format use the rest")]
mod messages;
mod oracle;
mod reading;
mod writing;

use std::fs;
use std::path::PathBuf;

use kpl_conformance::{Group, MAX_ANSWER, Vector, Verdict, answer, built_in, judge};
use kpl_testkit::bytes;
use serde_json::Value;

fn groups() -> Vec<Group> {
    vec![
        writing::writing(),
        writing::sizes(),
        reading::reading(),
        malformed::malformed(),
        hash_keys::hash_keys(),
        hash_keys::hash_ranges(),
        reading::sub_sequence_numbers(),
        keys::keys(),
    ]
}

fn path(group: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "v1", &format!("{group}.json")]
        .iter()
        .collect()
}

#[test]
fn the_files_are_these_vectors() {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    for group in groups() {
        let mut json = serde_json::to_value(&group).unwrap();
        // Which order they have otherwise depends on a feature that other crates of the workspace may switch on.
        json.sort_all_objects();
        let text = make::document(&json) + "\n";
        let path = path(&group.group);
        if update {
            fs::write(&path, &text).unwrap();
        }
        let file = fs::read_to_string(&path).unwrap();
        assert!(
            file == text,
            "{}: `UPDATE=1 cargo test -p kpl-conformance --test vectors` writes it",
            path.display()
        );
        assert!(text.len() < 256_000, "{}: {} bytes", path.display(), text.len());
    }
}

#[test]
fn every_vector_has_an_id_of_its_group_and_a_whole_sentence() {
    let mut count = 0;
    for group in groups() {
        for vector in &group.vectors {
            count += vector.len();
            assert!(vector.id.starts_with(&format!("{}/", group.group)), "{}", vector.id);
            assert!(
                vector.rule.len() > 20 && vector.rule.ends_with(['.', '?']),
                "{}",
                vector.rule
            );
        }
    }
    assert!(count >= 300, "{count}");
}

/// What kpl does is what the format says.
#[test]
fn kpl_gives_the_expected_answers() {
    let mut failures = Vec::new();
    for group in built_in().unwrap() {
        for case in group.vectors.iter().flat_map(|vector| vector.cases()) {
            match judge(&case, &answer(&case.request.to_string())) {
                Verdict::Passed => {}
                other => failures.push(format!("{} {:?}: {other:?}", case.vector.id, case.policy)),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// An answer may be twice as long as it has to be.
#[test]
fn the_longest_answer_is_far_from_the_limit() {
    let groups = built_in().unwrap();
    let cases = groups.iter().flat_map(|group| &group.vectors).flat_map(Vector::cases);
    let longest = cases.map(|case| case.expected.to_string().len() as u64).max().unwrap();
    assert!(longest > 10 << 20 && longest * 2 <= MAX_ANSWER, "{longest}");
}

/// Under another outer partition key the sizes are the same.
#[test]
fn the_sizes_do_not_depend_on_the_outer_partition_key() {
    let groups = built_in().unwrap();
    let sizes = groups.iter().find(|group| group.group == "sizes").unwrap();
    let mut checked = 0;
    for mut case in sizes.vectors.iter().flat_map(|vector| vector.cases()) {
        // kpl sends a lone record raw, whatever the policy says about keys.
        if case.policy.is_none_or(|policy| policy == "raw") {
            case.request["policy"] = "fixed_key".into();
            let verdict = judge(&case, &answer(&case.request.to_string()));
            assert_eq!(verdict, Verdict::Passed, "{}", case.vector.id);
            checked += 1;
        }
    }
    assert!(checked >= 25, "{checked}");
}

/// Returns whether there is a field of this name anywhere in a value.
fn has(value: &Value, name: &str) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(field, value)| field == name || has(value, name)),
        Value::Array(items) => items.iter().any(|item| has(item, name)),
        _ => false,
    }
}

/// A field that may be missing elsewhere is required by the vectors that are about it.
#[test]
fn what_a_vector_is_about_is_required() {
    let groups = built_in().unwrap();
    let vectors: Vec<&Vector> = groups.iter().flat_map(|group| &group.vectors).collect();
    let requires = |vector: &Vector, field: &str| vector.requires.iter().any(|required| required == field);
    for field in [
        "sequenceNumber",
        "subSequenceNumber",
        "aggregated",
        "tags",
        "explicitHashKey",
    ] {
        assert!(vectors.iter().any(|vector| requires(vector, field)), "{field}");
    }
    for vector in vectors {
        let is_position =
            vector.id.starts_with("sub-sequence-numbers/") || vector.rule.starts_with("The sub-sequence number");
        assert!(!is_position || requires(vector, "subSequenceNumber"), "{}", vector.id);
        for expected in vector.expected.values() {
            assert!(!has(expected, "tags") || requires(vector, "tags"), "{}", vector.id);
            for field in &vector.requires {
                let is_empty = !has(expected, "data") && !has(expected, "explicitHashKey");
                assert!(is_empty || has(expected, field), "{}: {field}", vector.id);
            }
        }
    }
}

/// Another protobuf library and another MD5 read the same out of the bytes.
#[test]
fn the_oracle_agrees() {
    let mut checked = 0;
    for group in built_in().unwrap() {
        for case in group.vectors.iter().flat_map(|vector| vector.cases()) {
            checked += usize::from(oracle::agrees(&case));
        }
    }
    assert!(checked >= 250, "{checked}");
}

/// The vector that README.md shows is one of them.
#[test]
fn the_readme_shows_a_real_vector() {
    let readme = include_str!("../../README.md");
    let shown = readme.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let shown: Vector = serde_json::from_str(shown).unwrap();
    let groups = built_in().unwrap();
    let real = groups
        .iter()
        .flat_map(|group| &group.vectors)
        .find(|real| real.id == shown.id);
    assert_eq!(Some(&shown), real);
}

/// What README.md lists is what there is.
#[test]
fn the_readme_lists_every_file_and_every_policy() {
    let readme = include_str!("../../README.md");
    for group in built_in().unwrap() {
        assert!(
            readme.contains(&format!("| `{}.json` |", group.group)),
            "{}",
            group.group
        );
        for case in group.vectors.iter().flat_map(|vector| vector.cases()) {
            if let Some(policy) = case.policy {
                assert!(readme.contains(&format!("`{policy}`")), "{policy}");
            }
        }
    }
}
