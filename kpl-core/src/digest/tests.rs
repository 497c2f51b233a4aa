use alloc::format;
use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use md5::{Digest as _, Md5};
use proptest::prelude::*;

use super::{Digest, Lanes, each, md5, md5_each, md5_many, md5_many_with};

/// Returns bytes in which no pattern has the length of a block.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 131 + at / 251).to_le_bytes()[0]).collect()
}

/// Returns the digests that the `md-5` crate computes, one message after the other.
fn expected(messages: &[&[u8]]) -> Vec<Digest> {
    messages.iter().map(|message| Md5::digest(message).into()).collect()
}

#[track_caller]
fn check(messages: &[&[u8]]) {
    let expected = expected(messages);
    for lanes in Lanes::available() {
        let mut digests = vec![[0xee; 16]; messages.len()];
        md5_many_with(lanes, messages, &mut digests);
        for (index, (digest, expected)) in digests.iter().zip(&expected).enumerate() {
            assert_eq!(digest, expected, "message {index} with {lanes}");
        }
    }
    for (message, expected) in messages.iter().zip(&expected) {
        assert_eq!(md5(message), *expected);
    }
    let mut digests = vec![[0xee; 16]; messages.len()];
    md5_many(messages, &mut digests);
    assert_eq!(digests, expected);
    let mut digests = vec![[0xee; 16]; messages.len()];
    md5_each(messages.iter().copied(), |index, digest| {
        digests[index] = digest;
    });
    assert_eq!(digests, expected);
}

/// RFC 1321, appendix A.5.
#[test]
fn vectors_of_the_rfc() {
    let vectors: [(&[u8], u128); 7] = [
        (b"", 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e),
        (b"a", 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661),
        (b"abc", 0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72),
        (b"message digest", 0xf96b_697d_7cb7_938d_525a_2f31_aaf1_61d0),
        (b"abcdefghijklmnopqrstuvwxyz", 0xc3fc_d3d7_6192_e400_7dfb_496c_ca67_e13b),
        (
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            0xd174_ab98_d277_d9f5_a561_1c2c_9f41_9d9f,
        ),
        (
            b"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            0x57ed_f4a2_2be3_c955_ac49_da2e_2107_b67a,
        ),
    ];
    let messages = vectors.map(|(message, _)| message);
    let digests = vectors.map(|(_, digest)| digest.to_be_bytes());
    assert_eq!(expected(&messages), digests);
    check(&messages);
}

#[test]
fn every_length_at_any_alignment() {
    let bytes = bytes(400);
    let messages: Vec<&[u8]> = (0..=300).map(|length| &bytes[length % 67..][..length]).collect();
    check(&messages);
    for message in messages {
        check(&[message; 2]);
    }
}

#[test]
fn every_count() {
    let bytes = bytes(1000);
    for count in 0..=70 {
        // All of one length, so that all lanes end together.
        check(&vec![&bytes[..130]; count]);
        // All different, so that they end one by one.
        let messages: Vec<&[u8]> = (0..count).map(|at| &bytes[at..at * 13 % 997]).collect();
        check(&messages);
    }
}

#[test]
fn around_block_boundaries() {
    let bytes = bytes(64 * 40 + 100);
    for blocks in [1, 2, 3, 31, 40] {
        let messages: Vec<&[u8]> = (0..=20).map(|more| &bytes[more..][..64 * blocks - 10 + more]).collect();
        check(&messages);
    }
}

#[test]
fn one_long_message_among_short_ones() {
    let bytes = bytes(20_000);
    for place in [0, 1, 7, 8, 15, 16, 31, 32, 49] {
        let mut messages = vec![&bytes[..100]; 50];
        messages[place] = &bytes;
        check(&messages);
    }
}

#[test]
fn each_gives_every_message_once() {
    let bytes = bytes(500);
    let messages: Vec<&[u8]> = (0..100).map(|at| &bytes[..at * 7 % 500]).collect();
    let mut digests = vec![None; messages.len()];
    md5_each(messages.iter().copied(), |index, digest| {
        assert_eq!(digests[index].replace(digest), None);
    });
    let digests: Vec<Digest> = digests.into_iter().flatten().collect();
    assert_eq!(digests, expected(&messages));
}

