//! Leases in a table of DynamoDB, as the Kinesis Client Library keeps them.

mod row;

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

use self::row::{CLIENT_VERSION, Item, MIGRATION, Row};
use super::{Changed, LeaseStore, StoreError, StoreErrorKind};
use crate::lease::{Lease, OwnerChange, Update};

/// Leases in a table of DynamoDB: the one that the Kinesis Client Library (KCL) keeps for an application, or one like it.
///
/// The table is created if it is missing, with on-demand capacity. Deletion protection and tags are yours to set. Rows that
/// are not leases, and attributes that are not known here, stay as they are.
///
/// # Permissions
///
/// On the table: `dynamodb:DescribeTable`, `Scan`, `GetItem`, `PutItem`, `UpdateItem` and `DeleteItem`; if the table is missing,
/// `CreateTable`. On the table `APPLICATION-CoordinatorState`, which the KCL 3 keeps: `GetItem`.
pub struct DynamoLeases {
    client: Client,
    table: String,
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
        // Without one, the SDK's client panics.
        let version = config.behavior_version().unwrap_or_else(BehaviorVersion::latest);
        let config = Builder::from(config).behavior_version(version).build();
        Self {
            client: Client::from_conf(config),
            table: application.into(),
            checked: Mutex::new(None),
        }
    }

    async fn prepare_table(&self) -> Result<(), StoreError> {
        loop {
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
        let key = KeySchemaElement::builder()
            .attribute_name(row::KEY)
            .key_type(KeyType::Hash);
        let attribute = AttributeDefinition::builder()
            .attribute_name(row::KEY)
            .attribute_type(ScalarAttributeType::S);
        let request = self.client.create_table().table_name(&self.table);
        let request = request
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key.build().map_err(|error| self.final_error(&error))?)
            .attribute_definitions(attribute.build().map_err(|error| self.final_error(&error))?);
        match request.send().await {
            // Another worker created it first.
            Err(error) if has_code(&error, "ResourceInUseException") => Ok(()),
            Err(error) => Err(self.failed("CreateTable", &error)),
            Ok(_) => Ok(()),
        }
    }

    fn check_key(&self, table: &TableDescription) -> Result<(), StoreError> {
        let keys = table.key_schema().iter();
        let keys: Vec<_> = keys
            .map(|key| format!("{} {}", key.key_type(), key.attribute_name()))
            .collect();
        if keys == [format!("HASH {}", row::KEY)] {
            return Ok(());
        }
        Err(self.final_error(&format!(
            "its keys are {}, not HASH {}: it is not a table of leases",
            keys.join(" and "),
            row::KEY
        )))
    }

    /// Checks that workers of the KCL 3, if there are any, share leases as those of the KCL 2 do.
    async fn check_state(&self) -> Result<(), StoreError> {
        {
            let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
            if checked.is_some_and(|checked| checked.elapsed() < CHECK_INTERVAL) {
                return Ok(());
            }
            *checked = Some(Instant::now());
        }
        let table = format!("{}-CoordinatorState", self.table);
        let request = self.client.get_item().table_name(&table).consistent_read(true);
        let answer = request.key("key", AttributeValue::S(MIGRATION.into())).send().await;
        match answer {
            Ok(answer) => self.judge(answer.item.as_ref()),
            Err(error) if has_code(&error, "ResourceNotFoundException") => Ok(()),
            Err(error) => Err(self.failed(&format!("GetItem of table {table}"), &error)),
        }
    }

    /// Judges the item with which the KCL 3 says how its workers share leases.
    fn judge(&self, state: Option<&Item>) -> Result<(), StoreError> {
        let Some(state) = state else {
            return Ok(());
        };
        let version = match state.get(CLIENT_VERSION) {
            Some(AttributeValue::S(version)) => version.as_str(),
            _ => "not known",
        };
        if row::joins(version) {
            return Ok(());
        }
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

    async fn scan(&self) -> Result<Vec<Lease>, StoreError> {
        self.check_state().await?;
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .into_paginator()
            .items()
            .send();
        let mut leases = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| self.failed("Scan", &error))?;
            match self.read(&item)? {
                Row::Lease(lease) => leases.push(*lease),
                Row::State => self.judge(Some(&item))?,
                Row::Other => {}
            }
        }
        Ok(leases)
    }

    fn read(&self, item: &Item) -> Result<Row, StoreError> {
        row::read(item).map_err(|problem| {
            let key = item.get(row::KEY).and_then(|key| key.as_s().ok());
            let key = key.map_or("", String::as_str);
            self.final_error(&format!("the item {key:?} is not a valid lease: {problem}"))
        })
    }

    async fn put(&self, lease: &Lease) -> Result<(), StoreError> {
        let request = self.client.put_item().table_name(&self.table);
        let request = request
            .set_item(Some(row::write(lease)))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", row::KEY);
        match request.send().await {
            Err(error) if !has_code(&error, CONDITION_FAILED) => Err(self.failed("PutItem", &error)),
            _ => Ok(()),
        }
    }

    async fn change(&self, update: &Update) -> Result<Changed, StoreError> {
        let mut expression = Expression::default();
        expression.set("counter", row::COUNTER, number(update.expected_counter + 1));
        expression.value("expected", number(update.expected_counter));
        expression.name("handed", row::CHECKPOINT_OWNER);
        expression.name("owner", row::OWNER);
        let owner = match &update.expected_owner {
            Some(owner) => {
                expression.value("was", AttributeValue::S(owner.to_string()));
                "#owner = :was"
            }
            None => "attribute_not_exists(#owner)",
        };
        let condition = format!("#counter = :expected AND {owner} AND attribute_not_exists(#handed)");
        match &update.owner {
            OwnerChange::Keep => {}
            OwnerChange::Take(owner) => expression.set("owner", row::OWNER, AttributeValue::S(owner.to_string())),
            OwnerChange::Remove => expression.remove("owner", row::OWNER),
        }
        if let Some(checkpoint) = &update.checkpoint {
            let (sequence, sub) = row::write_checkpoint(checkpoint);
            expression.set("checkpoint", row::CHECKPOINT, sequence);
            expression.set("sub", row::SUB_SEQUENCE_NUMBER, sub);
            expression.set("switches", row::SWITCHES, number(0));
            for (name, attribute) in ["pending", "pendingSub", "pendingState"].iter().zip(row::PENDING) {
                expression.remove(name, attribute);
            }
        } else if update.is_switch() {
            expression.name("switches", row::SWITCHES);
            expression.value("one", number(1));
            expression.add = " ADD #switches :one";
        }
        if !update.children.is_empty() {
            expression.set("children", row::CHILDREN, AttributeValue::Ss(update.children.clone()));
        }
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(row::KEY, AttributeValue::S(update.key.to_string()))
            .update_expression(expression.text())
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
            Some(item) => Some(item.clone()),
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
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = request.key(row::KEY, AttributeValue::S(key.into())).send().await;
        let answer = answer.map_err(|error| self.failed("GetItem", &error))?;
        Ok(answer.item)
    }

    async fn remove(&self, key: &str, counter: u64) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table);
        let request = request
            .key(row::KEY, AttributeValue::S(key.into()))
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
#[derive(Default)]
struct Expression {
    set: Vec<String>,
    remove: Vec<String>,
    add: &'static str,
    names: HashMap<String, String>,
    values: Item,
}

impl Expression {
    fn name(&mut self, name: &str, attribute: &str) {
        self.names.insert(format!("#{name}"), attribute.into());
    }

    fn value(&mut self, name: &str, value: AttributeValue) {
        self.values.insert(format!(":{name}"), value);
    }

    fn set(&mut self, name: &str, attribute: &str, value: AttributeValue) {
        self.name(name, attribute);
        self.value(name, value);
        self.set.push(format!("#{name} = :{name}"));
    }

    fn remove(&mut self, name: &str, attribute: &str) {
        self.name(name, attribute);
        self.remove.push(format!("#{name}"));
    }

    fn text(&self) -> String {
        let remove = match self.remove.is_empty() {
            true => String::new(),
            false => format!(" REMOVE {}", self.remove.join(", ")),
        };
        format!("SET {}{remove}{}", self.set.join(", "), self.add)
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
        Box::pin(self.scan())
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
            .finish_non_exhaustive()
    }
}
