//! Errors early: what no retry can mend is an error of `stream()`, at once, with a sentence.

use std::time::{Duration, Instant};

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use kpl_core::RawRecord;
use kpl_stream::Producer;
use kpl_testkit::throttling::ThrottlingServer;

use crate::Result;
use crate::report::Report;

/// After that long, a user has stopped waiting.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn measure(server: &ThrottlingServer, report: &mut Report) -> Result<()> {
    server.create_stream("errors", 1, None);
    let base = || SdkConfig::builder().behavior_version(BehaviorVersion::latest());
    let credentials = || SharedCredentialsProvider::new(Credentials::new("key", "secret", None, None, "test"));
    let none_found = ProfileFileCredentialsProvider::builder().profile_name("kpl-has-no-such-profile");
    let region = Region::new("us-east-1");
    let with_region = || base().region(region.clone());
    let cases = [
        ("no region", base().credentials_provider(credentials())),
        ("no credentials provider", with_region().endpoint_url(server.url())),
        (
            "a credentials provider that finds none",
            with_region()
                .endpoint_url(server.url())
                .credentials_provider(SharedCredentialsProvider::new(none_found.build())),
        ),
        (
            "a malformed endpoint",
            with_region()
                .endpoint_url("kinesis at home")
                .credentials_provider(credentials()),
        ),
    ];
    for (name, config) in cases {
        let producer = Producer::builder().load_aws_config(&config.build()).build()?;
        let started = Instant::now();
        let opened = tokio::time::timeout(PATIENCE, producer.stream::<RawRecord>("errors")).await;
        let took = started.elapsed().as_secs_f64();
        let wanted = "an error within 1 s, one sentence";
        match opened {
            Ok(Err(error)) => {
                let sentence = error.to_string();
                let ok = took < 1.0 && !sentence.contains(['\n', '{']);
                report.figure(name, format_args!("an error after {took:.2} s"), wanted, ok);
                report.note(sentence);
            }
            Ok(Ok(_)) => report.figure(name, format_args!("opened after {took:.2} s"), wanted, false),
            Err(_) => report.figure(name, "nothing within 10 s", wanted, false),
        }
    }
    Ok(())
}
