// SPDX-License-Identifier: GPL-2.0

//! Hardware breakpoints that ptrace(2) has set, of x86.
//!
//! C source: `arch/x86/kernel/ptrace.c`

use super::freeze::Frozen;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;

/// How many a task can have.
pub(crate) const BREAKPOINTS: usize = bindings::HBP_NUM as usize;

/// All of a task.
pub(crate) struct Breakpoints {
    /// Which there are, as a set.
    pub(crate) there: u32,
    /// The address of each, or 0.
    pub(crate) address: [u64; BREAKPOINTS],
    /// What each is, as DR7 has it.
    pub(crate) control: u64,
    /// What was written to DR7.
    pub(crate) dr7: u64,
}

/// The breakpoints of a task.
pub(crate) fn get(task: &Frozen) -> Breakpoints {
    let mut words = [0; bindings::ARCH_CHECKPOINT_BREAKPOINT_WORDS as usize];
    // SAFETY: The task is referenced. The helper has room for its words, and looks at no breakpoint
    // of a task that ends.
    let there = unsafe { bindings::checkpoint_breakpoints(task.as_ptr(), words.as_mut_ptr()) };
    let [address @ .., control, dr7] = words;

    Breakpoints {
        there,
        address,
        control,
        dr7,
    }
}

/// Gives the running task, which has none, breakpoints. `EINVAL`: ptrace(2) sets no such ones;
/// `ENOSPC`: somebody else uses the debug registers.
pub(crate) fn set(breakpoints: &Breakpoints) -> Result {
    let Breakpoints {
        there,
        address: [first, second, third, fourth],
        control,
        dr7,
    } = *breakpoints;
    let words: [_; bindings::ARCH_CHECKPOINT_BREAKPOINT_WORDS as usize] =
        [first, second, third, fourth, control, dr7];

    // SAFETY: The helper works on the running task, reads so many words, and checks what is in them.
    to_result(unsafe { bindings::checkpoint_set_breakpoints(there, words.as_ptr()) })
}
