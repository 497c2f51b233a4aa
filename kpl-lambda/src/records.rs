//! The user records of an event, with what could not be read in their places.

use std::fmt;
use std::iter::Peekable;
use std::vec;

use kpl_core::{Counts, FromKplRecord, Origin, Received, ReceivedRecords, Undecodable};

type Complete<'b> = Box<dyn FnMut(Origin, usize) -> Origin + Send + 'b>;

/// The user records of an event, in order, each with its origin: an iterator that
/// [`Batch::user_records`](crate::Batch::user_records) returns. What cannot be read as a Kinesis record is one
/// [`Undecodable`] in its place.
#[must_use = "iterators are lazy"]
pub struct UserRecords<'b, 'a, T> {
    records: ReceivedRecords<'b, 'a, T, Complete<'b>>,
    /// The user record that comes after what is unreadable.
    next: Option<Result<Received<T>, Undecodable>>,
    unreadable: Peekable<vec::IntoIter<Undecodable>>,
}

impl<'b, 'a, T> UserRecords<'b, 'a, T> {
    pub(crate) fn new(records: ReceivedRecords<'b, 'a, T, Complete<'b>>, unreadable: Vec<Undecodable>) -> Self {
        Self {
            records,
            next: None,
            unreadable: unreadable.into_iter().peekable(),
        }
    }

    /// Returns the counts so far, of what was readable.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.records.counts()
    }
}

impl<'a, T: FromKplRecord<'a>> Iterator for UserRecords<'_, 'a, T> {
    type Item = Result<Received<T>, Undecodable>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next.take().or_else(|| self.records.next());
        let Some(unreadable) = self.unreadable.peek() else {
            return next;
        };
        let index = next.as_ref().map(|item| match item {
            Ok(received) => received.kinesis_record_index(),
            Err(undecodable) => undecodable.kinesis_record_index(),
        });
        if index.is_some_and(|index| index < unreadable.kinesis_record_index()) {
            return next;
        }
        // In the batch an empty record takes its place.
        self.next = next.filter(|_| index != Some(unreadable.kinesis_record_index()));
        self.unreadable.next().map(Err)
    }
}

impl<T> fmt::Debug for UserRecords<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecords")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}
