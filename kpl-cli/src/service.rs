//! Access to the service, configured as for the AWS CLI.

use std::env;
use std::error::Error as _;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use clap::{Args, ValueHint};

use crate::arn;
use crate::problems::{Stop, tell};

/// Where the service is, and which credentials to use.
#[derive(Debug, Args)]
pub(crate) struct Service {
    /// Send requests to this URL instead of the service's own; AWS_ENDPOINT_URL does the same
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    endpoint_url: Option<String>,

    /// The region; the default is that of the stream's ARN, of AWS_REGION or of the profile
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// A profile of the AWS CLI's configuration; its credentials take precedence over those of the environment
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl Service {
    /// Returns the configuration: the files and environment variables of the AWS CLI, and the options of the command
    /// line. The ARN of the stream has a region as well.
    pub(crate) async fn config(&self, stream: &str) -> Result<SdkConfig, Stop> {
        let config = self.load(stream).await?;
        check_credentials(&config).await.map_err(Stop::Usage)?;
        Ok(config)
    }

    /// Returns the configuration, as [`config`](Self::config) does, for what can wait until there are credentials.
    pub(crate) async fn config_for_later(&self, stream: &str) -> Result<SdkConfig, Stop> {
        let config = self.load(stream).await?;
        if let Err(problem) = check_credentials(&config).await {
            tell(problem);
        }
        Ok(config)
    }

    async fn load(&self, stream: &str) -> Result<SdkConfig, Stop> {
        let region = self.region_for(stream)?;
        let mut config = aws_config::defaults(BehaviorVersion::latest());
        if let Some(profile) = &self.profile {
            // The AWS CLI ignores credentials in the environment then.
            let credentials = ProfileFileCredentialsProvider::builder().profile_name(profile).build();
            config = config.profile_name(profile).credentials_provider(credentials);
        }
        if let Some(region) = region {
            config = config.region(Region::new(region));
        }
        if let Some(url) = &self.endpoint_url {
            if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
                return Err(Stop::Usage(format!(
                    "--endpoint-url {url}: must start with https:// or http://"
                )));
            }
            config = config.endpoint_url(url);
        }
        let config = config.load().await;
        if config.region().is_none() {
            return Err(Stop::Usage(
                "there is no region: set --region, AWS_REGION, or the region of a profile".into(),
            ));
        }
        Ok(config)
    }

    /// Returns the region that the command line or the ARN of the stream asks for. If the environment or the command line asks
    /// for another one than the ARN, one of them is a mistake.
    fn region_for(&self, stream: &str) -> Result<Option<String>, Stop> {
        if !stream.starts_with(arn::START) {
            return Ok(self.region.clone());
        }
        let Some(of_stream) = arn::region(stream) else {
            let problem = format!("{stream} is not the ARN of a stream, such as {}", arn::EXAMPLE);
            return Err(Stop::Usage(problem));
        };
        let of_environment = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| {
            let region = env::var(name).ok().filter(|region| !region.is_empty());
            region.map(|region| (name, region))
        });
        let asked = self
            .region
            .clone()
            .map(|region| ("--region", region))
            .or(of_environment);
        match asked {
            Some((name, region)) if region != of_stream => Err(Stop::Usage(format!(
                "{name} is {region}, but the stream is in {of_stream}: {stream}"
            ))),
            _ => Ok(Some(of_stream.to_owned())),
        }
    }
}

/// Without credentials every request fails, and a retry does not help.
async fn check_credentials(config: &SdkConfig) -> Result<(), String> {
    let Some(provider) = config.credentials_provider() else {
        return Ok(());
    };
    let Err(error) = provider.provide_credentials().await else {
        return Ok(());
    };
    let mut text = format!("there are no credentials: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Err(one_line(&text))
}

/// The SDK lists where it looked for credentials, one line each.
fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| match text.ends_with(':') {
        true => text + " " + line,
        false => text + "; " + line,
    })
}
