//! The producer's metrics for Prometheus.
//!
//! ```text
//! cargo run -p kpl-stream --example prometheus -- STREAM    # as AWS_REGION, AWS_PROFILE ... say
//! cargo run -p kpl-stream --example prometheus              # a server in this process instead
//! ```

use std::error::Error;
use std::time::Duration;

use kpl_core::RawRecord;
use kpl_stream::Producer;
use kpl_testkit::server::config_and_stream;
use metrics_exporter_prometheus::PrometheusBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Its feature `http-listener` serves them on a port; here they are printed.
    let exporter = PrometheusBuilder::new().install_recorder()?;

    let (config, stream) = config_and_stream().await;
    let producer = Producer::builder().load_aws_config(&config).build()?;
    let records = producer.stream::<RawRecord>(&stream).await?;
    for number in 0..10_000 {
        let record = RawRecord::new(format!("user-{}", number % 100), vec![b'x'; 100]);
        // To ignore an outcome, drop the delivery: metrics and events report failures.
        drop(records.send(record).await?);
    }
    producer.close(Duration::from_secs(30)).await?;

    print!("{}", exporter.render());
    Ok(())
}
