//! What is wrong with the daemon's properties: what makes it hang, lose its place, or ignore what it was told.

use std::path::Path;

use super::names::{self, Kind};
use super::properties::Property;
use super::{executable, region};
use crate::arn;

/// A problem, and the line that it is on. What is missing does not have a line.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) line: Option<u64>,
    /// Whether the daemon cannot do its work with it.
    pub(super) is_error: bool,
    pub(super) problem: String,
}

/// Returns what is wrong with the properties of a file in this folder.
pub(super) fn check(properties: &[Property], folder: &Path) -> Vec<Finding> {
    let mut check = Check {
        properties,
        findings: Vec::new(),
    };
    for (index, property) in properties.iter().enumerate() {
        let mut later = properties.iter().skip(index + 1);
        check.property(property, later.rfind(|later| later.name == property.name));
    }
    check.executable(folder);
    check.stream();
    check.present(names::APPLICATION_NAME, "it names the table of the leases");
    check.present(
        names::CREDENTIALS,
        "the daemon ends without it: AwsCredentialsProvider = DefaultCredentialsProvider",
    );
    check.endpoints_and_region();
    check.stopping();
    check.threads();
    check.start();
    check.findings.sort_by_key(|finding| finding.line.unwrap_or(u64::MAX));
    check.findings
}

/// Returns the provider of credentials that the daemon of this version does not know, as a problem.
pub(super) fn check_credentials(properties: &[Property], version: &str) -> Option<Finding> {
    let property = last(properties, names::CREDENTIALS)?;
    let is_version_2 = version.starts_with("2.");
    let problem = if is_version_2 && property.name != names::CREDENTIALS_2 {
        format!(
            "the daemon {version} does not know {}; it is {} there",
            property.name,
            names::CREDENTIALS_2
        )
    } else if !is_version_2 && property.value.contains("AWSCredentialsProviderChain") {
        format!(
            "the daemon {version} does not know {}; DefaultCredentialsProvider replaced it",
            property.value
        )
    } else if is_version_2 && property.value.trim() == "DefaultCredentialsProvider" {
        format!(
            "the daemon {version} does not know DefaultCredentialsProvider; it is DefaultAWSCredentialsProviderChain there"
        )
    } else {
        return None;
    };
    Some(Finding {
        line: Some(property.line),
        is_error: true,
        problem,
    })
}

/// Returns whether the daemon takes a number as 0 or less, as it does if there is none.
fn is_zero(property: &Property) -> bool {
    let value = property.value.trim();
    value.is_empty() || value.parse::<i64>().is_ok_and(|number| number <= 0)
}

/// Returns the property of this name that counts.
pub(super) fn last<'p>(properties: &'p [Property], name: &str) -> Option<&'p Property> {
    properties.iter().rfind(|property| names::is_same(name, &property.name))
}

struct Check<'p> {
    properties: &'p [Property],
    findings: Vec<Finding>,
}

impl<'p> Check<'p> {
    fn error(&mut self, property: Option<&Property>, problem: String) {
        self.find(property, true, problem);
    }

    fn warning(&mut self, property: Option<&Property>, problem: String) {
        self.find(property, false, problem);
    }

    fn find(&mut self, property: Option<&Property>, is_error: bool, problem: String) {
        self.findings.push(Finding {
            line: property.map(|property| property.line),
            is_error,
            problem,
        });
    }

