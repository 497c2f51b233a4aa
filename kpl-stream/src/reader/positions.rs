//! How far a program has read a stream, kept after the program ends.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;
use kpl_core::{Position, Timestamp};

use super::error::PositionsError;
use crate::client::StreamIdentity;

/// Stores how far streams were read: in a file, a table, or whatever a program uses.
///
/// A [`ShardState`] and a [`StreamIdentity`] can be stored as strings (`Display`, `FromStr`).
pub trait Positions: fmt::Debug + Send + Sync + 'static {
    /// Returns all that is saved for a stream. It is empty if nothing is.
    fn load<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamPositions, PositionsError>>;

    /// Saves the states of shards. They replace those that were saved for the same shards before; the others stay. The
    /// stream's identity, if there is one, replaces the one that was saved before.
    ///
    /// If saving fails or is interrupted, every shard must have either its old state or its new one.
    fn save<'a>(&'a self, stream: &'a str, positions: &'a StreamPositions)
    -> BoxFuture<'a, Result<(), PositionsError>>;

    /// Removes all that is saved for a stream.
    fn remove<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<(), PositionsError>>;
}

/// How far a stream was read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StreamPositions {
    /// Which stream it was that had the name, if that is known.
    pub identity: Option<StreamIdentity>,
    /// The states of its shards, by shard id.
    pub shards: BTreeMap<String, ShardState>,
}

impl StreamPositions {
    /// Creates the positions of a stream from the states of its shards, by shard id.
    #[must_use]
    pub const fn new(identity: Option<StreamIdentity>, shards: BTreeMap<String, ShardState>) -> Self {
        Self { identity, shards }
    }

    /// Replaces what `later` contains, and keeps the rest.
    pub(super) fn update(&mut self, later: Self) {
        self.identity = later.identity.or(self.identity.take());
        self.shards.extend(later.shards);
    }
}

/// Where to continue in a shard.
///
/// As a string it has the KCL's name, with the time in seconds: `TRIM_HORIZON`, `AT_TIMESTAMP 1700000000.25`,
/// `SEQUENCE:SUB` or `SHARD_END`.
///
/// ```
/// use kpl_stream::reader::ShardState;
///
/// let state: ShardState = "49543463076570308322303623326179887152428262250726293588:3".parse()?;
/// assert!(matches!(&state, ShardState::After(position) if position.sub_sequence_number == 3));
/// assert_eq!("SHARD_END".parse(), Ok(ShardState::Ended));
/// # Ok::<(), kpl_stream::reader::InvalidShardState>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShardState {
    /// At the shard's oldest record.
    TrimHorizon,
    /// At the first record that arrived at or after this time.
    AtTimestamp(Timestamp),
    /// After this user record, which may be in the middle of an aggregate.
    After(Position),
    /// Nowhere: the shard was read to its end. Its children may be read.
    Ended,
}

impl fmt::Display for ShardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("TRIM_HORIZON"),
            Self::AtTimestamp(time) => write!(f, "AT_TIMESTAMP {time}"),
            Self::After(position) => position.fmt(f),
            Self::Ended => f.write_str("SHARD_END"),
        }
    }
}

impl FromStr for ShardState {
    type Err = InvalidShardState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidShardState { text: text.to_owned() };
        match text.strip_prefix("AT_TIMESTAMP ") {
            Some(time) => time.parse().map(Self::AtTimestamp).map_err(|_| invalid()),
            None => match text {
                "TRIM_HORIZON" => Ok(Self::TrimHorizon),
                "SHARD_END" => Ok(Self::Ended),
                _ => text.parse().map(Self::After).map_err(|_| invalid()),
            },
        }
    }
}

/// As its string.
#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
impl serde::Serialize for ShardState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
impl<'de> serde::Deserialize<'de> for ShardState {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A string that is not a valid state of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidShardState {
    /// The string as it was given.
    pub text: String,
}

impl fmt::Display for InvalidShardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a shard's state is TRIM_HORIZON, AT_TIMESTAMP SECONDS, SEQUENCE:SUB or SHARD_END, not {:?}",
            self.text
        )
    }
}

impl std::error::Error for InvalidShardState {}

/// Positions in memory, kept as long as the last clone of this value. This is the default of a reader.
#[derive(Clone, Debug, Default)]
pub struct MemoryPositions {
    streams: Arc<Mutex<BTreeMap<String, StreamPositions>>>,
}

impl MemoryPositions {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, StreamPositions>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Positions for MemoryPositions {
    fn load<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamPositions, PositionsError>> {
        let saved = self.lock().get(stream).cloned().unwrap_or_default();
        Box::pin(async { Ok(saved) })
    }

    fn save<'a>(
        &'a self,
        stream: &'a str,
        positions: &'a StreamPositions,
    ) -> BoxFuture<'a, Result<(), PositionsError>> {
        let mut streams = self.lock();
        streams.entry(stream.to_owned()).or_default().update(positions.clone());
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<(), PositionsError>> {
        self.lock().remove(stream);
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(since_epoch: Duration) -> ShardState {
        ShardState::AtTimestamp(Timestamp::from_unix_epoch(since_epoch))
    }

    fn any_state() -> impl Strategy<Value = ShardState> {
        prop_oneof![
            Just(ShardState::TrimHorizon),
            Just(ShardState::Ended),
            (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| at(Duration::new(s, n))),
            ("[0-9]{1,60}", any::<u64>()).prop_map(|(n, sub)| ShardState::After(Position::new(&n, sub).unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn a_state_survives_as_text(state in any_state()) {
            prop_assert_eq!(state.to_string().parse(), Ok(state.clone()));
            #[cfg(feature = "serde")]
            {
                let json = serde_json::to_string(&state).unwrap();
                prop_assert_eq!(serde_json::from_str::<ShardState>(&json).unwrap(), state);
            }
        }

        #[test]
        fn any_text_is_a_state_or_an_error_that_has_it(text in "(AT_TIMESTAMP )?[0-9:.+]{0,12}") {
            if let Err(error) = text.parse::<ShardState>() {
                prop_assert_eq!(error.text, text);
            }
        }
    }

    #[test]
    fn times_have_one_point_and_only_digits() {
        for text in ["", "1.", ".5", "1.0000000000", "+1", "1.+5", "18446744073709551616"] {
            assert!(format!("AT_TIMESTAMP {text}").parse::<ShardState>().is_err(), "{text}");
        }
        let time = at(Duration::from_millis(1_700_000_000_250));
        assert_eq!(time.to_string(), "AT_TIMESTAMP 1700000000.25");
        assert_eq!("AT_TIMESTAMP 1700000000.25".parse(), Ok(time));
    }
}
