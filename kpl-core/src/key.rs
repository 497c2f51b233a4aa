//! Partition keys, hash keys, and ranges of hash keys.

use alloc::borrow::{Cow, ToOwned as _};
use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;

use crate::digest::{Digest, md5};

/// A partition key that the service accepts: 1 to 256 Unicode characters.
///
/// Characters, not bytes: 256 four-byte characters are legal
/// ([PutRecordsRequestEntry](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecordsRequestEntry.html)).
///
/// ```
/// use kpl_core::PartitionKey;
///
/// let key = PartitionKey::new("customer-7")?;
/// assert_eq!(key.as_str(), "customer-7");
/// assert!(PartitionKey::new("").is_err());
/// assert!(PartitionKey::new("é".repeat(257)).is_err());
/// # Ok::<(), kpl_core::InvalidPartitionKey>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey<'a>(Cow<'a, str>);

impl<'a> PartitionKey<'a> {
    /// The most characters that a partition key may have.
    pub const MAX_CHARACTERS: usize = 256;

    /// Returns a string as a partition key.
    ///
    /// # Errors
    ///
    /// [`InvalidPartitionKey`], which holds the string, if it is empty or has more than 256 characters.
    #[inline]
    pub fn new(text: impl Into<Cow<'a, str>>) -> Result<Self, InvalidPartitionKey> {
        let text = text.into();
        Self::check(&text)?;
        Ok(Self(text))
    }

    /// Checks that a string is a valid partition key.
    #[inline]
    pub(crate) fn check(text: &str) -> Result<(), InvalidPartitionKey> {
        // A string never has more characters than bytes.
        match text.len() {
            1..=Self::MAX_CHARACTERS => Ok(()),
            _ => Self::check_characters(text),
        }
    }

    #[cold]
    fn check_characters(text: &str) -> Result<(), InvalidPartitionKey> {
        match text.chars().count() {
            1..=Self::MAX_CHARACTERS => Ok(()),
            characters => Err(InvalidPartitionKey {
                text: text.to_owned(),
                characters,
            }),
        }
    }

    /// Returns the key as a string.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the hash key that the service computes from this partition key: its MD5.
    ///
    /// ```
    /// # use kpl_core::PartitionKey;
    /// let hash_key = PartitionKey::new("abc")?.hash_key();
    /// assert_eq!(hash_key.to_string(), "191415658344158766168031473277922803570");
    /// # Ok::<(), kpl_core::InvalidPartitionKey>(())
    /// ```
    #[must_use]
    pub fn hash_key(&self) -> HashKey {
        HashKey::of_partition_key(&self.0)
    }

    /// Returns the same key without borrowed data.
    #[must_use]
    pub fn into_owned(self) -> PartitionKey<'static> {
        PartitionKey(Cow::Owned(self.0.into_owned()))
    }

    /// Returns the key as a string, without copying it if the key owns it.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0.into_owned()
    }
}

impl fmt::Display for PartitionKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AsRef<str> for PartitionKey<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A partition key hashes, compares and orders as its string does, so a map of partition keys can be looked up by
/// string.
impl Borrow<str> for PartitionKey<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for PartitionKey<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for PartitionKey<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl<'a> TryFrom<&'a str> for PartitionKey<'a> {
    type Error = InvalidPartitionKey;

    fn try_from(text: &'a str) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for PartitionKey<'_> {
    type Error = InvalidPartitionKey;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<PartitionKey<'_>> for String {
    fn from(key: PartitionKey<'_>) -> Self {
        key.into_string()
    }
}

impl FromStr for PartitionKey<'static> {
    type Err = InvalidPartitionKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        PartitionKey::new(text).map(PartitionKey::into_owned)
    }
}

/// A string that is not a valid partition key: empty, or longer than 256 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidPartitionKey {
    /// The string as it was given.
    pub text: String,
    /// How many Unicode characters it has.
    pub characters: usize,
}

impl fmt::Display for InvalidPartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a partition key has 1 to {} characters, this one has {}",
            PartitionKey::MAX_CHARACTERS,
            self.characters
        )
    }
}

impl core::error::Error for InvalidPartitionKey {}

/// A position in the space of 128-bit numbers that shards divide among themselves.
///
/// As a string it has the service's own form, `0|[1-9][0-9]{0,38}` up to 2^128-1; anything else does not parse.
///
/// ```
/// use kpl_core::HashKey;
///
/// let key: HashKey = "170141183460469231731687303715884105728".parse()?;
/// assert_eq!(key, HashKey::new(1 << 127));
/// assert!("007".parse::<HashKey>().is_err());
/// assert!("340282366920938463463374607431768211456".parse::<HashKey>().is_err()); // 2^128
/// # Ok::<(), kpl_core::InvalidHashKey>(())
/// ```
// Two halves instead of a u128, whose alignment of 16 would widen everything that holds one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey {
    high: u64,
    low: u64,
}

impl HashKey {
    /// The lowest hash key, 0.
    pub const MIN: Self = Self::new(0);
    /// The highest hash key, 2^128-1.
    pub const MAX: Self = Self::new(u128::MAX);

    /// Returns the hash key with this value.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "splits the number in its two halves")]
    pub const fn new(value: u128) -> Self {
        Self {
            high: (value >> 64) as u64,
            low: value as u64,
        }
    }

    /// Returns the hash key as a number.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    /// Returns the hash key that the service computes from a partition key: the MD5 of its UTF-8 bytes, read as a
    /// big-endian number.
    #[must_use]
    pub fn of_partition_key(text: &str) -> Self {
        md5(text.as_bytes()).into()
    }

