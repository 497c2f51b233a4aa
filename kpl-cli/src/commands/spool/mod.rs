//! `kpl spool`: looks into the folder of a spool, and sends what is in it.

mod look;
pub(crate) mod sending;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use kpl_core::RawRecord;
use kpl_stream::EncodedRecord;
use kpl_stream::aws::AwsClient;

use self::sending::{Folder, Sending};
use crate::forms::{DataEncoding, positive_seconds};
use crate::interrupts::{self, Interrupts};
use crate::problems::{Problems, Stop};
use crate::service::Service;
use crate::user_record_line;

/// Returns a record of a spool as a line that `kpl put` reads.
pub(crate) fn line_of(record: &EncodedRecord, data: Option<DataEncoding>) -> String {
    let mut raw = RawRecord::new(record.partition_key(), record.data());
    raw.explicit_hash_key = record.explicit_hash_key();
    user_record_line::write(&raw, data)
}

/// Look at, check, print or send what `kpl put --spool` or a producer has left in its folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kpl spool ls /var/lib/clicks/spool
  kpl spool verify /var/lib/clicks/spool
  kpl spool dump /var/lib/clicks/spool --stream clicks --data text
  kpl spool drain /var/lib/clicks/spool")]
pub(crate) struct Spool {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how many records have no outcome, and the files. Another process may be using the folder
    Ls {
        /// The folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
    /// Read every record without an outcome, and show how many each stream has, and how many are damaged. Exits with 1 if any is
    Verify {
        /// The folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
    /// Write the records that have no outcome as JSON Lines, which `kpl put` reads, without their tags. They stay in the folder
    Dump {
        /// The folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,

        /// Only the records for this stream
        #[arg(long, value_name = "STREAM")]
        stream: Option<String>,

        /// How to write Data. Data that is not text is base64
        #[arg(long, value_enum, default_value_t, value_name = "FORM")]
        data: DataEncoding,
    },
    /// Send the records that have no outcome, to their streams. Ctrl-C, SIGTERM and SIGHUP end it; what was not sent stays
    Drain {
        /// The folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,

        /// How long to retry a record before it is given up; the default is without end
        #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
        record_ttl: Option<Duration>,

        #[command(flatten)]
        service: Service,
    },
}

impl Spool {
    pub(crate) fn run(self, problems: &mut Problems) -> Result<(), Stop> {
        match self.action {
            Action::Ls { folder } => look::list(&folder),
            Action::Verify { folder } => look::verify(&folder, problems),
            Action::Dump { folder, stream, data } => look::dump(&folder, stream.as_deref(), data, problems),
            Action::Drain {
                folder,
                record_ttl,
                service,
            } => interrupts::run(|interrupts| drain(folder, record_ttl, service, interrupts, problems)),
        }
    }
}

async fn drain(
    path: PathBuf,
    record_ttl: Option<Duration>,
    service: Service,
    interrupts: Interrupts,
    problems: &mut Problems,
) -> Result<(), Stop> {
    if !path.is_dir() {
        return Err(Stop::Usage(format!("{}: there is no such folder", path.display())));
    }
    let client = AwsClient::new(&service.config("").await?);
    let mut sending = Sending::start(Folder::of(path), client, None, |producer| match record_ttl {
        Some(record_ttl) => producer.record_ttl(record_ttl),
        None => producer,
    })?;
    let ended = sending.end(true, interrupts, problems).await;
    sending.finish(ended)
}
