//! What a dictionary saves, in the user records that it was not trained with.

use std::fmt::Write as _;
use std::io;
use std::num::NonZeroU32;

use kpl_core::RawRecord;
use zstd::bulk::Compressor;
use zstd::zstd_safe;

use super::samples::Samples;
use crate::cost::{Cost, Repacked};
use crate::draw::{FAINT, HEADING, count, line, percent, styled, thousands};
use crate::problems::tell;

/// The level of `ZstdDictionary::new`.
const LEVEL: i32 = 3;

/// The user records are counted in aggregated records of two PUT payload units.
const AGGREGATED: usize = 51_200;

/// `CompressionOptions::THRESHOLD` of the codec `Zstd`, if a program does not choose another: it does not compress what is shorter.
const THRESHOLD: usize = 128;

/// A dictionary that saves less than this, in percent of what is left without it, is not worth that all readers need it.
const WORTH: f64 = 5.0;

pub(super) struct Report {
    id: Option<NonZeroU32>,
    len: usize,
    trained: usize,
    trained_bytes: usize,
    held_out: usize,
    /// How many of those that are held out are shorter than [`THRESHOLD`].
    short: usize,
    plain: Held,
    zstd: Held,
    dictionary: Held,
    text: String,
}

/// What the held-out user records take in one of three ways.
#[derive(Clone, Copy, Default)]
struct Held {
    bytes: u64,
    cost: Cost,
}

impl Report {
    pub(super) fn new(samples: &Samples<'_>, dictionary: &[u8]) -> io::Result<Self> {
        let mut zstd = Compressor::new(LEVEL)?;
        let mut with_dictionary = Compressor::with_dictionary(LEVEL, dictionary)?;
        let records = &samples.held_out;
        Ok(Self {
            id: zstd_safe::get_dict_id_from_dict(dictionary),
            len: dictionary.len(),
            trained: samples.sizes.len(),
            trained_bytes: samples.training.len(),
            held_out: records.len(),
            short: records.iter().filter(|record| record.data.len() < THRESHOLD).count(),
            plain: Held::new(records, |_| Ok(Vec::new()))?,
            zstd: Held::new(records, |data| zstd.compress(data))?,
            dictionary: Held::new(records, |data| with_dictionary.compress(data))?,
            text: String::new(),
        })
    }

    /// Says what speaks against the dictionary.
    pub(super) fn warn(&self) {
        let (without, with) = (self.zstd.bytes as f64, self.dictionary.bytes as f64);
        if with > without * (1.0 - WORTH / 100.0) {
            tell(format_args!(
                "the dictionary hardly helps: with it, compressed data takes {:.1} % of what it takes without it",
                100.0 * with / without.max(1.0)
            ));
        }
        if self.trained_bytes < 10 * self.len {
            tell(format_args!(
                "the dictionary was trained with {}, less than 10 times its size: more user records, or a smaller --size, may make a better one",
                count(self.trained_bytes as u64, "byte")
            ));
        }
    }

    pub(super) fn draw(mut self, file: &str) -> String {
        let (len, id) = (count(self.len as u64, "byte"), self.id.map_or(0, NonZeroU32::get));
        line!(
            self,
            "{}: {len}, id {id}",
            styled(HEADING, crate::terminal::escaped(file))
        );
        let trained = thousands(self.trained as u64);
        line!(
            self,
            "trained with {trained} user records, {} held out:",
            thousands(self.held_out as u64)
        );
        line!(self);
        let head = format!(
            "{:22}{:>14}{:>12}{:>10}{:>20}",
            "", "bytes", "per record", "saved", "PUT payload units"
        );
        line!(self, "{}", styled(FAINT, head));
        for (name, held) in [
            ("as they are", self.plain),
            ("zstd", self.zstd),
            ("zstd, this dictionary", self.dictionary),
        ] {
            let saved = percent(self.plain.bytes.saturating_sub(held.bytes), self.plain.bytes);
            line!(
                self,
                "{name:22}{:>14}{:>12.1}{saved:>10}{:>20}",
                thousands(held.bytes),
                held.bytes as f64 / self.held_out.max(1) as f64,
                thousands(held.cost.put_payload_units),
            );
        }
        line!(self);
        line!(
            self,
            "PUT payload units: in aggregated records of {} bytes",
            thousands(AGGREGATED as u64)
        );
        if self.short > 0 {
            line!(self);
            line!(
                self,
                "shorter than {THRESHOLD} bytes: {} of {} held-out user records. The codec Zstd leaves such data as it is;",
                thousands(self.short as u64),
                thousands(self.held_out as u64)
            );
            line!(
                self,
                "it shrinks as shown only if the program sets CompressionOptions::THRESHOLD lower."
            );
        }
        self.text
    }
}

impl Held {
    /// Counts what the user records take. Those that do not shrink stay as they are.
    fn new(records: &[RawRecord], mut compress: impl FnMut(&[u8]) -> io::Result<Vec<u8>>) -> io::Result<Self> {
        let mut repacked = Repacked::new(AGGREGATED, 1).map_err(io::Error::other)?;
        let mut bytes = 0;
        for record in records {
            let compressed = compress(&record.data)?;
            let shrinks = !compressed.is_empty() && compressed.len() < record.data.len();
            let data = if shrinks { &compressed } else { &record.data };
            bytes += data.len() as u64;
            repacked.add(
                &RawRecord::new(record.partition_key.as_deref().unwrap_or_default(), data.as_slice()),
                0,
            );
        }
        Ok(Self {
            bytes,
            cost: repacked.cost(),
        })
    }
}

#[cfg(test)]
mod tests {
    use kpl_core::codec::{CompressionOptions, DefaultCompression};

    #[test]
    fn the_threshold_is_the_default_of_the_codec() {
        assert_eq!(super::THRESHOLD, DefaultCompression::THRESHOLD);
    }
}
