// SPDX-License-Identifier: GPL-2.0

//! Shadow stacks of x86.
//!
//! C source: `arch/x86/kernel/shstk.c`

use super::freeze::Frozen;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;

/// The shadow stack of a task.
pub(crate) struct ShadowStack {
    /// `ARCH_SHSTK_*`: what is enabled.
    pub(crate) features: u64,
    /// `ARCH_SHSTK_*`: what can be neither enabled nor disabled.
    pub(crate) locked: u64,
    /// What is unmapped when the task ends.
    pub(crate) base: u64,
    pub(crate) size: u64,
}

/// The shadow stack of a task; all but the pointer, which is a register set.
pub(crate) fn get(task: &Frozen) -> ShadowStack {
    let mut words = [0; bindings::ARCH_CHECKPOINT_SHSTK_WORDS as usize];
    // SAFETY: The task is referenced, and the helper has room for its words.
    unsafe { bindings::checkpoint_shadow_stack(task.as_ptr(), words.as_mut_ptr()) };
    let [features, locked, base, size, _pointer] = words;

    ShadowStack {
        features,
        locked,
        base,
        size,
    }
}

/// Whether user space can have them here.
pub(crate) fn is_supported() -> bool {
    // SAFETY: The helper asks what the CPU has.
    unsafe { bindings::checkpoint_has_shadow_stacks() }
}

/// Lets the running task, which has none, use a shadow stack. `EINVAL`: the pointer or the memory is
/// none of user space; `EOPNOTSUPP`: the CPU has no shadow stacks.
pub(crate) fn set(stack: &ShadowStack, pointer: u64) -> Result {
    let words: [_; bindings::ARCH_CHECKPOINT_SHSTK_WORDS as usize] = [
        stack.features,
        stack.locked,
        stack.base,
        stack.size,
        pointer,
    ];

    // SAFETY: The helper works on the running task, which is not in user space, reads so many words,
    // and checks the addresses.
    to_result(unsafe { bindings::checkpoint_set_shadow_stack(words.as_ptr()) })
}
