//! Reports what the pipeline and the spool measured through the `metrics` facade.

use metrics::{Label, SharedString, Unit, describe_counter, describe_gauge, describe_histogram};

use super::pipeline::{Measure, Metric};
use super::spool::Spooled;
use crate::labels::{ERROR_CODE, SHARD_ID, STREAM_NAME};

const SPOOL_RECORDS_PENDING: &str = "SpoolRecordsPending";
const SPOOL_BYTES: &str = "SpoolBytes";
const SPOOL_ERRORS: &str = "SpoolErrors";
const SPOOL_RECORDS_LOST: &str = "SpoolRecordsLost";

/// Tells the recorder what the metrics are, for its help texts.
pub(crate) fn describe() {
    use Metric::*;
    let counters = [
        (UserRecordsReceived, Unit::Count, "User records that were accepted"),
        (UserRecordsPut, Unit::Count, "User records that were written"),
        (
            UserRecordsDataPut,
            Unit::Bytes,
            "Payload of user records that were written",
        ),
        (UserRecordExpired, Unit::Count, "User records whose time to live ended"),
        (KinesisRecordsPut, Unit::Count, "Kinesis records that were written"),
        (
            KinesisRecordsDataPut,
            Unit::Bytes,
            "Data of Kinesis records that were written",
        ),
        (
            ErrorsByCode,
            Unit::Count,
            "Attempts to write a Kinesis record that failed, by the error's code",
        ),
        (AllErrors, Unit::Count, "Attempts to write a Kinesis record that failed"),
    ];
    for (metric, unit, text) in counters {
        describe_counter!(metric.name(), unit, text);
    }
    let histograms = [
        (
            RetriesPerRecord,
            Unit::Count,
            "Attempts that a user record took, beyond the first",
        ),
        (
            BufferingTime,
            Unit::Milliseconds,
            "Time from accepting a user record to the request that wrote it",
        ),
        (RequestTime, Unit::Milliseconds, "Time that a PutRecords request took"),
        (
            UserRecordsPerKinesisRecord,
            Unit::Count,
            "User records in a Kinesis record",
        ),
        (
            KinesisRecordsPerPutRecordsRequest,
            Unit::Count,
            "Kinesis records in a PutRecords request",
        ),
        (
            UserRecordsPerPutRecordsRequest,
            Unit::Count,
            "User records in a PutRecords request",
        ),
    ];
    for (metric, unit, text) in histograms {
        describe_histogram!(metric.name(), unit, text);
    }
    describe_gauge!(
        UserRecordsPending.name(),
        Unit::Count,
        "User records in memory that have no outcome yet"
    );
    describe_gauge!(
        SPOOL_RECORDS_PENDING,
        Unit::Count,
        "User records in the spool that have no outcome yet"
    );
    describe_gauge!(SPOOL_BYTES, Unit::Bytes, "Bytes that the spool takes on the disk");
    describe_counter!(
        SPOOL_ERRORS,
        Unit::Count,
        "Times that the spool could not be written or read"
    );
    describe_counter!(
        SPOOL_RECORDS_LOST,
        Unit::Count,
        "User records that were damaged in the spool"
    );
}

pub(crate) fn record(measures: Vec<Measure>) {
    for measure in measures {
        let mut labels = vec![Label::new(STREAM_NAME, SharedString::from(measure.stream))];
        labels.extend(
            measure
                .shard_id
                .map(|shard| Label::new(SHARD_ID, SharedString::from(shard))),
        );
        labels.extend(
            measure
                .code
                .map(|code| Label::new(ERROR_CODE, SharedString::from(code))),
        );
        let (name, value) = (measure.metric.name(), measure.value);
        match measure.metric {
            Metric::UserRecordsPending => metrics::gauge!(name, labels).set(value),
            Metric::RetriesPerRecord
            | Metric::BufferingTime
            | Metric::RequestTime
            | Metric::UserRecordsPerKinesisRecord
            | Metric::KinesisRecordsPerPutRecordsRequest
            | Metric::UserRecordsPerPutRecordsRequest => {
                metrics::histogram!(name, labels).record_many(value, measure.times);
            }
            _ => metrics::counter!(name, labels).increment(value as u64),
        }
    }
}

/// Reports the counters of a spool from its start, so that an alert sees them increase.
pub(crate) fn spool_opened() {
    metrics::counter!(SPOOL_ERRORS).increment(0);
    metrics::counter!(SPOOL_RECORDS_LOST).increment(0);
}

pub(crate) fn spooled(spooled: Spooled) {
    metrics::gauge!(SPOOL_RECORDS_PENDING).set(spooled.records as f64);
    metrics::gauge!(SPOOL_BYTES).set(spooled.bytes as f64);
}

pub(crate) fn spool_failed() {
    metrics::counter!(SPOOL_ERRORS).increment(1);
}

pub(crate) fn spool_lost(records: u64) {
    metrics::counter!(SPOOL_RECORDS_LOST).increment(records);
}
