//! Asks the processor to fetch memory that will be read soon. A hint, and nothing more.
//! It must never read, write or change anything: whoever leaves every call out has the same program, only slower.

#![allow(unsafe_code, reason = "the standard library has no stable safe form of the instruction")]

/// The bytes of a cache line of the processors that this is written for.
const LINE_BYTES: usize = 64;

/// Fetches the line in which `value` begins.
#[inline]
pub(super) fn line<T: ?Sized>(value: &T) {
    fetch(std::ptr::from_ref(value).cast());
}

/// Fetches all lines of `value`.
#[inline]
pub(super) fn lines<T>(value: &T) {
    let first: *const i8 = std::ptr::from_ref(value).cast();
    for offset in (0..size_of::<T>()).step_by(LINE_BYTES) {
        fetch(first.wrapping_add(offset));
    }
    // A value that does not begin with a line may end in one more.
    fetch(first.wrapping_add(size_of::<T>().saturating_sub(1)));
}

/// Fetches the first lines of `bytes`, as many as a short value has: of a long one the processor fetches the rest by itself.
#[inline]
pub(super) fn bytes(bytes: &[u8]) {
    let first = bytes.as_ptr().cast::<i8>();
    fetch(first);
    if bytes.len() > 1 {
        fetch(first.wrapping_add((bytes.len() - 1).min(2 * LINE_BYTES)));
    }
    if bytes.len() > LINE_BYTES {
        fetch(first.wrapping_add(LINE_BYTES));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn fetch(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: PREFETCHT0 belongs to SSE, which every x86_64 has. It is defined for any address, mapped or not: it
    // never faults, and it neither reads into the program nor writes, so that no rule on memory can be broken by it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}

/// Other processors have no such instruction in the stable library; they find the memory by themselves.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn fetch(_address: *const i8) {}
