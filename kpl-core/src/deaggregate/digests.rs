//! The digests of a batch, computed many at a time.

use alloc::vec::Vec;

use crate::digest::{Digest, md5_many};
use crate::record::KinesisRecord;
use crate::wire::Frame;

/// The digests of the next few records of a batch, computed together.
#[derive(Default)]
pub(super) struct Digests {
    /// The index in the batch of the first digest's record.
    start: usize,
    digests: Vec<Digest>,
}

impl Digests {
    /// How many records are looked at together: two groups of the widest lanes.
    const RECORDS: usize = 32;

    /// Returns the digest of the protobuf bytes of the record at `index`, which has a frame.
    pub(super) fn get(&mut self, batch: &[KinesisRecord<'_>], index: usize) -> Digest {
        let held = index.checked_sub(self.start).and_then(|index| self.digests.get(index));
        match held {
            Some(digest) => *digest,
            None => self.compute(batch, index),
        }
    }

    fn compute(&mut self, batch: &[KinesisRecord<'_>], index: usize) -> Digest {
        let mut bodies: [&[u8]; Self::RECORDS] = [&[]; Self::RECORDS];
        let window = batch.iter().skip(index).take(Self::RECORDS);
        let mut len = 0;
        for (body, record) in bodies.iter_mut().zip(window) {
            *body = Frame::new(record.data).map_or(&[][..], |frame| frame.body());
            len += 1;
        }
        self.start = index;
        self.digests.clear();
        self.digests.resize(len, Digest::default());
        md5_many(bodies.get(..len).unwrap_or_default(), &mut self.digests);
        self.digests.first().copied().unwrap_or_default()
    }
}
