//! Access to the service, configured as for the AWS CLI.

use std::error::Error as _;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use clap::{Args, ValueHint};

use crate::problems::Stop;

/// Where the service is, and which credentials to use.
#[derive(Debug, Args)]
pub(crate) struct Service {
    /// Send requests to this URL instead of the service's own; AWS_ENDPOINT_URL does the same
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    endpoint_url: Option<String>,

    /// The region; the default is that of AWS_REGION or of the profile
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// A profile of the AWS CLI's configuration; its credentials take precedence over those of the environment
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl Service {
    /// Returns the configuration: the files and environment variables of the AWS CLI, and the options of the command
    /// line.
    pub(crate) async fn config(&self) -> Result<SdkConfig, Stop> {
        let mut config = aws_config::defaults(BehaviorVersion::latest());
        if let Some(profile) = &self.profile {
            // The AWS CLI ignores credentials in the environment then.
            let credentials = ProfileFileCredentialsProvider::builder().profile_name(profile).build();
            config = config.profile_name(profile).credentials_provider(credentials);
        }
        if let Some(region) = &self.region {
            config = config.region(Region::new(region.clone()));
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
        check_credentials(&config).await?;
        Ok(config)
    }
}

/// Without credentials every request fails, and a retry does not help.
async fn check_credentials(config: &SdkConfig) -> Result<(), Stop> {
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
    Err(Stop::Usage(text))
}
