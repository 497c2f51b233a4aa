//! Section 2 of the format: partition keys, hash keys, ranges, shards; and the positions of section 3. The quoted
//! sentences are those of the format's description.
//!
//! The format's description is `docs/format.md`; `.ci/book` checks that the quoted sentences are in it.

mod support;

use kpl::{
    AggregateError, Aggregator, HashKey, HashKeyRange, InvalidHashKeyRange, InvalidShardMap, PartitionKey, Position,
    RawRecord, SequenceNumber, Shard, ShardMap,
};
use proptest::prelude::*;

use support::bytes::md5;
use support::strategies::cases;

/// "effective hash key of a user record = its explicit hash key if it has one, else MD5(partition key in UTF-8) read as
/// an unsigned 128-bit big-endian integer."
mod effective_hash_key {
    use super::*;

    #[test]
    fn of_abc_is_the_known_number() {
        const OF_ABC: u128 = 191415658344158766168031473277922803570;
        assert_eq!(PartitionKey::new("abc").unwrap().hash_key().value(), OF_ABC);
        assert_eq!(HashKey::of_partition_key("abc").to_string(), OF_ABC.to_string());
        assert_eq!(HashKey::effective("abc", None).value(), OF_ABC);
    }

    #[test]
    fn is_the_explicit_hash_key_if_there_is_one() {
        for explicit in [0, 5, u128::MAX] {
            assert_eq!(HashKey::effective("abc", Some(explicit.into())).value(), explicit);
        }
    }

    #[test]
    fn is_the_md5_of_the_utf8_bytes_big_endian() {
        for key in ["a", "é", "𝒳", "\u{0}", "__proto__", &"𝒳".repeat(256)] {
            let value = u128::from_be_bytes(md5(key.as_bytes()));
            assert_eq!(PartitionKey::new(key).unwrap().hash_key().value(), value, "{key}");
        }
    }
}

/// "partition key: 1 to 256 Unicode characters (not bytes: 256 four-byte characters are legal, 257 of anything are
/// not)."
mod partition_keys {
    use super::*;

    #[test]
    fn of_1_and_256_characters_are_legal() {
        for character in ["a", "é", "€", "𝒳"] {
            for count in [1, 2, 255, 256] {
                let text = character.repeat(count);
                assert_eq!(PartitionKey::new(text.as_str()).unwrap().as_str(), text);
            }
        }
    }

    #[test]
    fn of_257_characters_are_not_and_the_error_gives_the_text_back() {
        for character in ["a", "é", "€", "𝒳"] {
            let text = character.repeat(257);
            let error = PartitionKey::new(text.as_str()).unwrap_err();
            assert_eq!((error.characters, &error.text), (257, &text));
            assert!(error.to_string().contains("257"), "{error}");
        }
    }

    #[test]
    fn that_are_empty_are_not() {
        let error = PartitionKey::new("").unwrap_err();
        assert_eq!((error.characters, &error.text[..]), (0, ""));
    }

    /// A character is a Unicode scalar value, not a grapheme: a letter with a combining accent is two.
    #[test]
    fn count_scalar_values_not_graphemes() {
        assert!(PartitionKey::new("e\u{301}".repeat(128)).is_ok());
        assert!(PartitionKey::new("e\u{301}".repeat(129)).is_err());
    }

    #[test]
    fn keep_their_text_without_a_copy() {
        let text = String::from("customer-7");
        let place = text.as_ptr();
        let text_again = PartitionKey::new(text).unwrap().into_string();
        assert_eq!(text_again.as_ptr(), place);
        let text = "customer-7";
        let key = PartitionKey::new(text).unwrap();
        assert_eq!(key.as_str().as_ptr(), text.as_ptr());
        assert_eq!(AsRef::<str>::as_ref(&key), text);
        assert_eq!(
            "customer-7".parse::<PartitionKey<'static>>().unwrap().to_string(),
            "customer-7"
        );
    }
}

