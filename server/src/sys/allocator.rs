//! The `allocator` factor: one global allocator that passes every call on to the C library or to jemalloc,
//! whichever the environment named when the process made its first allocation.
//!
//! It cannot be decided later: memory must go back to where it came from, and the first of it is taken
//! before `main`.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ffi::CStr,
    sync::atomic::{AtomicU8, Ordering},
};

use tikv_jemallocator::Jemalloc;

use crate::contract::factors::Allocator;

/// The global allocator of a program whose arms may differ in theirs.
#[derive(Debug, Clone, Copy)]
pub struct Switch;

/// [`Allocator::VARIABLE`], as C wants it.
const VARIABLE: &CStr = c"PUSHBENCH_ALLOCATOR";

const UNDECIDED: u8 = 0;
const GLIBC: u8 = 1;
const JEMALLOC: u8 = 2;

static DECISION: AtomicU8 = AtomicU8::new(UNDECIDED);

/// Whose memory this process has, by jemalloc's own account of what it has ever given to this thread:
/// nothing, where the C library gives all of it. (Of the whole process it counts what it takes for itself,
/// asked or not.)
pub fn in_force() -> Allocator {
    let given = tikv_jemalloc_ctl::thread::allocatedp::read().map(|bytes| bytes.get());
    match given {
        Ok(1..) => Allocator::Jemalloc,
        Ok(0) | Err(_) => Allocator::Glibc,
    }
}

/// Whether jemalloc was chosen: a load and a branch, but for the first call.
#[inline]
fn jemalloc() -> bool {
    // Relaxed is enough: there is one thread when it is decided, and whoever comes later decides alike.
    match DECISION.load(Ordering::Relaxed) {
        UNDECIDED => decide() == JEMALLOC,
        decision => decision == JEMALLOC,
    }
}

#[cold]
fn decide() -> u8 {
    // SAFETY: the name ends in NUL. What is returned is read at once, before anything could change the
    // environment: this is the process's first allocation. Nothing here allocates.
    let decision = unsafe {
        let value = libc::getenv(VARIABLE.as_ptr());
        if !value.is_null()
            && CStr::from_ptr(value).to_bytes() == Allocator::Jemalloc.name().as_bytes()
        {
            JEMALLOC
        } else {
            GLIBC
        }
    };
    DECISION.store(decision, Ordering::Relaxed);
    decision
}

// SAFETY: each call goes unchanged to an allocator that keeps the contract, and the decision never changes,
// so that memory returns to the one it came from.
unsafe impl GlobalAlloc for Switch {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if jemalloc() {
                Jemalloc.alloc(layout)
            } else {
                System.alloc(layout)
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if jemalloc() {
                Jemalloc.alloc_zeroed(layout)
            } else {
                System.alloc_zeroed(layout)
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if jemalloc() {
                Jemalloc.dealloc(memory, layout);
            } else {
                System.dealloc(memory, layout);
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if jemalloc() {
                Jemalloc.realloc(memory, layout, bytes)
            } else {
                System.realloc(memory, layout, bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_mean_the_same_variable() {
        assert_eq!(VARIABLE.to_str(), Ok(Allocator::VARIABLE));
    }

    #[test]
    fn the_account_tells_who_gave_the_memory() {
        // Tests have no switch: all that they have is the C library's.
        assert_eq!(in_force(), Allocator::Glibc);
        let other = std::thread::spawn(|| {
            let layout = Layout::new::<[u64; 8]>();
            // SAFETY: the layout has a size, and what is returned goes back where it came from.
            unsafe {
                let memory = Jemalloc.alloc(layout);
                Jemalloc.dealloc(memory, layout);
            }
            in_force()
        });
        assert_eq!(other.join().unwrap(), Allocator::Jemalloc);
        assert_eq!(in_force(), Allocator::Glibc, "of this thread");
    }
}
