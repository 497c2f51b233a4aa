//! Checkpoints that are kept in a table of DynamoDB.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use kpl_core::Origin;
use lambda_runtime::{BoxFuture, Error};

use crate::checkpoint::Checkpoints;

/// Keeps entries in a table of DynamoDB: a retry continues inside the aggregate in whatever execution environment it is.
///
/// ```no_run
/// use kpl_lambda::{DynamoCheckpoints, Error, Handler, Received};
/// # #[derive(kpl::KplRecord)] struct Line { #[kpl(partition_key)] key: String, #[kpl(payload)] text: Vec<u8> }
/// # async fn store(_: Line) -> Result<(), std::io::Error> { Ok(()) }
///
/// #[tokio::main]
/// async fn main() -> Result<(), Error> {
///     let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
///     Handler::per_record(|line: Received<Line>| async move { store(line.value).await })
///         .checkpoints(DynamoCheckpoints::new(&config, "checkpoints"))
///         .run()
///         .await
/// }
/// ```
///
/// # The table
///
/// It has the partition key `record`, a string: stream, shard and sequence number, with spaces between them. The other
/// attributes are numbers: `done`, the sub-sequence number, and `expires`, in seconds since the Unix epoch. An entry that has
/// expired counts for nothing; DynamoDB
/// [deletes it](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html) if `expires` is the table's
/// attribute for the time to live. `docs/lambda.md` in the repository has the commands that create the table.
///
/// Functions may share a table, but not two functions that read the same stream.
///
/// # Cost
///
/// An invocation reads one entry, for half a read unit to one, and a failure inside an aggregate writes one.
///
/// An entry only ever moves forward: an invocation that was believed dead and saves late changes nothing.
///
/// # Permissions
///
/// On the table: `dynamodb:GetItem`, `UpdateItem` and `DeleteItem`.
#[derive(Clone)]
pub struct DynamoCheckpoints {
    client: Client,
    table: String,
    expire_after: Duration,
}

// The attributes of an entry. They are never written out in expressions: some words are reserved.
const RECORD: &str = "record";
const DONE: &str = "done";
const EXPIRES: &str = "expires";

impl DynamoCheckpoints {
    /// Returns checkpoints that are kept in a table, which must exist. `config` has the region, the credentials and the
    /// endpoint.
    #[must_use]
    pub fn new(config: &SdkConfig, table: impl Into<String>) -> Self {
        // Without one, the SDK's client panics.
        let version = config.behavior_version().unwrap_or_else(BehaviorVersion::latest);
        let config = Builder::from(config).behavior_version(version).build();
        Self {
            client: Client::from_conf(config),
            table: table.into(),
            expire_after: Duration::from_secs(24 * 60 * 60),
        }
    }

    /// Sets how long an entry counts after it was saved. The default is one day. It should be longer than Lambda retries a
    /// record.
    #[must_use]
    pub const fn expire_after(mut self, time: Duration) -> Self {
        self.expire_after = time;
        self
    }

    fn key(record: &Origin) -> HashMap<String, AttributeValue> {
        let part = |part: Option<&str>| part.unwrap_or("-").to_owned();
        let stream = part(record.stream.as_deref());
        let shard_id = part(record.shard_id.as_deref());
        let number = part(record.sequence_number.as_deref());
        let key = AttributeValue::S(format!("{stream} {shard_id} {number}"));
        [(RECORD.to_owned(), key)].into()
    }

    async fn load(&self, record: &Origin) -> Result<Option<u64>, Error> {
        let request = self.client.get_item().table_name(&self.table);
        let answer = request
            .set_key(Some(Self::key(record)))
            .consistent_read(true)
            .send()
            .await;
        let Some(item) = answer.map_err(|error| self.failed("GetItem", error))?.item else {
            return Ok(None);
        };
        let number = |name| {
            let number = item.get(name).and_then(|value| value.as_n().ok()?.parse::<u64>().ok());
            number.ok_or_else(|| format!("table {}: an entry does not have a valid number {name}", self.table))
        };
        let (done, expires) = (number(DONE)?, number(EXPIRES)?);
        Ok((expires > seconds(SystemTime::now())).then_some(done))
    }

    async fn save(&self, record: &Origin, sub_sequence_number: u64) -> Result<(), Error> {
        let now = SystemTime::now();
        let expires = now.checked_add(self.expire_after).map_or(u64::MAX, seconds);
        let number = |number: u64| AttributeValue::N(number.to_string());
        let request = self.client.update_item().table_name(&self.table);
        let answer = request
            .set_key(Some(Self::key(record)))
            .update_expression("SET #done = :done, #expires = :expires")
            .condition_expression("attribute_not_exists(#record) OR #done < :done OR #expires <= :now")
            .expression_attribute_names("#record", RECORD)
            .expression_attribute_names("#done", DONE)
            .expression_attribute_names("#expires", EXPIRES)
            .expression_attribute_values(":done", number(sub_sequence_number))
            .expression_attribute_values(":expires", number(expires))
            .expression_attribute_values(":now", number(seconds(now)))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            // Another invocation is as far, or farther.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(self.failed("UpdateItem", error)),
        }
    }

    async fn clear(&self, record: &Origin) -> Result<(), Error> {
        let request = self.client.delete_item().table_name(&self.table);
        let answer = request.set_key(Some(Self::key(record))).send().await;
        answer.map(drop).map_err(|error| self.failed("DeleteItem", error))
    }

    fn failed(&self, operation: &str, error: impl std::error::Error) -> Error {
        // The SDK's errors say little more than their kind; their sources have the rest.
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        let mut message = format!("table {}: {operation}", self.table);
        for cause in causes {
            message += &format!(": {cause}");
        }
        message.into()
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Checkpoints for DynamoCheckpoints {
    fn load<'a>(&'a self, record: &'a Origin) -> BoxFuture<'a, Result<Option<u64>, Error>> {
        Box::pin(self.load(record))
    }

    fn save<'a>(&'a self, record: &'a Origin, sub_sequence_number: u64) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.save(record, sub_sequence_number))
    }

    fn clear<'a>(&'a self, record: &'a Origin) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.clear(record))
    }
}

impl fmt::Debug for DynamoCheckpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoCheckpoints")
            .field("table", &self.table)
            .field("expire_after", &self.expire_after)
            .finish_non_exhaustive()
    }
}
