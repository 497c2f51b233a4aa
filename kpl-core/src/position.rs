//! Positions of user records in their shards.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

/// The sequence number that a shard assigned to a Kinesis record. Sequence numbers are ordered as numbers.
///
/// ```
/// use kpl_core::SequenceNumber;
///
/// let (nine, ten) = (SequenceNumber::new("9")?, SequenceNumber::new("10")?);
/// assert!(nine < ten);
/// assert!(SequenceNumber::new("LATEST").is_err());
/// # Ok::<(), kpl_core::InvalidSequenceNumber>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SequenceNumber(String);

impl SequenceNumber {
    /// Returns a string of decimal digits, of any length, as a sequence number.
    ///
    /// # Errors
    ///
    /// [`InvalidSequenceNumber`], which holds the string, if it is empty or contains anything but digits.
    pub fn new(text: &str) -> Result<Self, InvalidSequenceNumber> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidSequenceNumber { text: text.to_owned() });
        }
        let significant = text.trim_start_matches('0');
        Ok(Self(if significant.is_empty() { "0" } else { significant }.to_owned()))
    }

    /// Returns the number in decimal digits, without leading zeros.
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

impl FromStr for SequenceNumber {
    type Err = InvalidSequenceNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// A string that is not a valid sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidSequenceNumber {
    /// The string as it was given.
    pub text: String,
}

impl fmt::Display for InvalidSequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a sequence number consists of decimal digits only, unlike {:?}",
            self.text
        )
    }
}

impl core::error::Error for InvalidSequenceNumber {}

/// The position of a user record in its shard: sequence number, then sub-sequence number.
///
/// As a string it is `SEQUENCE:SUB`.
///
/// ```
/// use kpl_core::Position;
///
/// let position: Position = "49543463076570308322303623326179887152428262250726293588:3".parse()?;
/// assert!(position < Position::new("49543463076570308322303623326179887152428262250726293588", 10)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Position {
    /// The sequence number of the Kinesis record.
    pub sequence_number: SequenceNumber,
    /// The index among the user records inside it.
    pub sub_sequence_number: u64,
}

impl Position {
    /// Returns the position of the user record `sub_sequence_number` in the Kinesis record `sequence_number`.
    ///
    /// # Errors
    ///
    /// [`InvalidSequenceNumber`], which holds the string, if the sequence number does not consist of digits.
    pub fn new(sequence_number: &str, sub_sequence_number: u64) -> Result<Self, InvalidSequenceNumber> {
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

/// A string that is not a valid position.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidPosition {
    /// The string as it was given.
    pub text: String,
}

impl fmt::Display for InvalidPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a position is SEQUENCE:SUB, two decimal numbers, not {:?}",
            self.text
        )
    }
}

impl core::error::Error for InvalidPosition {}
