//! Four lanes of SSE2, which every `x86_64` machine has.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_and_si128, _mm_andnot_si128, _mm_cvtsi128_si64, _mm_or_si128, _mm_set_epi64x,
    _mm_set1_epi32, _mm_slli_epi32, _mm_srli_epi32, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi32,
    _mm_unpacklo_epi64, _mm_xor_si128,
};

use super::prefetch::prefetch;
use super::rounds::{AHEAD, Block, Group, SINES, kernel, steps};

const LANES: usize = 4;
type Vector = __m128i;

kernel!(#[target_feature(enable = "sse2")]);

#[inline]
#[target_feature(enable = "sse2")]
fn splat(word: u32) -> Vector {
    _mm_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "sse2")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "sse2")]
fn rotate_left<const LEFT: i32, const RIGHT: i32>(a: Vector) -> Vector {
    _mm_or_si128(_mm_slli_epi32::<LEFT>(a), _mm_srli_epi32::<RIGHT>(a))
}

#[inline]
#[target_feature(enable = "sse2")]
fn f(b: Vector, c: Vector, d: Vector) -> Vector {
    _mm_xor_si128(d, _mm_and_si128(b, _mm_xor_si128(c, d)))
}

#[inline]
#[target_feature(enable = "sse2")]
fn g(b: Vector, c: Vector, d: Vector) -> Vector {
    // No bits can carry, and the latency is shorter than that of `f(d, b, c)`.
    add(_mm_andnot_si128(d, c), _mm_and_si128(b, d))
}

#[inline]
#[target_feature(enable = "sse2")]
fn h(b: Vector, c: Vector, d: Vector) -> Vector {
    _mm_xor_si128(b, _mm_xor_si128(c, d))
}

#[inline]
#[target_feature(enable = "sse2")]
fn i(b: Vector, c: Vector, d: Vector) -> Vector {
    _mm_xor_si128(c, _mm_or_si128(b, _mm_xor_si128(d, splat(u32::MAX))))
}

/// Words `4 * quarter ..` of each row: the n-th vector has the n-th of these words of all rows.
#[inline]
#[target_feature(enable = "sse2")]
fn transpose(rows: &[&Block; LANES], quarter: usize) -> [Vector; 4] {
    let a = load_bytes(rows[0], quarter);
    let b = load_bytes(rows[1], quarter);
    let c = load_bytes(rows[2], quarter);
    let d = load_bytes(rows[3], quarter);
    let (ab_low, ab_high) = (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
    [
        _mm_unpacklo_epi64(ab_low, cd_low),
        _mm_unpackhi_epi64(ab_low, cd_low),
        _mm_unpacklo_epi64(ab_high, cd_high),
        _mm_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// Loads bytes `16 * quarter ..` of a block. The compiler turns this into one load.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn load_bytes(block: &Block, quarter: usize) -> __m128i {
    let words = block.as_chunks().0;
    _mm_set_epi64x(
        i64::from_le_bytes(words[2 * quarter + 1]),
        i64::from_le_bytes(words[2 * quarter]),
    )
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn load(words: &[u32; 4]) -> __m128i {
    let [a, b, c, d] = words.map(u64::from);
    _mm_set_epi64x((c | d << 32).cast_signed(), (a | b << 32).cast_signed())
}

#[inline]
#[target_feature(enable = "sse2")]
#[expect(clippy::cast_possible_truncation, reason = "the words of a vector")]
pub(super) fn store(vector: __m128i) -> [u32; 4] {
    let low = _mm_cvtsi128_si64(vector).cast_unsigned();
    let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(vector, vector)).cast_unsigned();
    [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
}
