//! What several tests with a real server share.

use kpl_core::{Deaggregator, FromKplRecordOwned, KinesisRecord, Received, StrayPolicy};
use kpl_stream::aws::AwsClient;
use kpl_stream::client::{IteratorStart, ReadClient as _};
use kpl_testkit::server::Server;

/// Returns everything that a reader finds if it drops aggregates with strays, as the KCL does.
pub(crate) async fn read<T: FromKplRecordOwned>(server: &Server, stream: &str) -> Vec<Received<T>> {
    let client = AwsClient::new(server.config());
    let mut found = Vec::new();
    for shard in client.list_shards(stream).await.unwrap() {
        let deaggregator = Deaggregator::<T>::new().range(shard.range, StrayPolicy::DropAggregate);
        let start = client.get_shard_iterator(stream, &shard.id, IteratorStart::TrimHorizon);
        let mut iterator = Some(start.await.unwrap());
        while let Some(at) = iterator {
            let fetched = client.get_records(&at, 10_000).await.unwrap();
            let batch: Vec<KinesisRecord<'_>> = fetched.records.iter().map(KinesisRecord::from).collect();
            let records = deaggregator.records(&batch);
            let records = records.into_received(|origin, _| origin.with_shard_id(&*shard.id));
            found.extend(records.map(Result::unwrap));
            iterator = fetched.next_iterator.filter(|_| !batch.is_empty());
        }
    }
    found
}
