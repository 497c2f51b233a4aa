//! Received records: user records that own everything that is known about them, and those that could not be decoded.
//!
//! However records are read (with kpl-lambda, kpl-kcl, the reader of kpl-stream, or something else), the same function can
//! handle them: each is the same [`Received<T>`].

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::iter::FusedIterator;

use crate::deaggregate::{Counts, DeaggregateError, DeaggregateErrorKind, Deaggregated, Records};
use crate::key::HashKey;
use crate::position::Position;
use crate::record::{EncryptionType, FromKplRecord, KinesisRecord, UserRecord};
use crate::timestamp::Timestamp;
use crate::trace::TraceContext;
use crate::wire::{Malformed, Tags};

/// A user record as a value of its type, with everything that is known about it. It does not borrow, unless the value
/// does.
///
/// Handlers are written once, for this type, and work wherever records are received:
///
/// ```
/// use kpl_core::{KinesisRecord, Received, RawRecord};
///
/// async fn handle(record: Received<RawRecord>) -> Result<(), std::io::Error> {
///     if let Some(position) = record.position() {
///         println!("{position}: {} bytes", record.value.data.len());
///     }
///     Ok(())
/// }
/// ```
///
/// To test a handler, build a record with [`Received::new`]:
///
/// ```
/// use kpl_core::{Origin, RawRecord, Received, UserRecord};
///
/// let user_record = UserRecord::new("abc", b"some bytes");
/// let origin = Origin::of(&user_record.kinesis_record).with_shard_id("shardId-000000000000");
/// let record = Received::new(RawRecord::from(&user_record), &user_record, origin);
/// assert_eq!(record.partition_key(), Some("abc"));
/// assert_eq!(record.shard_id(), Some("shardId-000000000000"));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Received<T> {
    /// The value.
    pub value: T,
    details: Details,
}

/// What is known about a received record beside its value.
#[derive(Clone, Debug, PartialEq)]
struct Details {
    origin: Arc<Origin>,
    kinesis_record_index: usize,
    sub_sequence_number: u64,
    partition_key: Option<String>,
    explicit_hash_key: Option<HashKey>,
    tags: Tags<'static>,
    aggregated: bool,
    malformed: Option<Malformed>,
}

