//! Sixteen lanes of AVX-512.

use core::arch::x86_64::{
    __m128i, __m512i, _mm512_add_epi32, _mm512_castsi128_si512, _mm512_castsi512_si128, _mm512_extracti32x4_epi32,
    _mm512_inserti32x4, _mm512_rol_epi32, _mm512_set1_epi32, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::prefetch::prefetch;
use super::rounds::{AHEAD, Block, Group, SINES, kernel, steps};
use super::sse2;

const LANES: usize = 16;
type Vector = __m512i;

kernel!(#[target_feature(enable = "avx512f")]);

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(word: u32) -> Vector {
    _mm512_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn rotate_left<const LEFT: i32, const RIGHT: i32>(a: Vector) -> Vector {
    _mm512_rol_epi32::<LEFT>(a)
}

// The number of each function is its truth table: the bit at place `4 * b + 2 * c + d` is the
// result for these bits.

#[inline]
#[target_feature(enable = "avx512f")]
fn f(b: Vector, c: Vector, d: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0b1100_1010>(b, c, d)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn g(b: Vector, c: Vector, d: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0b1110_0100>(b, c, d)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn h(b: Vector, c: Vector, d: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0b1001_0110>(b, c, d)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn i(b: Vector, c: Vector, d: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0b0011_1001>(b, c, d)
}

/// Words `4 * quarter ..` of each row: the n-th vector has the n-th of these words of all rows.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: &[&Block; LANES], quarter: usize) -> [Vector; 4] {
    let a = load_bytes([rows[0], rows[4], rows[8], rows[12]], quarter);
    let b = load_bytes([rows[1], rows[5], rows[9], rows[13]], quarter);
    let c = load_bytes([rows[2], rows[6], rows[10], rows[14]], quarter);
    let d = load_bytes([rows[3], rows[7], rows[11], rows[15]], quarter);
    let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab_low, cd_low),
        _mm512_unpackhi_epi64(ab_low, cd_low),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(rows: [&Block; 4], quarter: usize) -> Vector {
    join([
        sse2::load_bytes(rows[0], quarter),
        sse2::load_bytes(rows[1], quarter),
        sse2::load_bytes(rows[2], quarter),
        sse2::load_bytes(rows[3], quarter),
    ])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn join(quarters: [__m128i; 4]) -> Vector {
    let joined = _mm512_castsi128_si512(quarters[0]);
    let joined = _mm512_inserti32x4::<1>(joined, quarters[1]);
    let joined = _mm512_inserti32x4::<2>(joined, quarters[2]);
    _mm512_inserti32x4::<3>(joined, quarters[3])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &[u32; LANES]) -> Vector {
    let quarters = words.as_chunks().0;
    join([
        sse2::load(&quarters[0]),
        sse2::load(&quarters[1]),
        sse2::load(&quarters[2]),
        sse2::load(&quarters[3]),
    ])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(vector: Vector) -> [u32; LANES] {
    let mut words = [0; LANES];
    let quarters = words.as_chunks_mut().0;
    quarters[0] = sse2::store(_mm512_castsi512_si128(vector));
    quarters[1] = sse2::store(_mm512_extracti32x4_epi32::<1>(vector));
    quarters[2] = sse2::store(_mm512_extracti32x4_epi32::<2>(vector));
    quarters[3] = sse2::store(_mm512_extracti32x4_epi32::<3>(vector));
    words
}
