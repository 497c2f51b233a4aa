//! What a reader measures, under the KCL's names where it has them.

use std::sync::Arc;
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Label, SharedString, Unit, counter, describe_counter, describe_gauge,
    describe_histogram, gauge, histogram,
};

use crate::labels::{ERROR_CODE, SHARD_ID, STREAM_NAME};

const RECORDS_PROCESSED: &str = "RecordsProcessed";
const DATA_BYTES_PROCESSED: &str = "DataBytesProcessed";
const MILLIS_BEHIND_LATEST: &str = "MillisBehindLatest";
const REQUEST_TIME: &str = "KinesisDataFetcher.getRecords.Time";
/// The KCL's `KinesisDataFetcher.getRecords.Success` is an average; a counter of failures is what alarms need.
const REQUEST_FAILURES: &str = "KinesisDataFetcher.getRecords.Failure";
const SUBSCRIPTION_FAILURES: &str = "SubscribeToShard.Failure";

/// Tells the recorder what the metrics are, for its help texts.
pub(super) fn describe() {
    let counters = [
        (RECORDS_PROCESSED, Unit::Count, "User records that were passed on"),
        (
            DATA_BYTES_PROCESSED,
            Unit::Bytes,
            "Data of Kinesis records that were received",
        ),
        (
            REQUEST_FAILURES,
            Unit::Count,
            "GetRecords requests that failed, by the error's code",
        ),
        (
            SUBSCRIPTION_FAILURES,
            Unit::Count,
            "Subscriptions to shards that failed, by the error's code",
        ),
    ];
    for (name, unit, text) in counters {
        describe_counter!(name, unit, text);
    }
    let behind = "How far the last answer was behind the latest record of its shard";
    describe_gauge!(MILLIS_BEHIND_LATEST, Unit::Milliseconds, behind);
    describe_histogram!(REQUEST_TIME, Unit::Milliseconds, "Time that a GetRecords request took");
}

/// The metrics of a shard.
pub(super) struct Metrics {
    labels: Vec<Label>,
    records_processed: Counter,
    data_bytes_processed: Counter,
    millis_behind_latest: Gauge,
    request_time: Histogram,
}

impl Metrics {
    pub(super) fn new(stream: &Arc<str>, shard_id: &Arc<str>) -> Self {
        let label = |name, value: &Arc<str>| Label::new(name, SharedString::from(Arc::clone(value)));
        let labels = vec![label(STREAM_NAME, stream), label(SHARD_ID, shard_id)];
        Self {
            records_processed: counter!(RECORDS_PROCESSED, labels.clone()),
            data_bytes_processed: counter!(DATA_BYTES_PROCESSED, labels.clone()),
            millis_behind_latest: gauge!(MILLIS_BEHIND_LATEST, labels.clone()),
            request_time: histogram!(REQUEST_TIME, labels.clone()),
            labels,
        }
    }

    /// A GetRecords request that was answered.
    pub(super) fn fetched_in(&self, took: Duration) {
        self.request_time.record(took.as_secs_f64() * 1000.0);
    }

    /// An answer or an event, with records or without.
    pub(super) fn received(&self, data_bytes: usize, behind_latest: Option<Duration>) {
        self.data_bytes_processed.increment(data_bytes as u64);
        if let Some(behind) = behind_latest {
            self.millis_behind_latest.set(behind.as_secs_f64() * 1000.0);
        }
    }

    /// A GetRecords request that failed.
    pub(super) fn fetch_failed(&self, code: &Arc<str>) {
        self.failed(REQUEST_FAILURES, code);
    }

    /// A SubscribeToShard request, or a subscription, that failed.
    pub(super) fn subscription_failed(&self, code: &Arc<str>) {
        self.failed(SUBSCRIPTION_FAILURES, code);
    }

    fn failed(&self, counter: &'static str, code: &Arc<str>) {
        let mut labels = self.labels.clone();
        labels.push(Label::new(ERROR_CODE, SharedString::from(Arc::clone(code))));
        counter!(counter, labels).increment(1);
    }

    /// User records that are passed on to the consumer.
    pub(super) fn delivered(&self, user_records: usize) {
        self.records_processed.increment(user_records as u64);
    }
}
