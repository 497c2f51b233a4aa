//! Trace contexts: what a `traceparent` may be, and what the tags cost.
#![cfg(feature = "std")]

use kpl::{
    Aggregator, Deaggregator, InvalidTraceContext, KinesisRecord, Origin, RawRecord, Received, SealedRecord, Tags,
    TraceContext, UserRecord,
};
use proptest::prelude::*;

/// From the recommendation.
const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn tags(parent: &str, state: Option<&str>) -> Tags<'static> {
    let mut tags = Tags::new();
    tags.push("other", Some(EXAMPLE));
    tags.push("traceparent", Some(parent));
    tags.push("tracestate", state);
    tags
}

#[test]
fn the_example_of_the_recommendation() {
    let context: TraceContext = EXAMPLE.parse().unwrap();
    assert_eq!(context.trace_id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
    assert_eq!(context.parent_id(), 0x00f0_67aa_0ba9_02b7);
    assert_eq!(context.flags(), 1);
    assert!(context.is_sampled());
    assert_eq!(context.state(), None);
    assert_eq!(context.to_string(), EXAMPLE);
}

#[test]
fn later_versions_are_read_as_version_00() {
    let later = |rest: &str| {
        EXAMPLE
            .replacen("00-", "cc-", 1)
            .replacen("-01", rest, 1)
            .parse::<TraceContext>()
    };
    for rest in ["-01", "-01-", "-01-what-the-future-will-be-like"] {
        assert_eq!(later(rest).unwrap().to_string(), EXAMPLE, "{rest}");
    }
    // Only what the first flag means is known.
    assert_eq!(later("-ff").unwrap().flags(), 1);
    assert_eq!(later("-fe").unwrap().flags(), 0);
    assert_eq!(later("-01.what"), Err(InvalidTraceContext::Form));
}

#[test]
fn what_is_not_valid() {
    use InvalidTraceContext::{Form, ParentId, TooLong, TraceId, Version};
    let replaced = |from: &str, to: &str| EXAMPLE.replacen(from, to, 1);
    for (text, error) in [
        (String::new(), Form),
        ("00".into(), Form),
        (replaced("00-", "0-"), Form),
        (replaced("00-", "000-"), Form),
        (replaced("00-", "0x-"), Form),
        (replaced("00-", "ff-"), Version),
        (replaced("4bf9", "4BF9"), Form),
        (replaced("4bf9", "4bf"), Form),
        (replaced("4bf9", "4bf9a"), Form),
        (replaced("4bf9", "+bf9"), Form),
        (replaced("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)), TraceId),
        (replaced("00f067aa0ba902b7", &"0".repeat(16)), ParentId),
        (replaced("00f067aa0ba902b7", "00f067aa0ba902b"), Form),
        (replaced("-01", ""), Form),
        (replaced("-01", "-1"), Form),
        (replaced("-01", "-0g"), Form),
        (replaced("-01", "-01-"), TooLong),
        (replaced("-01", "-01-00"), TooLong),
        (replaced("-01", "-01 "), Form),
        (format!(" {EXAMPLE}"), Form),
        (EXAMPLE.replace('-', "_"), Form),
    ] {
        assert_eq!(text.parse::<TraceContext>(), Err(error), "{text:?}");
        assert_eq!(TraceContext::of(&tags(&text, None)), None, "{text:?}");
    }
    assert_eq!(TraceContext::new(0, 1, 0), Err(TraceId));
    assert_eq!(TraceContext::new(1, 0, 0), Err(ParentId));
}

#[test]
fn a_state_that_is_not_valid_is_left_out() {
    let state = |state: &str| {
        TraceContext::of(&tags(EXAMPLE, Some(state)))
            .unwrap()
            .state()
            .map(String::from)
    };
    let members = |count| vec!["a=1"; count].join(",");
    for valid in [
        "a=1",
        "a=1,b@c=2",
        "a=1 ,\tb=2,,3c=4",
        &members(32),
        &format!("a={},b={}", "x".repeat(254), "x".repeat(253)),
    ] {
        assert_eq!(state(valid).as_deref(), Some(valid));
    }
    for invalid in [
        "",
        " ,",
        "a",
        "a=1,b",
        "=1",
        "a=",
        "a=é",
        "a=\n",
        &members(33),
        &format!("a={},b={}", "x".repeat(254), "x".repeat(254)),
        &format!("a={}", "x".repeat(257)),
        "c=3=4",
        "A=1",
        "a b=1",
        "a@b@c=1",
    ] {
        assert_eq!(state(invalid), None, "{invalid:?}");
    }
    assert_eq!(TraceContext::of(&tags(EXAMPLE, None)).unwrap().state(), None);
    assert_eq!(TraceContext::of(&Tags::new()), None);
}

#[test]
fn tags_of_the_record_stay() {
    let context = TraceContext::new(1, 2, 0).unwrap().with_state("a=1");
    for key in [TraceContext::TRACEPARENT, TraceContext::TRACESTATE] {
        let mut tags = Tags::new();
        tags.push(key, None);
        context.add_to(&mut tags);
        assert_eq!(tags.iter().collect::<Vec<_>>(), [(key, None)]);
    }
    let mut tags = Tags::new();
    tags.push("tenant", Some("acme"));
    context.add_to(&mut tags);
    let parent = context.to_string();
    let expected = [
        ("tenant", Some("acme")),
        ("traceparent", Some(&*parent)),
        ("tracestate", Some("a=1")),
    ];
    assert_eq!(tags.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_received_record_has_its_trace() {
    let mut record = RawRecord::new("ada", "data");
    record.tags = tags(EXAMPLE, Some("a=1"));
    let sealed = seal(&[record]);
    let batch = [KinesisRecord::from(&sealed)];
    let user_record = Deaggregator::<UserRecord<'_>>::new()
        .records(&batch)
        .next()
        .unwrap()
        .unwrap()
        .value;
    let received = Received::new((), &user_record, Origin::default());
    let expected = EXAMPLE.parse::<TraceContext>().unwrap().with_state("a=1");
    assert_eq!(received.trace_context(), Some(expected));
}

fn seal(records: &[RawRecord]) -> SealedRecord {
    let mut aggregator = Aggregator::<RawRecord>::new();
    for record in records {
        assert!(aggregator.push(record).unwrap().is_none());
    }
    aggregator.finish().unwrap()
}

fn in_trace(mut record: RawRecord, state: &str) -> RawRecord {
    let context: TraceContext = EXAMPLE.parse().unwrap();
    context.with_state(state).add_to(&mut record.tags);
    record
}

/// The figures in the documentation of `TraceContext`.
#[test]
fn what_the_tags_cost() {
    let size = |records: &[RawRecord]| seal(records).data.len();
    // In an aggregate: 72 bytes per record, however many there are.
    let plain: Vec<_> = (0..10).map(|_| RawRecord::new("ada", "some data")).collect();
    let traced: Vec<_> = plain.iter().map(|record| in_trace(record.clone(), "")).collect();
    assert_eq!(size(&traced) - size(&plain), 10 * 72);
    // A length that needs two bytes then, because the record has 128 bytes or more.
    let plain = vec![RawRecord::new("ada", vec![0; 100]); 10];
    let traced: Vec<_> = plain.iter().map(|record| in_trace(record.clone(), "")).collect();
    assert_eq!(size(&traced) - size(&plain), 10 * 73);
    // The state: its length and 16 bytes.
    let record = RawRecord::new("ada", vec![0; 200]);
    for len in [3, 113] {
        let state = format!("a={}", "x".repeat(len - 2));
        let more = size(&[in_trace(record.clone(), &state)]) - size(&[in_trace(record.clone(), "")]);
        assert_eq!(more, len + 16);
    }
    // A lone record is wrapped: 28 bytes and a second copy of its key.
    let lone = RawRecord::new("ada", "some data");
    assert_eq!(
        size(&[in_trace(lone.clone(), "")]),
        lone.data.len() + 72 + 28 + "ada".len()
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(trace_id in 1_u128.., parent_id in 1_u64.., flags: u8) {
        let context = TraceContext::new(trace_id, parent_id, flags).unwrap();
        prop_assert_eq!(context.to_string().parse::<TraceContext>().unwrap(), context);
    }

    #[test]
    fn any_string_is_read_or_refused(text in "[0-9a-f]{2}-[0-9a-f-]{30,34}-[0-9a-f]{15,17}-[0-9a-fG]{1,3}(-.*)?", other: String) {
        for text in [text, other] {
            if let Ok(context) = text.parse::<TraceContext>() {
                let same = context.to_string();
                prop_assert_eq!(&same[2..52], &text[2..52]);
            }
        }
    }
}
