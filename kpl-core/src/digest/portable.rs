//! Four lanes as plain arrays, for the compiler to put into vectors: NEON of `aarch64`.

use super::lanes::prefetch;
use super::rounds::{AHEAD, Block, Group, SINES, kernel, steps};

const LANES: usize = 4;
type Vector = [u32; LANES];

kernel!();

#[inline]
fn splat(word: u32) -> Vector {
    [word; LANES]
}

#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    core::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
}

#[inline]
fn rotate_left<const LEFT: u32, const RIGHT: i32>(a: Vector) -> Vector {
    a.map(|word| word.rotate_left(LEFT))
}

#[inline]
fn f(b: Vector, c: Vector, d: Vector) -> Vector {
    core::array::from_fn(|lane| d[lane] ^ (b[lane] & (c[lane] ^ d[lane])))
}

#[inline]
fn g(b: Vector, c: Vector, d: Vector) -> Vector {
    f(d, b, c)
}

#[inline]
fn h(b: Vector, c: Vector, d: Vector) -> Vector {
    core::array::from_fn(|lane| b[lane] ^ c[lane] ^ d[lane])
}

#[inline]
fn i(b: Vector, c: Vector, d: Vector) -> Vector {
    core::array::from_fn(|lane| c[lane] ^ (b[lane] | !d[lane]))
}

/// Words `4 * quarter ..` of each row: the n-th vector has the n-th of these words of all rows.
#[inline]
fn transpose(rows: &[&Block; LANES], quarter: usize) -> [Vector; 4] {
    core::array::from_fn(|word| {
        rows.map(|row| u32::from_le_bytes(row.as_chunks().0[4 * quarter + word]))
    })
}

#[inline]
fn load(words: &[u32; LANES]) -> Vector {
    *words
}

#[inline]
fn store(vector: Vector) -> [u32; LANES] {
    vector
}
