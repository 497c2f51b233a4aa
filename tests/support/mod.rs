//! What the tests of the format share: the testkit, an oracle, hostile inputs, and strategies for proptest.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

pub(crate) mod hostile;
pub(crate) mod oracle;
pub(crate) mod strategies;

pub(crate) use kpl_testkit::{
    Text, aggregate, aggregate_into_one, all_contents, as_readers_get, bytes, contents, effective, golden, items, raw,
    raw_at, shard_map as shards, tags, user_records,
};
