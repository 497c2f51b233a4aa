//! Arbitrary values, aggregated and damaged: nothing is lost, and damage affects nothing else.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::cell::OnceCell;
use core::fmt;

use ::arbitrary::{Arbitrary, Result, Unstructured};

use super::check::{self, Sent, Source};
use super::damage::Harm;
use super::{Damage, IntactBatch};
use crate::debug::ByteCount;
use crate::{AggregatorBuilder, FromKplRecord, KinesisRecord, KplRecord, MAX_RECORD_SIZE, SealedRecord};

/// The Kinesis records of an [`IntactBatch`] as a stream might deliver them: some damaged, some twice, with plain
/// records of other producers in between.
///
/// [`check`](Self::check) reads them. To fuzz your own consumer, feed it [`kinesis_records`](Self::kinesis_records).
///
/// ```
/// use kpl_core::arbitrary::{Change, Damage, DamagedBatch, IntactBatch};
/// use kpl_core::{Aggregator, RawRecord};
///
/// let values = [RawRecord::new("abc", "one"), RawRecord::new("def", "two")];
/// let intact = IntactBatch::new(values, &Aggregator::builder())?;
/// let damage = Damage::Payload { user_record: 0, change: Change::Truncate { len: 1 } };
/// let batch = DamagedBatch::new(intact).damage(0, damage).plain(1, "from someone else");
/// assert_eq!(batch.kinesis_records().len(), 2);
/// batch.check();
/// # Ok::<(), kpl_core::InvalidOption>(())
/// ```
pub struct DamagedBatch<T> {
    intact: IntactBatch<T>,
    records: Vec<DamagedRecord>,
    rewritten: Rewritten,
}

/// The values that each [`check`](DamagedBatch::check) read, aggregated again. They are kept so that values can borrow
/// from them.
#[derive(Default)]
struct Rewritten(OnceCell<(Vec<SealedRecord>, Box<Rewritten>)>);

impl Rewritten {
    fn keep(&self, sealed: Vec<SealedRecord>) -> &[SealedRecord] {
        let mut last = self;
        while let Some((_, next)) = last.0.get() {
            last = next;
        }
        &last.0.get_or_init(|| (sealed, Box::default())).0
    }
}

/// A Kinesis record of a [`DamagedBatch`], which may be damaged or not.
#[derive(Clone)]
#[non_exhaustive]
pub struct DamagedRecord {
    /// The data.
    pub data: Vec<u8>,
    /// The partition key.
    pub partition_key: Option<String>,
    /// What happened to it, in this order.
    pub damages: Vec<Damage>,
    sequence_number: String,
    /// See [`Source`].
    contents: Option<Vec<Option<usize>>>,
}

impl<T> DamagedBatch<T> {
    /// Returns the same records, without any damage yet.
    #[must_use]
    pub fn new(intact: IntactBatch<T>) -> Self {
        let sealed = intact.sealed().iter().zip(intact.contents());
        let records = sealed.map(|(sealed, values)| DamagedRecord {
            data: sealed.data.clone(),
            partition_key: Some(sealed.partition_key.to_string()),
            damages: Vec::new(),
            sequence_number: String::new(),
            contents: Some(values.map(Some).collect()),
        });
        let records = records.collect();
        let mut batch = Self {
            intact,
            records,
            rewritten: Rewritten::default(),
        };
        batch.number();
        batch
    }

    /// Returns the same records, with this damage done to one of them. An index beyond the last starts again at the
    /// first.
    #[must_use]
    pub fn damage(mut self, record: usize, damage: Damage) -> Self {
        let place = record.checked_rem(self.records.len()).unwrap_or(0);
        if let Some(record) = self.records.get_mut(place) {
            record.damage(damage);
        }
        self
    }

    /// Returns the same records, with a record of another producer at this index, or at the end.
    #[must_use]
    pub fn plain(mut self, at: usize, data: impl Into<Vec<u8>>) -> Self {
        let record = DamagedRecord {
            data: data.into(),
            partition_key: Some("plain".into()),
            damages: Vec::new(),
            sequence_number: String::new(),
            contents: None,
        };
        self.records.insert(at.min(self.records.len()), record);
        self.number();
        self
    }

    /// Returns the same records, with one of them twice, as after a retry. An index beyond the last starts again at the
    /// first.
    #[must_use]
    pub fn repeat(mut self, record: usize) -> Self {
        let place = record.checked_rem(self.records.len()).unwrap_or(0);
        if let Some(record) = self.records.get(place).cloned() {
            self.records.insert(place, record);
            self.number();
        }
        self
    }

    /// Numbers the records.
    fn number(&mut self) {
        for (place, record) in self.records.iter_mut().enumerate() {
            record.sequence_number = (place + 1).to_string();
        }
    }

    /// Returns the values, and the records that the aggregator packed them into, before any damage.
    #[must_use]
    pub fn intact(&self) -> &IntactBatch<T> {
        &self.intact
    }

    /// Returns the records, and what happened to each.
    #[must_use]
    pub fn records(&self) -> &[DamagedRecord] {
        &self.records
    }

