//! Which user records a handler of many could not handle.

use crate::place::Place;
use crate::received::Received;

/// The user records that a handler of a whole batch, or of a shard, could not handle.
///
/// ```
/// # use kpl_lambda::{Failures, Received};
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
pub struct Failures(pub(crate) Vec<Place>);

impl Failures {
    /// None: all are done. A handler may return `()` instead.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// One more.
    pub fn add<T>(&mut self, record: &Received<T>) {
        self.add_place(record.place().clone());
    }

    /// One more, by its place.
    pub fn add_place(&mut self, place: Place) {
        self.0.push(place);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
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
