//! Raw records are as easy as typed ones, and what carries payloads does not print them.

use kpl::{
    AggregateError, Aggregator, Deaggregator, KinesisRecord, Origin, RawRecord, Received, Undecodable, UserRecord,
};
use kpl_testkit::{Text, contents, shard_map};

/// Each line lives only for its turn of the loop, and the aggregator's type is inferred from `push`.
#[test]
fn lines_in_locals_can_be_pushed() {
    let mut aggregator = Aggregator::new();
    for number in 0..3 {
        let line = format!("line {number}");
        let key = number.to_string();
        assert_eq!(aggregator.push(&RawRecord::new(&*key, &*line)).unwrap(), None);
    }
    let sealed = aggregator.finish().unwrap();
    let data: Vec<_> = contents(&sealed).into_iter().map(|record| record.data).collect();
    assert_eq!(data, [b"line 0", b"line 1", b"line 2"]);
}

#[test]
fn owned_items_and_references_are_aggregated_alike() {
    let records = ["one", "two", "three"].map(|line| RawRecord::new("abc", line));
    let mut aggregator = Aggregator::<RawRecord>::new();
    let of_references: Vec<_> = aggregator.aggregate(&records).collect::<Result<_, _>>().unwrap();
    let of_owned: Vec<_> = aggregator.aggregate(records.clone()).collect::<Result<_, _>>().unwrap();
    assert_eq!(of_references, of_owned);
    let mut sharded = Aggregator::<RawRecord>::builder()
        .build_sharded(shard_map(&[1 << 127]))
        .unwrap();
    let of_shards: Vec<_> = sharded.aggregate(&records).collect::<Result<_, _>>().unwrap();
    assert_eq!(of_shards, of_owned);
    assert_eq!(contents(&of_owned[0]), records);
}

#[test]
fn a_record_without_a_partition_key_is_refused() {
    let received = [KinesisRecord::new(b"from a stream that ignores keys")];
    let record = Deaggregator::<RawRecord>::new()
        .record(&received[0])
        .next()
        .unwrap()
        .unwrap();
    let mut aggregator = Aggregator::new();
    let error = aggregator.push(&record.value).unwrap_err();
    assert_eq!(error.to_string(), "the record does not have a partition key");
    let error = Aggregator::new().push(&record.record).unwrap_err();
    assert!(matches!(error, AggregateError::Key(kpl::KeyError::Missing)));
}

#[test]
fn user_records_are_passed_on_without_a_copy() {
    let sent = [
        RawRecord::new("a", "one").with_explicit_hash_key(7),
        RawRecord::new("b", "two").with_tag("trace", Some("4bf92f35")),
    ];
    let sealed: Vec<_> = Aggregator::<RawRecord>::new()
        .aggregate(&sent)
        .collect::<Result<_, _>>()
        .unwrap();
    let batch = [KinesisRecord::from(&sealed[0])];
    let mut aggregator = Aggregator::new();
    for record in Deaggregator::<UserRecord<'_>>::new().records(&batch) {
        aggregator.push(&record.unwrap().value).unwrap();
    }
    assert_eq!(aggregator.finish(), Some(sealed[0].clone()));
}

