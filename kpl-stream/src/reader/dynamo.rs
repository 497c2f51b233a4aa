//! Positions that are kept in a table of DynamoDB.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, ConditionCheck, Delete, KeySchemaElement, KeyType, Put,
    ReturnValue, ScalarAttributeType, TableDescription, TableStatus, TransactWriteItem, Update,
};
use aws_types::SdkConfig;
use futures_core::future::BoxFuture;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::sleep;

use super::error::PositionsError;
use super::positions::{Positions, ShardState, StreamPositions};
use crate::client::StreamIdentity;
use crate::sdk_error::{explain, has_code};

/// Positions in a table of DynamoDB: a reader that is started on another machine continues where the last one stopped.
///
/// The reader has a name of your choice, and continues wherever it has the same name. The table can have the positions of
/// many readers and streams. It is created if it is missing, with on-demand capacity.
///
/// ```no_run
/// use kpl_stream::reader::{DynamoPositions, Reader};
///
/// # async fn read<T>() -> Result<(), kpl_stream::reader::ReaderError>
/// # where
/// #     T: kpl_core::FromKplRecordOwned + Send + 'static,
/// # {
/// let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
/// let mut reader = Reader::<T>::builder()
///     .load_aws_config(&config)
///     .positions(DynamoPositions::new(&config, "positions", "billing"))
///     .build("clicks")
///     .await?;
/// while let Some(record) = reader.next().await {
///     let record = record?;
///     // Use the record. Then, or after several of them:
///     reader.commit().await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// # One reader of a name at a time
///
/// A reader that loads the positions of a stream takes them over. From then on, every save by the reader that had them before
/// fails, with an error that says so, and changes nothing: of two readers of one name, the later one continues and the
/// earlier one learns of it. A value that saves before it has loaded anything takes the positions only if no reader
/// has ever had them. The clones of one value are the same reader. Records that the earlier one has not yet saved are read
/// twice.
///
/// # What is in the table
///
/// The table has the partition key `reader` and the sort key `shard`, both strings. `reader` is the reader's name, a
/// space and the stream. Each shard has an item whose attribute `state` is its [`ShardState`] as a string. The item
/// with `@` in the place of the shard has the attributes `owner` and `generation`, which change whenever a reader takes
/// over, and `identity`, the stream's ARN and the time of its creation, if they are known. Items that look different
/// are never overwritten or deleted: they are errors.
///
/// # What it costs
///
/// A save is a [transaction](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html),
/// which needs two write units for each item of up to 1 KB. The items are the shards that changed since the last save
/// and the one with the owner: a save of one shard needs 4 units, a save of 20 shards 42. Save once a second or once per
/// batch rather than after each record. To load needs one write unit, and one read unit for every 4 KB of items, which
/// are about 30 shards.
///
/// # Permissions
///
/// On the table: `dynamodb:DescribeTable`, `Query`, `UpdateItem`, `PutItem`, `DeleteItem` and `ConditionCheckItem`; if the
/// table is missing, `CreateTable`. A transaction needs [no others](
/// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html).
///
/// # Limits
///
/// * A transaction has [at most 100
///   items](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html), so more than
///   99 shards are saved in several transactions, one after another. If a save fails or is interrupted, or another reader
///   takes over meanwhile, the states of some transactions may be saved and the others not. Each shard has its old
///   state or its new one.
/// * Names of streams are not empty and contain no whitespace, the reader's name is not empty, and both together have
///   [at most 2,047 bytes](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
/// * Transactions apply to one region. Do not let readers of one name use replicas of a global table in different regions.
///
/// The SDK repeats requests that fail temporarily, as `config` says. Transactions that were throttled or met another
/// one are repeated as well, for about three seconds.
#[derive(Clone)]
pub struct DynamoPositions {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    table: String,
    reader: String,
    /// Tells this value and its clones from all others.
    owner: String,
    /// Set once the table can be used.
    ready: OnceCell<()>,
    /// By stream, the generation that this value took over.
    generations: Mutex<BTreeMap<String, u64>>,
}