impl<T> Received<T> {
    /// Reads the value of a user record that another program has taken out of its aggregate, as the Kinesis Client Library
    /// does. Its data is the payload, even if it starts with the magic of an aggregate.
    ///
    /// ```
    /// use kpl_core::{KinesisRecord, Origin, RawRecord, Received, UserRecord};
    ///
    /// let record = KinesisRecord::new(b"some bytes").with_partition_key("abc").with_sequence_number("4950");
    /// let mut record = UserRecord::from(record);
    /// record.sub_sequence_number = 3;
    /// let received = Received::<RawRecord>::read(&record, Origin::of(&record.kinesis_record))?;
    /// assert_eq!(received.position(), Some("4950:3".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Undecodable`], which holds the data, if it is not a valid value.
    pub fn read<'de>(record: &UserRecord<'de>, origin: impl Into<Arc<Origin>>) -> Result<Self, Undecodable>
    where
        T: FromKplRecord<'de>,
    {
        match T::from_user_record(record) {
            Ok(value) => Ok(Self::new(value, record, origin)),
            Err(error) => {
                let error = DeaggregateError::new(record, DeaggregateErrorKind::Read(error));
                Err(Undecodable::new(error, origin))
            }
        }
    }

    /// Returns a value as a received record, with the keys, the tags and the position of the user record that it was
    /// read from.
    pub fn new(value: T, record: &UserRecord<'_>, origin: impl Into<Arc<Origin>>) -> Self {
        let origin = origin.into();
        let details = Details {
            kinesis_record_index: record.kinesis_record_index,
            sub_sequence_number: origin.sub_sequence_number.saturating_add(record.sub_sequence_number),
            origin,
            partition_key: record.partition_key.map(Into::into),
            explicit_hash_key: record.explicit_hash_key,
            tags: record.tags().into_owned(),
            aggregated: record.aggregated,
            malformed: record.malformed,
        };
        Self { value, details }
    }

    /// Returns the value, and everything else that is known about the record: for handlers that move the value
    /// elsewhere and refer to the record afterwards.
    pub fn into_parts(self) -> (T, Received<()>) {
        let Self { value, details } = self;
        (value, Received { value: (), details })
    }

    /// Returns the same record with another value, which is computed from this one.
    #[must_use]
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Received<U> {
        Received {
            value: f(self.value),
            details: self.details,
        }
    }

    /// Returns the Kinesis record that it is, or that contained it. All user records of one aggregate share it.
    #[must_use]
    pub const fn origin(&self) -> &Arc<Origin> {
        &self.details.origin
    }

    /// Returns the index of that Kinesis record in the batch that was read: an answer of GetRecords, or an event. The
    /// first is 0.
    #[must_use]
    pub const fn kinesis_record_index(&self) -> usize {
        self.details.kinesis_record_index
    }

    /// Returns the stream, as its reader named it: see [`Origin::stream`].
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        self.details.origin.stream.as_deref()
    }

    /// Returns the shard.
    #[must_use]
    pub fn shard_id(&self) -> Option<&str> {
        self.details.origin.shard_id.as_deref()
    }

    /// Returns the sequence number of the Kinesis record.
    #[must_use]
    pub fn sequence_number(&self) -> Option<&str> {
        self.details.origin.sequence_number.as_deref()
    }

    /// Returns its index among the records of its aggregate, or 0 if it was not in one.
    #[must_use]
    pub const fn sub_sequence_number(&self) -> u64 {
        self.details.sub_sequence_number
    }

    /// Returns its position in its shard, if the Kinesis record has a sequence number that consists of digits.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.details.origin.position(self.details.sub_sequence_number)
    }

    /// Returns the partition key. Records of streams whose record distribution strategy is AUTO may not have one.
    #[must_use]
    pub fn partition_key(&self) -> Option<&str> {
        self.details.partition_key.as_deref()
    }

    /// Returns the explicit hash key, if it was transmitted: only records inside an aggregate can have one.
    #[must_use]
    pub const fn explicit_hash_key(&self) -> Option<HashKey> {
        self.details.explicit_hash_key
    }

    /// Returns the tags.
    #[must_use]
    pub const fn tags(&self) -> &Tags<'static> {
        &self.details.tags
    }

    /// Returns the trace that it belongs to, if its tags have a valid `traceparent`.
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::of(self.tags())
    }

    /// Returns whether it was inside an aggregate.
    #[must_use]
    pub const fn is_aggregated(&self) -> bool {
        self.details.aggregated
    }

    /// Returns why the data is not a valid aggregate, if it carries the magic of one.
    #[must_use]
    pub const fn malformed(&self) -> Option<Malformed> {
        self.details.malformed
    }

    /// Returns when the Kinesis record arrived at the stream.
    #[must_use]
    pub fn approximate_arrival(&self) -> Option<Timestamp> {
        self.details.origin.approximate_arrival
    }

    /// Returns how the stream encrypts the record.
    #[must_use]
    pub fn encryption_type(&self) -> Option<EncryptionType> {
        self.details.origin.encryption_type
    }
}

