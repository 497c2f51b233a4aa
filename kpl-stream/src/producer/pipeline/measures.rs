//! What is measured, under the KPL's names.

use std::sync::Arc;

use super::record::{Entry, Held, Times};

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
    /// Returns the KPL's name of the metric.
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
    /// The metric.
    pub metric: Metric,
    /// The stream.
    pub stream: Arc<str>,
    /// The shard, where it is known.
    pub shard_id: Option<Arc<str>>,
    /// The error's code, if an error was measured.
    pub code: Option<Arc<str>>,
    /// The value: a count, bytes or milliseconds.
    pub value: f64,
    /// How many times it was measured.
    pub times: usize,
}

/// What was measured since it was last taken.
#[derive(Debug)]
pub(super) struct Measures {
    /// `None` until measures are taken for the first time: nothing is kept before.
    kept: Option<Vec<Measure>>,
}

impl Measures {
    pub(super) const fn new() -> Self {
        Self { kept: None }
    }

    pub(super) fn take(&mut self) -> Vec<Measure> {
        self.kept.replace(Vec::new()).unwrap_or_default()
    }

    /// Adds a measure of a stream.
    pub(super) fn add(&mut self, metric: Metric, stream: &Arc<str>, value: f64) {
        self.push(metric, stream, None, None, value, 1);
    }

    fn push(
        &mut self,
        metric: Metric,
        stream: &Arc<str>,
        shard_id: Option<&Arc<str>>,
        code: Option<&Arc<str>>,
        value: f64,
        times: usize,
    ) {
        let Some(kept) = &mut self.kept else { return };
        kept.push(Measure {
            metric,
            stream: Arc::clone(stream),
            shard_id: shard_id.cloned(),
            code: code.cloned(),
            value,
            times,
        });
    }

    /// Measures an answer to a request.
    pub(super) fn answered<H>(&mut self, stream: &Arc<str>, entries: &[Entry<H>], times: Times) {
        let user_records: usize = entries.iter().map(|entry| entry.records.len()).sum();
        let millis = times.duration().as_secs_f64() * 1000.0;
        self.add(Metric::RequestTime, stream, millis);
        self.add(Metric::KinesisRecordsPerPutRecordsRequest, stream, entries.len() as f64);
        self.add(Metric::UserRecordsPerPutRecordsRequest, stream, user_records as f64);
    }

    /// Measures an entry that failed with this code.
    pub(super) fn failed(&mut self, stream: &Arc<str>, shard_id: Option<&Arc<str>>, code: &Arc<str>) {
        self.push(Metric::ErrorsByCode, stream, shard_id, Some(code), 1.0, 1);
        self.push(Metric::AllErrors, stream, shard_id, None, 1.0, 1);
    }

    /// Measures an entry that was written.
    pub(super) fn written<H>(&mut self, stream: &Arc<str>, shard_id: &Arc<str>, entry: &Entry<H>, times: Times) {
        if self.kept.is_none() {
            return;
        }
        let user_records = entry.records.len();
        let data: usize = entry.records.iter().map(|held| held.record.data().len()).sum();
        let counts = [
            (Metric::UserRecordsPut, user_records),
            (Metric::UserRecordsDataPut, data),
            (Metric::KinesisRecordsPut, 1),
            (Metric::KinesisRecordsDataPut, entry.size),
            (Metric::UserRecordsPerKinesisRecord, user_records),
        ];
        for (metric, value) in counts {
            self.push(metric, stream, Some(shard_id), None, value as f64, 1);
        }
        // Neighbouring records mostly have the same values: one measure covers all of them.
        let buffered = |held: &Held<H>| {
            let waited = times.started.saturating_duration_since(held.arrived);
            let retries = held.failed.as_ref().map_or(0, |failed| failed.count());
            (retries, waited.as_millis())
        };
        let is_alike = |one: &Held<H>, other: &Held<H>| {
            let came_together = one.arrived == other.arrived && one.failed.is_none() && other.failed.is_none();
            came_together || buffered(one) == buffered(other)
        };
        for alike in entry.records.chunk_by(is_alike) {
            let Some((retries, millis)) = alike.first().map(buffered) else {
                continue;
            };
            let values = [
                (Metric::RetriesPerRecord, retries as f64),
                (Metric::BufferingTime, millis as f64),
            ];
            for (metric, value) in values {
                self.push(metric, stream, Some(shard_id), None, value, alike.len());
            }
        }
    }
}