impl DynamoPositions {
    /// Returns positions that are kept in a table, under the name of a reader. `config` has the region, the credentials
    /// and the endpoint. Requests are made when the positions are loaded or saved for the first time.
    #[must_use]
    pub fn new(config: &SdkConfig, table: impl Into<String>, reader: impl Into<String>) -> Self {
        // Without one, the SDK's client panics.
        let version = config.behavior_version().unwrap_or_else(BehaviorVersion::latest);
        let config = Builder::from(config).behavior_version(version).build();
        Self {
            shared: Arc::new(Shared {
                client: Client::from_conf(config),
                table: table.into(),
                reader: reader.into(),
                owner: format!("{:032x}", fastrand::u128(..)),
                ready: OnceCell::new(),
                generations: Mutex::default(),
            }),
        }
    }
}

impl Positions for DynamoPositions {
    fn load<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamPositions, PositionsError>> {
        Box::pin(self.shared.load(stream))
    }

    fn save<'a>(
        &'a self,
        stream: &'a str,
        positions: &'a StreamPositions,
    ) -> BoxFuture<'a, Result<(), PositionsError>> {
        Box::pin(self.shared.save(stream, positions))
    }

    fn remove<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<(), PositionsError>> {
        Box::pin(self.shared.remove(stream))
    }
}

impl fmt::Debug for DynamoPositions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoPositions")
            .field("table", &self.shared.table)
            .field("reader", &self.shared.reader)
            .field("owner", &self.shared.owner)
            .finish_non_exhaustive()
    }
}

// The attributes of the items. They are never written out in expressions: some are words that DynamoDB reserves.
const READER: &str = "reader";
const SHARD: &str = "shard";
const STATE: &str = "state";
const OWNER: &str = "owner";
const GENERATION: &str = "generation";
const IDENTITY: &str = "identity";

/// What stands in the place of a shard's id in the item with the owner and the identity. No shard has it: the
/// [ids](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Shard.html) consist of letters, digits, `_`, `.`
/// and `-`.
const OWNER_ITEM: &str = "@";

/// How many items a transaction has besides the one with the owner.
const CHUNK: usize = 99;

/// How often a transaction is tried, and the first pause after one that failed. Each later one is twice as long.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How long to wait before asking again whether the table is there.
const TABLE_PAUSE: Duration = Duration::from_millis(500);

type Item = HashMap<String, AttributeValue>;

/// Whose positions a reader may take over.
#[derive(Clone, Copy)]
enum TakeOver {
    Anyones,
    Nobodys,
}

/// What becomes of the stream's identity when the states of shards change.
#[derive(Clone, Copy)]
enum IdentityChange<'a> {
    Keep,
    Set(&'a StreamIdentity),
    Remove,
}

impl Shared {
    async fn load(&self, stream: &str) -> Result<StreamPositions, PositionsError> {
        self.prepare(stream).await?;
        let owner_item = {
            let mut generations = self.generations.lock().await;
            let (item, generation) = self.take_over(stream, TakeOver::Anyones).await?;
            generations.insert(stream.to_owned(), generation);
            item
        };
        let mut positions = StreamPositions::default();
        if let Some(identity) = owner_item.get(IDENTITY) {
            let identity = self.text(stream, OWNER_ITEM, IDENTITY, Some(identity))?;
            let identity = identity
                .parse()
                .map_err(|error| self.item_failed(stream, OWNER_ITEM, &error))?;
            positions.identity = Some(identity);
        }
        for (shard_id, state) in self.states(stream).await? {
            let state: ShardState = state
                .parse()
                .map_err(|error| self.item_failed(stream, &shard_id, &error))?;
            positions.shards.insert(shard_id, state);
        }
        Ok(positions)
    }

