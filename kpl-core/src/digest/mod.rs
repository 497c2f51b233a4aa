//! MD5 of one message, and of many messages at once.
//!
//! An aggregated record ends with the MD5 of its body, so writing or checking a batch of records
//! means hashing many messages of similar size. Each step of MD5 waits for the step before, so
//! little speeds up a single message, but the vector registers of a machine can hash several
//! messages in the time of one. Use [`md5()`] for one message, and [`md5_many`] or [`md5_each`] as
//! soon as there are two: they choose the widest vectors that the machine has ([`Lanes`]).
//!
//! MD5 protects against accidents, not against attackers: anyone can produce two messages with the
//! same digest.

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod avx2;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod avx512;
#[cfg_attr(
    not(any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        all(target_arch = "aarch64", target_feature = "neon", target_endian = "little")
    )),
    allow(dead_code)
)]
mod lanes;
#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
mod neon;
#[cfg_attr(
    not(any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        all(target_arch = "aarch64", target_feature = "neon", target_endian = "little")
    )),
    allow(dead_code, unused_imports, unused_macros)
)]
mod prefetch;
#[cfg_attr(
    not(any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        all(target_arch = "aarch64", target_feature = "neon", target_endian = "little")
    )),
    allow(dead_code, unused_imports, unused_macros)
)]
mod rounds;
mod scalar;
mod schedule;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2;
#[cfg(test)]
mod tests;

use core::fmt;

/// The 16 bytes of an MD5 digest.
pub type Digest = [u8; 16];

/// Up to this many messages, eight lanes are as fast as sixteen, and there is less to set up.
const FEW: usize = 8;

/// Hashes one message.
///
/// ```
/// let digest = kpl_core::digest::md5(b"abc");
/// assert_eq!(digest[..4], [0x90, 0x01, 0x50, 0x98]);
/// ```
#[must_use]
pub fn md5(message: &[u8]) -> Digest {
    schedule::one(message)
}

/// Hashes many messages at once: the first message into the first digest, and so on.
///
/// From two messages on, this is several times faster than [`md5()`] of each. The messages may have different lengths.
/// Nothing is allocated.
///
/// ```
/// use kpl_core::digest::{md5, md5_many};
///
/// let messages: [&[u8]; 3] = [b"one", b"two", b"three"];
/// let mut digests = [[0; 16]; 3];
/// md5_many(&messages, &mut digests);
/// assert_eq!(digests[1], md5(b"two"));
/// ```
///
/// # Panics
///
/// Panics if the numbers of digests and messages differ. [`md5_each`] cannot panic.
#[track_caller]
pub fn md5_many(messages: &[&[u8]], digests: &mut [Digest]) {
    if let ([message], [digest]) = (messages, &mut *digests) {
        *digest = md5(message);
    } else {
        md5_many_with(Lanes::best_for(messages.len()), messages, digests);
    }
}

/// Hashes many messages at once, with vectors of a chosen width.
///
/// For tests, benchmarks and fuzzing: [`md5_many`] chooses the best width by itself. If the
/// machine cannot run `lanes`, this takes the next narrower width that it can run, so it is always
/// safe and always computes the same digests.
///
/// ```
/// use kpl_core::digest::{Lanes, md5, md5_many_with};
///
/// let messages: [&[u8]; 2] = [b"one", b"two"];
/// for lanes in Lanes::available() {
///     let mut digests = [[0; 16]; 2];
///     md5_many_with(lanes, &messages, &mut digests);
///     assert_eq!(digests, [md5(b"one"), md5(b"two")]);
/// }
/// ```
///
/// # Panics
///
/// Panics if the numbers of digests and messages differ.
#[track_caller]
pub fn md5_many_with(lanes: Lanes, messages: &[&[u8]], digests: &mut [Digest]) {
    assert_eq!(
        messages.len(),
        digests.len(),
        "md5_many needs one digest for each message"
    );
    each(
        lanes,
        &mut messages.iter().copied().enumerate(),
        &mut |index, digest| digests[index] = digest,
    );
}

