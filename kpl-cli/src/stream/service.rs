//! The service as the AWS CLI finds it.

use std::error::Error as _;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;

use super::args::Service;
use crate::problems::Stop;

impl Service {
    /// The configuration of the AWS CLI: its files, its environment variables, and what the command line says.
    pub(crate) async fn config(&self) -> Result<SdkConfig, Stop> {
        let mut config = aws_config::defaults(BehaviorVersion::latest());
        if let Some(profile) = &self.profile {
            // The AWS CLI passes over credentials of the environment then.
            let credentials = ProfileFileCredentialsProvider::builder().profile_name(profile).build();
            config = config.profile_name(profile).credentials_provider(credentials);
        }
        if let Some(region) = &self.region {
            config = config.region(Region::new(region.clone()));
        }
        if let Some(url) = &self.endpoint_url {
            if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
                return Err(Stop::Usage(format!(
                    "--endpoint-url {url}: a URL starts with https:// or http://"
                )));
            }
            config = config.endpoint_url(url);
        }
        let config = config.load().await;
        if config.region().is_none() {
            return Err(Stop::Usage(
                "there is no region: give --region, AWS_REGION, or a profile that has one".into(),
            ));
        }
        check_credentials(&config).await?;
        Ok(config)
    }
}

/// Without credentials nothing can be asked, and trying again does not help.
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
