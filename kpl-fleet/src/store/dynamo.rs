//! Leases in a table of DynamoDB, as the Kinesis Client Library keeps them.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ReturnValuesOnConditionCheckFailure,
    ScalarAttributeType, TableDescription, TableStatus,
};
use aws_types::SdkConfig;
use futures_core::future::BoxFuture;
use kpl_stream::sdk_error::{explain, has_code};
use tokio::time::{Instant, sleep};

use super::{Changed, LeaseStore, StoreError, StoreErrorKind};
use crate::lease::{Lease, Update};
use crate::metrics::request;
use crate::table::row::{self, CLIENT_VERSION, MIGRATION, Row};
use crate::table::{Attribute, Change, Item, LeaseTable};

/// An item of DynamoDB, as the SDK has it.
type SdkItem = HashMap<String, AttributeValue>;

/// Leases in a table of DynamoDB: the one that the Kinesis Client Library (KCL) keeps for an application, or one like it.
///
/// The table is created if it is missing, with on-demand capacity. Deletion protection and tags are yours to set. Rows that
/// are not leases, and attributes that are not known here, stay as they are.
///
/// # Permissions
///
/// On the table: `dynamodb:DescribeTable`, `Scan`, `GetItem`, `PutItem`, `UpdateItem` and `DeleteItem`; if the table is missing,
/// `CreateTable`. On the table `APPLICATION-CoordinatorState`, which the KCL 3 keeps: `GetItem`. With [`shared`](Self::shared), `Query`
/// instead of `Scan`, and nothing on the other table.
///
/// # Metrics
///
/// `LeaseTableRequests` counts the requests to DynamoDB, with the label `Operation`.
pub struct DynamoLeases {
    client: Client,
    table: String,
    /// The partition key, if the table is one of many applications.
    application: Option<String>,
    /// When the state of the KCL 3 was read last.
    checked: Mutex<Option<Instant>>,
}

/// How often the state of the KCL 3 is read.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How long to wait before asking again whether the table is there.
const TABLE_PAUSE: Duration = Duration::from_millis(500);

impl DynamoLeases {
    /// Returns the leases of an application, in the table that has its name. `config` has the region, the credentials and the
    /// endpoint.
    #[must_use]
    pub fn new(config: &SdkConfig, application: impl Into<String>) -> Self {
        Self::of(config, application.into(), None)
    }

    /// Returns the leases of an application in a table that many applications share. **The KCL cannot read such a table**: it
    /// expects one for each application.
    ///
    /// The partition key is `application`, the sort key `leaseKey`, and all else is as in a table of the KCL. A look reads the rows of
    /// its own application only. An application keeps to one kind of table: its leases do not move from one to the other.
    ///
    /// ```no_run
    /// # async fn run() {
    /// use kpl_fleet::DynamoLeases;
    ///
    /// let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    /// let leases = DynamoLeases::shared(&config, "leases", "billing");
    /// # drop(leases);
    /// # }
    /// ```
    #[must_use]
    pub fn shared(config: &SdkConfig, table: impl Into<String>, application: impl Into<String>) -> Self {
        Self::of(config, table.into(), Some(application.into()))
    }

    fn of(config: &SdkConfig, table: String, application: Option<String>) -> Self {
        // Without one, the SDK's client panics.
        let version = config.behavior_version().unwrap_or_else(BehaviorVersion::latest);
        let config = Builder::from(config).behavior_version(version).build();
        Self {
            client: Client::from_conf(config),
            table,
            application,
            checked: Mutex::new(None),
        }
    }

    async fn prepare_table(&self) -> Result<(), StoreError> {
        loop {
            request("DescribeTable");
            match self.client.describe_table().table_name(&self.table).send().await {
                Ok(answer) => {
                    let table = answer.table.unwrap_or_else(|| TableDescription::builder().build());
                    self.check_key(&table)?;
                    match table.table_status {
                        Some(TableStatus::Active | TableStatus::Updating) => return self.check_state().await,
                        Some(TableStatus::Creating) => {}
                        status => {
                            let status = status.as_ref().map_or("unknown", TableStatus::as_str);
                            return Err(self.final_error(&format!("it cannot be used now, its status is {status}")));
                        }
                    }
                }
                Err(error) if has_code(&error, "ResourceNotFoundException") => self.create_table().await?,
                Err(error) => return Err(self.failed("DescribeTable", &error)),
            }
            sleep(TABLE_PAUSE).await;
        }
    }