    fn last(&self, name: &str) -> Option<&'p Property> {
        last(self.properties, name)
    }

    /// Returns a property that is set to something.
    fn value(&self, name: &str) -> Option<&'p Property> {
        self.last(name).filter(|property| !property.value.trim().is_empty())
    }

    fn property(&mut self, property: &Property, later: Option<&Property>) {
        let Property { name, value, .. } = property;
        if let Some(later) = later {
            let line = later.line;
            return self.warning(
                Some(property),
                format!("{name} is set again on line {line}, which counts"),
            );
        }
        let Some(kind) = names::kind(name) else {
            return match names::similar(name) {
                Some(similar) => {
                    self.error(
                        Some(property),
                        format!("the daemon does not know {name}: did you mean {similar}?"),
                    );
                }
                None => self.warning(
                    Some(property),
                    format!("the daemon does not know {name}, and ignores it"),
                ),
            };
        };
        let trimmed = value.trim();
        match kind {
            _ if trimmed.is_empty() => {}
            Kind::Text => self.text(property),
            Kind::Whole if trimmed.parse::<i64>().is_err() => {
                self.error(
                    Some(property),
                    format!("{name} must be a whole number, not {value}: the daemon takes it as 0"),
                );
            }
            Kind::Decimal if trimmed.parse::<f64>().is_err() => {
                self.error(
                    Some(property),
                    format!("{name} must be a number, not {value}: the daemon takes it as 0"),
                );
            }
            Kind::Switch if !["true", "false"].contains(&trimmed.to_ascii_lowercase().as_str()) => {
                self.error(
                    Some(property),
                    format!("{name} must be true or false, not {value}: the daemon takes it as false"),
                );
            }
            Kind::Choice(choices) if !choices.iter().any(|choice| choice.eq_ignore_ascii_case(value)) => {
                let hint = match name.as_str() {
                    names::INITIAL_POSITION => {
                        format!("; a time is set by {} in seconds since 1970", names::INITIAL_TIME)
                    }
                    _ => String::new(),
                };
                self.error(
                    Some(property),
                    format!("{name} must be {}, not {value}{hint}", choices.join(" or ")),
                );
            }
            Kind::Whole | Kind::Decimal | Kind::Switch | Kind::Choice(_) => {}
        }
    }

    fn text(&mut self, property: &Property) {
        let Property { name, value, .. } = property;
        if value.ends_with(char::is_whitespace) && name != names::EXECUTABLE_NAME {
            self.error(
                Some(property),
                format!("{name} ends with white space, which is a part of the value: {value:?}"),
            );
        } else if !value.is_ascii() {
            self.warning(
                Some(property),
                format!("the daemon reads {name} in ISO 8859-1, as {value:?}; \\u00e4 is another way to write ä"),
            );
        }
    }

    fn present(&mut self, name: &str, why: &str) {
        match self.last(name) {
            None => self.error(None, format!("{name} is missing: {why}")),
            Some(property) if property.value.trim().is_empty() => {
                self.error(Some(property), format!("{name} is empty: {why}"));
            }
            Some(_) => {}
        }
    }

    fn executable(&mut self, folder: &Path) {
        self.present(
            names::EXECUTABLE_NAME,
            "it is the command that the daemon starts for each shard",
        );
        let Some(property) = self.value(names::EXECUTABLE_NAME) else {
            return;
        };
        if let Err(problem) = executable::find(&property.value, folder) {
            self.error(Some(property), format!("{}: {problem}", names::EXECUTABLE_NAME));
        }
    }

    fn stream(&mut self) {
        if let Some(property) = self.value(names::STREAM_ARN) {
            if arn::region(&property.value).is_none() {
                let problem = format!(
                    "{} is not the ARN of a stream, such as {}",
                    names::STREAM_ARN,
                    arn::EXAMPLE
                );
                self.error(Some(property), problem);
            }
            return;
        }
        self.present(names::STREAM_NAME, "it is the stream to read");
        let is_valid = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
        if let Some(property) = self.value(names::STREAM_NAME) {
            // White space at the end was reported.
            if let Some(wrong) = property
                .value
                .trim_end()
                .chars()
                .find(|character| !is_valid(*character))
            {
                let problem = format!(
                    "{} cannot have {wrong:?} in it: {:?}",
                    names::STREAM_NAME,
                    property.value
                );
                self.error(Some(property), problem);
            }
        }
    }

    fn endpoints_and_region(&mut self) {
        let region = self.value(names::REGION_NAME);
        let endpoints = [names::KINESIS_ENDPOINT, names::DYNAMODB_ENDPOINT].map(|name| self.value(name));
        for endpoint in endpoints.into_iter().flatten() {
            let Property { name, value, .. } = endpoint;
            if !["http://", "https://"].iter().any(|scheme| value.starts_with(scheme)) {
                self.error(
                    Some(endpoint),
                    format!("{name} must start with https:// or http://: {value:?}"),
                );
            }
        }
        let of_stream = self
            .value(names::STREAM_ARN)
            .and_then(|stream| arn::region(&stream.value));
        match (region, of_stream) {
            (Some(property), Some(of_stream)) if property.value.trim() != of_stream => {
                let problem = format!(
                    "{} is {}, but the stream is in {of_stream}",
                    names::REGION_NAME,
                    property.value
                );
                self.error(Some(property), problem);
            }
            (Some(_), _) => {}
            (None, _) => match region::of_environment() {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let endpoint = endpoints.into_iter().flatten().next();
                    let why = match endpoint {
                        Some(endpoint) => format!("requests to {} are signed for a region as well", endpoint.name),
                        None => "the daemon has to know where the stream is".to_owned(),
                    };
                    let problem = format!("{} is missing, and AWS_REGION is not set: {why}", names::REGION_NAME);
                    self.error(endpoint, problem);
                }
                Err(problem) => self.error(None, problem),
            },
        }
        let is_local = endpoints[0].is_some_and(|endpoint| endpoint.value.starts_with("http://"));
        let metrics = self.last(names::METRICS_LEVEL);
        if is_local && !metrics.is_some_and(|metrics| metrics.value.eq_ignore_ascii_case("NONE")) {
            let problem = format!(
                "metrics go to CloudWatch of AWS, which {} does not change: {} = NONE turns them off",
                names::KINESIS_ENDPOINT,
                names::METRICS_LEVEL
            );
            self.warning(metrics, problem);
        }
        let (given, missing) = match endpoints {
            [Some(given), None] => (given, names::DYNAMODB_ENDPOINT),
            [None, Some(given)] => (given, names::KINESIS_ENDPOINT),
            _ => return,
        };
        let problem = format!("{} is set, but {missing} is not: those requests go to AWS", given.name);
        self.warning(Some(given), problem);
    }

    fn stopping(&mut self) {
        let grace = self.last(names::SHUTDOWN_GRACE);
        if grace.is_none_or(is_zero) {
            let problem = format!(
                "{} must be set and above 0: without it SIGTERM ends the processors without a last checkpoint, and what they handled since \
                 the one before comes again",
                names::SHUTDOWN_GRACE
            );
            self.error(grace, problem);
        }
        let timeout = self.last(names::TIMEOUT);
        if timeout.is_some_and(is_zero) {
            let problem = format!(
                "{} must be above 0: the daemon would end at the first message",
                names::TIMEOUT
            );
            self.error(timeout, problem);
        }
        let call = self.last(names::CALL_WITHOUT_RECORDS);
        if !call.is_some_and(|call| call.value.trim().eq_ignore_ascii_case("true")) {
            let problem = format!(
                "{} is not true: a processor can checkpoint only while it answers a message, so the last records of a stream that falls \
                 silent stay without a checkpoint",
                names::CALL_WITHOUT_RECORDS
            );
            self.warning(call, problem);
        }
    }

    fn threads(&mut self) {
        let Some(property) = self.last(names::MAX_ACTIVE_THREADS) else {
            return;
        };
        let needs = "the daemon needs one thread, and two more for each shard, and hangs if it has fewer";
        match property.value.trim().parse::<i64>() {
            Ok(1..=2) => self.error(Some(property), format!("{}: {needs}", names::MAX_ACTIVE_THREADS)),
            Ok(3..) => self.warning(Some(property), format!("{}: {needs}", names::MAX_ACTIVE_THREADS)),
            _ => {}
        }
    }

    fn start(&mut self) {
        if self
            .last(names::INITIAL_POSITION)
            .or(self.last(names::INITIAL_TIME))
            .is_none()
        {
            let problem = format!(
                "{} is missing: what was written before the first daemon started is passed over",
                names::INITIAL_POSITION
            );
            self.warning(None, problem);
        }
    }
}
