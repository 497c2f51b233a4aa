//! The options of a producer, named after the KPL's.

use std::fmt;
use std::time::Duration;

use kpl_core::{DEFAULT_MAX_SIZE, LARGEST_MAX_SIZE};

/// How a producer works. [`ProducerBuilder`](crate::ProducerBuilder) has a method for each, with its meaning and its default.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the builder's methods explain them")]
pub struct Options {
    pub aggregation_enabled: bool,
    pub aggregation_max_count: usize,
    pub aggregation_max_size: usize,
    pub collection_max_count: usize,
    pub collection_max_size: usize,
    pub record_max_buffered_time: Duration,
    pub record_ttl: Duration,
    pub rate_limit: u32,
    pub fail_if_throttled: bool,
    pub max_connections: usize,
    pub request_timeout: Duration,
    pub max_user_record_size: usize,
    pub max_buffered_bytes: usize,
    pub max_buffered_records: usize,
    pub ordered: bool,
    pub resend_strays_only: bool,
    pub shard_refresh_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            aggregation_enabled: true,
            aggregation_max_count: usize::MAX,
            aggregation_max_size: DEFAULT_MAX_SIZE,
            collection_max_count: PUT_RECORDS_MAX_COUNT,
            collection_max_size: 5 * 1024 * 1024,
            record_max_buffered_time: Duration::from_millis(100),
            record_ttl: Duration::from_secs(30),
            rate_limit: 150,
            fail_if_throttled: false,
            max_connections: 24,
            request_timeout: Duration::from_secs(6),
            max_user_record_size: 1024 * 1024,
            max_buffered_bytes: 64 * 1024 * 1024,
            max_buffered_records: 500_000,
            ordered: false,
            resend_strays_only: false,
            shard_refresh_interval: Duration::from_secs(60),
        }
    }
}

/// The most entries of a PutRecords request
/// ([PutRecords](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html)).
pub(crate) const PUT_RECORDS_MAX_COUNT: usize = 500;

/// The most permits that one record may ask of the budget at once.
const MAX_BUDGET: usize = u32::MAX as usize;

impl Options {
    /// Whether every option has a value that it can have.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`], about the first that has not.
    pub fn check(&self) -> Result<(), InvalidOption> {
        let within = |option, value: usize, min, max| {
            if (min..=max).contains(&value) {
                return Ok(());
            }
            Err(InvalidOption {
                option,
                reason: format!("it is {value}, and must be from {min} to {max}"),
            })
        };
        let positive = |option, value: Duration| {
            if !value.is_zero() {
                return Ok(());
            }
            Err(InvalidOption {
                option,
                reason: "it must be longer than nothing".into(),
            })
        };
        within("aggregation_max_count", self.aggregation_max_count, 1, usize::MAX)?;
        within("aggregation_max_size", self.aggregation_max_size, 1, LARGEST_MAX_SIZE)?;
        within(
            "collection_max_count",
            self.collection_max_count,
            1,
            PUT_RECORDS_MAX_COUNT,
        )?;
        within("collection_max_size", self.collection_max_size, 1, LARGEST_MAX_SIZE)?;
        within("max_user_record_size", self.max_user_record_size, 1, LARGEST_MAX_SIZE)?;
        within("rate_limit", self.rate_limit as usize, 1, 1_000_000)?;
        within("max_connections", self.max_connections, 1, 10_000)?;
        within(
            "max_buffered_bytes",
            self.max_buffered_bytes,
            self.max_user_record_size,
            MAX_BUDGET,
        )?;
        within("max_buffered_records", self.max_buffered_records, 1, MAX_BUDGET)?;
        positive("record_ttl", self.record_ttl)?;
        positive("request_timeout", self.request_timeout)?;
        positive("shard_refresh_interval", self.shard_refresh_interval)
    }
}

/// An option that was set to a value that it cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidOption {
    /// The option's name.
    pub option: &'static str,
    /// What is wrong with its value.
    pub reason: String,
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.option, self.reason)
    }
}

impl std::error::Error for InvalidOption {}
