//! An aggregate under construction: when it is full, and in which form it is sent.

use alloc::string::String;
use alloc::vec::Vec;

use super::AggregateError;
use super::options::Options;
use super::seal::{Effective, Unsealed, UnsealedRecord};
use crate::key::{HashKey, PartitionKey};
use crate::record::KplRecord;
use crate::wire::{MAGIC, Parts, Tags, Writer};

/// Buffers for writing a record before it is known to fit. Once warm, they do not allocate.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    partition_key: String,
    payload: Vec<u8>,
    tags: Tags<'static>,
}

/// A user record as it will be pushed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded<'a> {
    pub(crate) parts: Parts<'a>,
    pub(crate) always_wrapped: bool,
}

impl Buffers {
    #[inline]
    pub(crate) fn encode<'a, T: KplRecord>(&'a mut self, record: &'a T) -> Result<Encoded<'a>, AggregateError> {
        self.partition_key.clear();
        self.payload.clear();
        self.tags.clear();
        record.tags(&mut self.tags)?;
        let partition_key = record.partition_key(&mut self.partition_key)?;
        PartitionKey::check(partition_key)?;
        Ok(Encoded {
            parts: Parts {
                partition_key,
                explicit_hash_key: record.explicit_hash_key()?,
                data: record.payload(&mut self.payload)?,
                tags: &self.tags,
            },
            always_wrapped: record.always_wrapped(),
        })
    }
}

/// An aggregate under construction, and the rules for when it is full and in which form it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Packer {
    pub(super) options: Options,
    writer: Writer,
    /// The explicit hash key of the first record.
    first_explicit: Option<HashKey>,
    /// The most bytes that the data of the aggregate may have. 0 if there is no aggregate: then nothing fits in.
    limit: usize,
    /// The length of the first record's data, if it would be sent raw if it stayed alone.
    raw_len: Option<usize>,
    /// Whether a record is held that must be wrapped even when alone.
    always_wrapped: bool,
}

