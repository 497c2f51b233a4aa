//! What the dashboard and the alerts of `docs/grafana` ask of Prometheus, compared with what is scraped.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The metrics of kpl-fleet. All others are those of kpl-stream.
const FLEET: [&str; 5] = [
    "CurrentLeases",
    "LostLeases",
    "RenewLease_Failure",
    "TakenLeases",
    "UpdateLease_Failure",
];

/// A part of an expression that selects series: `name{label="value"}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// The metric's name.
    pub name: String,
    /// What must be in a line of the scrape: `label="value"`, or `label=` if any value does.
    pub labels: Vec<String>,
}

impl Selector {
    /// Returns whether the metric is one of kpl-fleet's.
    pub fn is_of_fleet(&self) -> bool {
        FLEET.contains(&self.name.as_str())
    }

    /// Returns whether a scrape has a series that it can select.
    pub fn is_in(&self, scrape: &str) -> bool {
        scrape.lines().any(|line| {
            let name = line.split(['{', ' ']).next();
            name == Some(&self.name) && self.labels.iter().all(|label| line.contains(label.as_str()))
        })
    }
}

/// Returns the selectors of the dashboard and the alerts that a scrape does not have, of kpl-fleet or of kpl-stream. Writes
/// the scrape to the folder that the variable `KPL_SCRAPES` names, for `.ci/dashboard`.
pub fn missing(scrape: &str, fleet: bool) -> Vec<Selector> {
    if let Some(folder) = std::env::var_os("KPL_SCRAPES") {
        let name = if fleet { "kpl-fleet" } else { "kpl-stream" };
        fs::write(Path::new(&folder).join(name), scrape).expect("the folder can be written");
    }
    let selectors: BTreeSet<_> = expressions()
        .iter()
        .flat_map(|expression| selectors(expression))
        .collect();
    let of_crate = selectors.into_iter().filter(|selector| selector.is_of_fleet() == fleet);
    let missing = of_crate.filter(|selector| !selector.is_in(scrape));
    missing.collect()
}

/// Returns the expressions of the dashboard and of the alerts.
pub fn expressions() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/grafana");
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect(name);
    let dashboard: serde_json::Value = serde_json::from_str(&read("kpl.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut expressions: Vec<_> = targets
        .map(|target| target["expr"].as_str().expect("an expression").to_owned())
        .collect();
    let alerts = read("alerts.yml");
    let mut lines = alerts.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(first) = line.trim_start().strip_prefix("expr: ") else {
            continue;
        };
        let mut expression = first.trim_start_matches(">-").to_owned();
        let indent = |line: &str| line.len() - line.trim_start().len();
        while let Some(more) = lines.next_if(|next| indent(next) > indent(line)) {
            expression = expression + " " + more.trim();
        }
        expressions.push(expression);
    }
    expressions
}

/// Returns the selectors of an expression. Each must have braces, also if they are empty.
fn selectors(expression: &str) -> Vec<Selector> {
    let mut groups = Vec::new();
    for (_, rest) in expression
        .match_indices("by (")
        .map(|(at, by)| expression.split_at(at + by.len()))
    {
        let labels = rest.split(')').next().unwrap_or_default().split(", ");
        // Prometheus adds it to what it scrapes.
        groups.extend(
            labels
                .filter(|label| *label != "instance")
                .map(|label| format!("{label}=")),
        );
    }
    let mut selectors = Vec::new();
    for (at, _) in expression.match_indices('{') {
        let (before, after) = expression.split_at(at);
        let name_start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |index| index + 1);
        let inside = after[1..].split('}').next().unwrap_or_default();
        let labels = inside.split(", ").filter(|label| !label.is_empty()).map(|label| {
            let exact = label.contains("=\"") && !label.contains('$');
            let name = label.split(['=', '!']).next().unwrap_or_default();
            if exact { label.to_owned() } else { format!("{name}=") }
        });
        selectors.push(Selector {
            name: before[name_start..].to_owned(),
            labels: labels.chain(groups.iter().cloned()).collect(),
        });
    }
    assert!(!selectors.is_empty(), "{expression} selects nothing");
    selectors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_found_with_the_labels_that_they_need() {
        let found = selectors(r#"sum by (A, instance) (rate(One{B=~"$b", C="c", D!~"d"}[5m])) > 0.1 * Two{}"#);
        let selector = |name: &str, labels: &[&str]| Selector {
            name: name.into(),
            labels: labels.iter().copied().map(Into::into).collect(),
        };
        assert_eq!(
            found,
            [
                selector("One", &["B=", "C=\"c\"", "D=", "A="]),
                selector("Two", &["A="])
            ]
        );
        let scrape = "# HELP One\nOne{A=\"1\",B=\"2\",C=\"c\",D=\"3\"} 1\nTwo 2\n";
        assert!(found[0].is_in(scrape) && !found[1].is_in(scrape));
        assert!(!selector("O", &[]).is_in(scrape) && !selector("One", &["C=\"x\""]).is_in(scrape));
    }

    #[test]
    fn the_dashboard_and_the_alerts_have_expressions() {
        let expressions = expressions();
        assert!(expressions.len() > 40, "{}", expressions.len());
        let of_fleet = expressions.iter().flat_map(|expression| selectors(expression));
        assert!(of_fleet.filter(Selector::is_of_fleet).count() >= FLEET.len());
    }
}
