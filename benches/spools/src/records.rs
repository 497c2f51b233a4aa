//! What is appended.

use std::time::{Duration, Instant};

/// How long a record is, in bytes.
pub(crate) const LEN: usize = 100;
/// How long records are appended before they are committed.
const GROUP: Duration = Duration::from_millis(10);

/// Returns the record with a number: the number, and bytes that cannot be compressed.
pub(crate) fn record(number: u64) -> [u8; LEN] {
    let mut record = [0; LEN];
    fastrand::Rng::with_seed(number).fill(&mut record[8..]);
    record[..8].copy_from_slice(&number.to_le_bytes());
    record
}

/// Returns the number of a record.
pub(crate) fn number_of(data: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*data.first_chunk()?))
}

/// The records that come before the next commit.
pub(crate) struct Records {
    pub(crate) next: u64,
    end: u64,
    until: Instant,
}

impl Records {
    pub(crate) fn new(next: u64, end: u64) -> Self {
        let until = Instant::now() + GROUP;
        Self { next, end, until }
    }
}

impl Iterator for Records {
    type Item = [u8; LEN];

    fn next(&mut self) -> Option<Self::Item> {
        let is_over = self.next == self.end || (self.next.is_multiple_of(64) && Instant::now() >= self.until);
        if is_over {
            return None;
        }
        self.next += 1;
        Some(record(self.next - 1))
    }
}