    /// Returns the hash key that selects the shard: the explicit one if there is one, otherwise that of the partition
    /// key.
    #[inline]
    #[must_use]
    pub fn effective(partition_key: &str, explicit: Option<Self>) -> Self {
        explicit.unwrap_or_else(|| Self::of_partition_key(partition_key))
    }

    /// Reads the explicit hash key of a user record as leniently as the KCL does (Java's `BigInteger`): leading zeros and one
    /// sign are allowed. [`FromStr`] takes only what may be written.
    ///
    /// ```
    /// use kpl_core::HashKey;
    ///
    /// assert_eq!(HashKey::parse_lenient("+007"), Some(HashKey::new(7)));
    /// assert_eq!(HashKey::parse_lenient("7a"), None);
    /// ```
    #[must_use]
    pub fn parse_lenient(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = match digits.trim_start_matches('0') {
            _ if !all_digits => return None,
            "" => 0,
            _ if text.starts_with('-') => return None,
            significant => significant.parse().ok()?,
        };
        Some(Self::new(value))
    }
}

impl From<u128> for HashKey {
    fn from(value: u128) -> Self {
        Self::new(value)
    }
}

/// The MD5 of a partition key is its hash key, as a big-endian number.
impl From<Digest> for HashKey {
    fn from(digest: Digest) -> Self {
        Self::new(u128::from_be_bytes(digest))
    }
}

impl From<HashKey> for u128 {
    fn from(key: HashKey) -> Self {
        key.value()
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashKey({self})")
    }
}

impl FromStr for HashKey {
    type Err = InvalidHashKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let canonical = text == "0" || (text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0'));
        canonical
            .then(|| text.parse().ok())
            .flatten()
            .map(Self::new)
            .ok_or_else(|| InvalidHashKey { text: text.into() })
    }
}

/// A string that is not a valid hash key: not `0|[1-9][0-9]{0,38}`, or above 2^128-1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidHashKey {
    /// The string as it was given.
    pub text: String,
}

impl fmt::Display for InvalidHashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a hash key is a decimal number from 0 to 2^128-1 without sign or leading zeros, not {:?}",
            self.text
        )
    }
}

impl core::error::Error for InvalidHashKey {}

/// A range of hash keys, both ends inclusive, as a shard owns one.
///
/// As a string it is `START..=END`.
///
/// ```
/// use kpl_core::{HashKey, HashKeyRange};
///
/// let lower_half = HashKeyRange::new(HashKey::MIN, HashKey::new(u128::MAX / 2))?;
/// assert!(lower_half.contains(HashKey::new(7)));
/// assert!(!lower_half.contains(HashKey::MAX));
///
/// let parsed: HashKeyRange = "0..=170141183460469231731687303715884105727".parse()?;
/// assert_eq!(parsed, lower_half);
/// # Ok::<(), kpl_core::InvalidHashKeyRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashKeyRange {
    start: HashKey,
    end: HashKey,
}

impl HashKeyRange {
    /// Every possible hash key.
    pub const FULL: Self = Self {
        start: HashKey::MIN,
        end: HashKey::MAX,
    };

    /// Returns the range from `start` to `end`, both inclusive (StartingHashKey and EndingHashKey of a shard).
    ///
    /// # Errors
    ///
    /// [`InvalidHashKeyRange::Reversed`], with both ends, if `start` is above `end`.
    pub const fn new(start: HashKey, end: HashKey) -> Result<Self, InvalidHashKeyRange> {
        if start.value() > end.value() {
            return Err(InvalidHashKeyRange::Reversed { start, end });
        }
        Ok(Self { start, end })
    }

    /// Returns the lowest hash key in the range.
    #[must_use]
    pub const fn start(&self) -> HashKey {
        self.start
    }

    /// Returns the highest hash key in the range.
    #[must_use]
    pub const fn end(&self) -> HashKey {
        self.end
    }

    /// Returns whether a hash key lies in the range.
    #[inline]
    #[must_use]
    pub fn contains(&self, key: HashKey) -> bool {
        (self.start..=self.end).contains(&key)
    }
}

impl TryFrom<RangeInclusive<u128>> for HashKeyRange {
    type Error = InvalidHashKeyRange;

    fn try_from(range: RangeInclusive<u128>) -> Result<Self, Self::Error> {
        let (start, end) = range.into_inner();
        Self::new(start.into(), end.into())
    }
}

impl fmt::Display for HashKeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.start, self.end)
    }
}

impl FromStr for HashKeyRange {
    type Err = InvalidHashKeyRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidHashKeyRange::Syntax { text: text.to_owned() };
        let (start, end) = text.split_once("..=").ok_or_else(invalid)?;
        let key = |text: &str| text.parse::<HashKey>().map_err(|_| invalid());
        Self::new(key(start)?, key(end)?)
    }
}

/// Why a range of hash keys is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidHashKeyRange {
    /// The start is above the end.
    Reversed {
        /// The start as it was given.
        start: HashKey,
        /// The end as it was given.
        end: HashKey,
    },
    /// A string does not have the form `START..=END`.
    Syntax {
        /// The string as it was given.
        text: String,
    },
}

impl fmt::Display for InvalidHashKeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reversed { start, end } => {
                write!(f, "a hash key range starts at {start} but ends before it, at {end}")
            }
            Self::Syntax { text } => write!(
                f,
                "a hash key range is START..=END with two decimal numbers from 0 to 2^128-1, not {text:?}"
            ),
        }
    }
}

impl core::error::Error for InvalidHashKeyRange {}