/// Hashes many messages at once, and calls `done` with each digest and the index of its message.
///
/// Like [`md5_many`], for messages that are not in a slice of slices, or digests that are stored somewhere else. `done`
/// is called once for every message, as soon as its digest is known, in no particular order.
///
/// ```
/// use kpl_core::digest::{md5, md5_each};
///
/// let messages = vec![b"one".to_vec(), b"two".to_vec()];
/// let mut digests = vec![[0; 16]; messages.len()];
/// md5_each(messages.iter().map(Vec::as_slice), |index, digest| {
///     digests[index] = digest;
/// });
/// assert_eq!(digests, [md5(b"one"), md5(b"two")]);
/// ```
pub fn md5_each<'m>(messages: impl IntoIterator<Item = &'m [u8]>, mut done: impl FnMut(usize, Digest)) {
    let mut messages = messages.into_iter().fuse();
    let mut first = [&[][..]; FEW + 1];
    let count = first
        .iter_mut()
        .zip(&mut messages)
        .map(|(place, message)| *place = message)
        .count();
    let messages = first[..count].iter().copied().chain(messages);
    each(Lanes::best_for(count), &mut messages.enumerate(), &mut done);
}

fn each(lanes: Lanes, messages: &mut dyn Iterator<Item = (usize, &[u8])>, done: &mut dyn FnMut(usize, Digest)) {
    if lanes >= Lanes::Sixteen
        && let Some(kernel) = lanes::sixteen()
    {
        schedule::run(kernel, messages, done);
    } else if lanes >= Lanes::Eight
        && let Some(kernel) = lanes::eight()
    {
        schedule::run(kernel, messages, done);
    } else if lanes >= Lanes::Four
        && let Some(kernel) = lanes::four()
    {
        schedule::run(kernel, messages, done);
    } else {
        for (index, message) in messages {
            done(index, md5(message));
        }
    }
}

/// How many messages a vector register of the machine can hash side by side.
///
/// ```
/// use kpl_core::digest::Lanes;
///
/// println!("MD5 uses {}", Lanes::detect());
/// assert!(Lanes::available().any(|lanes| lanes == Lanes::detect()));
/// ```
///
/// Without the feature `std` the machine's instructions cannot be detected, so these are the instructions for which the
/// crate is compiled, for example with `-C target-cpu=native`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Lanes {
    /// One message after the other: all machines.
    One,
    /// 4 messages in a register of 128 bits: SSE2 or NEON.
    Four,
    /// 8 messages in a register of 256 bits: AVX2.
    Eight,
    /// 16 messages in a register of 512 bits: AVX-512 (`avx512f`).
    Sixteen,
}

impl Lanes {
    const ALL: [Self; 4] = [Self::One, Self::Four, Self::Eight, Self::Sixteen];

    /// The widest lanes in use. Limit it to measure as on a lesser machine: see BENCHMARKS.md.
    const MAX: Self = if cfg!(kpl_max_lanes = "1") {
        Self::One
    } else if cfg!(kpl_max_lanes = "4") {
        Self::Four
    } else if cfg!(kpl_max_lanes = "8") {
        Self::Eight
    } else {
        Self::Sixteen
    };

    /// Chooses the best width for a number of messages.
    fn best_for(messages: usize) -> Self {
        match messages {
            0..=1 => Self::One,
            2..=FEW => Self::detect().min(Self::Eight),
            _ => Self::detect(),
        }
    }

    /// Returns the lanes that [`md5_many`] and [`md5_each`] use on this machine: the widest that it can run.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().last().unwrap_or(Self::One)
    }

    /// Returns all widths that this machine can run, from narrow to wide.
    #[must_use]
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        let allowed = Self::ALL.into_iter().filter(|lanes| *lanes <= Self::MAX);
        allowed.filter(|lanes| match lanes {
            Self::One => true,
            Self::Four => lanes::four().is_some(),
            Self::Eight => lanes::eight().is_some(),
            Self::Sixteen => lanes::sixteen().is_some(),
        })
    }
}

impl fmt::Display for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::One => "1 lane",
            Self::Four if cfg!(target_arch = "aarch64") => "4 lanes (NEON)",
            Self::Four => "4 lanes (SSE2)",
            Self::Eight => "8 lanes (AVX2)",
            Self::Sixteen => "16 lanes (AVX-512)",
        })
    }
}