/// An iterator may yield more after its end.
#[test]
fn each_ends_with_the_first_end() {
    let mut calls = 0;
    let messages = core::iter::from_fn(|| {
        calls += 1;
        (calls % 4 != 0).then_some(&b"message"[..])
    });
    let mut digests = 0;
    md5_each(messages, |_, _| digests += 1);
    assert_eq!(digests, 3);
    assert_eq!(calls, 4);
}

#[test]
#[should_panic(expected = "one digest for each message")]
fn too_few_digests() {
    md5_many(&[b"one", b"two"], &mut [[0; 16]]);
}

#[test]
fn lanes_of_this_machine() {
    let available: Vec<Lanes> = Lanes::available().collect();
    assert_eq!(available[0], Lanes::One);
    assert_eq!(available.last(), Some(&Lanes::detect()));
    assert!(available.is_sorted());
    let baseline = cfg!(any(target_feature = "sse2", target_feature = "neon"));
    assert_eq!(available.contains(&Lanes::Four), baseline);
}

/// No other test reaches a width that this one does not find.
#[test]
#[cfg(all(
    feature = "std",
    target_arch = "x86_64",
    not(any(kpl_max_lanes = "1", kpl_max_lanes = "4", kpl_max_lanes = "8"))
))]
fn no_width_of_this_machine_is_missing() {
    let available: Vec<Lanes> = Lanes::available().collect();
    assert_eq!(available.contains(&Lanes::Eight), std::is_x86_feature_detected!("avx2"));
    assert_eq!(
        available.contains(&Lanes::Sixteen),
        std::is_x86_feature_detected!("avx512f")
    );
}

/// Returns the order in which the digests of messages of one length are reported.
fn order(hash: impl FnOnce(&[&[u8]], &mut dyn FnMut(usize, Digest))) -> Vec<usize> {
    let mut order = Vec::new();
    hash(&[&b"message"[..]; 100], &mut |index, _| order.push(index));
    order
}

/// Two vectors are filled at once, and the last of these messages is the first to be finished.
#[test]
fn the_width_that_is_asked_for_is_used() {
    for lanes in Lanes::available() {
        let order = order(|messages, done| each(lanes, &mut messages.iter().copied().enumerate(), done));
        let together = match lanes {
            Lanes::One => 1,
            Lanes::Four => 8,
            Lanes::Eight => 16,
            Lanes::Sixteen => 32,
        };
        assert_eq!(order[0], together - 1, "{lanes}");
    }
}

#[test]
fn the_more_messages_the_wider() {
    assert_eq!(Lanes::best_for(0), Lanes::One);
    assert_eq!(Lanes::best_for(1), Lanes::One);
    for few in 2..=8 {
        assert_eq!(Lanes::best_for(few), Lanes::detect().min(Lanes::Eight));
    }
    assert_eq!(Lanes::best_for(9), Lanes::detect());
    let widest = order(|messages, done| each(Lanes::detect(), &mut messages.iter().copied().enumerate(), done));
    assert_eq!(order(|messages, done| md5_each(messages.iter().copied(), done)), widest);
}

#[test]
fn lanes_are_shown_with_their_instructions() {
    let four = if cfg!(target_arch = "aarch64") {
        "4 lanes (NEON)"
    } else {
        "4 lanes (SSE2)"
    };
    let shown = Lanes::ALL.map(|lanes| lanes.to_string());
    assert_eq!(shown, ["1 lane", four, "8 lanes (AVX2)", "16 lanes (AVX-512)"]);
    assert_eq!(format!("{:>7}|", Lanes::One), " 1 lane|");
}

/// A width that the machine does not have is replaced.
#[test]
fn every_width_is_safe() {
    for lanes in Lanes::ALL {
        let mut digests = [[0; 16]; 3];
        md5_many_with(lanes, &[b"a", b"b", b"c"], &mut digests);
        assert_eq!(digests, [md5(b"a"), md5(b"b"), md5(b"c")]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_messages(
        slices in prop::collection::vec((0_usize..300, prop_oneof![0_usize..150, 0_usize..2500]), 0..=80)
    ) {
        let bytes = bytes(3000);
        let messages: Vec<&[u8]> = slices.iter().map(|&(at, length)| &bytes[at..][..length]).collect();
        check(&messages);
    }
}