/// Where a user record comes from: the Kinesis record that it is, or that contained it.
///
/// ```
/// use kpl_core::{KinesisRecord, Origin};
///
/// let record = KinesisRecord::new(b"some bytes").with_partition_key("abc").with_sequence_number("4950");
/// let origin = Origin::of(&record).with_stream("clicks").with_shard_id("shardId-000000000000");
/// assert_eq!(origin.sequence_number.as_deref(), Some("4950"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Origin {
    /// The stream, as its reader named it: the name or ARN that was passed to a `kpl_stream::Reader`, or the event
    /// source ARN of a Lambda event, which is that of the stream or of its consumer.
    pub stream: Option<Arc<str>>,
    /// The shard.
    pub shard_id: Option<Arc<str>>,
    /// The sequence number, as the service sent it.
    pub sequence_number: Option<String>,
    /// The record's index in its aggregate, if it was taken out of one before it was received, as Firehose does;
    /// otherwise 0.
    pub sub_sequence_number: u64,
    /// The outer partition key: that of the Kinesis record.
    pub partition_key: Option<String>,
    /// When the record arrived at the stream.
    pub approximate_arrival: Option<Timestamp>,
    /// How the stream encrypts the record.
    pub encryption_type: Option<EncryptionType>,
}

impl Origin {
    /// Returns what a Kinesis record itself contains of its origin: everything except the stream and the shard.
    #[must_use]
    pub fn of(record: &KinesisRecord<'_>) -> Self {
        Self {
            stream: None,
            shard_id: None,
            sequence_number: record.sequence_number.map(Into::into),
            sub_sequence_number: 0,
            partition_key: record.partition_key.map(Into::into),
            approximate_arrival: record.approximate_arrival,
            encryption_type: record.encryption_type,
        }
    }

    /// Returns the same origin with a stream.
    #[must_use]
    pub fn with_stream(mut self, stream: impl Into<Arc<str>>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// Returns the same origin with a shard.
    #[must_use]
    pub fn with_shard_id(mut self, shard_id: impl Into<Arc<str>>) -> Self {
        self.shard_id = Some(shard_id.into());
        self
    }

    fn position(&self, sub_sequence_number: u64) -> Option<Position> {
        Position::new(self.sequence_number.as_deref()?, sub_sequence_number).ok()
    }
}

/// A record that could not be decoded: where it comes from, why, and its bytes.
///
/// Retrying cannot make it readable. Keep its bytes, [`data`](Self::data), somewhere else.
#[derive(Debug)]
pub struct Undecodable {
    origin: Arc<Origin>,
    error: DeaggregateError,
}

impl Undecodable {
    /// Returns a deaggregator's error together with the origin of its record.
    pub fn new(error: DeaggregateError, origin: impl Into<Arc<Origin>>) -> Self {
        let origin = origin.into();
        Self { origin, error }
    }

    /// Returns something that was received in the place of a Kinesis record and cannot be read as one, such as a record of
    /// a Lambda event whose data is not base64: for those who receive records. `data` is what was there.
    ///
    /// ```
    /// use kpl_core::{Origin, Undecodable};
    ///
    /// let record = Undecodable::unreadable(Origin::default(), 3, b"a?".to_vec(), "its data is not base64");
    /// assert_eq!(record.to_string(), "Kinesis record 3: its data is not base64");
    /// ```
    pub fn unreadable(
        origin: impl Into<Arc<Origin>>,
        kinesis_record_index: usize,
        data: Vec<u8>,
        reason: impl Into<String>,
    ) -> Self {
        let origin = origin.into();
        let error = DeaggregateError::unreadable(
            kinesis_record_index,
            origin.sequence_number.clone(),
            origin.partition_key.as_deref(),
            data,
            reason.into(),
        );
        Self { origin, error }
    }

    /// Returns the Kinesis record that it is, or that contained it.
    #[must_use]
    pub const fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Returns the index of that Kinesis record in the batch that was read. The first is 0.
    #[must_use]
    pub fn kinesis_record_index(&self) -> usize {
        self.error.kinesis_record_index()
    }

    /// Returns the stream, as its reader named it: see [`Origin::stream`].
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        self.origin.stream.as_deref()
    }

    /// Returns the shard.
    #[must_use]
    pub fn shard_id(&self) -> Option<&str> {
        self.origin.shard_id.as_deref()
    }

    /// Returns the sequence number of the Kinesis record.
    #[must_use]
    pub fn sequence_number(&self) -> Option<&str> {
        self.origin.sequence_number.as_deref()
    }

