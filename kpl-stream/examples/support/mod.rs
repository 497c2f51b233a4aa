//! A Kinesis server in this process, and the stream that an example works with.

#![allow(dead_code, reason = "each example needs a part of it")]

use std::error::Error;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Credentials;
use ferrokinesis::store::StoreOptions;

/// The stream that the first argument names, in the AWS account that the environment tells of. Without an argument a new
/// stream of a server in this process.
pub(crate) async fn config_and_stream() -> Result<(SdkConfig, String), Box<dyn Error>> {
    if let Some(stream) = std::env::args().nth(1) {
        return Ok((aws_config::load_defaults(BehaviorVersion::latest()).await, stream));
    }
    println!("No stream was named: this is a server in this process.");
    let config = serve().await?;
    create_stream(&config, "clicks", 2).await?;
    Ok((config, "clicks".into()))
}

/// Starts a server that lives as long as this process, with the service's limits: a shard takes 1,000 records and 1 MiB
/// in a second.
pub(crate) async fn serve() -> Result<SdkConfig, Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (app, _) = ferrokinesis::create_app(StoreOptions {
        create_stream_ms: 0,
        update_stream_ms: 0,
        enforce_limits: true,
        ..StoreOptions::default()
    });
    tokio::spawn(ferrokinesis::serve_plain_http(listener, app, std::future::pending()));
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "example"));
    Ok(config.load().await)
}

pub(crate) async fn create_stream(config: &SdkConfig, stream: &str, shards: i32) -> Result<(), Box<dyn Error>> {
    let client = Client::new(config);
    let request = client.create_stream().stream_name(stream).shard_count(shards);
    request.send().await?;
    while !is_active(&client, stream).await? {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn is_active(client: &Client, stream: &str) -> Result<bool, Box<dyn Error>> {
    let answer = client.describe_stream_summary().stream_name(stream).send().await?;
    let summary = answer.stream_description_summary.ok_or("a stream without a summary")?;
    Ok(summary.stream_status == aws_sdk_kinesis::types::StreamStatus::Active)
}
