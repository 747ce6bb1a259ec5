// SPDX-License-Identifier: GPL-2.0

//! The XSAVE area of this CPU.

use kernel::bindings;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;

/// How many components there can be.
const COMPONENTS: usize = 63;

/// What [`place`] has found: the place in the upper half, the size in the lower. CPUID is slow in a
/// virtual machine, and what it tells of this does not change.
static PLACES: [Atomic<u64>; COMPONENTS] = [const { Atomic::new(0) }; COMPONENTS];

/// Where the area in the standard format has a component, and how many bytes: `None` if there is no
/// room for it, or user space may not use it.
pub(crate) fn place(number: u32) -> Option<(usize, usize)> {
    let cache = PLACES.get(number as usize)?;
    let mut known = cache.load(Relaxed);

    if known == 0 {
        let mut size = 0;
        // SAFETY: The helper checks the number, and has room for the size.
        let at = unsafe { bindings::checkpoint_xstate_place(number, &raw mut size) };

        known = u64::from(at) << 32 | u64::from(size);
        cache.store(known, Relaxed);
    }
    let (at, size) = (known >> 32, known & u64::from(u32::MAX));

    (at != 0).then_some((at as usize, size as usize))
}

/// The rights of protection keys (PKRU) that execve(2) gives.
pub(crate) fn initial_rights() -> u32 {
    // SAFETY: The helper reads a word.
    unsafe { bindings::checkpoint_initial_pkru() }
}
