//! Four lanes of NEON, which nearly every `aarch64` machine has.

use core::arch::aarch64::{
    uint32x4_t, vaddq_u32, vbslq_u32, vcombine_u64, vcreate_u64, vdupq_n_u32, veorq_u32, vgetq_lane_u64, vornq_u32,
    vreinterpretq_u32_u64, vreinterpretq_u64_u32, vshlq_n_u32, vsriq_n_u32, vtrn1q_u64, vtrn2q_u64, vzip1q_u32,
    vzip2q_u32,
};

use super::prefetch::prefetch;
use super::rounds::{AHEAD, Block, Group, SINES, kernel, steps};

const LANES: usize = 4;
type Vector = uint32x4_t;

kernel!(#[target_feature(enable = "neon")]);

#[inline]
#[target_feature(enable = "neon")]
fn splat(word: u32) -> Vector {
    vdupq_n_u32(word)
}

#[inline]
#[target_feature(enable = "neon")]
fn add(a: Vector, b: Vector) -> Vector {
    vaddq_u32(a, b)
}

#[inline]
#[target_feature(enable = "neon")]
fn rotate_left<const LEFT: i32, const RIGHT: i32>(a: Vector) -> Vector {
    vsriq_n_u32::<RIGHT>(vshlq_n_u32::<LEFT>(a), a)
}

#[inline]
#[target_feature(enable = "neon")]
fn f(b: Vector, c: Vector, d: Vector) -> Vector {
    vbslq_u32(b, c, d)
}

#[inline]
#[target_feature(enable = "neon")]
fn g(b: Vector, c: Vector, d: Vector) -> Vector {
    f(d, b, c)
}

#[inline]
#[target_feature(enable = "neon")]
fn h(b: Vector, c: Vector, d: Vector) -> Vector {
    veorq_u32(b, veorq_u32(c, d))
}

#[inline]
#[target_feature(enable = "neon")]
fn i(b: Vector, c: Vector, d: Vector) -> Vector {
    veorq_u32(c, vornq_u32(b, d))
}

/// Words `4 * quarter ..` of each row: the n-th vector has the n-th of these words of all rows.
#[inline]
#[target_feature(enable = "neon")]
fn transpose(rows: &[&Block; LANES], quarter: usize) -> [Vector; 4] {
    let a = load_bytes(rows[0], quarter);
    let b = load_bytes(rows[1], quarter);
    let c = load_bytes(rows[2], quarter);
    let d = load_bytes(rows[3], quarter);
    let ab_low = vreinterpretq_u64_u32(vzip1q_u32(a, b));
    let ab_high = vreinterpretq_u64_u32(vzip2q_u32(a, b));
    let cd_low = vreinterpretq_u64_u32(vzip1q_u32(c, d));
    let cd_high = vreinterpretq_u64_u32(vzip2q_u32(c, d));
    [
        vreinterpretq_u32_u64(vtrn1q_u64(ab_low, cd_low)),
        vreinterpretq_u32_u64(vtrn2q_u64(ab_low, cd_low)),
        vreinterpretq_u32_u64(vtrn1q_u64(ab_high, cd_high)),
        vreinterpretq_u32_u64(vtrn2q_u64(ab_high, cd_high)),
    ]
}

/// Bytes `16 * quarter ..` of a block.
#[inline]
#[target_feature(enable = "neon")]
fn load_bytes(block: &Block, quarter: usize) -> Vector {
    let halves = block.as_chunks().0;
    join(
        u64::from_le_bytes(halves[2 * quarter]),
        u64::from_le_bytes(halves[2 * quarter + 1]),
    )
}

#[inline]
#[target_feature(enable = "neon")]
fn join(low: u64, high: u64) -> Vector {
    vreinterpretq_u32_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)))
}

#[inline]
#[target_feature(enable = "neon")]
fn load(words: &[u32; LANES]) -> Vector {
    let [a, b, c, d] = words.map(u64::from);
    join(a | b << 32, c | d << 32)
}

#[inline]
#[target_feature(enable = "neon")]
#[expect(clippy::cast_possible_truncation, reason = "the words of a vector")]
fn store(vector: Vector) -> [u32; LANES] {
    let halves = vreinterpretq_u64_u32(vector);
    let low = vgetq_lane_u64::<0>(halves);
    let high = vgetq_lane_u64::<1>(halves);
    [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
}
