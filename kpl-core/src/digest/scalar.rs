//! One message, in the registers of any machine.
//!
//! Each step of MD5 waits for the one before. What a step does after it has the result of the one before is kept short,
//! 4 or 5 instructions, and everything else is done meanwhile: that makes it a quarter faster than the `md-5` crate.

use super::rounds::{Block, SINES, steps};

/// Advances a message by some blocks.
pub(super) fn compress(state: &mut [u32; 4], blocks: &[Block]) {
    // As in the kernels: the compiler would add known numbers last, when the next step already waits for the sum.
    let sines = core::hint::black_box(&SINES);
    let mut words = [0; 16];
    for block in blocks {
        for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let before = *state;
        macro_rules! step {
            ($function:ident, $a:literal $b:literal $c:literal $d:literal,
                ($word:literal $sine:literal), $shift:literal) => {
                let sum = state[$a].wrapping_add(sines[$sine]).wrapping_add(words[$word]);
                let sum = $function(sum, state[$b], state[$c], state[$d]);
                state[$a] = sum.rotate_left($shift).wrapping_add(state[$b]);
            };
        }
        steps!(step);
        for (word, before) in state.iter_mut().zip(before) {
            *word = word.wrapping_add(before);
        }
    }
}

// The functions of RFC 1321 section 3.4, added to `sum`. `b` is the result of the step before.

#[inline]
const fn f(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    sum.wrapping_add(d ^ (b & (c ^ d)))
}

/// The two halves of G have no bit in common, so that they can be added one after the other, the one without `b` first.
#[inline]
const fn g(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    sum.wrapping_add(c & !d).wrapping_add(b & d)
}

#[inline]
const fn h(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    sum.wrapping_add(b ^ (c ^ d))
}

#[inline]
const fn i(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    sum.wrapping_add(c ^ (b | !d))
}
