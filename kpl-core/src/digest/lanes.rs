//! Calls functions that need certain instructions, after checking that the machine has them. Together with
//! `prefetch.rs` the only place with `unsafe` code.
#![allow(unsafe_code)]

use super::rounds::{Block, Group};

/// How to advance one or two groups of `L` messages on this machine.
///
/// Having one proves that the machine has the instructions: only the functions below return it.
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
    /// Panics if an input is shorter than that.
    #[inline]
    pub(super) fn run(self, groups: &mut [Group<L>], inputs: &[[&[Block]; L]], blocks: usize) {
        // SAFETY: the functions that `four`, `eight` and `sixteen` put into a kernel are safe
        // except for the instructions they need, and a kernel exists only where these are.
        unsafe { (self.run)(groups, inputs, blocks) }
    }
}

/// Returns whether this machine has an instruction set; without `std`, whether every machine that the program is
/// compiled for has it.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
macro_rules! has {
    ($feature:tt) => {{
        #[cfg(feature = "std")]
        let has = std::is_x86_feature_detected!($feature);
        #[cfg(not(feature = "std"))]
        let has = cfg!(target_feature = $feature);
        has
    }};
}

/// Returns the kernel for SSE2 or NEON, on targets that always have it.
pub(super) fn four() -> Option<Kernel<4>> {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    let kernel = Some(Kernel { run: super::sse2::run });
    #[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
    let kernel = Some(Kernel { run: super::neon::run });
    #[cfg(not(any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"),
    )))]
    let kernel = None;
    kernel
}

/// Returns the kernel for AVX2, if this machine has it.
pub(super) fn eight() -> Option<Kernel<8>> {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    if has!("avx2") {
        return Some(Kernel { run: super::avx2::run });
    }
    None
}

/// Returns the kernel for AVX-512, if this machine has it.
pub(super) fn sixteen() -> Option<Kernel<16>> {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    if has!("avx512f") {
        return Some(Kernel {
            run: super::avx512::run,
        });
    }
    None
}
