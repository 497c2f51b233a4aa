//! User records that a handler could not handle.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use kpl_handler::Place;

/// A user record for which the handler failed each time: where it is, why, and its data.
///
/// [`Handler::failed`](crate::Handler::failed) takes a function of it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Failed {
    /// Where the record is: its origin and its sub-sequence number.
    pub place: Place,
    /// The partition key.
    pub partition_key: Option<String>,
    /// The data, as it arrived.
    pub data: Vec<u8>,
    /// The last error of the handler. Records of one batch may share it.
    pub error: Arc<dyn StdError + Send + Sync>,
    /// How many times the handler was called with the record.
    pub attempts: u32,
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed")
            .field("place", &self.place)
            .field("partition_key", &self.partition_key)
            .field("data", &format_args!("{} bytes", self.data.len()))
            .field("error", &self.error)
            .field("attempts", &self.attempts)
            .finish()
    }
}
