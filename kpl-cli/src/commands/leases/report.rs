//! What `kpl leases` writes: the leases, and what is wrong with them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use kpl_fleet::table::{LeaseTable, Problem, TableLease};
use serde::Serialize;

use crate::draw::{BAD, FAINT, GOOD, HEADING, count, line, line_of, styled, thousands};
use crate::output::Lines;
use crate::problems::Stop;

/// A lease, as a line of JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Row {
    pub(super) lease_key: String,
    owner: Option<String>,
    counter: u64,
    checkpoint: String,
    pending_checkpoint: Option<String>,
    owner_switches: u64,
    parents: Vec<String>,
    checkpoint_owner: Option<String>,
    /// How long the counter has stood still, if the table was looked at twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    stood_still_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) millis_behind_latest: Option<u64>,
}

/// Something that is wrong, as a line of JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Wrong {
    problem: &'static str,
    key: String,
    message: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct State<'a> {
    migration_state: &'a str,
    joined_by_kpl_fleet: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    pub(super) wrong: Vec<Wrong>,
    state: Option<String>,
    is_joined: bool,
    is_timed: bool,
    pub(super) has_lag: bool,
}

impl Report {
    /// Returns the report of a table, given an earlier look at it, how long before, and what is wrong.
    pub(super) fn new(table: &LeaseTable, before: Option<(&LeaseTable, Duration)>, problems: Vec<Problem>) -> Self {
        let earlier: BTreeMap<&str, &TableLease> = before
            .iter()
            .flat_map(|(table, _)| &table.leases)
            .map(|row| (&*row.lease.key, row))
            .collect();
        let mut wrong: Vec<_> = problems
            .into_iter()
            .map(|problem| Wrong::new(problem.kind.name(), problem.key, problem.message))
            .collect();
        let mut rows = Vec::new();
        for row in &table.leases {
            let lease = &row.lease;
            let stood_still = before.and_then(|(_, time)| {
                let before = &earlier.get(&*lease.key)?.lease;
                let is_same = (before.counter, &before.owner) == (lease.counter, &lease.owner);
                Some(if is_same { time.as_secs_f64() } else { 0.0 })
            });
            if let (Some(seconds @ 1e-9..), Some(owner), false) = (stood_still, &lease.owner, lease.is_ended()) {
                let message = format!("{owner} has not renewed it for {seconds:.0} s");
                wrong.push(Wrong::new("stood-still", lease.key.to_string(), message));
            }
            rows.push(Row {
                lease_key: lease.key.to_string(),
                owner: lease.owner.as_deref().map(Into::into),
                counter: lease.counter,
                checkpoint: lease.checkpoint.to_string(),
                pending_checkpoint: row.pending_checkpoint.clone(),
                owner_switches: lease.owner_switches,
                parents: lease.parents.clone(),
                checkpoint_owner: row.checkpoint_owner.clone(),
                stood_still_seconds: stood_still,
                millis_behind_latest: None,
            });
        }
        Self {
            rows,
            wrong,
            state: table.client_version.clone(),
            is_joined: table.can_be_joined(),
            is_timed: before.is_some(),
            has_lag: false,
        }
    }

    /// Writes a line for each lease, the state of the KCL 3, and each problem.
    pub(super) fn write(&self) -> Result<(), Stop> {
        let mut lines = Lines::new();
        self.rows.iter().try_for_each(|row| lines.line(row))?;
        if let Some(state) = &self.state {
            lines.line(&State {
                migration_state: state,
                joined_by_kpl_fleet: self.is_joined,
            })?;
        }
        self.wrong.iter().try_for_each(|wrong| lines.line(wrong))?;
        lines.flush()
    }

    pub(super) fn draw(&self) -> String {
        let mut drawing = Drawing { text: String::new() };
        let width = |texts: &mut dyn Iterator<Item = &str>, least| {
            let longest = texts.map(|text| text.chars().count()).max().unwrap_or(0);
            longest.clamp(least, 60)
        };
        let key = width(&mut self.rows.iter().map(|row| row.lease_key.as_str()), 5);
        let owner = width(&mut self.rows.iter().filter_map(|row| row.owner.as_deref()), 5);
        let place = width(&mut self.rows.iter().map(|row| row.checkpoint.as_str()), 10);
        let mut heading = format!(
            "{:key$}  {:owner$}  {:>10}  {:place$}  {:>8}",
            "lease", "owner", "counter", "checkpoint", "switches"
        );
        if self.is_timed {
            let _ = write!(heading, "  {:>11}", "stood still");
        }
        if self.has_lag {
            let _ = write!(heading, "  {:>12}", "behind (ms)");
        }
        line!(drawing, "{}", styled(HEADING, heading));
        for row in &self.rows {
            let mut text = format!(
                "{:key$}  {:owner$}  {:>10}  {:place$}  {:>8}",
                line_of(&row.lease_key, key),
                line_of(row.owner.as_deref().unwrap_or("-"), owner),
                row.counter,
                line_of(&row.checkpoint, place),
                row.owner_switches
            );
            if let Some(seconds) = row.stood_still_seconds {
                let _ = write!(text, "  {seconds:>9.0} s");
            } else if self.is_timed {
                let _ = write!(text, "  {:>11}", "-");
            }
            if self.has_lag {
                let lag = row.millis_behind_latest.map_or("-".into(), thousands);
                let _ = write!(text, "  {lag:>12}");
            }
            if let Some(pending) = &row.pending_checkpoint {
                let _ = write!(
                    text,
                    "  {}",
                    styled(FAINT, format_args!("pending {}", line_of(pending, 60)))
                );
            }
            line!(drawing, "{text}");
        }
        line!(drawing);
        if let Some(state) = &self.state {
            let meaning = match self.is_joined {
                true => "kpl-fleet joins its workers",
                false => "its leader assigns the leases, and kpl-fleet does not join",
            };
            line!(drawing, "KCL 3: {}: {meaning}", line_of(state, 60));
        }
        let leases = count(self.rows.len() as u64, "lease");
        if self.wrong.is_empty() {
            line!(drawing, "{leases}: {}", styled(GOOD, "nothing is wrong"));
            return drawing.text;
        }
        let problems = count(self.wrong.len() as u64, "problem");
        line!(drawing, "{leases}: {}", styled(BAD, problems));
        for wrong in &self.wrong {
            let key = line_of(&wrong.key, 128);
            line!(drawing, "  {}: {key}: {}", wrong.problem, line_of(&wrong.message, 400));
        }
        drawing.text
    }
}

impl Wrong {
    pub(super) fn new(problem: &'static str, key: String, message: String) -> Self {
        Self { problem, key, message }
    }
}

struct Drawing {
    text: String,
}