    async fn create_table(&self) -> Result<(), StoreError> {
        tracing::info!(table = self.table, "the table of leases is missing and is created");
        let mut request = self.client.create_table().table_name(&self.table);
        for (name, kind) in self.keys() {
            let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
            let attribute = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S);
            request = request
                .key_schema(key.build().map_err(|error| self.final_error(&error))?)
                .attribute_definitions(attribute.build().map_err(|error| self.final_error(&error))?);
        }
        let request = request.billing_mode(BillingMode::PayPerRequest);
        crate::metrics::request("CreateTable");
        match request.send().await {
            // Another worker created it first.
            Err(error) if has_code(&error, "ResourceInUseException") => Ok(()),
            Err(error) => Err(self.failed("CreateTable", &error)),
            Ok(_) => Ok(()),
        }
    }

    /// Returns the attributes that are the table's key.
    fn keys(&self) -> Vec<(&'static str, KeyType)> {
        match self.application {
            None => vec![(row::KEY, KeyType::Hash)],
            Some(_) => vec![(row::APPLICATION, KeyType::Hash), (row::KEY, KeyType::Range)],
        }
    }

    fn check_key(&self, table: &TableDescription) -> Result<(), StoreError> {
        let text = |keys: Vec<(&str, KeyType)>| {
            let keys = keys.iter().map(|(name, kind)| format!("{kind} {name}"));
            keys.collect::<Vec<_>>().join(" and ")
        };
        let keys = table.key_schema().iter();
        let found = text(keys.map(|key| (key.attribute_name(), key.key_type().clone())).collect());
        let expected = text(self.keys());
        if found == expected {
            return Ok(());
        }
        let kind = match (&self.application, found.as_str()) {
            (None, "HASH application and RANGE leaseKey") => "it is a table of many applications: DynamoLeases::shared",
            (Some(_), "HASH leaseKey") => "it is the table of one application: DynamoLeases::new",
            _ => "it is not a table of leases",
        };
        Err(self.final_error(&format!("its keys are {found}, not {expected}: {kind}")))
    }

    /// Checks that workers of the KCL 3, if there are any, share leases as those of the KCL 2 do.
    async fn check_state(&self) -> Result<(), StoreError> {
        if self.application.is_some() {
            return Ok(());
        }
        let checked = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked().is_some_and(|checked| checked.elapsed() < CHECK_INTERVAL) {
            return Ok(());
        }
        let asked = Instant::now();
        self.judge(self.state().await?.as_deref())?;
        *checked() = Some(asked);
        Ok(())
    }

    /// Returns the state in which workers of the KCL 3 share the leases, if there is one.
    async fn state(&self) -> Result<Option<String>, StoreError> {
        let table = format!("{}-CoordinatorState", self.table);
        request("GetItem");
        let answer = self.client.get_item().table_name(&table).consistent_read(true);
        match answer.key("key", AttributeValue::S(MIGRATION.into())).send().await {
            Ok(answer) => Ok(answer.item.map(|item| client_version(&from_sdk(&item)))),
            Err(error) if has_code(&error, "ResourceNotFoundException") => Ok(None),
            Err(error) => Err(self.failed(&format!("GetItem of table {table}"), &error)),
        }
    }

    /// Judges the state in which workers of the KCL 3 share leases.
    fn judge(&self, version: Option<&str>) -> Result<(), StoreError> {
        let Some(version) = version.filter(|version| !row::joins(version)) else {
            return Ok(());
        };
        Err(StoreError::new(
            StoreErrorKind::LedByKcl3,
            format!(
                "table {}: workers of the KCL 3 share its leases in a way that only they know (their state {MIGRATION} is \
                 {version}): let them run with clientVersionConfig = CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X, or roll them back \
                 with the KCL's migration tool, or stop them for good and delete the table {}-CoordinatorState",
                self.table, self.table
            ),
        ))
    }

    /// Reads the table as it is, also what is wrong with it: it must exist, and nothing is changed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the table does not exist, is not a table of leases, or cannot be read.
    pub async fn read_table(&self) -> Result<LeaseTable, StoreError> {
        request("DescribeTable");
        let answer = self.client.describe_table().table_name(&self.table).send().await;
        let answer = answer.map_err(|error| self.failed("DescribeTable", &error))?;
        if let Some(table) = &answer.table {
            self.check_key(table)?;
        }
        let mut table = LeaseTable::read(self.items().await?);
        if self.application.is_none() && table.client_version.is_none() {
            table.client_version = self.state().await?;
        }
        Ok(table)
    }

    /// Returns all rows of the application.
    async fn items(&self) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut start: Option<SdkItem> = None;
        loop {
            let (page, next) = self.page(start).await?;
            items.extend(page.iter().map(from_sdk));
            match next {
                Some(next) if !next.is_empty() => start = Some(next),
                _ => return Ok(items),
            }
        }
    }

    async fn page(&self, start: Option<SdkItem>) -> Result<(Vec<SdkItem>, Option<SdkItem>), StoreError> {
        match &self.application {
            None => {
                request("Scan");
                let scan = self
                    .client
                    .scan()
                    .table_name(&self.table)
                    .set_exclusive_start_key(start);
                let page = scan.send().await.map_err(|error| self.failed("Scan", &error))?;
                Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
            }
            Some(application) => {
                request("Query");
                let query = self
                    .client
                    .query()
                    .table_name(&self.table)
                    .set_exclusive_start_key(start);
                let query = query
                    .key_condition_expression("#application = :application")
                    .expression_attribute_names("#application", row::APPLICATION)
                    .expression_attribute_values(":application", AttributeValue::S(application.clone()));
                let page = query.send().await.map_err(|error| self.failed("Query", &error))?;
                Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
            }
        }
    }

    async fn read_leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.check_state().await?;
        let mut leases = Vec::new();
        for item in self.items().await? {
            match self.read(&item)? {
                Row::Lease(lease) => leases.push(*lease),
                Row::State => self.judge(Some(&client_version(&item)))?,
                Row::Other => {}
            }
        }
        Ok(leases)
    }

    /// Returns the key of the row of a lease.
    fn key(&self, key: &str) -> SdkItem {
        let application = self.application.iter();
        let application = application.map(|name| (row::APPLICATION.to_owned(), AttributeValue::S(name.clone())));
        let key = (row::KEY.to_owned(), AttributeValue::S(key.into()));
        application.chain([key]).collect()
    }

    fn read(&self, item: &Item) -> Result<Row, StoreError> {
        row::read(item).map_err(|problem| {
            let key = match item.get(row::KEY) {
                Some(Attribute::String(key)) => key,
                _ => "",
            };
            self.final_error(&format!("the item {key:?} is not a valid lease: {problem}"))
        })
    }

    async fn put(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut item = to_sdk(row::write(lease));
        item.extend(self.key(&lease.key));
        request("PutItem");
        let request = self.client.put_item().table_name(&self.table);
        let request = request
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", row::KEY);
        match request.send().await {
            Err(error) if !has_code(&error, CONDITION_FAILED) => Err(self.failed("PutItem", &error)),
            _ => Ok(()),
        }
    }

    async fn change(&self, update: &Update) -> Result<Changed, StoreError> {
        let mut expression = Expression::of(Change::of(update));
        expression
            .values
            .insert(":expected".into(), number(update.expected_counter));
        for (name, attribute) in [
            ("#expected", row::COUNTER),
            ("#handed", row::CHECKPOINT_OWNER),
            ("#was", row::OWNER),
        ] {
            expression.names.insert(name.into(), attribute.into());
        }
        let owner = match &update.expected_owner {
            Some(owner) => {
                expression
                    .values
                    .insert(":was".into(), AttributeValue::S(owner.to_string()));
                "#was = :was"
            }
            None => "attribute_not_exists(#was)",
        };
        let condition = format!("#expected = :expected AND {owner} AND attribute_not_exists(#handed)");
        request("UpdateItem");
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(self.key(&update.key)))
            .update_expression(expression.text)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(expression.names))
            .set_expression_attribute_values(Some(expression.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match request.send().await {
            Ok(_) => return Ok(Changed::Done),
            Err(error) => error,
        };
        let Some(UpdateItemError::ConditionalCheckFailedException(refused)) = error.as_service_error() else {
            return Err(self.failed("UpdateItem", &error));
        };
        // Without it there is no such item, or the server does not return it.
        let item = match refused.item() {
            Some(item) => Some(from_sdk(item)),
            None => self.get(&update.key).await?,
        };
        let Some(item) = item else {
            return Ok(Changed::Refused(None));
        };
        match self.read(&item)? {
            Row::Lease(lease) => Ok(Changed::Refused(Some(lease))),
            _ => Ok(Changed::Refused(None)),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, StoreError> {
        request("GetItem");
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = request.set_key(Some(self.key(key))).send().await;
        let answer = answer.map_err(|error| self.failed("GetItem", &error))?;
        Ok(answer.item.as_ref().map(from_sdk))
    }

    async fn remove(&self, key: &str, counter: u64) -> Result<(), StoreError> {
        request("DeleteItem");
        let request = self.client.delete_item().table_name(&self.table);
        let request = request
            .set_key(Some(self.key(key)))
            .condition_expression("#counter = :counter AND #checkpoint = :ended")
            .expression_attribute_names("#counter", row::COUNTER)
            .expression_attribute_names("#checkpoint", row::CHECKPOINT)
            .expression_attribute_values(":counter", number(counter))
            .expression_attribute_values(":ended", AttributeValue::S("SHARD_END".into()));
        match request.send().await {
            Err(error) if !has_code(&error, CONDITION_FAILED) => Err(self.failed("DeleteItem", &error)),
            _ => Ok(()),
        }
    }

    fn failed<E, R>(&self, operation: &str, error: &SdkError<E, R>) -> StoreError
    where
        SdkError<E, R>: Error + ProvideErrorMetadata + 'static,
    {
        let is_final = error.code().is_some_and(|code| FINAL.contains(&code));
        let kind = match is_final {
            true => StoreErrorKind::Final,
            false => StoreErrorKind::Passing,
        };
        StoreError::new(kind, format!("table {}: {operation}: {}", self.table, explain(error)))
    }

    fn final_error(&self, problem: &dyn fmt::Display) -> StoreError {
        StoreError::permanent(format!("table {}: {problem}", self.table))
    }
}

/// Codes of requests that would fail again.
const FINAL: [&str; 6] = [
    "AccessDeniedException",
    "ResourceNotFoundException",
    "SerializationException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationException",
];

const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

/// An expression that changes an item. Attributes are never written out in it: some are words that DynamoDB reserves.
struct Expression {
    text: String,
    names: HashMap<String, String>,
    values: SdkItem,
}

impl Expression {
    fn of(change: Change) -> Self {
        let (mut names, mut values) = (HashMap::new(), SdkItem::new());
        let mut set = Vec::new();
        for (n, (attribute, value)) in change.set.into_iter().enumerate() {
            set.push(format!("#set{n} = :set{n}"));
            names.insert(format!("#set{n}"), attribute.into());
            values.extend(value_to_sdk(value).map(|value| (format!(":set{n}"), value)));
        }
        let mut text = format!("SET {}", set.join(", "));
        let mut remove = Vec::new();
        for (n, attribute) in change.remove.into_iter().enumerate() {
            remove.push(format!("#remove{n}"));
            names.insert(format!("#remove{n}"), attribute.into());
        }
        if !remove.is_empty() {
            text += &format!(" REMOVE {}", remove.join(", "));
        }
        if change.is_switch {
            text += " ADD #switches :one";
            names.insert("#switches".into(), row::SWITCHES.into());
            values.insert(":one".into(), number(1));
        }
        Self { text, names, values }
    }
}

fn client_version(state: &Item) -> String {
    match state.get(CLIENT_VERSION) {
        Some(Attribute::String(version)) => version.clone(),
        _ => "not known".into(),
    }
}

fn from_sdk(item: &SdkItem) -> Item {
    let attributes = item.iter();
    let attributes = attributes.map(|(name, value)| {
        let value = match value {
            AttributeValue::S(text) => Attribute::String(text.clone()),
            AttributeValue::N(number) => Attribute::Number(number.clone()),
            AttributeValue::Ss(texts) => Attribute::Strings(texts.clone()),
            _ => Attribute::Other,
        };
        (name.clone(), value)
    });
    attributes.collect()
}

fn to_sdk(item: Item) -> SdkItem {
    let attributes = item.into_iter();
    let attributes = attributes.filter_map(|(name, value)| Some((name, value_to_sdk(value)?)));
    attributes.collect()
}

/// Returns a value for the SDK. Leases do not have others.
fn value_to_sdk(value: Attribute) -> Option<AttributeValue> {
    match value {
        Attribute::String(text) => Some(AttributeValue::S(text)),
        Attribute::Number(number) => Some(AttributeValue::N(number)),
        Attribute::Strings(texts) => Some(AttributeValue::Ss(texts)),
        Attribute::Other => None,
    }
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

impl LeaseStore for DynamoLeases {
    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.prepare_table())
    }

    fn leases(&self) -> BoxFuture<'_, Result<Vec<Lease>, StoreError>> {
        Box::pin(self.read_leases())
    }

    fn create<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.put(lease))
    }

    fn update<'a>(&'a self, update: &'a Update) -> BoxFuture<'a, Result<Changed, StoreError>> {
        Box::pin(self.change(update))
    }

    fn delete<'a>(&'a self, key: &'a str, counter: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.remove(key, counter))
    }
}

impl fmt::Debug for DynamoLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoLeases")
            .field("table", &self.table)
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}
