//! The options of a producer, named after the KPL's.

use std::time::Duration;

use kpl_core::{DEFAULT_MAX_SIZE, InvalidOption, MAX_RECORD_SIZE};

/// Passes every option to a macro: its documentation, name, type and default. [`Options`] has a field for each option,
/// and the builder has a method.
macro_rules! for_each_option {
    ($macro:ident) => {
        $macro! {
            /// Whether several user records may be sent as one Kinesis record. Default: `true`.
            aggregation_enabled: bool = true,

            /// The most user records in one Kinesis record. Default: as many as fit.
            aggregation_max_count: usize = usize::MAX,

            /// The most bytes in an aggregated record, including its partition key. Default: 51,200; at most 10 MiB. A
            /// user record that is larger is sent alone.
            aggregation_max_size: usize = DEFAULT_MAX_SIZE,

            /// The most Kinesis records in one request. Default: 500, the service's maximum.
            collection_max_count: usize = PUT_RECORDS_MAX_COUNT,

            /// The most bytes in one request, counting its records. Default: 5 MiB; at most 10 MiB, the service's
            /// maximum. A record that is larger is sent alone.
            ///
            /// If the service refuses a request of several records for its size, later requests to that stream are
            /// smaller: at most half the size of the refused one. After every ten minutes without such a refusal the
            /// limit doubles, until it is back at this option.
            collection_max_size: usize = 5 * 1024 * 1024,

            /// How long a record may wait to be sent together with others. Default: 100 ms.
            record_max_buffered_time: Duration = Duration::from_millis(100),

            /// How long the producer tries to deliver a record before it fails as expired. Default: 30 s.
            record_ttl: Duration = Duration::from_secs(30),

            /// The most that is sent to a shard, in percent of what it accepts (1,000 records and 1 MiB per second).
            /// Default: 150.
            ///
            /// The producer starts with at most 100 percent, slows down when the shard refuses records, so that
            /// producers share it, and speeds up again. If this is more than 200, the producer starts at this rate: use
            /// that for services that accept more than Kinesis does.
            rate_limit: u32 = 150,

            /// Whether a record that the service throttles fails at once instead of being sent again. Default: `false`.
            fail_if_throttled: bool = false,

            /// The most requests in flight at once. Default: 24.
            max_connections: usize = 24,

            /// How long the service may take to answer. Default: 6 s. After that it is unknown whether the records were
            /// written, and they are sent again.
            request_timeout: Duration = Duration::from_secs(6),

            /// The most bytes in a user record, counting its partition key and its payload. Default: 1 MiB; at most 10
            /// MiB, for streams whose maximum record size was raised.
            max_user_record_size: usize = 1024 * 1024,

            /// The memory budget for all streams together: what the process may grow by. Default: 64 MiB. When it is
            /// used up, senders wait.
            ///
            /// Three quarters are for records without an outcome. Each takes
            /// [`BYTES_PER_RECORD`](crate::BYTES_PER_RECORD) and twice the size of its key, its payload and its tags,
            /// because the [`Delivery`](crate::Delivery) keeps the record as it was sent. The last quarter is for
            /// requests under way, which hold packed copies: together they carry at most a tenth of this option, or one
            /// Kinesis record. To send more than that per round trip, raise it.
            max_buffered_bytes: usize = 64 * 1024 * 1024,

            /// The most records without an outcome, of all streams together. Default: 500,000.
            max_buffered_records: usize = 500_000,

            /// Whether records with the same partition key keep their order: a later one is never in flight while an
            /// earlier one is. Default: `false`. If set, a key gets at most one Kinesis record per round trip.
            ordered: bool = false,

            /// Whether only the strays of an aggregate are sent again if, because the shards changed, it landed in a
            /// shard that does not own all of its records. Default: `false`. Then all of its records are sent again,
            /// because readers that filter by hash key range, as the KCL does, drop the whole aggregate. Set it to
            /// `true` if your readers do not filter.
            resend_strays_only: bool = false,

            /// Whether records carry the trace of their sender: the tags `traceparent` and `tracestate` of
            /// [W3C Trace Context](https://www.w3.org/TR/trace-context/), with the current span of `tracing`, or else
            /// the current context of `opentelemetry`. Default: `false`. [`TraceContext`](kpl_core::TraceContext) says
            /// what it costs. Records that have tags of these names keep theirs.
            #[cfg(feature = "trace")]
            trace_context: bool = false,

            /// How often shards are listed if nothing indicates that they changed. Default: 60 s.
            shard_refresh_interval: Duration = Duration::from_secs(60),
        }
    };
}
pub(super) use for_each_option;

macro_rules! options {
    ($($(#[$doc:meta])* $option:ident: $type:ty = $default:expr,)*) => {
        /// The options of a producer. [`ProducerBuilder`](crate::ProducerBuilder) has a method for each of them.
        ///
        /// ```
        /// use kpl_stream::Options;
        ///
        /// let mut options = Options::default();
        /// options.max_connections = 0;
        /// let error = options.check().unwrap_err();
        /// assert_eq!(error.to_string(), "max_connections is 0, but must be from 1 to 10000");
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub struct Options {
            $($(#[$doc])* pub $option: $type,)*
        }

        impl Default for Options {
            #[allow(unused_doc_comments, reason = "what an option depends on stands among its documentation")]
            fn default() -> Self {
                Self { $($(#[$doc])* $option: $default,)* }
            }
        }
    };
}
for_each_option!(options);

/// The most entries in a PutRecords request
/// ([PutRecords](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html)).
const PUT_RECORDS_MAX_COUNT: usize = 500;

/// The most permits that one record can take from the budget at once.
const MAX_BUDGET: usize = u32::MAX as usize;

impl Options {
    /// Checks that every option is within its range.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] for the first option that is not.
    pub fn check(&self) -> Result<(), InvalidOption> {
        let positive = |option, value: Duration| {
            if !value.is_zero() {
                return Ok(());
            }
            Err(InvalidOption::new(
                option,
                format_args!("{value:?}"),
                "longer than zero",
            ))
        };
        InvalidOption::check("aggregation_max_count", self.aggregation_max_count, 1..=usize::MAX)?;
        InvalidOption::check("aggregation_max_size", self.aggregation_max_size, 1..=MAX_RECORD_SIZE)?;
        InvalidOption::check(
            "collection_max_count",
            self.collection_max_count,
            1..=PUT_RECORDS_MAX_COUNT,
        )?;
        InvalidOption::check("collection_max_size", self.collection_max_size, 1..=MAX_RECORD_SIZE)?;
        InvalidOption::check("max_user_record_size", self.max_user_record_size, 1..=MAX_RECORD_SIZE)?;
        InvalidOption::check("rate_limit", self.rate_limit as usize, 1..=1_000_000)?;
        InvalidOption::check("max_connections", self.max_connections, 1..=10_000)?;
        InvalidOption::check(
            "max_buffered_bytes",
            self.max_buffered_bytes,
            self.max_user_record_size..=MAX_BUDGET,
        )?;
        InvalidOption::check("max_buffered_records", self.max_buffered_records, 1..=MAX_BUDGET)?;
        positive("record_ttl", self.record_ttl)?;
        positive("request_timeout", self.request_timeout)?;
        positive("shard_refresh_interval", self.shard_refresh_interval)
    }
}
