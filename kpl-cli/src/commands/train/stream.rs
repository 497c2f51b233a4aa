//! Samples from a stream.

use std::time::Duration;

use clap::Args;
use kpl_core::RawRecord;
use kpl_stream::aws::AwsClient;
use kpl_stream::reader::{Reader, ReaderError, Start};

use super::samples::Samples;
use crate::commands::tail::{location, shard, start, stop};
use crate::forms::positive_seconds;
use crate::interrupts::{self, Interrupts};
use crate::log;
use crate::problems::Stop;
use crate::service::Service;
use crate::user_records::not_an_aggregate;

#[derive(Debug, Args)]
pub(super) struct Stream {
    /// Read this stream instead of files: its name or its ARN
    #[arg(long, value_name = "STREAM", conflicts_with_all = ["files", "raw"])]
    pub(super) stream: Option<String>,

    /// Where to start in the stream, as in `kpl tail`
    #[arg(long, value_name = "latest|trim-horizon|AGO|TIME", default_value = "trim-horizon", requires = "stream", value_parser = start::Values, hide_possible_values = true)]
    from: Start,

    /// End when nothing arrives for this long, after all shards were read to their latest record
    #[arg(long, value_name = "SECONDS", default_value = "1", requires = "stream", value_parser = positive_seconds)]
    idle: Duration,

    #[command(flatten)]
    service: Service,
}

impl Stream {
    pub(super) fn read(&self, name: &str, samples: &mut Samples<'_>) -> Result<(), Stop> {
        interrupts::run(|interrupts| self.run(name, samples, interrupts))
    }

    async fn run(&self, name: &str, samples: &mut Samples<'_>, mut interrupts: Interrupts) -> Result<(), Stop> {
        log::tell_warnings(indicatif::ProgressBar::hidden());
        tokio::select! {
            result = self.samples(name, samples) => result,
            () = interrupts.times(1) => Ok(()),
        }
    }

    async fn samples(&self, name: &str, samples: &mut Samples<'_>) -> Result<(), Stop> {
        let config = self.service.config(name).await?;
        let mut reader: Reader<RawRecord> = Reader::builder()
            .client(AwsClient::new(&config))
            .start(self.from)
            .end_when_idle(self.idle)
            .build(name)
            .await
            .map_err(stop)?;
        while let Some(next) = reader.next().await {
            match next {
                Ok(record) => {
                    let user_record = record.is_aggregated().then_some(record.sub_sequence_number());
                    let shard = shard(record.origin());
                    let location = location(record.origin(), user_record, &shard);
                    match record.malformed() {
                        Some(reason) => samples.problems.left_out(location, not_an_aggregate(reason))?,
                        None => samples.add(location, record.partition_key(), &record.value.data)?,
                    }
                }
                Err(ReaderError::Record(error)) => {
                    let shard = shard(error.origin());
                    let location = location(error.origin(), Some(error.sub_sequence_number()), &shard);
                    samples.add(location, error.partition_key(), error.data())?;
                }
                Err(error) => return Err(stop(error)),
            }
        }
        Ok(())
    }
}
