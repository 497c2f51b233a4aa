//! What holds for any records, any options and any bytes.

mod support;

use kpl::{
    AggregateError, Aggregator, Counts, DeaggregateError, DeaggregateErrorKind, Deaggregator, HashKey, HashKeyRange,
    KinesisRecord, Position, RawRecord, StrayPolicy, UserRecord,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use support::bytes::{MAGIC, bytes_field, field_key, group, padded_varint, record_at, sealed};
use support::strategies::{self, cases};
use support::{Text, as_readers_get, contents, effective, items, oracle};

/// The sum that the counts promise.
fn assert_counts_add_up(counts: Counts) {
    let Counts {
        delivered,
        failed,
        dropped,
        skipped,
        ..
    } = counts;
    assert_eq!(
        counts.user_records,
        delivered + failed + dropped + skipped,
        "{counts:?}"
    );
    assert_eq!(
        counts.kinesis_records,
        counts.aggregated + counts.plain + counts.malformed,
        "{counts:?}"
    );
    assert!(counts.empty_aggregates <= counts.aggregated, "{counts:?}");
}

mod writing {
    use super::*;

    proptest! {
        #![proptest_config(cases(100))]

        /// Records that are taken come back equal and in order, those that are not are as they were, and what travels
        /// raw loses its explicit hash key and nothing else.
        #[test]
        fn any_records_survive_the_round_trip_through_any_options(
            options in strategies::options(),
            records in strategies::records(40),
        ) {
            let mut aggregator = options.aggregator::<RawRecord>();
            let (mut sealed, mut taken) = (Vec::new(), Vec::new());
            for record in &records {
                match aggregator.push(record) {
                    Ok(full) => {
                        sealed.extend(full);
                        taken.push(record.clone());
                    }
                    Err(AggregateError::TooLarge { size, max_size, .. }) => {
                        prop_assert_eq!(max_size, options.max_size);
                        prop_assert!(size > max_size);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            sealed.extend(aggregator.finish());
            prop_assert_eq!(aggregator.finish(), None);

            let mut rest = &taken[..];
            for sealed in &sealed {
                let (inside, after) = rest.split_at(sealed.user_records);
                rest = after;
                prop_assert_eq!(contents(sealed), as_readers_get(sealed, inside));
                prop_assert!(sealed.size() <= options.max_size);
                prop_assert!(inside.len() <= options.max_count.unwrap_or(usize::MAX));
                prop_assert_eq!(sealed.explicit_hash_key, effective(&inside[0]));
                let outer = options.outer_partition_key.as_ref().filter(|_| sealed.aggregated);
                prop_assert_eq!(sealed.partition_key.as_str(), outer.map_or(inside[0].partition_key.as_deref().unwrap(), |key| key));
                let own = inside.len() > 1
                    || options.wrap_single
                    || inside[0].data.starts_with(&MAGIC)
                    || !inside[0].tags.is_empty();
                prop_assert_eq!(sealed.aggregated, own);
            }
            prop_assert!(rest.is_empty());
        }

        /// A record is refused exactly when it would be too large alone, whatever is held.
        #[test]
        fn a_record_is_refused_exactly_when_it_is_too_large_alone(
            options in strategies::options(),
            records in strategies::records(30),
        ) {
            let mut aggregator = options.aggregator::<RawRecord>();
            let unlimited = strategies::Options { max_size: 10 << 20, ..options.clone() };
            for record in &records {
                let mut alone = unlimited.aggregator::<RawRecord>();
                let size = alone.push(record).unwrap().or_else(|| alone.finish()).unwrap().size();
                match aggregator.push(record) {
                    Ok(_) => prop_assert!(size <= options.max_size),
                    Err(AggregateError::TooLarge { size: told, .. }) => {
                        prop_assert!(size > options.max_size);
                        prop_assert_eq!(told, size);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }

        #[test]
        fn the_reported_size_is_the_real_size_after_every_push(
            options in strategies::options(),
            records in strategies::records(40),
        ) {
            let mut aggregator = options.aggregator::<RawRecord>();
            for record in &records {
                let _ = aggregator.push(record);
                let sealed = aggregator.clone().finish();
                prop_assert_eq!(aggregator.data_size(), sealed.as_ref().map_or(0, |sealed| sealed.data.len()));
                prop_assert_eq!(aggregator.size(), sealed.as_ref().map_or(0, kpl::SealedRecord::size));
                prop_assert_eq!(aggregator.count(), sealed.as_ref().map_or(0, |sealed| sealed.user_records));
                prop_assert_eq!(aggregator.is_empty(), sealed.is_none());
            }
        }

        /// An aggregate is as full as it can be: the record that started the next one did not fit.
        #[test]
        fn no_aggregate_goes_out_before_it_is_full(
            max_size in 20_000..40_000_usize,
            records in strategies::records(40),
        ) {
            let mut aggregator = Aggregator::builder().max_size(max_size).wrap_single(true).build().unwrap();
            for record in &records {
                let held = aggregator.clone();
                if let Some(full) = aggregator.push(record).unwrap() {
                    let builder = Aggregator::builder().max_size(10 << 20).wrap_single(true);
                    let mut together = builder.build().unwrap();
                    for record in contents(&full).iter().chain([record]) {
                        together.push(record).unwrap();
                    }
                    prop_assert!(together.size() > max_size);
                    prop_assert_eq!(held.size(), full.size());
                }
            }
        }

        /// What an aggregator wrote before leaves no trace in what it writes next.
        #[test]
        fn an_aggregator_that_is_used_again_writes_as_a_new_one(
            options in strategies::options(),
            batches in vec(vec(strategies::record(), 0..20), 1..6),
        ) {
            let mut again = options.aggregator::<RawRecord>();
            for batch in &batches {
                let mut new = options.aggregator::<RawRecord>();
                for record in batch {
                    prop_assert!(again.push(record).ok() == new.push(record).ok());
                }
                prop_assert!(again.finish() == new.finish());
            }
        }

        /// The bytes are those that the oracle writes from what it reads.
        #[test]
        fn the_bytes_are_canonical(records in vec(strategies::record(), 1..30)) {
            use prost::Message as _;
            let sealed = support::aggregate_into_one(&records);
            let body = &sealed.data[4..sealed.data.len() - 16];
            let message = oracle::read(body).unwrap();
            prop_assert!(message.encode_to_vec() == body);
            prop_assert!(support::bytes::sealed(body) == sealed.data);
            let unique = |keys: &[String]| {
                let mut seen = std::collections::HashSet::new();
                keys.iter().all(|key| seen.insert(key.clone()))
            };
            prop_assert!(unique(&message.partition_key_table) && unique(&message.explicit_hash_key_table));
            let mut next = 0;
            for record in &message.records {
                let index = record.partition_key_index.unwrap();
                prop_assert!(index <= next, "first-seen order");
                next = next.max(index + 1);
            }
            prop_assert_eq!(next as usize, message.partition_key_table.len());
        }
    }
}

/// A body of fields that are all legal, in any order, and may be written unusually.
mod bodies {
    use super::*;

    pub(super) fn varint(value: impl Strategy<Value = u64>) -> impl Strategy<Value = Vec<u8>> {
        let length = prop_oneof![8 => Just(1), 1 => 2..=10_usize];
        (value, length).prop_map(|(value, length)| padded_varint(value, length))
    }

    fn bytes(number: u64, bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
        (
            varint(Just(number << 3 | 2)),
            bytes,
            prop_oneof![8 => Just(1), 1 => 2..=10_usize],
        )
            .prop_map(|(key, bytes, length)| [key, padded_varint(bytes.len() as u64, length), bytes].concat())
    }

    fn number(number: u64, value: impl Strategy<Value = u64>) -> impl Strategy<Value = Vec<u8>> {
        (varint(Just(number << 3)), varint(value)).prop_map(|(key, value)| [key, value].concat())
    }

    fn unknown() -> impl Strategy<Value = Vec<u8>> {
        let field = || {
            prop_oneof![
                5..40_u64,
                Just((1 << 29) - 1),
                any::<u64>().prop_map(|any| (any % (1 << 29)) | 32)
            ]
        };
        let flat = prop_oneof![
            (field(), any::<u64>()).prop_flat_map(|(field, value)| number(field, Just(value))),
            (field(), vec(any::<u8>(), 0..6)).prop_flat_map(|(field, value)| bytes(field, Just(value))),
            (field(), any::<[u8; 8]>()).prop_map(|(field, value)| [&field_key(field, 1)[..], &value].concat()),
            (field(), any::<[u8; 4]>()).prop_map(|(field, value)| [&field_key(field, 5)[..], &value].concat()),
        ];
        flat.prop_recursive(6, 20, 3, move |inner| {
            (field(), vec(inner, 0..3)).prop_map(|(field, inner)| group(field, inner.concat()))
        })
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            6 => strategies::key().prop_map(String::into_bytes),
            2 => "[0-9]{0,40}".prop_map(String::into_bytes),
            1 => Just(Vec::new()),
        ]
    }

    fn message(
        fields: impl Strategy<Value = Vec<Vec<u8>>>,
        extra: impl Strategy<Value = Vec<Vec<u8>>>,
    ) -> impl Strategy<Value = Vec<u8>> {
        (fields, extra)
            .prop_map(|(fields, extra)| [fields, extra].concat())
            .prop_shuffle()
            .prop_map(|fields| fields.concat())
    }

    fn tag() -> impl Strategy<Value = Vec<u8>> {
        let keys = vec(bytes(1, text()), 1..3);
        message(
            keys,
            vec(prop_oneof![2 => bytes(2, text()).boxed(), 1 => unknown().boxed()], 0..3),
        )
    }

    fn index() -> impl Strategy<Value = u64> {
        prop_oneof![8 => 0..6_u64, 1 => any::<u64>()]
    }

    fn record() -> impl Strategy<Value = Vec<u8>> {
        let data = || vec(any::<u8>(), 0..40);
        let required = (number(1, index()), bytes(3, data())).prop_map(|(index, data)| vec![index, data]);
        let extra = prop_oneof![
            4 => number(2, index()).boxed(),
            2 => bytes(4, tag()).boxed(),
            2 => unknown().boxed(),
            1 => number(1, index()).boxed(),
            1 => bytes(3, data()).boxed(),
        ];
        message(required, vec(extra, 0..4))
    }

    /// Bodies that are accepted, nearly all of them.
    pub(super) fn good() -> impl Strategy<Value = Vec<u8>> {
        let field = prop_oneof![
            4 => bytes(1, text()).boxed(),
            2 => bytes(2, text()).boxed(),
            6 => bytes(3, record()).boxed(),
            1 => unknown().boxed(),
        ];
        vec(field, 1..12).prop_map(|fields| fields.concat())
    }

    /// Bodies with something wrong: a field of the wrong type, a group that does not close, a string that is not UTF-8.
    pub(super) fn odd() -> impl Strategy<Value = Vec<u8>> {
        let odd = prop_oneof![
            (0..6_u64, 0..8_u64, vec(any::<u8>(), 0..12)).prop_map(|(number, wire_type, rest)| [
                field_key(number, wire_type),
                rest
            ]
            .concat()),
            (1..4_u64, vec(any::<u8>(), 0..6)).prop_map(|(number, text)| bytes_field(number, text)),
            (1..5_u64, any::<u64>()).prop_map(|(number, value)| support::bytes::varint_field(number, value)),
            (95..105_usize).prop_map(|depth| (0..depth).fold(Vec::new(), |content, _| group(9, content))),
        ];
        let in_record = (odd.clone(), record(), any::<bool>()).prop_map(|(odd, record, first)| {
            let fields = if first { [odd, record] } else { [record, odd] };
            bytes_field(3, fields.concat())
        });
        (good(), prop_oneof![odd, in_record], good()).prop_map(|(before, odd, after)| [before, odd, after].concat())
    }

    /// Bodies of small fields that come again and again, some between records, and of bytes at the end that may be anything.
    pub(super) fn runs() -> impl Strategy<Value = Vec<u8>> {
        let tag = |fields: &[u8]| bytes_field(3, [b"\x08\0\x1A\0", &bytes_field(4, fields)[..]].concat());
        let records = vec![
            bytes_field(3, b"\x08\0\x1A\0"),
            bytes_field(3, b"\x08\x01\x10\x01\x1A\0"),
            bytes_field(3, b"\x1A\x01z\x08\0"),
            bytes_field(3, b"\x08\0\x1A\0\x53\x54\x50\x01"),
            tag(b"\x0A\0"),
            tag(b"\x12\0\x53\x54\x0A\x01a"),
        ];
        let others = vec![
            bytes_field(1, ""),
            bytes_field(1, "a"),
            bytes_field(2, ""),
            bytes_field(2, "7"),
            group(4, []),
            group(5, []),
            group(5, group(4, [])),
            group(16, group(17, [])),
            group(9, b"\x52\0"),
            b"\x50\x01".to_vec(),
            b"\x52\0".to_vec(),
            b"\x55\0\0\0\0".to_vec(),
            b"\x51\0\0\0\0\0\0\0\0".to_vec(),
            b"\x0A\x80\0".to_vec(),
            b"\x92\0\0".to_vec(),
        ];
        let field = prop_oneof![1 => select(records).boxed(), 2 => select(others).boxed()];
        let run = (vec(field, 1..3), 1..40_usize).prop_map(|(fields, count)| fields.concat().repeat(count));
        let end = prop_oneof![Just(Vec::new()), vec(0..0x60_u8, 1..4)];
        (vec(run, 1..8), end).prop_map(|(runs, end)| [runs.concat(), end].concat())
    }

    /// Changes bytes anywhere: other ones, more, or fewer.
    pub(super) fn mutate(mut bytes: Vec<u8>, changes: &[(Index, u8, u8)]) -> Vec<u8> {
        for (place, how, byte) in changes {
            if bytes.is_empty() {
                break;
            }
            let place = place.index(bytes.len());
            match how % 5 {
                0 => bytes[place] = *byte,
                1 => bytes[place] ^= 1 << (byte % 8),
                2 => bytes.insert(place, *byte),
                3 => drop(bytes.remove(place)),
                _ => bytes.truncate(place),
            }
        }
        bytes
    }

    pub(super) fn changes() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
        vec(any::<(Index, u8, u8)>(), 1..5)
    }
}

/// "The reader agrees with prost on any body with a right digest (accepted alike, same content)."
mod the_reader_agrees_with_the_oracle {
    use super::*;

    /// A body of no bytes is too short to be an aggregate, whatever the oracle says.
    fn assert_agreement(body: &[u8]) {
        let expected = oracle::read(body).filter(|_| !body.is_empty());
        assert_eq!(oracle::read_by_us(body), expected, "{}", body.escape_ascii());
        if let Some(expected) = expected {
            assert_delivered(body, &expected);
        }
    }

    /// The deaggregator has a way of its own from one user record to the next.
    fn assert_delivered(body: &[u8], expected: &oracle::AggregatedRecord) {
        let data = sealed(body);
        let record = KinesisRecord::new(&data);
        let mut items = Deaggregator::<UserRecord<'_>>::new().record(&record);
        for (number, wire) in expected.records.iter().enumerate() {
            let index = |index: Option<u64>| usize::try_from(index.unwrap_or_default()).unwrap_or(usize::MAX);
            let key = expected.partition_key_table.get(index(wire.partition_key_index));
            let hash_key = wire.explicit_hash_key_index.map(|_| {
                let text = expected
                    .explicit_hash_key_table
                    .get(index(wire.explicit_hash_key_index))?;
                HashKey::parse_lenient(text)
            });
            let read = match items.next() {
                Some(Ok(item)) => item.record,
                Some(Err(error)) => {
                    assert!(
                        key.is_none() || hash_key == Some(None),
                        "{error}: {}",
                        body.escape_ascii()
                    );
                    continue;
                }
                None => panic!("record {number} is missing: {}", body.escape_ascii()),
            };
            assert_eq!(read.partition_key, key.map(String::as_str));
            assert_eq!(
                read.explicit_hash_key,
                hash_key.map(|key| key.expect("an error otherwise"))
            );
            assert_eq!(Some(read.data), wire.data.as_deref());
            assert_eq!(read.sub_sequence_number, number as u64);
            let tags = wire
                .tags
                .iter()
                .map(|tag| (tag.key.as_deref().expect("checked"), tag.value.as_deref()));
            assert!(read.tags().iter().eq(tags));
        }
        assert!(items.next().is_none(), "one too many: {}", body.escape_ascii());
    }

    /// Large tables keep short keys in another way than long ones.
    #[test]
    fn on_tables_of_many_keys() {
        const COUNT: usize = 70_000;
        let text = |number: usize| format!("{number}é").repeat(number % 4);
        let digits = |number: usize| number.to_string().repeat(number % 4);
        let last = [0, 1, 65_535, 65_536, 65_537, 65_538, 65_539, COUNT - 1, COUNT];
        let mut fields: Vec<_> = (0..COUNT).map(|number| bytes_field(1, text(number))).collect();
        fields.extend((0..COUNT).map(|number| bytes_field(2, digits(number))));
        fields.extend(last.map(|index| record_at(index as u64, index as u64, "x")));
        let body = fields.concat();
        assert_agreement(&body);

        let data = sealed(&body);
        let read = Deaggregator::<UserRecord<'_>>::new();
        for (item, index) in read.record(&KinesisRecord::new(&data)).zip(last) {
            let error = match item {
                Ok(item) => {
                    assert_eq!(item.record.partition_key, Some(text(index).as_str()));
                    assert_eq!(item.record.explicit_hash_key, digits(index).parse().ok());
                    assert!(!digits(index).is_empty());
                    continue;
                }
                Err(error) => format!("{:?}", error.kind()),
            };
            let (text, index) = (String::new(), index as u64);
            let expected = match index as usize {
                COUNT => DeaggregateErrorKind::PartitionKeyIndex { index, len: COUNT },
                _ => DeaggregateErrorKind::ExplicitHashKey { text },
            };
            assert_eq!(error, format!("{expected:?}"));
        }
    }

    #[test]
    fn on_groups_that_close_in_another_order() {
        let tag = |number: usize, wire_type| field_key(number as u64, wire_type);
        for depth in [1, 2, 15, 16, 17, 18, 33, 99, 100] {
            for wrong in [None, Some(0), Some(depth / 2), Some(depth - 1)] {
                let open = (0..depth).map(|level| tag(4 + level % 20, 3));
                let close = (0..depth).rev().map(|level| match wrong == Some(level) {
                    true => tag(5 + level % 20, 4),
                    false => tag(4 + level % 20, 4),
                });
                let body = open.chain(close).collect::<Vec<_>>().concat();
                assert_eq!(oracle::read(&body).is_some(), wrong.is_none());
                assert_agreement(&body);
            }
        }
    }

    proptest! {
        #![proptest_config(cases(600))]

        #[test]
        fn on_bodies_that_are_good(body in bodies::good()) {
            prop_assert!(oracle::read(&body).is_some());
            assert_agreement(&body);
        }

        #[test]
        fn on_bodies_of_runs(body in bodies::runs(), changes in vec(any::<(Index, u8, u8)>(), 0..2)) {
            assert_agreement(&bodies::mutate(body, &changes));
        }

        #[test]
        fn on_bodies_that_are_odd(body in bodies::odd()) {
            assert_agreement(&body);
        }

        #[test]
        fn on_bodies_that_were_changed(body in bodies::good(), changes in bodies::changes()) {
            assert_agreement(&bodies::mutate(body, &changes));
        }

        #[test]
        fn on_bodies_of_a_writer_that_were_changed(
            records in vec(strategies::record(), 1..5),
            changes in bodies::changes(),
        ) {
            let sealed = support::aggregate_into_one(&records);
            assert_agreement(&bodies::mutate(sealed.data[4..sealed.data.len() - 16].to_vec(), &changes));
        }

        #[test]
        fn on_any_bytes(body in vec(prop_oneof![0..=0x2A_u8, any::<u8>()], 0..24)) {
            assert_agreement(&body);
        }
    }
}

mod reading {
    use super::*;

    /// Kinesis records of every kind, with the sequence numbers 0, 7, 14, ...
    fn batch() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
        let written = vec(strategies::record(), 1..8).prop_map(|records| support::aggregate_into_one(&records).data);
        let data = prop_oneof![
            4 => written,
            3 => bodies::good().prop_map(sealed),
            1 => bodies::odd().prop_map(sealed),
            1 => vec(any::<u8>(), 0..40).prop_map(|tail| [&MAGIC[..], &tail].concat()),
            2 => vec(any::<u8>(), 0..40),
        ];
        vec(data, 0..8).prop_map(|data| {
            let numbered = data.into_iter().enumerate();
            numbered
                .map(|(number, data)| ((number * 7).to_string(), data))
                .collect()
        })
    }

    fn records(batch: &[(String, Vec<u8>)]) -> Vec<KinesisRecord<'_>> {
        let record = |(number, data)| {
            KinesisRecord::new(data)
                .with_partition_key("outer")
                .with_sequence_number(number)
        };
        batch.iter().map(|(number, data)| record((number, data))).collect()
    }

    /// What comes out, in a form that can be compared: errors as their position and data.
    type Item = (Position, Result<RawRecord, Vec<u8>>);

    fn read(deaggregator: &Deaggregator<RawRecord>, batch: &[KinesisRecord<'_>]) -> (Vec<Item>, Counts) {
        let deaggregator = deaggregator.clone();
        let mut records = deaggregator.records(batch);
        let items = records
            .by_ref()
            .map(|item| match item {
                Ok(item) => (item.position().unwrap(), Ok(item.value)),
                Err(error) => (error.position().unwrap(), Err(error.into_data())),
            })
            .collect();
        assert_counts_add_up(records.counts());
        (items, records.counts())
    }

    fn length(item: Result<RawRecord, DeaggregateError>) -> usize {
        item.map_or_else(|error| error.data().len(), |record| record.data.len())
    }

    /// Never fewer bytes than came in: one plain record of all of them, or every record of the aggregate.
    fn assert_nothing_is_lost(data: &[u8]) {
        let received = items(&[KinesisRecord::new(data)]);
        match kpl::wire::AggregatedRecord::parse(data) {
            Err(_) => {
                assert_eq!(received.len(), 1);
                assert_eq!(received.into_iter().map(length).sum::<usize>(), data.len());
            }
            Ok(aggregate) => {
                assert_eq!(received.len(), aggregate.len());
                for (item, wire) in received.into_iter().zip(aggregate.records()) {
                    assert_eq!(length(item), wire.data.len());
                }
            }
        }
        // A type whose payloads are not all readable: as many items, with as many bytes.
        let outer = KinesisRecord::new(data);
        let mut records = Deaggregator::<Text>::new().record(&outer);
        let typed: usize = records
            .by_ref()
            .map(|item| item.map_or_else(|error| error.data().len(), |item| item.value.0.len()))
            .sum();
        assert_eq!(typed, items(&[outer]).into_iter().map(length).sum::<usize>());
        assert_counts_add_up(records.counts());
    }

    proptest! {
        #![proptest_config(cases(200))]

        #[test]
        fn any_bytes_give_records_or_errors_and_lose_nothing(bytes in vec(any::<u8>(), 0..200), kind in 0..4) {
            assert_nothing_is_lost(&match kind {
                0 => bytes,
                1 => [&MAGIC[..], &bytes].concat(),
                2 => sealed(bytes),
                _ => sealed([support::bytes::key("a"), bytes_field(3, bytes)].concat()),
            });
        }

        #[test]
        fn any_body_gives_records_or_errors_and_loses_nothing(body in prop_oneof![bodies::good(), bodies::odd()]) {
            assert_nothing_is_lost(&sealed(body));
        }

        #[test]
        fn any_byte_flip_or_truncation_loses_nothing(
            records in vec(strategies::record(), 1..6),
            changes in bodies::changes(),
        ) {
            let sealed = support::aggregate_into_one(&records);
            let changed = bodies::mutate(sealed.data.clone(), &changes);
            assert_nothing_is_lost(&changed);
            if changed != sealed.data {
                prop_assert_eq!(items(&[KinesisRecord::new(&changed)]).into_iter().map(length).sum::<usize>(), changed.len());
            }
        }

        /// A batch returns what its records return one by one.
        #[test]
        fn a_batch_gives_what_its_records_give_one_by_one(batch in batch()) {
            let batch = records(&batch);
            let (together, counts) = read(&Deaggregator::new(), &batch);
            let mut sum = Counts::default();
            let mut alone = Vec::new();
            for record in &batch {
                let (items, counts) = read(&Deaggregator::new(), std::slice::from_ref(record));
                alone.extend(items);
                sum += counts;
            }
            prop_assert_eq!(together, alone);
            prop_assert_eq!(counts, sum);
        }

        #[test]
        fn resuming_after_any_position_is_skipping(batch in batch(), place: Index, number in 0..60_u64, sub in 0..9_u64) {
            let batch = records(&batch);
            let (all, counts) = read(&Deaggregator::new(), &batch);
            let mut positions = vec![Position::new(&number.to_string(), sub).unwrap()];
            if !all.is_empty() {
                positions.push(place.get(&all).0.clone());
            }
            for after in positions {
                let expected: Vec<_> = all.iter().filter(|(position, _)| *position > after).cloned().collect();
                let (resumed, resumed_counts) = read(&Deaggregator::new().after(after), &batch);
                prop_assert_eq!(&resumed, &expected);
                prop_assert_eq!(resumed_counts.skipped as usize, all.len() - expected.len());
                prop_assert_eq!(resumed_counts.user_records, counts.user_records);
            }
        }

        /// Positions only grow, and are those of the records before anything is left out.
        #[test]
        fn positions_grow(batch in batch()) {
            let batch = records(&batch);
            let (all, _) = read(&Deaggregator::new(), &batch);
            prop_assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }

        #[test]
        fn range_policies_drop_exactly_what_they_must(
            batch in batch(),
            ends in any::<(u128, u128)>(),
            narrow: bool,
        ) {
            let batch = records(&batch);
            let (low, high) = if narrow { (0, 1 << 120) } else { ends };
            let range = HashKeyRange::try_from(low.min(high)..=low.max(high)).unwrap();
            let outer: Vec<_> = batch.iter().map(|record| kpl::wire::AggregatedRecord::parse(record.data).is_ok()).collect();
            let (all, _) = read(&Deaggregator::new(), &batch);
            let place = |position: &Position| position.sequence_number.as_str().parse::<usize>().unwrap() / 7;
            let is_stray = |(position, item): &(Position, Result<RawRecord, _>)| {
                outer[place(position)] && item.as_ref().is_ok_and(|record| !range.contains(effective(record)))
            };
            let mixed: Vec<_> = all.iter().filter(|item| is_stray(item)).map(|(position, _)| place(position)).collect();
            let kept = |policy| -> Vec<_> {
                let keep = |item: &&Item| match policy {
                    StrayPolicy::DropStrays => !is_stray(item),
                    StrayPolicy::DropAggregate => item.1.is_err() || !mixed.contains(&place(&item.0)),
                    _ => true,
                };
                all.iter().filter(keep).cloned().collect()
            };
            for policy in [StrayPolicy::Keep, StrayPolicy::DropStrays, StrayPolicy::DropAggregate] {
                let deaggregator = Deaggregator::new().range(range, policy).list_dropped(true);
                let (items, counts) = read(&deaggregator, &batch);
                prop_assert_eq!(&items, &kept(policy), "{:?}", policy);
                prop_assert_eq!(counts.dropped as usize, all.len() - items.len());
                let mut again = deaggregator.records(&batch);
                again.by_ref().for_each(drop);
                let listed: Vec<_> = again.take_dropped().iter().map(|record| record.position().unwrap()).collect();
                let missing: Vec<_> = all
                    .iter()
                    .filter(|item| !items.contains(item))
                    .map(|(position, _)| position.clone())
                    .collect();
                prop_assert_eq!(listed, missing);
            }
        }

        /// What was read can be written again, and reads the same.
        #[test]
        fn what_was_read_can_be_written_again(body in bodies::good()) {
            let data = sealed(body);
            let first: Vec<_> = items(&[KinesisRecord::new(&data)]).into_iter().filter_map(Result::ok).collect();
            let legal: Vec<_> = first
                .into_iter()
                .filter(|record| (1..=256).contains(&record.partition_key.as_ref().map_or(0, |key| key.chars().count())))
                .collect();
            if !legal.is_empty() {
                prop_assert_eq!(contents(&support::aggregate_into_one(&legal)), legal);
            }
        }
    }
}