impl Packer {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            writer: Writer::default(),
            first_explicit: None,
            limit: 0,
            raw_len: None,
            always_wrapped: false,
        }
    }

    /// Adds a record, and returns the aggregate that this completed, if any.
    #[inline]
    pub(crate) fn push(&mut self, record: &Encoded<'_>) -> Result<Option<UnsealedRecord>, AggregateError> {
        if self.push_small(record) {
            return Ok(None);
        }
        self.check_alone(record)?;
        Ok(self.add(record))
    }

    /// Does all that there is to do for most records: adds one that is small and has neither an explicit hash key nor
    /// tags to the aggregate that is held. Returns false, and does nothing, if there is more to do.
    #[inline]
    fn push_small(&mut self, record: &Encoded<'_>) -> bool {
        let Parts {
            partition_key,
            explicit_hash_key: None,
            data,
            ..
        } = record.parts
        else {
            return false;
        };
        let small = self.is_small(record)
            && self.count() + 1 < self.options.max_count
            && self.writer.push_small(partition_key, data, self.limit);
        self.always_wrapped |= small & record.always_wrapped;
        small
    }

    /// Checks that a record is small enough on its own. This must hold no matter what is held: it may have to be sent
    /// alone.
    pub(crate) fn check_alone(&self, record: &Encoded<'_>) -> Result<(), AggregateError> {
        if self.is_small(record) {
            return Ok(());
        }
        self.check_alone_exactly(record)
    }

    /// Returns whether a record is small enough on its own, without knowing its exact size.
    #[inline]
    fn is_small(&self, record: &Encoded<'_>) -> bool {
        // Framing, an explicit hash key, and an outer partition key of 256 characters take less than this.
        const MORE_THAN_ALL_ELSE: usize = 2048;
        let parts = &record.parts;
        let rough = parts.data.len() + parts.partition_key.len() + MORE_THAN_ALL_ELSE;
        rough <= self.options.max_size && parts.tags.is_empty()
    }

    fn check_alone_exactly(&self, record: &Encoded<'_>) -> Result<(), AggregateError> {
        let own_key = record.parts.partition_key;
        let size = if self.may_be_raw(record) {
            record.parts.data.len() + own_key.len()
        } else {
            let outer_key = self.options.outer_partition_key.as_ref();
            Writer::size_alone(&record.parts) + outer_key.map_or(own_key, PartitionKey::as_str).len()
        };
        let max_size = self.options.max_size;
        if size > max_size {
            return Err(AggregateError::TooLarge {
                partition_key: own_key.into(),
                size,
                max_size,
            });
        }
        Ok(())
    }

    /// Adds a record that passed [`check_alone`](Self::check_alone), and returns the aggregate that this completed, if
    /// any.
    pub(crate) fn add(&mut self, record: &Encoded<'_>) -> Option<UnsealedRecord> {
        if self.fit_in(record) {
            self.take_if_full()
        } else {
            self.start_next(record)
        }
    }

    /// Adds a record to the aggregate that is held. Returns false if there is none, or if the record does not fit in.
    fn fit_in(&mut self, record: &Encoded<'_>) -> bool {
        let plan = self.writer.plan(&record.parts);
        let fits = self.writer.size() + plan.added <= self.limit;
        if fits {
            self.always_wrapped |= record.always_wrapped;
            self.writer.push(&record.parts, &plan);
        }
        fits
    }

    /// Takes what is held, if anything, and starts the next aggregate with a record.
    #[cold]
    fn start_next(&mut self, record: &Encoded<'_>) -> Option<UnsealedRecord> {
        let full = self.take();
        let parts = &record.parts;
        self.first_explicit = parts.explicit_hash_key;
        self.raw_len = self.may_be_raw(record).then_some(parts.data.len());
        self.always_wrapped = record.always_wrapped;
        let plan = self.writer.plan(parts);
        self.writer.push(parts, &plan);
        self.limit = self.options.max_size.saturating_sub(self.outer_key_len());
        // Only a maximum count of 1 makes the new one full, and then nothing was held.
        full.or_else(|| self.take_if_full())
    }

    /// Takes what is held, if the maximum count is reached.
    #[inline]
    fn take_if_full(&mut self) -> Option<UnsealedRecord> {
        if self.count() >= self.options.max_count {
            self.take()
        } else {
            None
        }
    }

    /// Calls `each` with every record that is held.
    pub(crate) fn for_each_record(&self, mut each: impl FnMut(Encoded<'_>)) {
        self.writer.for_each(|parts| {
            each(Encoded {
                parts,
                always_wrapped: self.always_wrapped,
            });
        });
    }

    fn may_be_raw(&self, record: &Encoded<'_>) -> bool {
        let Encoded { parts, always_wrapped } = record;
        !(self.options.wrap_single || *always_wrapped || !parts.tags.is_empty() || parts.data.starts_with(&MAGIC))
    }

    /// Returns the length of the data that would be sent raw now.
    fn raw_len(&self) -> Option<usize> {
        self.raw_len.filter(|_| self.writer.count() == 1)
    }

    pub(crate) const fn count(&self) -> usize {
        self.writer.count()
    }

    fn is_empty(&self) -> bool {
        self.writer.count() == 0
    }

    pub(crate) fn data_size(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        self.raw_len().unwrap_or_else(|| self.writer.size())
    }

    pub(crate) fn size(&self) -> usize {
        match self.data_size() {
            _ if self.is_empty() => 0,
            size if self.raw_len().is_some() => size + self.writer.first_partition_key_len(),
            size => size + self.outer_key_len(),
        }
    }

    /// Returns the length of the partition key under which the aggregate is sent.
    #[inline]
    fn outer_key_len(&self) -> usize {
        match &self.options.outer_partition_key {
            Some(key) => key.as_str().len(),
            None => self.writer.first_partition_key_len(),
        }
    }

    /// Takes what is held.
    #[cold]
    pub(crate) fn take(&mut self) -> Option<UnsealedRecord> {
        let first = PartitionKey::new(self.writer.first_partition_key()).ok()?.into_owned();
        let raw_len = self.raw_len();
        let user_records = self.writer.count();
        self.limit = 0;
        let effective = match self.first_explicit {
            Some(key) => Effective::Explicit(key),
            None => Effective::OfPartitionKey(first.clone()),
        };
        let (data, partition_key) = match raw_len {
            Some(len) => {
                let data = self.writer.last_data(len).to_vec();
                self.writer.clear();
                (data, first)
            }
            None => (
                self.writer.take(),
                self.options.outer_partition_key.clone().unwrap_or(first),
            ),
        };
        Some(UnsealedRecord::new(Unsealed {
            data,
            partition_key,
            effective,
            user_records,
            aggregated: raw_len.is_none(),
        }))
    }
}
