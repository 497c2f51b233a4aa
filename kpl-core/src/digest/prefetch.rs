//! Prefetching messages. Together with `lanes.rs` the only place with `unsafe` code.
#![allow(unsafe_code)]

use super::rounds::Block;

/// Asks the machine to load a block into its cache soon. The block need not exist.
#[inline]
pub(super) fn prefetch(input: &[Block], block: usize) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        let address = input.as_ptr().wrapping_add(block);
        // SAFETY: every machine of this target has SSE, and the instruction is only a hint: it
        // takes any address, and changes nothing that a program can see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    let _ = (input, block);
}