/// "explicit hash key: `0|[1-9][0-9]{0,38}`, value 0 to 2^128-1. `+5`, `007`, `-0`, `""`, `2^128` are errors when
/// writing."
mod hash_keys {
    use super::*;

    const TWO_TO_THE_128: &str = "340282366920938463463374607431768211456";

    #[test]
    fn in_the_services_form_parse() {
        let largest = u128::MAX.to_string();
        for (text, value) in [("0", 0), ("1", 1), ("9", 9), ("10", 10), (&largest, u128::MAX)] {
            let key: HashKey = text.parse().unwrap();
            assert_eq!(key.value(), value);
            assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn in_any_other_form_are_errors_that_give_the_text_back() {
        let texts = [
            "+5",
            "007",
            "-0",
            "",
            TWO_TO_THE_128,
            "00",
            "-1",
            " 5",
            "5 ",
            "5\n",
            "0x10",
            "1e3",
            "1_000",
            "٣",
            "+",
            "-",
            "1000000000000000000000000000000000000000",
            "NaN",
            "\u{0}",
        ];
        for text in texts {
            let error = text.parse::<HashKey>().unwrap_err();
            assert_eq!(error.text, text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
        let long = "9".repeat(10_000);
        assert!(long.parse::<HashKey>().is_err());
    }

    /// A record's own code turns text into a hash key with `?`, and the error says what the text was.
    #[test]
    fn that_are_no_hash_keys_are_errors_when_writing() {
        struct Keyed(&'static str);
        impl kpl::KplRecord for Keyed {
            fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, kpl::KeyError> {
                Ok("key")
            }
            fn explicit_hash_key(&self) -> Result<Option<HashKey>, kpl::KeyError> {
                Ok(Some(self.0.parse()?))
            }
            fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], kpl::CodecError> {
                Ok(b"data")
            }
        }
        let mut aggregator = Aggregator::<Keyed>::new();
        aggregator.push(&Keyed("5")).unwrap();
        for text in ["+5", "007", "-0", "", TWO_TO_THE_128] {
            let error = aggregator.push(&Keyed(text)).unwrap_err();
            assert!(
                matches!(error, AggregateError::Key(kpl::KeyError::ExplicitHashKey(_))),
                "{error:?}"
            );
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
        assert_eq!(aggregator.count(), 1);
        assert_eq!(aggregator.finish().unwrap().explicit_hash_key.value(), 5);
    }

    #[test]
    fn are_ordered_as_numbers() {
        let mut keys = [u128::MAX, 1 << 64, u64::MAX.into(), 0, 10, 9, 1 << 127].map(HashKey::new);
        keys.sort();
        let values = keys.map(HashKey::value);
        assert!(values.is_sorted(), "{values:?}");
        assert_eq!((HashKey::MIN.value(), HashKey::MAX.value()), (0, u128::MAX));
    }

    proptest! {
        #![proptest_config(cases(300))]

        #[test]
        fn survive_the_way_through_text(value: u128, shift in 0..128_u32) {
            let value = value >> shift;
            let key = HashKey::new(value);
            prop_assert_eq!(key.value(), value);
            prop_assert_eq!(u128::from(key), value);
            prop_assert_eq!(key.to_string(), value.to_string());
            prop_assert_eq!(key.to_string().parse::<HashKey>().unwrap(), key);
        }

        #[test]
        fn parse_exactly_when_they_match_the_pattern(text in "[+-]?[0-9]{0,41}") {
            let canonical = text.parse::<u128>().is_ok_and(|value| value.to_string() == text);
            prop_assert_eq!(text.parse::<HashKey>().is_ok(), canonical, "{}", text);
        }
    }
}

/// "a shard owns [StartingHashKey, EndingHashKey], both inclusive."
mod ranges_and_shards {
    use super::*;

    fn shard(id: &str, start: u128, end: u128) -> Shard {
        Shard::new(id, HashKeyRange::try_from(start..=end).unwrap())
    }

    fn gap(shards: impl IntoIterator<Item = Shard>) -> (u128, u128, String) {
        let error = ShardMap::new(shards).unwrap_err();
        match &error {
            InvalidShardMap::Gap { range } => (range.start().value(), range.end().value(), error.to_string()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn ranges_include_both_ends() {
        let range = HashKeyRange::try_from(10..=20).unwrap();
        for (key, inside) in [(9, false), (10, true), (15, true), (20, true), (21, false)] {
            assert_eq!(range.contains(HashKey::new(key)), inside, "{key}");
        }
        assert!(HashKeyRange::FULL.contains(HashKey::MIN) && HashKeyRange::FULL.contains(HashKey::MAX));
        assert!(
            HashKeyRange::try_from(7..=7).unwrap().contains(7.into()),
            "a range of one"
        );
    }

    #[test]
    fn ranges_that_end_before_their_start_are_errors_with_both_ends() {
        let error = HashKeyRange::new(8.into(), 7.into()).unwrap_err();
        let (start, end) = (HashKey::new(8), HashKey::new(7));
        assert_eq!(error, InvalidHashKeyRange::Reversed { start, end });
        assert!(
            error.to_string().contains('8') && error.to_string().contains('7'),
            "{error}"
        );
    }

    #[test]
    fn a_map_finds_the_shard_of_a_hash_key_at_the_borders() {
        let map = ShardMap::new([
            shard("high", 1000, u128::MAX),
            shard("low", 0, 99),
            shard("one", 100, 100),
            shard("middle", 101, 999),
        ])
        .unwrap();
        assert_eq!(map.len(), 4);
        let borders = [
            (0, "low"),
            (99, "low"),
            (100, "one"),
            (101, "middle"),
            (999, "middle"),
            (1000, "high"),
            (u128::MAX, "high"),
        ];
        for (key, id) in borders {
            assert_eq!(map.shard_of(key.into()).id, id, "{key}");
            let index = map.index_of(key.into());
            assert_eq!(map.shards().nth(index).unwrap().id, id, "{key}");
        }
        assert_eq!(
            map.shards().map(|shard| &shard.id[..]).collect::<Vec<_>>(),
            ["low", "one", "middle", "high"]
        );
    }

    #[test]
    fn a_map_of_one_shard_owns_everything() {
        let map = ShardMap::new([shard("only", 0, u128::MAX)]).unwrap();
        assert_eq!(map.shard_of(HashKey::MIN).id, "only");
        assert_eq!(map.shard_of(HashKey::MAX).id, "only");
    }

    #[test]
    fn a_map_of_no_shards_is_an_error() {
        let (start, end, text) = gap([]);
        assert_eq!((start, end), (0, u128::MAX));
        assert!(text.contains(&u128::MAX.to_string()), "{text}");
    }

    #[test]
    fn gaps_are_errors_that_show_them() {
        let (start, end, text) = gap([shard("a", 5, u128::MAX)]);
        assert_eq!((start, end), (0, 4));
        assert!(text.contains("0..=4"), "{text}");

        let (start, end, text) = gap([shard("a", 0, 9), shard("b", 15, u128::MAX)]);
        assert_eq!((start, end), (10, 14));
        assert!(text.contains("10..=14"), "{text}");

        let (start, end, _) = gap([shard("a", 0, 9), shard("b", 11, u128::MAX)]);
        assert_eq!((start, end), (10, 10));

        let (start, end, _) = gap([shard("a", 0, u128::MAX - 1)]);
        assert_eq!((start, end), (u128::MAX, u128::MAX));
    }

    #[test]
    fn overlaps_are_errors_that_show_both_shards() {
        let overlapping = [
            [shard("one", 0, 10), shard("two", 10, u128::MAX)],
            [shard("one", 0, u128::MAX), shard("two", 0, u128::MAX)],
            [shard("one", 0, u128::MAX), shard("two", 5, 6)],
        ];
        for shards in overlapping {
            let error = ShardMap::new(shards.clone()).unwrap_err();
            assert!(matches!(error, InvalidShardMap::Overlap { .. }), "{error}");
            for shard in shards {
                let (text, range) = (error.to_string(), shard.range.to_string());
                assert!(text.contains(&shard.id) && text.contains(&range), "{text}");
            }
        }
    }

    proptest! {
        #![proptest_config(cases(100))]

        #[test]
        fn every_hash_key_has_the_one_shard_whose_range_contains_it(
            starts in proptest::collection::vec(any::<u128>(), 0..20),
            keys in proptest::collection::vec(any::<u128>(), 1..20),
        ) {
            let map = support::shards(&starts);
            for key in keys.into_iter().chain(starts).map(HashKey::new) {
                let owners: Vec<_> = map.shards().filter(|shard| shard.range.contains(key)).collect();
                prop_assert_eq!(owners, [map.shard_of(key)]);
            }
        }
    }
}

/// "Positions: (sequence number, sub-sequence number), the first compared as an integer of any length, then the second."
mod positions {
    use super::*;

    const LONG: &str = "49543463076570308322303623326179887152428262250726293588";

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    #[test]
    fn compare_the_sequence_number_as_an_integer() {
        let ascending = [
            "0:0",
            "9:0",
            "10:0",
            "99:7",
            "100:0",
            &format!("{LONG}:0"),
            &format!("{LONG}0:0"),
        ];
        for pair in ascending.windows(2) {
            assert!(position(pair[0]) < position(pair[1]), "{pair:?}");
        }
        assert_eq!(SequenceNumber::new("007").unwrap(), SequenceNumber::new("7").unwrap());
        assert_eq!(SequenceNumber::new("000").unwrap().as_str(), "0");
        assert!(SequenceNumber::new(&"9".repeat(39)).unwrap() < SequenceNumber::new(&"1".repeat(40)).unwrap());
    }

    #[test]
    fn compare_the_sub_sequence_number_as_an_integer_after_that() {
        assert!(position("7:9") < position("7:10"));
        assert!(position("7:18446744073709551615") < position("8:0"));
        assert_eq!(position("0007:9"), position("7:9"));
    }

    #[test]
    fn survive_the_way_through_text() {
        for text in ["0:0", "7:18446744073709551615", &format!("{LONG}:12")] {
            assert_eq!(position(text).to_string(), text);
        }
        let position = Position::new(LONG, 3).unwrap();
        assert_eq!(
            (position.sequence_number.as_str(), position.sub_sequence_number),
            (LONG, 3)
        );
    }

    #[test]
    fn of_anything_else_are_errors_with_the_text() {
        for text in [
            "", ":", "7", "7:", ":7", "7:+1", "+7:1", "-7:1", "7:-1", "7:1:1", "7: 1", "LATEST:0", "٣:0",
        ] {
            assert_eq!(text.parse::<Position>().unwrap_err().text, text);
        }
        assert!("7:18446744073709551616".parse::<Position>().is_err());
        for text in ["", "LATEST", "TRIM_HORIZON", "+7", "-7", "7 ", "0x7"] {
            let error = SequenceNumber::new(text).unwrap_err();
            assert_eq!(error.text, text);
            assert_eq!(Position::new(text, 0).unwrap_err().text, text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    proptest! {
        #![proptest_config(cases(300))]

        #[test]
        fn are_ordered_as_pairs_of_numbers(left: (u128, u64), right: (u128, u64), zeros in 0..3_usize) {
            let make = |(number, sub): (u128, u64)| {
                Position::new(&format!("{}{number}", "0".repeat(zeros)), sub).unwrap()
            };
            prop_assert_eq!(make(left).cmp(&make(right)), left.cmp(&right));
        }
    }
}

/// The keys of raw records are checked when they are written.
#[test]
fn partition_keys_that_are_not_legal_are_errors_when_writing() {
    let mut aggregator = Aggregator::<RawRecord>::new();
    for text in [String::new(), "a".repeat(257), "𝒳".repeat(257)] {
        match aggregator.push(&support::raw(&text, "data")).unwrap_err() {
            AggregateError::PartitionKey(error) => assert_eq!(error.text, text),
            other => panic!("{other}"),
        }
    }
    assert!(aggregator.is_empty());
}

mod as_strings {
    use std::collections::HashMap;
    use std::time::{Duration, SystemTime};

    use kpl::{InvalidSequenceNumber, InvalidTimestamp, Timestamp};

    use super::*;

    proptest! {
        #![proptest_config(cases(200))]

        #[test]
        fn what_is_printed_parses_and_is_stored(
            (one, other) in (any::<u128>(), any::<u128>()),
            digits in "[1-9][0-9]{0,60}",
            sub in any::<u64>(),
            (seconds, nanos) in (any::<u64>(), 0..1_000_000_000_u32),
        ) {
            let range = HashKeyRange::try_from(one.min(other)..=one.max(other)).unwrap();
            round_trip(range)?;
            round_trip(HashKey::new(one))?;
            round_trip(digits.parse::<SequenceNumber>().unwrap())?;
            round_trip(Position::new(&digits, sub).unwrap())?;
            round_trip(Timestamp::from_unix_epoch(Duration::new(seconds, nanos)))?;
        }
    }

    /// As a string, in Json, where it is the same string, and in Postcard.
    fn round_trip<T>(value: T) -> Result<(), TestCaseError>
    where
        T: PartialEq + std::fmt::Debug + std::fmt::Display + std::str::FromStr<Err: std::fmt::Debug>,
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        let text = value.to_string();
        prop_assert_eq!(&text.parse::<T>().unwrap(), &value);
        let json = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(&json, &format!("\"{text}\""));
        prop_assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), &value);
        let bytes = postcard::to_allocvec(&value).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), &value);
        Ok(())
    }

    #[test]
    fn other_strings_are_errors_that_hold_them() {
        for text in ["", "7", "7..=", "7..=x", "+7..=8", "7..8", " 7..=8"] {
            let error = text.parse::<HashKeyRange>().unwrap_err();
            assert_eq!(error, InvalidHashKeyRange::Syntax { text: text.into() });
        }
        for text in ["", "LATEST", "7:1", "-7"] {
            let error: InvalidSequenceNumber = text.parse::<SequenceNumber>().unwrap_err();
            assert_eq!(error.text, text);
            assert_eq!(
                error.to_string(),
                format!("a sequence number consists of decimal digits only, unlike {text:?}")
            );
        }
        for text in [
            "",
            "1.",
            ".5",
            "1.0000000000",
            "+1",
            "1.+5",
            "18446744073709551616",
            "-1",
        ] {
            let error: InvalidTimestamp = text.parse::<Timestamp>().unwrap_err();
            assert_eq!(error.text, text);
        }
        assert!(serde_json::from_str::<Position>("\"7\"").is_err());
        assert!(serde_json::from_str::<PartitionKey<'static>>("\"\"").is_err());
    }

    #[test]
    fn timestamps_are_points_in_time() {
        let time: Timestamp = "1700000000.25".parse().unwrap();
        assert_eq!(time.to_string(), "1700000000.25");
        assert_eq!(Timestamp::from(time.to_system_time().unwrap()), time);
        assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH), Timestamp::UNIX_EPOCH);
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Timestamp::from(before), Timestamp::UNIX_EPOCH);
        assert_eq!(Timestamp::from_unix_epoch(Duration::MAX).to_system_time(), None);
    }

    #[test]
    fn partition_keys_compare_with_strings() {
        let key = PartitionKey::new("abc").unwrap();
        assert_eq!(key, "abc");
        assert_eq!(key, *"abc");
        let counts: HashMap<_, _> = [(key.clone(), 7)].into();
        assert_eq!(counts.get("abc"), Some(&7));
        assert_eq!(PartitionKey::try_from("abc").unwrap(), key);
        assert_eq!(PartitionKey::try_from(String::from("abc")).unwrap(), key);
        assert_eq!(String::from(key), "abc");
        assert!(PartitionKey::try_from("").is_err());
    }
}
