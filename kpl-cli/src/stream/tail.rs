//! `kpl tail`: a stream into lines.

use std::time::Duration;

use futures_util::FutureExt as _;
use indicatif::ProgressBar;
use kpl_core::{FromKplRecord, MalformedPolicy, ReadError, UserRecord};
use kpl_stream::Received;
use kpl_stream::reader::{FilePositions, Reader, ReaderError, RecordError};
use tokio::time::sleep;

use super::args::Tail;
use super::interrupts::Interrupts;
use super::{log, pipe};
use crate::args::DataForm;
use crate::input::{Arrival, details};
use crate::output::{Lines, Unpacked};
use crate::problems::{Place, Problems, Stop};
use crate::user_records::{MAGIC_BUT, reason, reason_with_key};

pub(super) async fn run(options: Tail, mut interrupts: Interrupts, problems: &mut Problems) -> Result<(), Stop> {
    log::tell_warnings(ProgressBar::hidden());
    let mut reader = tokio::select! {
        reader = open(&options) => reader?,
        () = interrupts.pressed(1) => return Ok(()),
    };
    let mut tailing = Tailing {
        data: options.data,
        lines: Lines::new(),
        problems,
    };
    let idle = options.idle.unwrap_or(Duration::MAX);
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 && !interrupts.any() {
        let next = match reader.next().now_or_never() {
            Some(next) => next,
            // It may take long.
            None => {
                tailing.lines.flush()?;
                reader.commit().await.map_err(stop)?;
                tokio::select! {
                    biased;
                    () = interrupts.pressed(1) => break,
                    next = reader.next() => next,
                    () = sleep(idle) => break,
                    () = pipe::closed() => return Ok(()),
                }
            }
        };
        match next {
            Some(Ok(record)) => tailing.deliver(&record)?,
            Some(Err(ReaderError::Record(error))) => tailing.deliver_without_keys(&error)?,
            Some(Err(error)) => {
                tailing.lines.flush()?;
                return Err(stop(error));
            }
            None => break,
        }
        left -= 1;
    }
    tailing.lines.flush()?;
    reader.commit().await.map_err(stop)
}

async fn open(options: &Tail) -> Result<Reader<Content>, Stop> {
    let config = options.service.config().await?;
    let mut builder = Reader::builder().load_aws_config(&config).start(options.from);
    if let Some(file) = &options.positions {
        builder = builder.positions(FilePositions::new(file));
    }
    builder.build(&options.stream).await.map_err(stop)
}

fn stop(error: ReaderError) -> Stop {
    match error {
        ReaderError::Request { .. } => Stop::Service(error.to_string()),
        error => Stop::Usage(error.to_string()),
    }
}

/// What is in a user record.
struct Content {
    data: Vec<u8>,
    malformed: Option<String>,
}

impl<'de> FromKplRecord<'de> for Content {
    const MALFORMED: MalformedPolicy = MalformedPolicy::Deliver;

    fn from_user_record(record: &UserRecord<'_, 'de>) -> Result<Self, ReadError> {
        Ok(Self {
            data: record.data.to_owned(),
            malformed: record.malformed.map(|reason| reason.to_string()),
        })
    }
}

struct Tailing<'p> {
    data: DataForm,
    lines: Lines,
    problems: &'p mut Problems,
}

impl Tailing<'_> {
    fn deliver(&mut self, record: &Received<Content>) -> Result<(), Stop> {
        let position = record.position();
        let sequence_number = position.as_ref().map(|position| position.sequence_number.as_str());
        let Content { data, malformed } = &record.value;
        if let Some(reason) = malformed {
            let problem = format!("{MAGIC_BUT} {reason}");
            self.marked(record.stream(), record.shard_id(), sequence_number, None, &problem)?;
        }
        let arrival = record.approximate_arrival();
        let arrival = arrival.map(|arrival| Arrival::Seconds(arrival.as_secs_f64()));
        let unpacked = Unpacked {
            partition_key: record.partition_key(),
            explicit_hash_key: record.explicit_hash_key(),
            sequence_number,
            sub_sequence_number: position.as_ref().map_or(0, |position| position.sub_sequence_number),
            aggregated: record.aggregated(),
            arrival: arrival.as_ref(),
            shard_id: Some(record.shard_id()),
            data,
            malformed: malformed.as_deref(),
        };
        self.lines.user_record(&unpacked, self.data)
    }

    fn deliver_without_keys(&mut self, record: &RecordError) -> Result<(), Stop> {
        let error = record.error();
        let sub_sequence_number = error.sub_sequence_number();
        self.marked(
            record.stream(),
            record.shard_id(),
            error.sequence_number(),
            Some(sub_sequence_number),
            &reason(error.kind()),
        )?;
        let unpacked = Unpacked {
            partition_key: None,
            explicit_hash_key: None,
            sequence_number: error.sequence_number(),
            sub_sequence_number,
            aggregated: true,
            arrival: None,
            shard_id: Some(record.shard_id()),
            data: record.data(),
            malformed: Some(&reason_with_key(error)),
        };
        self.lines.user_record(&unpacked, self.data)
    }

    fn marked(
        &mut self,
        stream: &str,
        shard_id: &str,
        sequence_number: Option<&str>,
        user_record: Option<u64>,
        problem: &str,
    ) -> Result<(), Stop> {
        if !self.problems.strict {
            return Ok(());
        }
        self.lines.flush()?;
        let place = Place {
            file: &format!("stream {stream}, shard {shard_id}"),
            line: None,
            record: None,
        };
        let details = details(sequence_number, user_record);
        self.problems.marked(place, format_args!("{details}: {problem}"))
    }
}
