//! `kpl train`: makes a dictionary of Zstandard from the records of a stream.

mod output;
mod report;
mod samples;
#[cfg(feature = "stream")]
mod stream;

use std::path::PathBuf;

use clap::{Args, ValueHint};
use zstd::dict;

use self::output::Output;
use self::report::Report;
use self::samples::Samples;
use crate::decompress::Dictionaries;
use crate::forms::{at_least_one, positive_bytes};
use crate::input::{self, Input};
use crate::problems::{Problems, Stop, tell};
use crate::{draw, forms};

/// With fewer user records there is nothing to find in common.
const LEAST: usize = 100;

/// Make a dictionary of Zstandard from user records, for short payloads that are like each other
///
/// Reads what `kpl deaggregate` reads, or with --stream the records of a stream, and trains with the data of the user records. Data that is
/// compressed is decompressed first. The codec Zstd of the crate `kpl` writes and reads with the dictionary, and so does `zstd -D`.
///
/// One user record of five is held out: it is not trained with, and the report shows what it takes as it is, compressed, and compressed with
/// the dictionary. What each of them costs is counted for user records that are aggregated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kpl train records-*.json --output clicks-1.dictionary
  kpl train --stream clicks --from 1h --output clicks-1.dictionary
  kpl deaggregate --decompress --dictionary clicks-1.dictionary records.json")]
pub(crate) struct Train {
    #[command(flatten)]
    input: Input,

    #[cfg(feature = "stream")]
    #[command(flatten)]
    stream: stream::Stream,

    /// The file to write the dictionary to
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    force: bool,

    /// The most bytes that the dictionary may have
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 10, value_parser = forms::dictionary_size)]
    size: usize,

    /// Read this many user records at most
    #[arg(long, value_name = "COUNT", default_value_t = 100_000, value_parser = at_least_one)]
    count: usize,

    /// Read this many bytes at most: the data of user records, decompressed, and their partition keys. They are held in memory. Of data
    /// that is longer than 128 KiB, only the start is used and counted
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = positive_bytes)]
    max_bytes: usize,

    #[command(flatten)]
    dictionaries: Dictionaries,

    /// Stop at the first record that is malformed or cannot be read
    #[arg(long)]
    strict: bool,
}

impl Train {
    pub(crate) fn run(self, problems: &mut Problems) -> Result<(), Stop> {
        problems.strict = self.strict;
        let name = self.output.display().to_string();
        let output =
            Output::new(&self.output, self.force).map_err(|problem| Stop::Usage(format!("{name}: {problem}")))?;
        let mut samples = Samples::new(self.count, self.max_bytes, self.dictionaries.clone(), problems);
        match self.read(&mut samples) {
            Ok(()) | Err(Stop::Enough) => {}
            Err(stop) => return Err(stop),
        }
        samples.tell();
        if samples.count < LEAST {
            let problem = format!(
                "there are {}: a dictionary needs {LEAST}, and some thousands make a good one",
                draw::count(samples.count as u64, "user record")
            );
            if samples.problems.has_left_out() {
                tell(problem);
                return Err(Stop::Data);
            }
            return Err(Stop::Usage(problem));
        }
        let bytes = dict::from_continuous(&samples.training, &samples.sizes, self.size).map_err(|error| {
            Stop::Usage(format!(
                "a dictionary of {} cannot be made from {} in {}: {error}; give it more or longer ones, or set a smaller --size",
                draw::count(self.size as u64, "byte"),
                draw::count(samples.training.len() as u64, "byte"),
                draw::count(samples.sizes.len() as u64, "user record"),
            ))
        })?;
        let report = Report::new(&samples, &bytes).map_err(|error| Stop::Usage(error.to_string()))?;
        output
            .write(&bytes)
            .map_err(|error| Stop::Usage(format!("{name}: {error}")))?;
        report.warn();
        draw::print(&report.draw(&name))
    }

    fn read(&self, samples: &mut Samples<'_>) -> Result<(), Stop> {
        #[cfg(feature = "stream")]
        if let Some(name) = &self.stream.stream {
            return self.stream.read(name, samples);
        }
        input::read(&self.input, samples)
    }
}
