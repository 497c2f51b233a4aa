//! The service as the AWS CLI finds it.

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};

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
        Ok(config)
    }
}
