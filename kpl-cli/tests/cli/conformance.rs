//! `kpl conformance`: runners that are right, wrong, slow, and none at all.

use serde_json::{Value, json};

use crate::support::{Directory, Run, kpl};

/// Runs the vectors of a group with a runner that is a script of the shell, which reads each request as `$line`. It need not answer the
/// request for its version.
#[cfg(unix)]
fn with_script(script: &str, arguments: &[&str]) -> Run {
    let version = r#"*'"operation":"version"'*) echo '{"version": "script 1"}'"#;
    with_whole_script(&format!("case $line in {version};; *) {script};; esac"), arguments)
}

#[cfg(unix)]
fn with_whole_script(script: &str, arguments: &[&str]) -> Run {
    let loop_of_it = format!("while read -r line; do {script}; done");
    let command = format!("sh -c {}", shlex_quoted(&loop_of_it));
    let mut all = vec!["conformance", "--run", &command];
    all.extend(arguments);
    kpl(&all, "")
}

#[cfg(unix)]
fn shlex_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn own_runner() -> String {
    format!("'{}' conformance serve", env!("CARGO_BIN_EXE_kpl"))
}

#[test]
fn kpl_passes_a_group_of_its_own() {
    let run = kpl(
        &[
            "conformance",
            "--run",
            &own_runner(),
            "--group",
            "hash-ranges",
            "--output",
            "json",
        ],
        "",
    );
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["contract"], 1);
    assert_eq!(
        report["implementation"],
        format!("kpl-core {}", env!("CARGO_PKG_VERSION"))
    );
    let groups = report["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0]["name"], "hash-ranges");
    assert!(groups[0]["passed"].as_u64().unwrap() > 50, "{}", groups[0]);
    assert_eq!(
        (&groups[0]["failures"], &groups[0]["unsupported"]),
        (&json!([]), &json!({}))
    );
}

