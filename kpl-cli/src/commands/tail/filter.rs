//! Which user records are written.

use clap::Args;
use regex::bytes::Regex;

#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Write only user records with this partition key. It can be given several times
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,

    /// Write only user records whose data matches this regular expression
    #[arg(long, value_name = "REGEX")]
    grep: Option<Regex>,
}

impl Filter {
    pub(super) fn takes(&self, key: Option<&str>, data: &[u8]) -> bool {
        let has_key = self.keys.is_empty() || key.is_some_and(|key| self.keys.iter().any(|wanted| wanted == key));
        has_key && self.grep.as_ref().is_none_or(|grep| grep.is_match(data))
    }
}
