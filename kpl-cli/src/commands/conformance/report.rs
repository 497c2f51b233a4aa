//! What came of the vectors, for people.

use std::fmt::Write as _;

use kpl_conformance::{Failure, Report};

use crate::draw::{BAD, FAINT, GOOD, HEADING, WARNING, count, line_of, styled, thousands};

/// The most characters of JSON that are shown of a request, an answer, or a part of them.
const MOST: usize = 1_000;

/// Returns the table of all groups, and the first vectors that failed.
pub(super) fn draw(report: &Report, limit: usize) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some(implementation) = &report.implementation {
        let _ = writeln!(text, "{}\n", line_of(implementation, 200));
    }
    let heading = format!("{:<24}{:>10}{:>10}{:>14}", "group", "passed", "failed", "unsupported");
    let _ = writeln!(text, "{}", styled(HEADING, heading));
    for group in &report.groups {
        row(
            &mut text,
            &group.name,
            group.passed,
            group.failures.len(),
            group.unsupported_count(),
        );
    }
    let failed = report.failures().count();
    row(&mut text, "all", report.passed(), failed, report.unsupported());
    if let Some(stopped) = &report.stopped {
        let _ = writeln!(text, "\n{}", styled(BAD, stopped));
    }
    let reasons: Vec<_> = report.groups.iter().flat_map(|group| &group.unsupported).collect();
    if report.passed() == 0 && failed == 0 && !reasons.is_empty() {
        let _ = writeln!(text, "\n{}", styled(BAD, "the runner supports none of it"));
    }
    for failure in report.failures().take(limit) {
        draw_failure(&mut text, failure);
    }
    if failed > limit && limit > 0 {
        let more = count((failed - limit) as u64, "more failure");
        let _ = writeln!(text, "\nand {more}: --limit shows them, and --output json has all");
    }
    text
}

fn row(text: &mut String, name: &str, passed: usize, failed: usize, unsupported: usize) {
    let column = |number: usize, width: usize| format!("{:>width$}", thousands(number as u64));
    let failed = match failed {
        0 => column(0, 10),
        failed => styled(BAD, column(failed, 10)),
    };
    let _ = writeln!(
        text,
        "{:<24}{}{failed}{}",
        line_of(name, 23),
        column(passed, 10),
        column(unsupported, 14)
    );
}

fn draw_failure(text: &mut String, failure: &Failure) {
    let policy = failure.policy.as_ref().map(|policy| format!(", policy {policy}"));
    let title = format!("{}{}", failure.id, policy.unwrap_or_default());
    let _ = writeln!(text, "\n{}", styled(BAD, line_of(&title, 200)));
    let mut field = |name: &str, value: &str, style| {
        let _ = writeln!(text, "  {:<10}{}", name, styled(style, line_of(value, MOST)));
    };
    field("rule", &failure.rule, FAINT);
    field("request", &failure.input.to_string(), FAINT);
    field("expected", &failure.expected.to_string(), GOOD);
    field("got", failure.got.as_deref().map_or("nothing", str::trim_end), WARNING);
    for difference in &failure.differences {
        field("differs", difference, HEADING);
    }
}
