//! What a thread keeps from one payload to the next.

use alloc::vec::Vec;
use std::cell::Cell;
use std::thread::LocalKey;

/// Calls with an empty buffer, which a thread keeps for the next time.
pub(super) fn with_buffer<R>(call: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    /// What a thread keeps at most.
    const KEPT: usize = 1 << 20;

    std::thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    with_kept(&BUFFER, |buffer| {
        buffer.clear();
        let result = call(buffer);
        buffer.clear();
        buffer.shrink_to(KEPT);
        result
    })
}

/// Calls with what a thread keeps. A call within the call has another one, because codecs may be within each other.
pub(super) fn with_kept<T: Default, R>(kept: &'static LocalKey<Cell<T>>, call: impl FnOnce(&mut T) -> R) -> R {
    // While a thread ends there is nothing kept any more.
    let mut value = kept.try_with(Cell::take).unwrap_or_default();
    let result = call(&mut value);
    let _ = kept.try_with(|kept| kept.set(value));
    result
}
