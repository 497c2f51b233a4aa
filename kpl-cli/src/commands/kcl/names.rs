//! The properties that the daemon knows: those of `MultiLangDaemonConfiguration` and `MultiLangDaemonConfig` in
//! amazon-kinesis-client-multilang 2.5.4, 3.1.3 and 3.5.1.

use self::Kind::{Choice, Decimal, Switch, Text, Whole};

/// What the value of a property is. The daemon takes 0 or false, without a word, for one that is something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Decimal,
    Switch,
    /// One of these, in upper or lower case.
    Choice(&'static [&'static str]),
}

pub(super) const APPLICATION_NAME: &str = "applicationName";
pub(super) const CALL_WITHOUT_RECORDS: &str = "callProcessRecordsEvenForEmptyRecordList";
pub(super) const CREDENTIALS: &str = "AwsCredentialsProvider";
pub(super) const DYNAMODB_ENDPOINT: &str = "dynamoDBEndpoint";
pub(super) const EXECUTABLE_NAME: &str = "executableName";
pub(super) const INITIAL_POSITION: &str = "initialPositionInStream";
pub(super) const INITIAL_TIME: &str = "initialPositionInStreamExtended";
pub(super) const KINESIS_ENDPOINT: &str = "kinesisEndpoint";
pub(super) const MAX_ACTIVE_THREADS: &str = "maxActiveThreads";
pub(super) const METRICS_LEVEL: &str = "metricsLevel";
pub(super) const REGION_NAME: &str = "regionName";
pub(super) const SHUTDOWN_GRACE: &str = "shutdownGraceMillis";
pub(super) const STREAM_ARN: &str = "streamArn";
pub(super) const STREAM_NAME: &str = "streamName";
pub(super) const TIMEOUT: &str = "timeoutInSeconds";

/// The name of the credentials' provider in version 2, where case matters.
pub(super) const CREDENTIALS_2: &str = "AWSCredentialsProvider";

const BILLING: Kind = Choice(&["PAY_PER_REQUEST", "PROVISIONED"]);

const KNOWN: [(&str, Kind); 89] = [
    ("allowThroughputOvershoot", Switch),
    (APPLICATION_NAME, Text),
    (CREDENTIALS, Text),
    ("AwsCredentialsProviderCloudWatch", Text),
    ("AwsCredentialsProviderDynamoDB", Text),
    (CALL_WITHOUT_RECORDS, Switch),
    ("cleanupLeasesUponShardCompletion", Switch),
    (
        "clientVersionConfig",
        Choice(&["CLIENT_VERSION_CONFIG_3X", "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X"]),
    ),
    ("coordinatorStateBillingMode", BILLING),
    ("coordinatorStateDeletionProtectionEnabled", Switch),
    ("coordinatorStatePointInTimeRecoveryEnabled", Switch),
    ("coordinatorStateReadCapacity", Whole),
    ("coordinatorStateTableName", Text),
    ("coordinatorStateTags", Text),
    ("coordinatorStateWriteCapacity", Whole),
    ("dampeningPercentage", Whole),
    ("disableWorkerMetrics", Switch),
    (DYNAMODB_ENDPOINT, Text),
    ("enablePriorityLeaseAssignment", Switch),
    (EXECUTABLE_NAME, Text),
    ("failoverTimeMillis", Whole),
    ("fanoutConfig.consumerArn", Text),
    ("fanoutConfig.consumerName", Text),
    ("fanoutConfig.maxDescribeStreamConsumerRetries", Whole),
    ("fanoutConfig.maxDescribeStreamSummaryRetries", Whole),
    ("fanoutConfig.registerStreamConsumerRetries", Whole),
    ("fanoutConfig.retryBackoffMillis", Whole),
    ("gracefulLeaseHandoffTimeoutMillis", Whole),
    ("idleTimeBetweenReadsInMillis", Whole),
    ("ignoreUnexpectedChildShards", Switch),
    ("inMemoryWorkerMetricsCaptureFrequencyMillis", Whole),
    ("initialLeaseTableReadCapacity", Whole),
    ("initialLeaseTableWriteCapacity", Whole),
    (INITIAL_POSITION, Choice(&["TRIM_HORIZON", "LATEST"])),
    (INITIAL_TIME, Whole),
    ("isGracefulLeaseHandoffEnabled", Switch),
    (KINESIS_ENDPOINT, Text),
    ("leaseAssignmentIntervalMillis", Whole),
    ("leaseTableDeletionProtectionEnabled", Switch),
    ("leaseTablePitrEnabled", Switch),
    ("leaseTableScanTotalSegments", Whole),
    ("listShardsBackoffTimeInMillis", Whole),
    ("logWarningForTaskAfterMillis", Whole),
    (MAX_ACTIVE_THREADS, Whole),
    ("maxGetRecordsThreadPool", Whole),
    ("maxLeaseRenewalThreads", Whole),
    ("maxLeasesForWorker", Whole),
    ("maxLeasesToStealAtOneTime", Whole),
    ("maxListShardsRetryAttempts", Whole),
    ("maxRecords", Whole),
    ("maxThroughputPerHostKBps", Decimal),
    ("metricsBufferTimeMillis", Whole),
    ("metricsEnabledDimensions", Text),
    (METRICS_LEVEL, Choice(&["NONE", "SUMMARY", "DETAILED"])),
    ("metricsMaxQueueSize", Whole),
    ("migrateAllEntitiesToLeaseTable", Switch),
    ("millisBehindLatestThresholdForReducedTps", Whole),
    ("noOfPersistedMetricsPerWorkerMetrics", Whole),
    ("parentShardPollIntervalMillis", Whole),
    ("processingLanguage", Text),
    ("reBalanceThresholdPercentage", Whole),
    (REGION_NAME, Text),
    ("retrievalMode", Choice(&["POLLING", "FANOUT", "DEFAULT"])),
    ("retryGetRecordsInSeconds", Whole),
    ("schedulerInitializationBackoffTimeMillis", Whole),
    ("shardPrioritization", Text),
    ("shardSyncIntervalMillis", Whole),
    (SHUTDOWN_GRACE, Whole),
    ("skipShardSyncAtWorkerInitializationIfLeasesExist", Switch),
    ("staleWorkerMetricsEntryCleanupDuration", Text),
    (STREAM_ARN, Text),
    (STREAM_NAME, Text),
    ("tableMigrationCompleteBakeTimeSeconds", Whole),
    ("tableName", Text),
    ("taskBackoffTimeMillis", Whole),
    (TIMEOUT, Whole),
    ("validateSequenceNumberBeforeCheckpointing", Switch),
    ("varianceBalancingFrequency", Whole),
    ("workerId", Text),
    ("workerIdentifier", Text),
    ("workerMetricsBillingMode", BILLING),
    ("workerMetricsDeletionProtectionEnabled", Switch),
    ("workerMetricsEMAAlpha", Decimal),
    ("workerMetricsPointInTimeRecoveryEnabled", Switch),
    ("workerMetricsReadCapacity", Whole),
    ("workerMetricsReporterFreqInMillis", Whole),
    ("workerMetricsTableName", Text),
    ("workerMetricsTags", Text),
    ("workerMetricsWriteCapacity", Whole),
];

