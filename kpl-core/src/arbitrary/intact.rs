//! Arbitrary values, aggregated: what is written must be read back.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use ::arbitrary::{Arbitrary, Error, Result, Unstructured};

use super::check::{self, Sent, Source};
use crate::{AggregateError, AggregatorBuilder, FromKplRecord, InvalidOption, KinesisRecord, KplRecord, SealedRecord};

/// Arbitrary values of a type, and the Kinesis records that an aggregator with arbitrary options packed them into.
///
/// [`check`](Self::check) reads the Kinesis records and compares: use it in a fuzz target for your type, or in a plain
/// test with values of your own. To fuzz your own consumer, feed it [`kinesis_records`](Self::kinesis_records).
///
/// ```
/// use kpl_core::arbitrary::IntactBatch;
/// use kpl_core::{Aggregator, RawRecord};
///
/// let values = [RawRecord::new("abc", "one"), RawRecord::new("def", "two")];
/// let batch = IntactBatch::new(values, &Aggregator::builder())?;
/// assert_eq!(batch.sealed().len(), 1);
/// batch.check();
/// # Ok::<(), kpl_core::InvalidOption>(())
/// ```
pub struct IntactBatch<T> {
    options: AggregatorBuilder<T>,
    values: Vec<T>,
    refused: Vec<Refused<T>>,
    sealed: Vec<SealedRecord>,
    sequence_numbers: Vec<String>,
}

/// A value that the aggregator did not accept, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refused<T> {
    /// The value.
    pub value: T,
    /// Why the aggregator did not accept it.
    pub error: AggregateError,
}

impl<T> IntactBatch<T> {
    /// Aggregates these values.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] if an option is out of its range.
    pub fn new(
        values: impl IntoIterator<Item = T>,
        options: &AggregatorBuilder<T>,
    ) -> core::result::Result<Self, InvalidOption>
    where
        T: KplRecord,
    {
        let mut aggregator = options.clone().build()?;
        let (mut accepted, mut refused, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        for value in values {
            match aggregator.push(&value) {
                Ok(full) => {
                    sealed.extend(full);
                    accepted.push(value);
                }
                Err(error) => refused.push(Refused { value, error }),
            }
        }
        sealed.extend(aggregator.finish());
        Ok(Self {
            options: options.clone(),
            values: accepted,
            refused,
            sequence_numbers: (1..=sealed.len()).map(|number| number.to_string()).collect(),
            sealed,
        })
    }

    /// Returns the values that the aggregator accepted, in order.
    #[must_use]
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// Returns the values that the aggregator did not accept: those whose key is not a valid partition key, those that
    /// are too large, and those that their codec cannot write, which [`check`](Self::check) reports.
    #[must_use]
    pub fn refused(&self) -> &[Refused<T>] {
        &self.refused
    }

    /// Returns the options of the aggregator.
    pub const fn options(&self) -> &AggregatorBuilder<T> {
        &self.options
    }

    /// Returns the records that the aggregator returned.
    #[must_use]
    pub fn sealed(&self) -> &[SealedRecord] {
        &self.sealed
    }

    /// Returns the records as a stream delivers them, with the sequence numbers 1, 2, 3, ...
    #[must_use]
    pub fn kinesis_records(&self) -> Vec<KinesisRecord<'_>> {
        let numbered = self.sealed.iter().zip(&self.sequence_numbers);
        numbered
            .map(|(sealed, number)| KinesisRecord::from(sealed).with_sequence_number(number))
            .collect()
    }

    /// Reads the batch: every value must come back, equal and in order, with its keys.
    ///
    /// A value that does not equal itself, such as a NaN, or that comes back changed on purpose needs
    /// [`check_by`](Self::check_by). A value that the codec cannot restore at all (for Json, a NaN that is not in an
    /// `Option`) is a loss that this check exists to find; if it cannot occur in practice, exclude it with
    /// `#[arbitrary(with = ...)]`.
    ///
    /// Readers do not receive the explicit hash key of a lone record that is sent raw: a
    /// [`RawRecord`](crate::RawRecord) comes back without it, unless the options say `wrap_single`.
    ///
    /// # Panics
    ///
    /// Panics if a value cannot be written, does not come back, or comes back as another one. The message says which.
    #[track_caller]
    pub fn check<'s>(&'s self)
    where
        T: KplRecord + FromKplRecord<'s> + PartialEq + fmt::Debug,
    {
        self.check_by(T::eq);
    }

    /// Does what [`check`](Self::check) does, with your own comparison of the value that was sent, the first, and the
    /// value that came back, the second.
    ///
    /// # Panics
    ///
    /// See [`check`](Self::check).
    #[track_caller]
    pub fn check_by<'s>(&'s self, same: impl Fn(&T, &T) -> bool)
    where
        T: KplRecord + FromKplRecord<'s> + fmt::Debug,
    {
        check::check_written(&self.refused, "a value");
        let contents: Vec<Vec<_>> = self.contents().map(|values| values.map(Some).collect()).collect();
        let sources = self.kinesis_records().into_iter().zip(&contents);
        let sources = sources.map(|(record, contents)| Source {
            record,
            damages: &[],
            contents: Some(contents),
        });
        let sent = Sent {
            values: &self.values,
            name: "value",
        };
        check::check(&sources.collect::<Vec<_>>(), &sent, same);
    }

    /// Returns which values are in each of the sealed records.
    pub(super) fn contents(&self) -> impl Iterator<Item = core::ops::Range<usize>> {
        let mut next = 0;
        self.sealed.iter().map(move |sealed| {
            let start = next;
            next += sealed.user_records;
            start..next
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for IntactBatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths: Vec<usize> = self.sealed.iter().map(|sealed| sealed.data.len()).collect();
        f.debug_struct("IntactBatch")
            .field("options", &self.options)
            .field("values", &self.values)
            .field("refused", &self.refused)
            .field("sealed_lengths", &lengths)
            .finish()
    }
}

impl<'a, T: Arbitrary<'a> + KplRecord> Arbitrary<'a> for IntactBatch<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let options = u.arbitrary()?;
        // If the remaining bytes are not enough for a value, the batch is built from the others.
        let values: Vec<T> = u.arbitrary_iter()?.filter_map(Result::ok).collect();
        Self::new(values, &options).map_err(|_| Error::IncorrectFormat)
    }

    fn arbitrary_take_rest(mut u: Unstructured<'a>) -> Result<Self> {
        let options = u.arbitrary()?;
        let values: Vec<T> = u.arbitrary_take_rest_iter()?.filter_map(Result::ok).collect();
        Self::new(values, &options).map_err(|_| Error::IncorrectFormat)
    }
}
