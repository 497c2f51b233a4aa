//! `kpl deaggregate`: unpacks records into user records.

use std::cmp::Ordering;

use clap::Args;
use kpl_core::{
    Counts, DeaggregateError, Deaggregator, HashKey, HashKeyRange, Position, SequenceNumber, StrayPolicy, UserRecord,
};

use crate::compression::Compression;
use crate::decompress::{Decompress, Plain};
use crate::draw;
use crate::forms::{DataForm, Stray};
use crate::input::{self, Entry, Input, Sink};
use crate::output::{Data, Lines, Unpacked};
use crate::problems::{Location, Problems, Stop, tell};
use crate::user_records::{self, not_an_aggregate, reason_with_key};

/// Unpack records into user records, one JSON line each
///
/// Reads the JSON of `aws kinesis get-records`, Lambda events of Kinesis, Firehose and Kinesis Analytics
/// transformation events, and JSON Lines with one record per object. It recognises which of them it reads, and they
/// may be mixed. With --raw it reads the bytes of one record. Lines that it or `kpl tail` wrote, with "Aggregated", are user
/// records already: they come out with all that they have, in the form that is asked for now.
///
/// Writes {"PartitionKey", "ExplicitHashKey", "SequenceNumber", "SubSequenceNumber", "Aggregated",
/// "ApproximateArrivalTimestamp", "Data"}, Data in base64. A record that carries the magic of an aggregated record but
/// is not a valid one, and a user record whose keys cannot be resolved, also have "Malformed" with the reason.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aws kinesis get-records --shard-iterator $ITERATOR | kpl deaggregate
  kpl deaggregate --data json --after \"$SEQUENCE_NUMBER:41\" events.json
  kpl deaggregate --decompress --data json cloudwatch-logs.json")]
pub(crate) struct Deaggregate {
    #[command(flatten)]
    input: Input,

    /// How to write Data. Data that is not valid text stays base64, text that is not valid JSON stays text, and
    /// "DataEncoding" says so
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    data: DataForm,

    #[command(flatten)]
    decompress: Decompress,

    /// Filter by hash key, as a reader of one shard does; both ends are inclusive
    #[arg(long, value_name = "START..=END")]
    range: Option<HashKeyRange>,

    /// What to do with user records in aggregated records that are outside --range
    #[arg(long, value_enum, default_value_t, requires = "range", value_name = "POLICY")]
    stray: Stray,

    /// Resume: leave out everything at or before this position of the shard
    #[arg(long, value_name = "SEQUENCE:SUB")]
    after: Option<Position>,

    /// Stop at the first record that is malformed or cannot be read
    #[arg(long)]
    strict: bool,
}

impl Deaggregate {
    pub(crate) fn run(&self, problems: &mut Problems) -> Result<(), Stop> {
        problems.strict = self.strict;
        let mut sink = UserRecords {
            deaggregator: self.deaggregator(),
            range: self.range,
            stray: self.stray,
            after: self.after.clone(),
            data: self.data,
            decompress: self.decompress.clone(),
            lines: Lines::new(),
            problems,
            counts: Counts::default(),
        };
        let result = input::read(&self.input, &mut sink);
        sink.lines.flush()?;
        result?;
        if sink.counts.dropped > 0 {
            let dropped = draw::count(sink.counts.dropped, "user record");
            let verb = if sink.counts.dropped == 1 { "was" } else { "were" };
            tell(format_args!("{dropped} outside --range {verb} left out"));
        }
        Ok(())
    }

    fn deaggregator(&self) -> Deaggregator<UserRecord<'static>> {
        let mut deaggregator = Deaggregator::new();
        if let Some(range) = self.range {
            let strays = match self.stray {
                Stray::DropAggregate => StrayPolicy::DropAggregate,
                Stray::Drop => StrayPolicy::DropStrays,
                Stray::Keep => StrayPolicy::Keep,
            };
            deaggregator = deaggregator.range(range, strays);
        }
        if let Some(position) = &self.after {
            deaggregator = deaggregator.after(position.clone());
        }
        deaggregator
    }
}

struct UserRecords<'p> {
    deaggregator: Deaggregator<UserRecord<'static>>,
    /// What the deaggregator has as well, for user records that were unpacked before.
    range: Option<HashKeyRange>,
    stray: Stray,
    after: Option<Position>,
    data: DataForm,
    decompress: Decompress,
    lines: Lines,
    problems: &'p mut Problems,
    counts: Counts,
}

impl Sink for UserRecords<'_> {
    fn batch(&mut self, file: &str, entries: &mut Vec<Entry>) -> Result<(), Stop> {
        let deaggregator = self.deaggregator.clone();
        let counts = user_records::each(&deaggregator, entries, |_, entry, record| match record {
            Ok(record) => self.deliver(file, entry, record),
            Err(error) => self.deliver_without_keys(file, entry, error),
        })?;
        self.counts += counts;
        Ok(())
    }

    fn user_record(&mut self, file: &str, record: input::UserRecord) -> Result<(), Stop> {
        if self.is_before(&record) {
            return Ok(());
        }
        if self.is_stray(file, &record)? {
            self.counts.dropped += 1;
            return Ok(());
        }
        self.deliver_again(file, &record)
    }

    fn unreadable(&mut self, location: Location<'_>, problem: &str) -> Result<(), Stop> {
        self.lines.flush()?;
        self.problems.left_out(location, problem)
    }

    fn caught_up(&mut self) -> Result<(), Stop> {
        self.lines.flush()
    }
}

