//! Which region the daemon uses if its properties do not say it: what the SDK for Java looks at.

use std::env;
use std::fs;
use std::path::PathBuf;

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
    fn a_profile_has_a_region() {
        let config = "[default]\nregion = eu-central-1\n[profile test]\noutput=json\nregion=us-east-1\n";
        assert_eq!(region_of(config, "default").as_deref(), Some("eu-central-1"));
        assert_eq!(region_of(config, "test").as_deref(), Some("us-east-1"));
        assert_eq!(region_of(config, "other"), None);
    }
}
