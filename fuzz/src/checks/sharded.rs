use std::collections::BTreeMap;

use super::input::Input;
use super::writing::{Options, Record, Sealed, contents, is_key};
use kpl::{AggregateError, HashKey, HashKeyRange, RawRecord, Shard, ShardMap, ShardedAggregator};

/// Any map of shards, any records, any changes of the map: nothing is lost, and nothing is mixed.
pub fn sharded(data: &[u8]) {
    let mut input = Input::new(data);
    let options = Options::new(&mut input);
    let Ok(mut aggregator) = options.builder::<Record>().build_sharded(map(&mut input)) else {
        assert!(!options.are_valid());
        return;
    };
    let mut taken = Vec::new();
    let mut sealed = Vec::new();
    for _ in 0..120 {
        if input.is_empty() {
            break;
        }
        let out = match input.byte() {
            0xF0..=0xF7 => aggregator.finish(),
            0xF8..=0xFF => {
                let map = map(&mut input);
                let out = aggregator.set_shard_map(map.clone());
                assert_eq!(*aggregator.shard_map(), map);
                out
            }
            _ => push(&mut aggregator, Record::new(&mut input), &options, &mut taken),
        };
        sealed.extend(
            out.iter()
                .map(|sealed| check_sealed(sealed, aggregator.shard_map(), &options)),
        );
        check_held(&aggregator);
        let out: usize = sealed.iter().map(|sealed| sealed.user_records).sum();
        assert_eq!(
            out + aggregator.count(),
            taken.len(),
            "nothing is lost, nothing comes twice"
        );
    }
    let last = aggregator.finish();
    assert!(last.len() <= aggregator.shard_map().len());
    sealed.extend(
        last.iter()
            .map(|sealed| check_sealed(sealed, aggregator.shard_map(), &options)),
    );
    assert_eq!(
        (aggregator.count(), aggregator.size(), aggregator.finish()),
        (0, 0, Vec::new())
    );
    check_all(&taken, &sealed);
}

fn push(
    aggregator: &mut ShardedAggregator<Record>,
    record: Record,
    options: &Options,
    taken: &mut Vec<Record>,
) -> Vec<kpl::SealedRecord> {
    let before = (aggregator.count(), aggregator.size());
    match aggregator.push(&record) {
        Ok(full) => {
            assert!(is_key(record.key()));
            assert!(options.size_alone(&record) <= options.max_size);
            taken.push(record);
            full.into_iter().collect()
        }
        Err(error) => {
            assert_eq!((aggregator.count(), aggregator.size()), before);
            match error {
                AggregateError::PartitionKey(_) => assert!(!is_key(record.key())),
                AggregateError::TooLarge { size, .. } => {
                    assert_eq!(size, options.size_alone(&record));
                    assert!(size > options.max_size);
                }
                other => panic!("{other}"),
            }
            Vec::new()
        }
    }
}

/// Returns the effective hash key of a record that was read out of a sealed record.
fn hash_key(record: &RawRecord, sealed: &Sealed) -> HashKey {
    if !sealed.aggregated {
        return sealed.explicit_hash_key;
    }
    let always_wrapped = false;
    let raw = record.clone();
    Record { raw, always_wrapped }.hash_key()
}

/// Everything inside belongs to the one shard that the record goes to, and the limits hold.
fn check_sealed(sealed: &kpl::SealedRecord, map: &ShardMap, options: &Options) -> Sealed {
    let sealed = Sealed::from(sealed);
    let shard = map.index_of(sealed.explicit_hash_key);
    let records = contents(&sealed);
    assert_eq!(records.len(), sealed.user_records);
    assert!(!records.is_empty());
    for record in &records {
        assert_eq!(map.index_of(hash_key(record, &sealed)), shard, "two shards are mixed");
    }
    assert_eq!(hash_key(&records[0], &sealed), sealed.explicit_hash_key);
    assert!(sealed.size() <= options.max_size, "{} bytes", sealed.size());
    assert!(sealed.user_records <= options.max_count);
    // The bytes are those that the rules produce for what is inside.
    if sealed.aggregated {
        let always_wrapped = true;
        let inside = records.into_iter().map(|raw| Record { raw, always_wrapped });
        assert_eq!(options.seal(&inside.collect::<Vec<_>>()), sealed);
    }
    sealed
}

/// What is reported about the held records is what comes out.
fn check_held(aggregator: &ShardedAggregator<Record>) {
    let sealed = aggregator.clone().finish();
    assert_eq!(
        sealed.iter().map(kpl::SealedRecord::size).sum::<usize>(),
        aggregator.size()
    );
    assert_eq!(
        sealed.iter().map(|sealed| sealed.user_records).sum::<usize>(),
        aggregator.count()
    );
}

/// Records of one hash key share their shard in every map: they come out as they went in, in the same order.
fn check_all(taken: &[Record], sealed: &[Sealed]) {
    let mut expected: BTreeMap<HashKey, Vec<&Record>> = BTreeMap::new();
    for record in taken {
        expected.entry(record.hash_key()).or_default().push(record);
    }
    let mut received: BTreeMap<HashKey, Vec<(RawRecord, bool)>> = BTreeMap::new();
    for sealed in sealed {
        for record in contents(sealed) {
            let key = hash_key(&record, sealed);
            received.entry(key).or_default().push((record, sealed.aggregated));
        }
    }
    assert!(expected.keys().eq(received.keys()));
    for (expected, received) in expected.values().zip(received.values()) {
        assert_eq!(expected.len(), received.len());
        for (expected, (received, aggregated)) in expected.iter().zip(received) {
            let mut as_readers_get = expected.raw.clone();
            if !aggregated {
                as_readers_get.explicit_hash_key = None;
                assert!(!expected.always_wrapped && expected.raw.tags.is_empty());
            }
            assert_eq!(*received, as_readers_get);
        }
    }
}

/// Returns a map of one to forty shards. Also checks that shards with a gap or an overlap are refused.
fn map(input: &mut Input<'_>) -> ShardMap {
    let mut starts = vec![0];
    for _ in 0..input.below(40) {
        starts.push(input.hash_key());
    }
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([u128::MAX]);
    let shard = |(number, (&start, end)): (usize, (&u128, u128))| {
        let range = HashKeyRange::try_from(start..=end).expect("starts are in order");
        Shard::new(format!("shardId-{number:012}"), range)
    };
    let mut shards: Vec<Shard> = starts.iter().zip(ends).enumerate().map(shard).collect();
    let spoil = input.byte();
    let place = input.below(shards.len());
    if spoil >= 0xF0 {
        let mut spoiled = shards.clone();
        let is_whole = match spoil & 3 {
            0 => {
                spoiled.remove(place);
                false
            }
            1 => {
                spoiled.push(spoiled[place].clone());
                false
            }
            _ => {
                let range = spoiled[place].range;
                let (start, end) = (range.start().value(), range.end().value());
                let shorter = HashKeyRange::try_from(start..=end - (end - start).min(1)).expect("in order");
                spoiled[place].range = shorter;
                shorter == range
            }
        };
        assert_eq!(ShardMap::new(spoiled).is_ok(), is_whole);
    }
    if spoil & 8 == 8 {
        shards.reverse();
    }
    let map = ShardMap::new(shards).expect("no gap, no overlap");
    assert_eq!(map.len(), starts.len());
    for start in starts {
        for key in [start, start.saturating_sub(1), start.saturating_add(1)] {
            let key = HashKey::new(key);
            assert!(map.shard_of(key).range.contains(key));
            assert_eq!(map.shards().nth(map.index_of(key)), Some(map.shard_of(key)));
        }
    }
    map
}
