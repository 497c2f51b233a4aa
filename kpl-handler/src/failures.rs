//! The user records that a handler of many records could not handle.

use kpl_core::Received;

use crate::Place;

/// The user records that a handler of a whole batch, or of a shard, could not handle.
///
/// ```
/// # use kpl_core::Received;
/// # use kpl_handler::Failures;
/// # #[derive(kpl::KplRecord)] struct Line { #[kpl(partition_key)] key: String, #[kpl(payload)] text: Vec<u8> }
/// # async fn store(_: &[u8]) -> Result<(), std::io::Error> { Ok(()) }
/// async fn store_all(lines: Vec<Received<Line>>) -> Result<Failures, std::convert::Infallible> {
///     let mut failures = Failures::none();
///     for line in &lines {
///         if store(&line.value.text).await.is_err() {
///             failures.add(line);
///         }
///     }
///     Ok(failures)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Failures(Vec<Place>);

impl Failures {
    /// Returns an empty list: all user records are done. A handler may return `()` instead.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds a user record. If its value has been moved out before, [`Received::into_parts`] leaves a record to add.
    pub fn add<T>(&mut self, record: &Received<T>) {
        self.0.push(Place::of_received(record));
    }

    /// Returns the places of the user records, in the order in which they were added.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.0
    }

    /// Returns the number of failures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no failures.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<()> for Failures {
    fn from((): ()) -> Self {
        Self::none()
    }
}