impl UserRecords<'_> {
    /// Returns whether a user record that was unpacked before is at or before the position to resume after.
    fn is_before(&self, record: &input::UserRecord) -> bool {
        let number = record.entry.sequence_number.as_deref();
        let (Some(after), Some(Ok(number))) = (&self.after, number.map(SequenceNumber::new)) else {
            return false;
        };
        match number.cmp(&after.sequence_number) {
            Ordering::Less => true,
            Ordering::Equal => !record.unpacked.aggregated || record.sub_sequence_number <= after.sub_sequence_number,
            Ordering::Greater => false,
        }
    }

    /// Returns whether a user record that was unpacked before is outside the range. Only those of aggregated records may be, and those
    /// whose keys could not be resolved are delivered.
    fn is_stray(&self, file: &str, record: &input::UserRecord) -> Result<bool, Stop> {
        let (Some(range), true) = (self.range, record.unpacked.aggregated) else {
            return Ok(false);
        };
        let partition_key = record.entry.partition_key.as_deref();
        let (false, Some(partition_key)) = (record.unpacked.malformed.is_some(), partition_key) else {
            return Ok(false);
        };
        let key = HashKey::effective(partition_key, record.unpacked.explicit_hash_key);
        match self.stray {
            Stray::Keep => Ok(false),
            Stray::Drop => Ok(!range.contains(key)),
            Stray::DropAggregate => Err(Stop::Usage(format!(
                "{}: this user record was unpacked before, so the others of its aggregated record are not known: --stray \
                 drop-aggregate needs the aggregated records",
                record.location(file)
            ))),
        }
    }

    /// Writes a user record that was unpacked before, with all that was known of it.
    fn deliver_again(&mut self, file: &str, record: &input::UserRecord) -> Result<(), Stop> {
        let (entry, unpacked) = (&record.entry, &record.unpacked);
        let user_record = unpacked.aggregated.then_some(record.sub_sequence_number);
        if let Some(reason) = &unpacked.malformed {
            self.marked(file, entry, user_record, reason)?;
        }
        let plain = self.plain(file, entry, user_record, &entry.data)?;
        let (data, data_encoding) = Data::new(&plain.data, self.data);
        let compression = plain.compression.map(Compression::name);
        self.lines.unpacked(&Unpacked {
            partition_key: entry.partition_key.as_deref(),
            explicit_hash_key: unpacked.explicit_hash_key,
            sequence_number: entry.sequence_number.as_deref(),
            sub_sequence_number: record.sub_sequence_number,
            aggregated: unpacked.aggregated,
            arrival: entry.arrival.as_ref(),
            shard_id: record.shard_id.as_deref(),
            data,
            data_encoding,
            compression: compression.or(unpacked.compression.as_deref()),
            malformed: unpacked.malformed.as_deref(),
        })
    }

    fn deliver(&mut self, file: &str, entry: &Entry, record: &UserRecord<'_>) -> Result<(), Stop> {
        if let Some(reason) = record.malformed {
            self.marked(file, entry, None, &not_an_aggregate(reason))?;
        }
        let user_record = record.aggregated.then_some(record.sub_sequence_number);
        let plain = self.plain(file, entry, user_record, record.data)?;
        let (data, data_encoding) = Data::new(&plain.data, self.data);
        self.lines.unpacked(&Unpacked {
            partition_key: record.partition_key,
            explicit_hash_key: record.explicit_hash_key,
            sequence_number: record.kinesis_record.sequence_number,
            sub_sequence_number: record.sub_sequence_number,
            aggregated: record.aggregated,
            arrival: entry.arrival.as_ref(),
            shard_id: None,
            data,
            data_encoding,
            compression: plain.compression.map(Compression::name),
            malformed: record.malformed.map(|reason| reason.to_string()).as_deref(),
        })
    }

    fn deliver_without_keys(&mut self, file: &str, entry: &Entry, error: &DeaggregateError) -> Result<(), Stop> {
        let sub_sequence_number = error.sub_sequence_number();
        self.marked(file, entry, Some(sub_sequence_number), &error.kind().to_string())?;
        let plain = self.plain(file, entry, Some(sub_sequence_number), error.data())?;
        let (data, data_encoding) = Data::new(&plain.data, self.data);
        self.lines.unpacked(&Unpacked {
            partition_key: None,
            explicit_hash_key: None,
            sequence_number: error.sequence_number(),
            sub_sequence_number,
            aggregated: true,
            arrival: entry.arrival.as_ref(),
            shard_id: None,
            data,
            data_encoding,
            compression: plain.compression.map(Compression::name),
            malformed: Some(&reason_with_key(error.kind(), error.partition_key())),
        })
    }

    /// Returns data as it is to be written.
    fn plain<'d>(
        &mut self,
        file: &str,
        entry: &Entry,
        user_record: Option<u64>,
        data: &'d [u8],
    ) -> Result<Plain<'d>, Stop> {
        self.decompress.apply(data).or_else(|problem| {
            self.lines.flush()?;
            let location = entry.full_location(file, user_record);
            self.problems.unchanged(location, problem)?;
            Ok(data.into())
        })
    }

    fn marked(&mut self, file: &str, entry: &Entry, user_record: Option<u64>, problem: &str) -> Result<(), Stop> {
        if self.problems.strict {
            self.lines.flush()?;
        }
        self.problems.marked(entry.full_location(file, user_record), problem)
    }
}