/// Builders of the SDK for Java, whose own properties follow after a dot.
const BUILDERS: [&str; 6] = [
    "kinesisClient",
    "dynamoDbClient",
    "cloudWatchClient",
    "kinesisCredentialsProvider",
    "dynamoDBCredentialsProvider",
    "cloudWatchCredentialsProvider",
];

/// Returns the kind of a property, or `None` if the daemon does not know it.
pub(super) fn kind(name: &str) -> Option<Kind> {
    if name
        .split_once('.')
        .is_some_and(|(builder, _)| BUILDERS.contains(&builder))
    {
        return Some(Text);
    }
    KNOWN
        .iter()
        .find(|(known, _)| is_same(known, name))
        .map(|(_, kind)| *kind)
}

/// Returns whether two names are the same to the daemon, which tells case apart except in those of credentials.
pub(super) fn is_same(known: &str, name: &str) -> bool {
    let without_case = |name: &str| {
        let rest = name.get(CREDENTIALS.len()..);
        let start = name.get(..CREDENTIALS.len());
        let is_credentials = start.is_some_and(|start| start.eq_ignore_ascii_case(CREDENTIALS));
        rest.filter(|_| is_credentials).map(str::to_owned)
    };
    known == name || without_case(known).is_some_and(|rest| without_case(name) == Some(rest))
}

/// Returns the name that was probably meant.
pub(super) fn similar(name: &str) -> Option<&'static str> {
    let distance = |known: &str| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
    let (known, distance) = KNOWN
        .iter()
        .map(|(known, _)| (*known, distance(known)))
        .min_by_key(|(_, distance)| *distance)?;
    (distance <= (known.len() / 4).min(4)).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_matters_except_in_the_names_of_credentials() {
        assert_eq!(kind("shutdownGraceMillis"), Some(Whole));
        assert_eq!(kind("ShutdownGraceMillis"), None);
        for name in [
            "AwsCredentialsProvider",
            "AWSCredentialsProvider",
            "awscredentialsproviderDynamoDB",
        ] {
            assert_eq!(kind(name), Some(Text), "{name}");
        }
        assert_eq!(kind("awscredentialsproviderdynamodb"), None);
        assert_eq!(kind("kinesisClient.endpointOverride"), Some(Text));
        assert_eq!(kind("kinesis.endpointOverride"), None);
    }

    #[test]
    fn a_similar_name_is_suggested() {
        for (name, meant) in [
            ("shutdownGraceMilis", "shutdownGraceMillis"),
            ("ShutdownGraceMillis", "shutdownGraceMillis"),
            ("dynamoDbEndpoint", "dynamoDBEndpoint"),
            ("idleTimeBetweenReadsMillis", "idleTimeBetweenReadsInMillis"),
            ("steamName", "streamName"),
            ("AwsCredentialProvider", "AwsCredentialsProvider"),
        ] {
            assert_eq!(similar(name), Some(meant));
        }
        assert_eq!(similar("anythingElse"), None);
    }
}
