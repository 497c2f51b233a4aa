//! Eight lanes of AVX2.

use core::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256, _mm256_castsi256_si128, _mm256_extracti128_si256,
    _mm256_or_si256, _mm256_set_m128i, _mm256_set1_epi32, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_unpackhi_epi32,
    _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::prefetch::prefetch;
use super::rounds::{AHEAD, Block, Group, SINES, kernel, steps};
use super::sse2;

const LANES: usize = 8;
type Vector = __m256i;

kernel!(#[target_feature(enable = "avx2")]);

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u32) -> Vector {
    _mm256_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotate_left<const LEFT: i32, const RIGHT: i32>(a: Vector) -> Vector {
    _mm256_or_si256(_mm256_slli_epi32::<LEFT>(a), _mm256_srli_epi32::<RIGHT>(a))
}

#[inline]
#[target_feature(enable = "avx2")]
fn f(b: Vector, c: Vector, d: Vector) -> Vector {
    _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn g(b: Vector, c: Vector, d: Vector) -> Vector {
    // No bits can carry, and the latency is shorter than that of `f(d, b, c)`.
    add(_mm256_andnot_si256(d, c), _mm256_and_si256(b, d))
}

#[inline]
#[target_feature(enable = "avx2")]
fn h(b: Vector, c: Vector, d: Vector) -> Vector {
    _mm256_xor_si256(b, _mm256_xor_si256(c, d))
}

#[inline]
#[target_feature(enable = "avx2")]
fn i(b: Vector, c: Vector, d: Vector) -> Vector {
    _mm256_xor_si256(c, _mm256_or_si256(b, _mm256_xor_si256(d, splat(u32::MAX))))
}

/// Words `4 * quarter ..` of each row: the n-th vector has the n-th of these words of all rows.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(rows: &[&Block; LANES], quarter: usize) -> [Vector; 4] {
    let a = load_bytes([rows[0], rows[4]], quarter);
    let b = load_bytes([rows[1], rows[5]], quarter);
    let c = load_bytes([rows[2], rows[6]], quarter);
    let d = load_bytes([rows[3], rows[7]], quarter);
    let (ab_low, ab_high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(ab_low, cd_low),
        _mm256_unpackhi_epi64(ab_low, cd_low),
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ab_high, cd_high),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_bytes([low, high]: [&Block; 2], quarter: usize) -> Vector {
    _mm256_set_m128i(sse2::load_bytes(high, quarter), sse2::load_bytes(low, quarter))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &[u32; LANES]) -> Vector {
    let quarters = words.as_chunks().0;
    _mm256_set_m128i(sse2::load(&quarters[1]), sse2::load(&quarters[0]))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(vector: Vector) -> [u32; LANES] {
    let mut words = [0; LANES];
    let quarters = words.as_chunks_mut().0;
    quarters[0] = sse2::store(_mm256_castsi256_si128(vector));
    quarters[1] = sse2::store(_mm256_extracti128_si256::<1>(vector));
    words
}
