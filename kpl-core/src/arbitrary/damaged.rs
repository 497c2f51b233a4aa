//! Arbitrary values, aggregated and damaged: nothing is lost, and nobody else pays.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::cell::OnceCell;
use core::fmt;

use ::arbitrary::{Arbitrary, Result, Unstructured};

use super::check::{self, Sent, Source};
use super::damage::Harm;
use super::{Damage, IntactBatch, Options};
use crate::{FromKplRecord, KinesisRecord, KplRecord, LARGEST_MAX_SIZE, SealedRecord};

/// The Kinesis records of an [`IntactBatch`] as a stream might give them after all: some damaged, some twice, plain
/// records of other producers in between.
///
/// [`check`](Self::check) reads them. To fuzz your own consumer, feed it [`kinesis_records`](Self::kinesis_records).
///
/// ```
/// use kpl_core::RawRecord;
/// use kpl_core::arbitrary::{Change, Damage, DamagedBatch, IntactBatch, Options};
///
/// let values = [RawRecord::new("abc", "one"), RawRecord::new("def", "two")];
/// let intact = IntactBatch::new(values, &Options::default())?;
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

/// What each [`check`](DamagedBatch::check) made of values that it read. Here, so that values can borrow from it.
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
    /// As in [`Source`].
    contents: Option<Vec<Option<usize>>>,
}

impl<T> DamagedBatch<T> {
    /// The same records, with no damage yet.
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

    /// The same records, with this damage done to one of them. A place beyond the last counts from the first again.
    #[must_use]
    pub fn damage(mut self, record: usize, damage: Damage) -> Self {
        let place = record.checked_rem(self.records.len()).unwrap_or(0);
        if let Some(record) = self.records.get_mut(place) {
            record.damage(damage);
        }
        self
    }

    /// The same records, and a record of another producer at this place, or at the end.
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

    /// The same records, and one of them twice, as after a retry. A place beyond the last counts from the first again.
    #[must_use]
    pub fn repeat(mut self, record: usize) -> Self {
        let place = record.checked_rem(self.records.len()).unwrap_or(0);
        if let Some(record) = self.records.get(place).cloned() {
            self.records.insert(place, record);
            self.number();
        }
        self
    }

    /// Gives the records their sequence numbers.
    fn number(&mut self) {
        for (place, record) in self.records.iter_mut().enumerate() {
            record.sequence_number = (place + 1).to_string();
        }
    }

    /// The values, and what the aggregator made of them before any damage.
    #[must_use]
    pub fn intact(&self) -> &IntactBatch<T> {
        &self.intact
    }

    /// The records, and what happened to each.
    #[must_use]
    pub fn records(&self) -> &[DamagedRecord] {
        &self.records
    }

    /// The records as a stream gives them, with the sequence numbers 1, 2, 3, ...
    #[must_use]
    pub fn kinesis_records(&self) -> Vec<KinesisRecord<'_>> {
        self.records.iter().map(DamagedRecord::kinesis_record).collect()
    }

    /// The values that no damage touched: they must come back, in this order.
    ///
    /// To check a consumer of your own.
    pub fn untouched(&self) -> impl Iterator<Item = &T> {
        let known = self.records.iter().flat_map(|record| record.contents.iter().flatten());
        known.filter_map(|value| self.intact.values().get((*value)?))
    }

    /// Reads the batch. Nothing may panic; every user record comes out once and in order, as a value or as an error,
    /// with all its bytes; every value that no damage touched comes back, equal and with its keys. And what was read
    /// from damaged bytes as a value can be written, and reads as an equal value again.
    ///
    /// For values that are no simple matter to compare: [`IntactBatch::check`].
    ///
    /// # Panics
    ///
    /// If one of that is not so: then it says what, and what the damage was.
    #[track_caller]
    pub fn check<'s>(&'s self)
    where
        T: KplRecord + FromKplRecord<'s> + PartialEq + fmt::Debug,
    {
        self.check_by(T::eq);
    }

    /// As [`check`](Self::check), with your own word on whether the value that came back, the second, is the one that
    /// was sent, the first.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
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

        // A NaN, which damage can make of any number, is no finding.
        read.retain(|value| same(value, value));
        let options = Options::default().max_size(LARGEST_MAX_SIZE).wrap_single(true);
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

    /// The record as a stream gives it.
    #[must_use]
    pub fn kinesis_record(&self) -> KinesisRecord<'_> {
        let mut record = KinesisRecord::new(&self.data).with_sequence_number(&self.sequence_number);
        record.partition_key = self.partition_key.as_deref();
        record
    }
}

/// The bytes are not shown, only how many there are.
impl fmt::Debug for DamagedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DamagedRecord")
            .field("len", &self.data.len())
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

/// What is done to a batch that is not made yet.
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
