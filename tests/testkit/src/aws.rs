//! Configurations of the AWS SDK for servers in a test.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::Credentials;

/// Returns a configuration for a server at this URL, which may be in another process.
pub async fn config(url: &str, access_key_id: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(access_key_id, "secret", None, None, "test"))
        .load()
        .await
}
