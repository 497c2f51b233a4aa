//! The records that were sent, until they have their outcomes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use kpl_core::{CodecError, HashKey, KeyError, KplRecord, RawRecord, Tags};
use kpl_stream::{Delivery, DeliveryError, Receipt};
use tokio::task::coop::{Unconstrained, unconstrained};

/// A user record. The service does not return explicit hash keys, so one that has such a key is always in an aggregated record.
#[derive(Debug)]
pub(super) struct Record(pub(super) RawRecord);

impl KplRecord for Record {
    #[inline]
    fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, KeyError> {
        self.0.partition_key(buffer)
    }

    #[inline]
    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(self.0.explicit_hash_key)
    }

    #[inline]
    fn tags(&self, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        self.0.tags(tags)
    }

    #[inline]
    fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        Ok(&self.0.data)
    }

    #[inline]
    fn always_wrapped(&self) -> bool {
        self.0.explicit_hash_key.is_some()
    }
}

/// A record that was sent.
pub(super) struct Sent {
    /// Its line.
    pub(super) line: u64,
    /// How many bytes of the input it is.
    pub(super) size: u64,
    /// How many bytes its partition key and its data are.
    pub(super) bytes: usize,
    pub(super) delivery: Delivery<Record>,
}

/// What became of a record.
pub(super) struct Outcome {
    pub(super) line: u64,
    pub(super) size: u64,
    pub(super) bytes: usize,
    pub(super) result: Result<Receipt, DeliveryError<Record>>,
}

/// Outcomes of records of one file.
pub(super) struct Outcomes {
    pub(super) file: Arc<str>,
    pub(super) outcomes: Vec<Outcome>,
}

/// All of them. Those that were read together are looked at together: most of them have their outcomes at the same time.
#[derive(Default)]
pub(super) struct Pending {
    batches: FuturesUnordered<Unconstrained<Batch>>,
    len: usize,
}

impl Pending {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, file: Arc<str>, records: Vec<Sent>) {
        self.len += records.len();
        self.watch(Batch { file, records });
    }

    fn watch(&self, batch: Batch) {
        if !batch.records.is_empty() {
            self.batches.push(unconstrained(batch));
        }
    }

    /// Waits for the next outcomes. Returns `None` if no record is without one.
    pub(super) async fn next(&mut self) -> Option<Outcomes> {
        let (batch, outcomes) = self.batches.next().await?;
        self.len -= outcomes.len();
        let file = Arc::clone(&batch.file);
        self.watch(batch);
        Some(Outcomes { file, outcomes })
    }
}

/// Records that were read together. Those that have their outcomes are removed, so that they do not take memory any longer.
struct Batch {
    file: Arc<str>,
    records: Vec<Sent>,
}

impl Future for Batch {
    type Output = (Self, Vec<Outcome>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut outcomes = Vec::new();
        self.records.retain_mut(|sent| {
            let Poll::Ready(result) = Pin::new(&mut sent.delivery).poll(context) else {
                return true;
            };
            outcomes.push(Outcome {
                line: sent.line,
                size: sent.size,
                bytes: sent.bytes,
                result,
            });
            false
        });
        if outcomes.is_empty() {
            return Poll::Pending;
        }
        let rest = Self {
            file: Arc::clone(&self.file),
            records: std::mem::take(&mut self.records),
        };
        Poll::Ready((rest, outcomes))
    }
}
