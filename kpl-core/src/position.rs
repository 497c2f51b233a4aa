//! Where a user record stands in its shard.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

/// The sequence number that a shard gave to a Kinesis record. Ordered as the number it is.
///
/// ```
/// use kpl_core::SequenceNumber;
///
/// let (nine, ten) = (SequenceNumber::new("9")?, SequenceNumber::new("10")?);
/// assert!(nine < ten);
/// assert!(SequenceNumber::new("LATEST").is_err());
/// # Ok::<(), kpl_core::InvalidPosition>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SequenceNumber(String);

impl SequenceNumber {
    /// Takes decimal digits as a sequence number, whatever their count.
    ///
    /// # Errors
    ///
    /// [`InvalidPosition`], with the text, if it is empty or has anything but digits.
    pub fn new(text: &str) -> Result<Self, InvalidPosition> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidPosition { text: text.to_owned() });
        }
        let significant = text.trim_start_matches('0');
        Ok(Self(if significant.is_empty() { "0" } else { significant }.to_owned()))
    }

    /// The number in decimal digits, without leading zeros.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a user record stands in its shard: sequence number, then sub-sequence number.
///
/// In text it is `SEQUENCE:SUB`.
///
/// ```
/// use kpl_core::Position;
///
/// let position: Position = "49543463076570308322303623326179887152428262250726293588:3".parse()?;
/// assert!(position < Position::new("49543463076570308322303623326179887152428262250726293588", 10)?);
/// # Ok::<(), kpl_core::InvalidPosition>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Position {
    /// The sequence number of the Kinesis record.
    pub sequence_number: SequenceNumber,
    /// The position inside it.
    pub sub_sequence_number: u64,
}

impl Position {
    /// The position of the user record `sub_sequence_number` in the Kinesis record `sequence_number`.
    ///
    /// # Errors
    ///
    /// [`InvalidPosition`], with the text, if the sequence number is not made of digits.
    pub fn new(sequence_number: &str, sub_sequence_number: u64) -> Result<Self, InvalidPosition> {
        Ok(Self {
            sequence_number: SequenceNumber::new(sequence_number)?,
            sub_sequence_number,
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence_number, self.sub_sequence_number)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPosition { text: text.to_owned() };
        let (sequence_number, sub) = text.split_once(':').ok_or_else(invalid)?;
        if !sub.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        Self::new(sequence_number, sub.parse().map_err(|_| invalid())?).map_err(|_| invalid())
    }
}

/// A text that is no position, or no sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidPosition {
    /// The text as it was given.
    pub text: String,
}

impl fmt::Display for InvalidPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a sequence number has decimal digits only, and a position is SEQUENCE:SUB, not {:?}",
            self.text
        )
    }
}

impl core::error::Error for InvalidPosition {}
