//! The one place with `unsafe` code: calling a function that needs more than the baseline of the
//! architecture, after asking the machine.
#![allow(unsafe_code)]

use super::rounds::{Block, Group};

/// How to advance one or two groups of `L` messages on this machine.
///
/// Having one proves that the machine has the instructions: only the functions below make it.
#[derive(Clone, Copy)]
pub(super) struct Kernel<const L: usize> {
    run: Run<L>,
}

type Run<const L: usize> = unsafe fn(&mut [Group<L>], &[[&[Block]; L]], usize);

impl<const L: usize> Kernel<L> {
    /// Advances each message of `groups` by `blocks` blocks of its input.
    ///
    /// # Panics
    ///
    /// If an input is shorter than that.
    #[inline]
    pub(super) fn run(self, groups: &mut [Group<L>], inputs: &[[&[Block]; L]], blocks: usize) {
        // SAFETY: all functions of type `Run` are safe but for the instructions they need, and
        // `four`, `eight` and `sixteen` made `self` only after the machine said it has these.
        unsafe { (self.run)(groups, inputs, blocks) }
    }
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
macro_rules! has {
    ($feature:tt) => {
        std::is_x86_feature_detected!($feature)
    };
}

#[cfg(all(not(feature = "std"), target_arch = "x86_64"))]
macro_rules! has {
    ($feature:tt) => {
        cfg!(target_feature = $feature)
    };
}

/// SSE2 and NEON, which are part of what `x86_64` and `aarch64` targets take for granted.
pub(super) fn four() -> Option<Kernel<4>> {
    #[cfg(target_arch = "x86_64")]
    if has!("sse2") {
        let run = super::sse2::run;
        return Some(Kernel { run });
    }
    #[cfg(target_arch = "aarch64")]
    if cfg!(target_feature = "neon") {
        let run = super::portable::run;
        return Some(Kernel { run });
    }
    None
}

/// AVX2.
pub(super) fn eight() -> Option<Kernel<8>> {
    #[cfg(target_arch = "x86_64")]
    if has!("avx2") {
        let run = super::avx2::run;
        return Some(Kernel { run });
    }
    None
}

/// AVX-512.
pub(super) fn sixteen() -> Option<Kernel<16>> {
    #[cfg(target_arch = "x86_64")]
    if has!("avx512f") {
        let run = super::avx512::run;
        return Some(Kernel { run });
    }
    None
}

/// Asks the machine to have a block at hand soon. The block need not exist.
#[inline]
pub(super) fn prefetch(input: &[Block], block: usize) {
    #[cfg(target_arch = "x86_64")]
    if cfg!(target_feature = "sse") {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = input.as_ptr().wrapping_add(block);
        // SAFETY: the machine has SSE, as checked, and the instruction is a hint: it reads nothing
        // that the program could notice, and takes any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (input, block);
}