/// Nothing of a user record is lost when it is turned into a received one.
#[test]
fn a_received_record_has_all_that_the_user_record_has() {
    let sent = RawRecord::new("abc", "one")
        .with_explicit_hash_key(7)
        .with_tag("trace", Some("4bf92f35"));
    let mut aggregator = Aggregator::new();
    aggregator.push(&RawRecord::new("abc", "zero")).unwrap();
    aggregator.push(&sent).unwrap();
    let sealed = aggregator.finish().unwrap();
    let malformed = [&sealed.data[..], b"!"].concat();
    let batch = [
        KinesisRecord::from(&sealed).with_sequence_number("4950"),
        KinesisRecord::new(&malformed).with_sequence_number("4951"),
    ];
    let received: Vec<Received<RawRecord>> = Deaggregator::<RawRecord>::new()
        .records(&batch)
        .into_received(|origin, _| origin.with_stream("clicks").with_shard_id("shardId-7"))
        .collect::<Result<_, _>>()
        .unwrap();
    let record = &received[1];
    assert_eq!(record.value, sent);
    assert_eq!(
        (record.stream(), record.shard_id()),
        (Some("clicks"), Some("shardId-7"))
    );
    assert_eq!(record.position(), Some("4950:1".parse().unwrap()));
    assert_eq!((record.partition_key(), record.is_aggregated()), (Some("abc"), true));
    assert_eq!(record.explicit_hash_key(), sent.explicit_hash_key);
    assert_eq!(*record.tags(), sent.tags);
    assert_eq!(record.malformed(), None);
    assert_eq!(record.origin().partition_key.as_deref(), Some("abc"));
    assert_eq!(
        (record.kinesis_record_index(), received[2].kinesis_record_index()),
        (0, 1)
    );
    assert!(received[2].malformed().is_some());
    assert_eq!(received[2].value.data, malformed);

    let (value, rest) = received[1].clone().into_parts();
    assert_eq!((value, rest.position()), (sent, record.position()));
    assert_eq!(rest.map(|()| 7).value, 7);
}

#[test]
fn an_undecodable_record_says_where_it_comes_from_and_has_its_bytes() {
    let batch = [KinesisRecord::new(b"\xFF")
        .with_partition_key("abc")
        .with_sequence_number("4950")];
    let mut records = Deaggregator::<Text>::new()
        .records(&batch)
        .into_received(|origin: Origin, _| origin.with_stream("clicks").with_shard_id("shardId-7"));
    let error: Undecodable = records.next().unwrap().unwrap_err();
    assert_eq!(error.position(), Some("4950:0".parse().unwrap()));
    assert_eq!((error.stream(), error.partition_key()), (Some("clicks"), Some("abc")));
    assert_eq!((error.data(), error.kinesis_record_index()), (&b"\xFF"[..], 0));
    let text = error.to_string();
    assert!(
        text.starts_with("stream clicks, shard shardId-7, Kinesis record 0"),
        "{text}"
    );
    assert_eq!(records.counts().failed, 1);
    assert_eq!(error.into_data(), b"\xFF");
}

/// Errors and records of 1 MiB take a line in a log.
#[test]
fn debug_shows_lengths_instead_of_payloads() {
    let payload = vec![b'#'; 1 << 20];
    let raw = RawRecord::new("abc", payload.clone()).with_tag("note", Some(&"#".repeat(1 << 10)));
    let mut aggregator = Aggregator::builder().max_size(4 << 20).build().unwrap();
    aggregator.push_unsealed(&raw).unwrap();
    let unsealed = aggregator.finish_unsealed().unwrap();
    let sealed = unsealed.clone().seal();
    let batch = [KinesisRecord::from(&sealed)];
    let user_record = Deaggregator::<UserRecord<'_>>::new()
        .records(&batch)
        .next()
        .unwrap()
        .unwrap();
    let text = [&b"\xFF"[..], &payload].concat();
    let plain = [KinesisRecord::new(&text).with_partition_key("abc")];
    let error = Deaggregator::<Text>::new().records(&plain).next().unwrap().unwrap_err();
    let received = Received::new(raw.clone(), &user_record.record, Origin::default());
    let aggregated = kpl::wire::AggregatedRecord::parse(&sealed.data).unwrap();
    let shown = [
        format!("{raw:?}"),
        format!("{unsealed:?}"),
        format!("{sealed:?}"),
        format!("{:?}", batch[0]),
        format!("{user_record:?}"),
        format!("{error:?}"),
        format!("{received:?}"),
        format!("{:?}", kpl::wire::Frame::new(&sealed.data).unwrap()),
        format!("{aggregated:?} {:?}", aggregated.records()),
        format!("{:?}", aggregated.records().next().unwrap()),
        format!("{:?}", Undecodable::new(error, Origin::default())),
    ];
    for shown in shown {
        assert!(shown.len() < 1200, "{} bytes: {:.300}", shown.len(), shown);
        assert!(!shown.contains("35, 35") && !shown.contains("##"), "{shown:.300}");
        assert!(shown.contains("bytes"), "{shown}");
    }
}
