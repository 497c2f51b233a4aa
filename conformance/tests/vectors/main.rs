//! The vectors: made here, from bytes that are put together by hand and from the golden files, and never from what this project's
//! reader or writer does. `UPDATE=1 cargo test -p kpl-conformance --test vectors` writes the files; without it the test compares them.

mod hash_keys;
mod keys;
mod make;
mod malformed;
mod oracle;
mod reading;
mod writing;

use std::fs;
use std::path::PathBuf;

use kpl_conformance::{Group, Vector, Verdict, answer, built_in, judge};

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
