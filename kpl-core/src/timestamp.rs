//! Points in time, as the service states them.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// A point in time, in UTC, as the time since the Unix epoch.
///
/// As a string it is seconds with up to nine digits after the point, such as `1700000000.25`. With the feature `std` it
/// converts from and to [`SystemTime`](std::time::SystemTime).
///
/// ```
/// use kpl_core::Timestamp;
///
/// let arrival: Timestamp = "1700000000.25".parse()?;
/// assert_eq!(arrival.since_unix_epoch().as_millis(), 1_700_000_000_250);
/// # #[cfg(feature = "std")] {
/// let later = std::time::SystemTime::now();
/// assert!(arrival < Timestamp::from(later));
/// # }
/// # Ok::<(), kpl_core::InvalidTimestamp>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(Duration);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(Duration::ZERO);

    /// Returns the point in time that is this long after the Unix epoch.
    #[must_use]
    pub const fn from_unix_epoch(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Returns how long after the Unix epoch this is.
    #[must_use]
    pub const fn since_unix_epoch(self) -> Duration {
        self.0
    }

    /// Returns the same point in time as a [`SystemTime`](std::time::SystemTime), or `None` if that type cannot hold
    /// it.
    #[cfg(feature = "std")]
    #[cfg_attr(docsrs, doc(cfg(feature = "std")))]
    #[must_use]
    pub fn to_system_time(self) -> Option<std::time::SystemTime> {
        std::time::UNIX_EPOCH.checked_add(self.0)
    }
}

/// A time before the Unix epoch, at which no record can have arrived, becomes the epoch.
#[cfg(feature = "std")]
#[cfg_attr(docsrs, doc(cfg(feature = "std")))]
impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        Self(time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        if nanos == 0 {
            return write!(f, "{seconds}");
        }
        let fraction = format!("{nanos:09}");
        write!(f, "{seconds}.{}", fraction.trim_end_matches('0'))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| InvalidTimestamp { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !(1..=9).contains(&fraction.len()) || !is_digits(seconds) || !is_digits(fraction) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(Timestamp(Duration::new(seconds.parse().ok()?, nanos)))
}

/// A string that is not a valid [`Timestamp`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidTimestamp {
    /// The string as it was given.
    pub text: String,
}

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a timestamp is seconds since the Unix epoch with at most nine digits after the point, not {:?}",
            self.text
        )
    }
}

impl core::error::Error for InvalidTimestamp {}