    /// Returns the records as a stream delivers them, with the sequence numbers 1, 2, 3, ...
    #[must_use]
    pub fn kinesis_records(&self) -> Vec<KinesisRecord<'_>> {
        self.records.iter().map(DamagedRecord::kinesis_record).collect()
    }

    /// Returns the values that are not damaged, for checks of your own consumer: they must come back, in this order.
    pub fn untouched(&self) -> impl Iterator<Item = &T> {
        let known = self.records.iter().flat_map(|record| record.contents.iter().flatten());
        known.filter_map(|value| self.intact.values().get((*value)?))
    }

    /// Reads the batch. Nothing may panic. Every user record must be returned once and in order, as a value or as an
    /// error, with all its bytes. Every value that no damage touched must be returned equal and with its keys. Values
    /// that were read from damaged bytes must be writable, and must read as equal values again.
    ///
    /// [`IntactBatch::check`] says what to do with values that cannot be compared by `==`.
    ///
    /// # Panics
    ///
    /// Panics if any of this does not hold. The message says what failed, and what the damage was.
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
        let sources: Vec<_> = self.records.iter().map(DamagedRecord::source).collect();
        let sent = Sent {
            values: self.intact.values(),
            name: "value",
        };
        let mut read = check::check(&sources, &sent, &same);

        // Damage can turn any number into a NaN: that is not a finding.
        read.retain(|value| same(value, value));
        let options = AggregatorBuilder::default().max_size(MAX_RECORD_SIZE).wrap_single(true);
        let Ok(again) = IntactBatch::new(read, &options) else {
            return;
        };
        check::check_written(again.refused(), "a value that was read from damaged bytes");
        let sealed = self.rewritten.keep(again.sealed().to_vec());
        let contents: Vec<Vec<_>> = again.contents().map(|values| values.map(Some).collect()).collect();
        let sources = sealed.iter().zip(&contents).map(|(sealed, contents)| Source {
            record: KinesisRecord::from(sealed),
            damages: &[],
            contents: Some(contents),
        });
        let sent = Sent {
            values: again.values(),
            name: "a value that was read from damaged bytes, the one in place",
        };
        check::check(&sources.collect::<Vec<_>>(), &sent, &same);
    }
}

impl DamagedRecord {
    fn damage(&mut self, damage: Damage) {
        let (data, harm) = damage.apply(&self.data);
        self.data = data;
        if damage == Damage::NoPartitionKey {
            self.partition_key = None;
        }
        self.damages.push(damage);
        match (harm, &mut self.contents) {
            (Harm::All, contents) => *contents = None,
            (Harm::Empty, Some(contents)) => contents.clear(),
            (Harm::UserRecord(place), Some(contents)) => {
                if let Some(value) = contents.get_mut(place) {
                    *value = None;
                }
            }
            (Harm::None, _) | (_, None) => {}
        }
    }

    fn source(&self) -> Source<'_, '_> {
        Source {
            record: self.kinesis_record(),
            damages: &self.damages,
            contents: self.contents.as_deref(),
        }
    }

    /// Returns the record as a stream delivers it.
    #[must_use]
    pub fn kinesis_record(&self) -> KinesisRecord<'_> {
        let mut record = KinesisRecord::new(&self.data).with_sequence_number(&self.sequence_number);
        record.partition_key = self.partition_key.as_deref();
        record
    }
}

impl fmt::Debug for DamagedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DamagedRecord")
            .field("data", &ByteCount(self.data.len()))
            .field("partition_key", &self.partition_key)
            .field("damages", &self.damages)
            .finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for DamagedBatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DamagedBatch")
            .field("intact", &self.intact)
            .field("records", &self.records)
            .finish()
    }
}

/// A step of building a batch.
enum Step {
    Damage(u8, Damage),
    Plain(u8, Vec<u8>),
    Repeat(u8),
}

impl Arbitrary<'_> for Step {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        let (kind, at) = u.arbitrary::<(u8, u8)>()?;
        Ok(match kind {
            0..=207 => Self::Damage(at, u.arbitrary()?),
            208..=231 => Self::Plain(at, u.arbitrary()?),
            232.. => Self::Repeat(at),
        })
    }
}

impl Step {
    fn some(u: &mut Unstructured<'_>) -> Result<Vec<Self>> {
        (0..u.int_in_range(0..=4_u8)?).map(|_| u.arbitrary()).collect()
    }

    fn apply<T>(self, batch: DamagedBatch<T>) -> DamagedBatch<T> {
        match self {
            Self::Damage(record, damage) => batch.damage(record.into(), damage),
            Self::Plain(at, data) => batch.plain(at.into(), data),
            Self::Repeat(record) => batch.repeat(record.into()),
        }
    }
}

impl<'a, T: Arbitrary<'a> + KplRecord> Arbitrary<'a> for DamagedBatch<T> {
    // The values come last, so that a change among them does not change the damage.
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let steps = Step::some(u)?;
        Ok(steps
            .into_iter()
            .fold(Self::new(u.arbitrary()?), |batch, step| step.apply(batch)))
    }

    fn arbitrary_take_rest(mut u: Unstructured<'a>) -> Result<Self> {
        let steps = Step::some(&mut u)?;
        let intact = IntactBatch::arbitrary_take_rest(u)?;
        Ok(steps
            .into_iter()
            .fold(Self::new(intact), |batch, step| step.apply(batch)))
    }
}
