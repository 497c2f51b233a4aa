//! Records of a stream of clicks, and helpers that read them.

use std::collections::BTreeMap;
use std::time::Duration;

use kpl::KplRecord;
use kpl_core::{Aggregator, SealedRecord};
use kpl_stream::Received;
use kpl_stream::reader::Reader;
use kpl_testkit::aggregate_into_one_with;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
pub(crate) struct Click {
    #[kpl(partition_key)]
    pub(crate) user: String,
    pub(crate) n: u32,
}

pub(crate) fn clicks(user: &str, numbers: std::ops::Range<u32>) -> Vec<Click> {
    let user = user.to_owned();
    numbers.map(|n| Click { user: user.clone(), n }).collect()
}

/// Returns the clicks as one aggregate.
pub(crate) fn aggregate(clicks: &[Click]) -> SealedRecord {
    aggregate_into_one_with(Aggregator::new(), clicks)
}

/// Returns this many of the next records.
pub(crate) async fn take(reader: &mut Reader<Click>, count: usize) -> Vec<Received<Click>> {
    let mut records = Vec::new();
    while records.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), reader.next()).await;
        records.push(next.expect("a record in time").expect("a record").unwrap());
    }
    records
}

pub(crate) fn values(records: Vec<Received<Click>>) -> Vec<Click> {
    records.into_iter().map(|record| record.value).collect()
}

/// Returns each user's numbers, in the order in which they were read.
pub(crate) fn by_user(records: &[Received<Click>]) -> BTreeMap<String, Vec<u32>> {
    let mut users = BTreeMap::<String, Vec<u32>>::new();
    for record in records {
        assert_eq!(record.partition_key(), Some(&*record.value.user));
        users.entry(record.value.user.clone()).or_default().push(record.value.n);
    }
    users
}