#[cfg(unix)]
#[test]
fn wrong_answers_are_shown_in_full() {
    let run = with_script(r#"echo '{"hashKey": "7"}'"#, &["--group", "hash-keys", "--limit", "1"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{run:?}");
    let first = [
        "hash-keys/of-abc",
        "  rule      The effective hash key of a user record is its explicit hash key if it has one",
        r#"  request   {"operation":"hash_key","partitionKey":"abc"}"#,
        r#"  expected  {"hashKey":"191415658344158766168031473277922803570"}"#,
        r#"  got       {"hashKey": "7"}"#,
        "  differs   hashKey: expected 191415658344158766168031473277922803570, got 7",
    ];
    let shown = run.stdout.split("\n\n").nth(2).unwrap();
    for (line, expected) in shown.lines().zip(first) {
        assert!(line.starts_with(expected), "{line}");
    }
    assert_eq!(shown.lines().count(), first.len());
    assert!(
        run.stdout.contains("and 35 more failures: --limit shows them"),
        "{}",
        run.stdout
    );

    // The policy is part of what was asked.
    let run = with_script(
        r#"echo '{"hashKey": "7"}'"#,
        &["--group", "hash-keys", "--limit", "100"],
    );
    assert!(
        run.stdout.contains("\nhash-keys/refused-plus, policy strict\n"),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains("--limit"), "{}", run.stdout);
}

#[cfg(unix)]
#[test]
fn lines_that_are_no_answers_fail_with_what_is_wrong() {
    for (script, problem) in [
        (
            "echo nonsense",
            "the line is not an answer, because it is not JSON: expected",
        ),
        ("echo", "the line is not an answer, because it is not JSON: EOF"),
        (
            "echo '[1]'",
            "the line is not an answer, because it is not a JSON object: \"[1]\"",
        ),
        (
            r#"echo '{"id": "other", "hashKey": "191415658344158766168031473277922803570"}'"#,
            "because its \"id\" is \"other\", and that of the request is \"hash-keys/of-abc\": ",
        ),
        (
            "echo '{}'",
            "hashKey: expected \"191415658344158766168031473277922803570\", got nothing",
        ),
        (r#"echo '{"error": "broken"}'"#, "error: expected none, got \"broken\""),
        (
            r#"echo '{"hashKey": 7}'"#,
            "expected \"191415658344158766168031473277922803570\", got 7",
        ),
        (r"printf '\377\n'", "the answer of the runner is not UTF-8"),
    ] {
        let run = with_script(script, &["--group", "hash-keys", "--limit", "1"]);
        assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{script}: {run:?}");
        assert!(run.stdout.contains(problem), "{script}: {}", run.stdout);
        // An answer that is wrong is an answer.
        let is_answer = script.contains("echo '{") && !script.contains("\"id\"");
        let stopped = "the runner did not answer 3 requests in a row; the rest was not asked";
        assert_eq!(run.stdout.contains(stopped), !is_answer, "{script}: {}", run.stdout);
    }
}

/// What libraries print when they start is not taken for answers.
#[cfg(unix)]
#[test]
fn a_first_line_that_is_not_an_answer_ends_the_test() {
    for (line, problem) in [
        ("loading model...", "it is not JSON: "),
        (
            "{}",
            "it has neither \"version\", which is a string, nor \"unsupported\": ",
        ),
        (r#"{"version": 1}"#, "it has neither \"version\""),
        (r#"{"version": "1", "id": "other"}"#, "its \"id\" is \"other\""),
    ] {
        let script = format!("read -r request; echo '{line}'; exec {}", own_runner());
        let command = format!("sh -c {}", shlex_quoted(&script));
        let run = kpl(&["conformance", "--run", &command], "");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{line}: {run:?}");
        let message = format!("kpl: sh: the line is not an answer, because {problem}");
        assert!(run.stderr.starts_with(&message), "{line}: {}", run.stderr);
    }

    // One who does not state a version says so.
    let script = format!(
        r#"case $line in *'"operation":"version"'*) echo '{{"unsupported": "a version"}}';; *) printf '%s\n' "$line" | {};; esac"#,
        own_runner()
    );
    let run = with_whole_script(&script, &["--group", "hash-keys"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
}

/// No answer counts for the vector after it.
#[cfg(unix)]
#[test]
fn lines_that_were_not_asked_for_shift_nothing() {
    let version = r#"echo '{"version": "1", "id": "version"}'"#;
    let first = format!("read -r request; {version}; {version}; exec {}", own_runner());
    let twice = format!("{} | sed -u p", own_runner());
    for script in [first, twice] {
        let command = format!("sh -c {}", shlex_quoted(&script));
        let run = kpl(
            &[
                "conformance",
                "--run",
                &command,
                "--group",
                "hash-keys",
                "--output",
                "json",
            ],
            "",
        );
        assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{script}: {run:?}");
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let group = &report["groups"][0];
        assert_eq!(
            (&group["passed"], group["failures"].as_array().map(Vec::len)),
            (&json!(0), Some(3)),
            "{script}: {report}"
        );
        assert!(report["stopped"].is_string(), "{script}: {report}");
    }
}

#[cfg(unix)]
#[test]
fn runners_that_hang_or_end_are_not_asked_for_ever() {
    for (script, problem) in [
        // A process of its own, which would keep standard error open.
        ("sleep 1000", "the runner did not answer within 2 s"),
        ("exit 7", "the runner ended instead of answering: exit status: 7"),
        (
            "printf half; exit 0",
            "the runner ended instead of answering: exit status: 0",
        ),
    ] {
        let timeout = if script.contains("sleep") { "2" } else { "60" };
        let run = with_script(script, &["--timeout", timeout, "--limit", "1"]);
        assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{script}: {run:?}");
        assert!(run.stdout.starts_with("script 1\n"), "{}", run.stdout);
        assert!(
            run.stdout.contains(&format!("  differs   {problem}")),
            "{script}: {}",
            run.stdout
        );
        assert!(run.stdout.contains("  got       nothing"), "{}", run.stdout);
        assert!(
            run.stdout
                .contains("the runner did not answer 3 requests in a row; the rest was not asked"),
            "{}",
            run.stdout
        );
    }
}

/// A runner that falls over one request is there again for the next.
#[cfg(unix)]
#[test]
fn runners_that_end_once_are_started_anew() {
    let script = format!(
        r#"case $line in *refused-plus*) exit 1;; *) printf '%s\n' "$line" | {};; esac"#,
        own_runner()
    );
    let run = with_script(&script, &["--group", "hash-keys", "--limit", "9"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{run:?}");
    assert!(
        run.stdout.contains("\nhash-keys/refused-plus, policy strict\n"),
        "{}",
        run.stdout
    );
    assert_eq!(run.stdout.matches("\n  rule ").count(), 1, "{}", run.stdout);
}

#[cfg(unix)]
#[test]
fn what_is_not_supported_is_not_a_failure_unless_it_is_everything() {
    let script = format!(
        r#"case $line in *strict*) echo '{{"unsupported": "policy strict"}}';; *) printf '%s\n' "$line" | {};; esac"#,
        own_runner()
    );
    let run = with_script(&script, &["--group", "hash-keys", "--output", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["groups"][0]["unsupported"], json!({"policy strict": 19}));

    let run = with_script(r#"echo '{"unsupported": true}'"#, &[]);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{run:?}");
    assert!(run.stdout.contains("the runner supports none of it"), "{}", run.stdout);
}

#[test]
fn what_is_no_runner_is_2() {
    let own = own_runner();
    for (arguments, problem) in [
        (
            &["--run", "no-such-command"][..],
            "kpl: no-such-command: the runner cannot be started: ",
        ),
        (&["--run", ""], "kpl: --run \"\": it is not a command"),
        (&["--run", "'half a quote"], "it is not a command"),
        (
            &["--run", &own, "--group", "no-such"],
            "--group no-such: there is no such group, only writing, sizes",
        ),
        (&["--run", &own, "--vectors", "no-such-folder"], "kpl: no-such-folder: "),
        (
            &["--run", &own, "--timeout", "0"],
            "must be a number of seconds above 0",
        ),
        (&[], "--run <COMMAND>"),
        (&["--run", &own, "serve"], "cannot be used with"),
        #[cfg(unix)]
        (
            &["--run", "true"],
            "kpl: true: the runner ended instead of answering: exit status: 0; this was the first request, for its version",
        ),
    ] {
        let mut all = vec!["conformance"];
        all.extend(arguments);
        let run = kpl(&all, "");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(problem), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn vectors_may_be_those_of_a_folder() {
    let folder = Directory::new();
    let path = folder.path().to_str().unwrap().to_owned();
    let arguments = ["conformance", "--run", &own_runner(), "--vectors", &path];
    folder.file("ignored.txt", "");
    let run = kpl(&arguments, "");
    assert_eq!(
        (run.code, run.stderr.contains("it has no *.json files")),
        (2, true),
        "{run:?}"
    );

    let vector = json!({
        "id": "mine/1",
        "rule": "A rule of my own.",
        "input": {"operation": "hash_key", "partitionKey": "abc"},
        "expected": {"any": {"hashKey": "1"}},
    });
    let group = |vectors: Value| json!({"version": 1, "group": "mine", "about": "", "vectors": vectors});
    folder.file("mine.json", group(json!([vector])).to_string());
    let run = kpl(&arguments, "");
    assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{run:?}");
    assert!(
        run.stdout.contains("\nmine/1\n  rule      A rule of my own.\n"),
        "{}",
        run.stdout
    );

    let with = |name: &str, value: Value| {
        let mut vector = vector.clone();
        vector[name] = value;
        group(json!([vector])).to_string()
    };
    let repeated = json!({"operation": "read", "records": [{"repeat": "x", "count": 1_u64 << 40}]});
    for (text, problem) in [
        ("{".to_owned(), "it is not JSON: "),
        (json!({"vectors": []}).to_string(), "it has no \"version\""),
        (
            json!({"version": 2}).to_string(),
            "its version is 2, and only 1 is known",
        ),
        (json!({"version": 1}).to_string(), "missing field"),
        (
            group(json!([vector, vector])).to_string(),
            "vector \"mine/1\": there are two vectors with this id",
        ),
        (
            with("input", json!({})),
            "vector \"mine/1\": its input has no \"operation\"",
        ),
        (with("expected", json!({})), "vector \"mine/1\": it expects nothing"),
        (with("expcted", json!({})), "unknown field `expcted`"),
        (
            with("input", json!({"operation": "read", "data": "?"})),
            "\"data\" is neither base64 nor a list",
        ),
        (with("input", repeated), "vector \"mine/1\": it is longer than"),
    ] {
        folder.file("mine.json", &text);
        let run = kpl(&arguments, "");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{text}: {run:?}");
        assert!(
            run.stderr.contains("mine.json: ") && run.stderr.contains(problem),
            "{text}: {}",
            run.stderr
        );
    }
}

#[test]
fn serve_answers_every_line_in_order() {
    let requests = [
        (
            json!({"operation": "hash_key", "partitionKey": "abc"}),
            json!({"hashKey": "191415658344158766168031473277922803570"}),
        ),
        (
            json!({"operation": "no such"}),
            json!({"unsupported": "operation \"no such\""}),
        ),
        (json!([]), json!({"error": "a request is a JSON object"})),
        (
            json!({"operation": "hash_key", "partitionKey": "abc", "id": "the id"}),
            json!({"hashKey": "191415658344158766168031473277922803570", "id": "the id"}),
        ),
        (
            json!({"operation": "read", "records": [], "id": 7, "new": 1}),
            json!({"unsupported": "unknown field `new`, expected one of `records`, `range`, `after`", "id": 7}),
        ),
        (
            json!({"operation": "read"}),
            json!({"error": "missing field `records`"}),
        ),
        (
            json!({"operation": "write", "records": [{"partitionKey": "a", "data": "?"}]}),
            json!({"error": "invalid length at 0"}),
        ),
        (
            json!({"operation": "hash_key", "partitionKey": "abc", "policy": "lenient"}),
            json!({"unsupported": "policy \"lenient\""}),
        ),
        (
            json!({"operation": "write", "policy": "raw", "records": [{"partitionKey": "a", "data": "eA=="}]}),
            json!({
                "records": [{"partitionKey": "a", "explicitHashKey": "16955237001963240173058271559858726497", "data": "eA=="}],
                "errors": [],
            }),
        ),
    ];
    let mut input: String = requests.iter().map(|(request, _)| format!("{request}\n")).collect();
    input.push_str("nonsense\n");
    let lines = kpl(&["conformance", "serve"], input).lines();
    assert_eq!(lines.len(), requests.len() + 1);
    for ((request, expected), answer) in requests.iter().zip(&lines) {
        assert_eq!(answer, expected, "{request}");
    }
    assert!(lines[requests.len()]["error"].is_string(), "{:?}", lines.last());
}