    async fn save(&self, stream: &str, positions: &StreamPositions) -> Result<(), PositionsError> {
        let StreamPositions { identity, shards } = positions;
        if let Some(shard_id) = shards.keys().find(|id| id.is_empty() || *id == OWNER_ITEM) {
            return Err(self.failed(stream, &format!("{shard_id:?} cannot be a shard's id")));
        }
        let identity = identity.as_ref().map_or(IdentityChange::Keep, IdentityChange::Set);
        let generation = self.own(stream).await?;
        let shards: Vec<_> = shards.iter().collect();
        // Without any shard, there is still the identity to save.
        let chunks = shards.chunks(CHUNK).chain(shards.is_empty().then_some(&[][..]));
        for chunk in chunks {
            let mut items = vec![self.owner_check(stream, generation, identity)?];
            for (shard_id, state) in chunk {
                let put = Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(self.key(stream, shard_id)))
                    .item(STATE, AttributeValue::S(state.to_string()))
                    .condition_expression("attribute_not_exists(#shard) OR attribute_type(#state, :string)")
                    .expression_attribute_names("#shard", SHARD)
                    .expression_attribute_names("#state", STATE)
                    .expression_attribute_values(":string", AttributeValue::S("S".into()))
                    .build()?;
                items.push(TransactWriteItem::builder().put(put).build());
            }
            let shard_ids: Vec<&str> = chunk.iter().map(|(shard_id, _)| shard_id.as_str()).collect();
            self.write(stream, items, &shard_ids).await?;
        }
        Ok(())
    }

    /// Removes the states of all shards, then the identity. The owner stays, so that an earlier one cannot save again.
    async fn remove(&self, stream: &str) -> Result<(), PositionsError> {
        let generation = self.own(stream).await?;
        let states = self.states(stream).await?;
        let shard_ids: Vec<&str> = states.iter().map(|(shard_id, _)| shard_id.as_str()).collect();
        let mut chunks = shard_ids.chunks(CHUNK).peekable();
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let is_last = chunks.peek().is_none();
            let identity = if is_last {
                IdentityChange::Remove
            } else {
                IdentityChange::Keep
            };
            let mut items = vec![self.owner_check(stream, generation, identity)?];
            for shard_id in chunk {
                let delete = Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(self.key(stream, shard_id)))
                    .build()?;
                items.push(TransactWriteItem::builder().delete(delete).build());
            }
            self.write(stream, items, chunk).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Checks the names, and waits until the table can be used.
    async fn prepare(&self, stream: &str) -> Result<(), PositionsError> {
        if self.reader.is_empty() {
            return Err(self.failed(stream, &"the name of the reader is empty"));
        }
        if stream.is_empty() || stream.contains(char::is_whitespace) {
            return Err(self.failed(stream, &"the name of a stream is not empty and contains no whitespace"));
        }
        self.ready.get_or_try_init(|| self.prepare_table()).await?;
        Ok(())
    }

    async fn prepare_table(&self) -> Result<(), PositionsError> {
        let failed = |error: &dyn Display| PositionsError::from(format!("table {}: {error}", self.table));
        loop {
            match self.client.describe_table().table_name(&self.table).send().await {
                Ok(answer) => {
                    let table = answer.table.unwrap_or_else(|| TableDescription::builder().build());
                    check_keys(&table).map_err(|error| failed(&error))?;
                    match table.table_status {
                        Some(TableStatus::Active | TableStatus::Updating) => return Ok(()),
                        Some(TableStatus::Creating) => {}
                        status => {
                            let status = status.as_ref().map_or("unknown", TableStatus::as_str);
                            return Err(failed(&format!("it cannot be used now, its status is {status}")));
                        }
                    }
                }
                Err(error) if has_code(&error, "ResourceNotFoundException") => {
                    self.create_table().await.map_err(|error| failed(&error))?;
                }
                Err(error) => return Err(failed(&format!("DescribeTable: {}", explain(&error)))),
            }
            sleep(TABLE_PAUSE).await;
        }
    }

    async fn create_table(&self) -> Result<(), PositionsError> {
        tracing::info!(table = self.table, "the table of positions is missing and is created");
        let mut request = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest);
        for (name, key_type) in KEYS {
            let key = KeySchemaElement::builder().attribute_name(name).key_type(key_type);
            let attribute = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S);
            request = request
                .key_schema(key.build()?)
                .attribute_definitions(attribute.build()?);
        }
        match request.send().await {
            // Another reader created it first.
            Err(error) if has_code(&error, "ResourceInUseException") => Ok(()),
            Err(error) => Err(format!("CreateTable: {}", explain(&error)).into()),
            Ok(_) => Ok(()),
        }
    }

    /// Returns the generation as which this value may save. If it has not loaded anything, it takes over positions
    /// that no reader has.
    async fn own(&self, stream: &str) -> Result<u64, PositionsError> {
        self.prepare(stream).await?;
        let mut generations = self.generations.lock().await;
        if let Some(generation) = generations.get(stream) {
            return Ok(*generation);
        }
        let (_, generation) = self.take_over(stream, TakeOver::Nobodys).await?;
        generations.insert(stream.to_owned(), generation);
        Ok(generation)
    }

    /// Makes this value the owner. Returns the item that says so, and its generation.
    async fn take_over(&self, stream: &str, whose: TakeOver) -> Result<(Item, u64), PositionsError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(self.key(stream, OWNER_ITEM)))
            .update_expression("SET #owner = :owner ADD #generation :one")
            .expression_attribute_names("#shard", SHARD)
            .expression_attribute_names("#owner", OWNER)
            .expression_attribute_names("#generation", GENERATION)
            .expression_attribute_values(":owner", AttributeValue::S(self.owner.clone()))
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            .return_values(ReturnValue::AllNew);
        let request = match whose {
            TakeOver::Anyones => request
                .condition_expression(
                    "attribute_not_exists(#shard) OR \
                     (attribute_type(#owner, :string) AND attribute_type(#generation, :number))",
                )
                .expression_attribute_values(":string", AttributeValue::S("S".into()))
                .expression_attribute_values(":number", AttributeValue::S("N".into())),
            // This value is already the owner if the answer to an earlier attempt was lost.
            TakeOver::Nobodys => request.condition_expression("attribute_not_exists(#shard) OR #owner = :owner"),
        };
        let answer = match (request.send().await, whose) {
            (Ok(answer), _) => answer,
            (Err(error), TakeOver::Anyones) if has_code(&error, "ConditionalCheckFailedException") => {
                return Err(self.item_failed(stream, OWNER_ITEM, &"it does not have an owner and a generation"));
            }
            (Err(error), TakeOver::Nobodys) if has_code(&error, "ConditionalCheckFailedException") => {
                return Err(self.failed(
                    stream,
                    &"another reader of this name has positions, or had them: load them first, which takes them over",
                ));
            }
            (Err(error), _) => return Err(self.failed(stream, &format!("UpdateItem: {}", explain(&error)))),
        };
        let item = answer.attributes.unwrap_or_default();
        let generation = item.get(GENERATION).and_then(|value| value.as_n().ok());
        let generation = generation.and_then(|number| number.parse().ok());
        let generation =
            generation.ok_or_else(|| self.item_failed(stream, OWNER_ITEM, &"its generation is not a valid number"))?;
        Ok((item, generation))
    }

    /// Returns the states of all shards, which may be invalid, by shard id.
    async fn states(&self, stream: &str) -> Result<Vec<(String, String)>, PositionsError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#reader = :reader")
            .expression_attribute_names("#reader", READER)
            .expression_attribute_values(":reader", AttributeValue::S(self.partition(stream)))
            .into_paginator()
            .items()
            .send();
        let mut states = Vec::new();
        while let Some(item) = pages.next().await {
            let mut item = item.map_err(|error| self.failed(stream, &format!("Query: {}", explain(&error))))?;
            let Some(AttributeValue::S(shard_id)) = item.remove(SHARD) else {
                return Err(self.failed(stream, &"the service returned an item without its key"));
            };
            if shard_id != OWNER_ITEM {
                let state = self.text(stream, &shard_id, STATE, item.get(STATE))?.to_owned();
                states.push((shard_id, state));
            }
        }
        Ok(states)
    }

    /// Returns the part of a transaction that fails it if this value is not the owner.
    fn owner_check(
        &self,
        stream: &str,
        generation: u64,
        identity: IdentityChange<'_>,
    ) -> Result<TransactWriteItem, PositionsError> {
        const IS_OWNER: &str = "#owner = :owner AND #generation = :generation";

        let names = [("#owner", OWNER), ("#generation", GENERATION)];
        let mut names: HashMap<String, String> = names.map(|(name, value)| (name.into(), value.into())).into();
        let values = [
            (":owner", AttributeValue::S(self.owner.clone())),
            (":generation", AttributeValue::N(generation.to_string())),
        ];
        let mut values: Item = values.map(|(name, value)| (name.into(), value)).into();
        let key = self.key(stream, OWNER_ITEM);
        let expression = match identity {
            IdentityChange::Keep => {
                let check = ConditionCheck::builder()
                    .table_name(&self.table)
                    .set_key(Some(key))
                    .condition_expression(IS_OWNER)
                    .set_expression_attribute_names(Some(names))
                    .set_expression_attribute_values(Some(values));
                return Ok(TransactWriteItem::builder().condition_check(check.build()?).build());
            }
            IdentityChange::Set(identity) => {
                values.insert(":identity".into(), AttributeValue::S(identity.to_string()));
                "SET #identity = :identity"
            }
            IdentityChange::Remove => "REMOVE #identity",
        };
        names.insert("#identity".into(), IDENTITY.into());
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(expression)
            .condition_expression(IS_OWNER)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    /// Makes a transaction: first the check of the owner, then these shards.
    async fn write(
        &self,
        stream: &str,
        items: Vec<TransactWriteItem>,
        shard_ids: &[&str],
    ) -> Result<(), PositionsError> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let request = self.client.transact_write_items();
            let Err(error) = request.set_transact_items(Some(items.clone())).send().await else {
                break;
            };
            let cancelled = error.as_service_error();
            let codes = cancelled.and_then(|error| match error {
                TransactWriteItemsError::TransactionCanceledException(error) => Some(error.cancellation_reasons()),
                _ => None,
            });
            let codes = codes.unwrap_or_default().iter();
            let codes: Vec<&str> = codes.map(|reason| reason.code().unwrap_or_default()).collect();
            match codes.iter().position(|code| *code == "ConditionalCheckFailed") {
                Some(0) => {
                    return Err(self.failed(
                        stream,
                        &"another reader of this name has taken over, so this one cannot save any more: let only one run, \
                          or give each its own name",
                    ));
                }
                Some(place) => {
                    let shard_id = shard_ids.get(place - 1).copied().unwrap_or_default();
                    return Err(self.item_failed(stream, shard_id, &"it has no state, so it is not overwritten"));
                }
                None => {}
            }
            if attempt >= ATTEMPTS || !codes.iter().any(|code| PASSING.contains(code)) {
                let codes = codes.join(" ").replace("None", "");
                let error = explain(&error);
                return Err(self.failed(stream, &format!("TransactWriteItems: {error} {codes}").trim_end()));
            }
            sleep(pause).await;
            pause *= 2;
        }
        Ok(())
    }

    fn partition(&self, stream: &str) -> String {
        format!("{} {stream}", self.reader)
    }

    fn key(&self, stream: &str, shard_id: &str) -> Item {
        let key = [(READER, self.partition(stream)), (SHARD, shard_id.to_owned())];
        key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)))
            .into()
    }

    /// Returns an attribute that must be a string.
    fn text<'a>(
        &self,
        stream: &str,
        shard_id: &str,
        name: &str,
        value: Option<&'a AttributeValue>,
    ) -> Result<&'a str, PositionsError> {
        match value {
            Some(AttributeValue::S(text)) => Ok(text),
            _ => Err(self.item_failed(stream, shard_id, &format!("its attribute {name} is not a string"))),
        }
    }

    fn failed(&self, stream: &str, error: &dyn Display) -> PositionsError {
        let Self { table, reader, .. } = self;
        format!("table {table}, reader {reader:?}, stream {stream}: {error}").into()
    }

    fn item_failed(&self, stream: &str, shard_id: &str, error: &dyn Display) -> PositionsError {
        self.failed(
            stream,
            &format!("the item of {shard_id:?} is not a valid position: {error}"),
        )
    }
}

/// The table's keys, which are strings.
const KEYS: [(&str, KeyType); 2] = [(READER, KeyType::Hash), (SHARD, KeyType::Range)];

/// Why a transaction fails at one time and not at another.
const PASSING: [&str; 3] = [
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
];

fn check_keys(table: &TableDescription) -> Result<(), String> {
    let found = table.key_schema().iter().map(|key| {
        let is_string = table.attribute_definitions().iter().any(|attribute| {
            attribute.attribute_name() == key.attribute_name() && attribute.attribute_type() == &ScalarAttributeType::S
        });
        (key.attribute_name(), key.key_type(), is_string)
    });
    if found.eq(KEYS.iter().map(|(name, key_type)| (*name, key_type, true))) {
        return Ok(());
    }
    let found = table.key_schema().iter();
    let found: Vec<_> = found
        .map(|key| format!("{} {}", key.key_type(), key.attribute_name()))
        .collect();
    Err(format!(
        "its keys are {}, not HASH {READER} and RANGE {SHARD} as strings: use another table, or one that does not exist yet",
        found.join(" and ")
    ))
}
