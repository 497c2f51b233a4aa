//! `kpl leases` of files: tables of real daemons, and tables with something wrong.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Directory, kpl};

/// Returns what `aws dynamodb scan` would write of a table that a real daemon has written.
fn scan(version: &str, part: &str) -> String {
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kpl-fleet/tests/tables");
    let json = std::fs::read(tables.join(format!("kcl-{version}.json"))).unwrap();
    let mut json: Value = serde_json::from_slice(&json).unwrap();
    json!({ "Items": json[part].take() }).to_string()
}

#[test]
fn tables_of_real_daemons_are_shown_and_nothing_is_wrong_with_them() {
    for version in ["2.5.4", "3.1.3"] {
        let run = kpl(&["leases", "--file", "-"], scan(version, "after_split"));
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
        let lines: Vec<_> = run.stdout.lines().collect();
        assert_eq!(lines.len(), 7, "{}", run.stdout);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(lines[0]), ["lease", "owner", "counter", "checkpoint", "switches"]);
        let first = words(lines[1]);
        assert_eq!(
            (&*first[0], &*first[1], &*first[3]),
            ("shardId-000000000000", "worker-1", "SHARD_END")
        );
        assert_eq!((lines[5], lines[6]), ("", "4 leases: nothing is wrong"));
    }
}

#[test]
fn leases_that_a_daemon_has_given_up_are_problems() {
    let run = kpl(
        &["leases", "--file", "-", "--output", "lines"],
        scan("2.5.4", "stopped"),
    );
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let problems: Vec<_> = lines.iter().filter(|line| line.get("Problem").is_some()).collect();
    let free = lines
        .iter()
        .filter(|line| line["LeaseKey"].is_string() && line["Owner"].is_null());
    let free = free.filter(|line| line["Checkpoint"] != "SHARD_END").count();
    assert_eq!(problems.len(), free, "{}", run.stdout);
    assert_eq!(run.code, i32::from(free > 0));
}

#[test]
fn what_is_wrong_is_named_and_leads_to_the_exit_code() {
    let row = |key: &str, owner: Option<&str>, checkpoint: &str| {
        let mut row = json!({
            "leaseKey": { "S": key },
            "leaseCounter": { "N": "7" },
            "checkpoint": { "S": checkpoint },
            "ownerSwitchesSinceCheckpoint": { "N": "2" },
        });
        if let Some(owner) = owner {
            row["leaseOwner"] = json!({ "S": owner });
        }
        row
    };
    let mut pending = row("shard-b", None, "123");
    pending["pendingCheckpoint"] = json!({ "S": "130" });
    let state = json!({
        "leaseKey": { "S": "Migration3.0" },
        "entityType": { "S": "CLIENT_VERSION_MIGRATION" },
        "cv": { "S": "CLIENT_VERSION_3X" },
    });
    let items = [
        row("shard-a", Some("one"), "TRIM_HORIZON"),
        pending,
        json!({ "leaseKey": { "S": "odd\u{1b}[31m" } }),
        state,
    ];
    let folder = Directory::new();
    let file = folder.file("scan.json", json!({ "Items": items }).to_string());
    let run = kpl(&["leases", "--file", &file], "");
    assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{run:?}");
    assert_eq!(
        run.stdout,
        "\
lease    owner     counter  checkpoint    switches
shard-a  one             7  TRIM_HORIZON         2
shard-b  -               7  123:0                2  pending 130

KCL 3: CLIENT_VERSION_3X: its leader assigns the leases, and kpl-fleet does not join
2 leases: 2 problems
  invalid-row: odd·[31m: not a valid lease: it has no leaseCounter
  no-owner: shard-b: it does not have an owner
"
    );
    let run = kpl(&["leases", "--file", &file, "--output", "lines"], "");
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(run.code, 1);
    assert_eq!(
        lines[1],
        json!({
            "LeaseKey": "shard-b", "Owner": null, "Counter": 7, "Checkpoint": "123:0", "PendingCheckpoint": "130",
            "OwnerSwitches": 2, "Parents": [], "CheckpointOwner": null,
        })
    );
    assert_eq!(
        lines[2],
        json!({ "MigrationState": "CLIENT_VERSION_3X", "JoinedByKplFleet": false })
    );
    assert_eq!(
        lines[4],
        json!({ "Problem": "no-owner", "Key": "shard-b", "Message": "it does not have an owner" })
    );
}

#[test]
fn what_is_not_a_table_is_an_error() {
    let folder = Directory::new();
    let file = folder.file("odd.json", r#"{"Items":[{"leaseKey":"a"}]}"#);
    let run = kpl(&["leases", "--file", &file], "");
    let problem = "item 1: its leaseKey is not JSON of DynamoDB, such as {\"S\": \"a\"}";
    assert_eq!((run.code, run.stderr), (2, format!("kpl: {file}: {problem}\n")));
    for arguments in [
        &["leases"][..],
        &["leases", "app", "--lag"],
        &["leases", "app", "--file", "x"],
    ] {
        assert_eq!(kpl(arguments, "").code, 2);
    }
}
