//! Which region the daemon uses if its properties do not say it: what the SDK for Java looks at.

use std::env;
use std::fs;
use std::path::PathBuf;

/// Returns the region of a stream's ARN, or `None` if it is not one.
pub(super) fn of_stream(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    let (arn, partition, service) = (next()?, next()?, next()?);
    let (region, account, resource) = (next()?, next()?, next()?);
    let is_stream = resource.strip_prefix("stream/").is_some_and(|name| !name.is_empty());
    let is_arn = arn == "arn" && partition.starts_with("aws") && service == "kinesis";
    let is_account = account.bytes().all(|byte| byte.is_ascii_digit());
    (is_arn && is_account && is_stream).then_some(region)
}

/// Returns the region of the environment or of the profile.
pub(super) fn of_environment() -> Result<Option<String>, String> {
    if let Some(region) = variable("AWS_REGION") {
        return Ok(Some(region));
    }
    if let Some(region) = of_profile() {
        return Ok(Some(region));
    }
    match variable("AWS_DEFAULT_REGION") {
        Some(region) => Err(format!(
            "regionName is missing, and the daemon does not look at AWS_DEFAULT_REGION, which is {region}: set AWS_REGION"
        )),
        None => Ok(None),
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn of_profile() -> Option<String> {
    let file = match variable("AWS_CONFIG_FILE") {
        Some(file) => PathBuf::from(file),
        None => env::home_dir()?.join(".aws/config"),
    };
    let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".into());
    region_of(&fs::read_to_string(file).ok()?, &profile)
}

fn region_of(config: &str, profile: &str) -> Option<String> {
    let mut section = "";
    config.lines().find_map(|line| {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            section = name.trim();
            section = section.strip_prefix("profile").map_or(section, str::trim_start);
            return None;
        }
        let (name, value) = line.split_once('=')?;
        (section == profile && name.trim() == "region").then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_a_region() {
        assert_eq!(
            of_stream("arn:aws-cn:kinesis:cn-north-1:111122223333:stream/clicks"),
            Some("cn-north-1")
        );
        for wrong in [
            "clicks",
            "arn:aws:kinesis:eu-central-1:111122223333:clicks",
            "arn:aws:kinesis::111122223333:stream/clicks",
            "arn:aws:dynamodb:eu-central-1:111122223333:stream/clicks",
            "arn:aws:kinesis:eu-central-1:111122223333:stream/",
        ] {
            assert_eq!(of_stream(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_profile_has_a_region() {
        let config = "[default]\nregion = eu-central-1\n[profile test]\noutput=json\nregion=us-east-1\n";
        assert_eq!(region_of(config, "default").as_deref(), Some("eu-central-1"));
        assert_eq!(region_of(config, "test").as_deref(), Some("us-east-1"));
        assert_eq!(region_of(config, "other"), None);
    }
}
