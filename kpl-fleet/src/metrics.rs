//! What a worker measures, under the KCL's names where it has them.

use std::sync::Arc;

use metrics::{Label, SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::engine::Loss;

const CURRENT_LEASES: &str = "CurrentLeases";
const TAKEN_LEASES: &str = "TakenLeases";
const LOST_LEASES: &str = "LostLeases";
const RENEWAL_FAILURES: &str = "RenewLease.Failure";
const CHECKPOINT_FAILURES: &str = "UpdateLease.Failure";
#[cfg(feature = "aws")]
const REQUESTS: &str = "LeaseTableRequests";

/// The metrics of a worker.
pub(crate) struct Metrics {
    labels: Vec<Label>,
}

impl Metrics {
    pub(crate) fn new(application: &str, worker: &Arc<str>) -> Self {
        describe_gauge!(CURRENT_LEASES, Unit::Count, "The shards that the worker handles");
        describe_counter!(TAKEN_LEASES, Unit::Count, "The leases that the worker has taken");
        describe_counter!(
            LOST_LEASES,
            Unit::Count,
            "The leases that the worker has lost before it gave them up"
        );
        describe_counter!(
            RENEWAL_FAILURES,
            Unit::Count,
            "The renewals of leases that were not answered"
        );
        describe_counter!(
            CHECKPOINT_FAILURES,
            Unit::Count,
            "The checkpoints that were not answered"
        );
        #[cfg(feature = "aws")]
        describe_counter!(REQUESTS, Unit::Count, "The requests to DynamoDB");
        let worker = SharedString::from(Arc::clone(worker));
        let labels = vec![
            Label::new("Application", application.to_owned()),
            Label::new("WorkerIdentifier", worker),
        ];
        Self { labels }
    }

    pub(crate) fn holds(&self, leases: usize) {
        gauge!(CURRENT_LEASES, self.labels.clone()).set(leases as f64);
    }

    pub(crate) fn taken(&self) {
        counter!(TAKEN_LEASES, self.labels.clone()).increment(1);
    }

    pub(crate) fn lost(&self, loss: Loss) {
        let reason = match loss {
            Loss::Taken => "Taken",
            Loss::NotRenewed => "NotRenewed",
        };
        let mut labels = self.labels.clone();
        labels.push(Label::from_static_parts("Reason", reason));
        counter!(LOST_LEASES, labels).increment(1);
    }

    pub(crate) fn renewal_failed(&self) {
        counter!(RENEWAL_FAILURES, self.labels.clone()).increment(1);
    }

    pub(crate) fn checkpoint_failed(&self) {
        counter!(CHECKPOINT_FAILURES, self.labels.clone()).increment(1);
    }
}

/// Counts a request to DynamoDB.
#[cfg(feature = "aws")]
pub(crate) fn request(operation: &'static str) {
    counter!(REQUESTS, "Operation" => operation).increment(1);
}
