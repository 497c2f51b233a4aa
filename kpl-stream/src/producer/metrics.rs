//! Reports what the pipeline measured through the `metrics` facade.

use metrics::{Label, SharedString};

use super::pipeline::{Measure, Metric};
use crate::labels::{ERROR_CODE, SHARD_ID, STREAM_NAME};

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
