//! Whether leases are those of the stream that is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use kpl_stream::client::ShardDescription;

use crate::lease::{Checkpoint, Lease};

/// A lease that cannot be of the shard that has its key now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtherShard {
    /// The shard's id.
    pub key: Arc<str>,
    /// What the lease has, and what the shard has.
    pub difference: String,
}

/// Returns the first lease whose shard is another one, of the same id: of another stream, or of one that was deleted and created anew.
/// With each lease is whether the shards were listed long after it had ended, if it has.
///
/// A shard keeps its hash keys and its first sequence number as long as it lives, and is not opened again
/// ([Shard](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Shard.html)).
pub(super) fn other_shard<'a>(
    leases: impl IntoIterator<Item = (&'a Lease, bool)>,
    shards: &[ShardDescription],
) -> Option<OtherShard> {
    let listed: BTreeMap<&str, &ShardDescription> = shards.iter().map(|shard| (&*shard.id, shard)).collect();
    leases.into_iter().find_map(|(lease, has_ended_before)| {
        let shard = listed.get(&*lease.key)?;
        let is_open_again =
            || (has_ended_before && !shard.closed).then(|| "the lease has ended, and the shard is open".into());
        let difference = difference(lease, shard).or_else(is_open_again)?;
        let key = Arc::clone(&lease.key);
        Some(OtherShard { key, difference })
    })
}

/// Returns what a lease and the shard with its key have that shows that the lease is of another one.
pub(crate) fn difference(lease: &Lease, shard: &ShardDescription) -> Option<String> {
    if let Some(range) = lease.range.filter(|range| *range != shard.range) {
        return Some(format!(
            "the lease has the hash keys {} to {}, and the shard {} to {}",
            range.start(),
            range.end(),
            shard.range.start(),
            shard.range.end()
        ));
    }
    match (&lease.checkpoint, &shard.first_sequence_number) {
        (Checkpoint::After(position), Some(first)) if position.sequence_number < *first => Some(format!(
            "the checkpoint {} is before the shard's first sequence number, {first}",
            position.sequence_number
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kpl_core::{HashKeyRange, Position};

    use super::*;

    fn shard() -> ShardDescription {
        let mut shard = ShardDescription::new("a", HashKeyRange::FULL);
        shard.first_sequence_number = Some("100".parse().unwrap());
        shard
    }

    fn found(key: &str, range: Option<HashKeyRange>, checkpoint: Checkpoint) -> Option<String> {
        let mut lease = Lease::new(key, checkpoint);
        lease.range = range;
        other_shard([(&lease, false)], &[shard()]).map(|other| other.difference)
    }

    fn after(number: &str) -> Checkpoint {
        Checkpoint::After(Position::new(number, 3).unwrap())
    }

    #[test]
    fn leases_of_the_shard_itself_are_its() {
        for checkpoint in [
            Checkpoint::TrimHorizon,
            Checkpoint::AtTimestamp,
            Checkpoint::Latest,
            after("100"),
            after("1000"),
            Checkpoint::Ended,
        ] {
            for range in [None, Some(HashKeyRange::FULL)] {
                assert_eq!(found("a", range, checkpoint.clone()), None);
            }
        }
    }

    #[test]
    fn other_hash_keys_and_earlier_checkpoints_are_of_another_shard() {
        let half = HashKeyRange::new(0.into(), 9.into()).unwrap();
        let difference =
            "the lease has the hash keys 0 to 9, and the shard 0 to 340282366920938463463374607431768211455";
        assert_eq!(found("a", Some(half), Checkpoint::Ended).as_deref(), Some(difference));
        let difference = "the checkpoint 99 is before the shard's first sequence number, 100";
        assert_eq!(found("a", None, after("99")).as_deref(), Some(difference));
    }

    #[test]
    fn nothing_is_said_of_shards_that_the_service_has_forgotten() {
        let half = HashKeyRange::new(0.into(), 9.into()).unwrap();
        assert_eq!(found("b", Some(half), after("1")), None);
    }
}
