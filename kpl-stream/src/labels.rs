//! The labels of metrics, named after the KPL's dimensions.

pub(crate) const STREAM_NAME: &str = "StreamName";
pub(crate) const SHARD_ID: &str = "ShardId";
pub(crate) const ERROR_CODE: &str = "ErrorCode";
