//! What there is to measure, under the KPL's names.

use std::sync::Arc;

/// A metric of the KPL
/// ([their meaning](https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-kpl.html)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "they are the KPL's")]
pub enum Metric {
    UserRecordsReceived,
    UserRecordsPending,
    UserRecordsPut,
    UserRecordsDataPut,
    UserRecordExpired,
    KinesisRecordsPut,
    KinesisRecordsDataPut,
    ErrorsByCode,
    AllErrors,
    RetriesPerRecord,
    BufferingTime,
    RequestTime,
    UserRecordsPerKinesisRecord,
    KinesisRecordsPerPutRecordsRequest,
    UserRecordsPerPutRecordsRequest,
}

impl Metric {
    /// The KPL's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserRecordsReceived => "UserRecordsReceived",
            Self::UserRecordsPending => "UserRecordsPending",
            Self::UserRecordsPut => "UserRecordsPut",
            Self::UserRecordsDataPut => "UserRecordsDataPut",
            Self::UserRecordExpired => "UserRecordExpired",
            Self::KinesisRecordsPut => "KinesisRecordsPut",
            Self::KinesisRecordsDataPut => "KinesisRecordsDataPut",
            Self::ErrorsByCode => "ErrorsByCode",
            Self::AllErrors => "AllErrors",
            Self::RetriesPerRecord => "RetriesPerRecord",
            Self::BufferingTime => "BufferingTime",
            Self::RequestTime => "RequestTime",
            Self::UserRecordsPerKinesisRecord => "UserRecordsPerKinesisRecord",
            Self::KinesisRecordsPerPutRecordsRequest => "KinesisRecordsPerPutRecordsRequest",
            Self::UserRecordsPerPutRecordsRequest => "UserRecordsPerPutRecordsRequest",
        }
    }
}

/// Something that was measured.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measure {
    /// What.
    pub metric: Metric,
    /// The stream.
    pub stream: Arc<str>,
    /// The shard, where it is known.
    pub shard_id: Option<Arc<str>>,
    /// The error's code, of errors.
    pub code: Option<Arc<str>>,
    /// The value: a count, bytes or milliseconds.
    pub value: f64,
    /// How many times it was measured.
    pub times: usize,
}
