//! What `protect.rs` is built on. A model checker puts its own in this place
//! (`tests/models`), so nothing else of the standard library is used there.

pub(crate) use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::atomic::{compiler_fence, fence};

/// The caller's side of the barrier: keeps the compiler from moving the store
/// before it behind the load after it. The processor may still do so, unless
/// `fenced`: that is what the heavy side is for.
#[inline(always)]
pub(crate) fn light_barrier(fenced: bool) {
    if fenced {
        fence(Ordering::SeqCst);
    } else {
        compiler_fence(Ordering::SeqCst);
    }
}
