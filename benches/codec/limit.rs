//! What writing a batch takes at least: to find each key in a table, to copy each payload once, and the digests in lanes.

use hashbrown::HashMap;
use kpl::RawRecord;
use kpl::digest::{Digest, md5_each};

/// As many as `seal_all` seals together.
const TOGETHER: usize = 32;

/// Does that. What it returns is not a valid aggregate: numbers have a fixed length, and keys are not written.
pub(crate) fn write(batch: &[Vec<RawRecord>]) -> Vec<(Vec<u8>, Digest)> {
    let mut keys: HashMap<&str, u32> = HashMap::new();
    let mut written = Vec::with_capacity(batch.len());
    for records in batch.chunks(TOGETHER) {
        let bodies: Vec<Vec<u8>> = records.iter().map(|records| body(records, &mut keys)).collect();
        let mut digests = [Digest::default(); TOGETHER];
        md5_each(bodies.iter().map(Vec::as_slice), |index, digest| {
            digests[index] = digest
        });
        written.extend(bodies.into_iter().zip(digests));
    }
    written
}

fn body<'r>(records: &'r [RawRecord], keys: &mut HashMap<&'r str, u32>) -> Vec<u8> {
    keys.clear();
    let mut body = Vec::with_capacity(records.iter().map(|record| record.data.len() + 9).sum());
    for record in records {
        let next = keys.len() as u32;
        let index = *keys
            .entry(record.partition_key.as_deref().unwrap_or_default())
            .or_insert(next);
        let len = record.data.len() as u32;
        body.extend_from_slice(&(u64::from(index) | u64::from(len) << 32).to_le_bytes());
        body.extend_from_slice(&record.data);
    }
    body
}