    /// Returns its index among the records of its aggregate, or 0 if it was not in one.
    #[must_use]
    pub fn sub_sequence_number(&self) -> u64 {
        let within = self.error.sub_sequence_number();
        self.origin.sub_sequence_number.saturating_add(within)
    }

    /// Returns its position in its shard, if the Kinesis record has a sequence number that consists of digits.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.origin.position(self.sub_sequence_number())
    }

    /// Returns its partition key, if it is known: see [`DeaggregateError::partition_key`].
    #[must_use]
    pub fn partition_key(&self) -> Option<&str> {
        self.error.partition_key()
    }

    /// Returns its bytes: a user record's data, or a whole Kinesis record's.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.error.data()
    }

    /// Returns its bytes without copying them.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.error.into_data()
    }

    /// Returns why it could not be decoded.
    #[must_use]
    pub fn reason(&self) -> &DeaggregateErrorKind {
        self.error.kind()
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stream) = self.stream() {
            write!(f, "stream {stream}, ")?;
        }
        if let Some(shard_id) = self.shard_id() {
            write!(f, "shard {shard_id}, ")?;
        }
        self.error.fmt(f)
    }
}

impl Error for Undecodable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl<'b, 'a, T> Records<'b, 'a, T> {
    /// Converts the records to owned ones, each with its origin. `complete` is called for every Kinesis record that
    /// yields user records, with the origin that the record itself contains and with its index in the batch, and adds
    /// what is missing.
    ///
    /// ```
    /// use kpl_core::{Deaggregator, KinesisRecord, RawRecord};
    ///
    /// let batch = [KinesisRecord::new(b"some bytes").with_sequence_number("4950")];
    /// let records = Deaggregator::<RawRecord>::new().records(&batch);
    /// let received: Vec<_> = records
    ///     .into_received(|origin, _| origin.with_stream("clicks"))
    ///     .collect::<Result<_, _>>()?;
    /// assert_eq!(received[0].position(), Some("4950:0".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_received<F>(self, complete: F) -> ReceivedRecords<'b, 'a, T, F>
    where
        F: FnMut(Origin, usize) -> Origin,
    {
        ReceivedRecords {
            records: self,
            complete,
            origin: None,
        }
    }
}

/// The user records of a batch, each with its origin: an iterator that [`Records::into_received`] returns.
#[must_use = "iterators are lazy"]
pub struct ReceivedRecords<'b, 'a, T, F> {
    records: Records<'b, 'a, T>,
    complete: F,
    /// The origin of the last user record, and the index of its Kinesis record.
    origin: Option<(usize, Arc<Origin>)>,
}

impl<T, F> ReceivedRecords<'_, '_, T, F> {
    /// Returns the counts so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.records.counts()
    }
}

impl<'a, T, F> Iterator for ReceivedRecords<'_, 'a, T, F>
where
    T: FromKplRecord<'a>,
    F: FnMut(Origin, usize) -> Origin,
{
    type Item = Result<Received<T>, Undecodable>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.records.next()?;
        let index = match &item {
            Ok(Deaggregated { record, .. }) => record.kinesis_record_index,
            Err(error) => error.kinesis_record_index(),
        };
        let origin = match &self.origin {
            Some((of, origin)) if *of == index => Arc::clone(origin),
            _ => {
                let record = self.records.batch().get(index).copied().unwrap_or_default();
                let origin = Arc::new((self.complete)(Origin::of(&record), index));
                self.origin = Some((index, Arc::clone(&origin)));
                origin
            }
        };
        Some(match item {
            Ok(Deaggregated { value, record }) => Ok(Received::new(value, &record, origin)),
            Err(error) => Err(Undecodable { origin, error }),
        })
    }
}

impl<'a, T, F> FusedIterator for ReceivedRecords<'_, 'a, T, F>
where
    T: FromKplRecord<'a>,
    F: FnMut(Origin, usize) -> Origin,
{
}

impl<T, F> fmt::Debug for ReceivedRecords<'_, '_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRecords")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}
