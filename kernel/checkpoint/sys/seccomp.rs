// SPDX-License-Identifier: GPL-2.0

//! Filters of system calls.
//!
//! C source: `kernel/seccomp.c`

use super::freeze::Frozen;
use core::ptr;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;

/// A filter with those that it stands on, held as by a task that it confines.
pub(crate) struct Filter(NonNull<bindings::seccomp_filter>);

// SAFETY: A filter does not change once it is attached, and its counts are atomic.
unsafe impl Send for Filter {}
// SAFETY: As above.
unsafe impl Sync for Filter {}

impl Drop for Filter {
    fn drop(&mut self) {
        // SAFETY: The type owns what the functions that give a filter have taken.
        unsafe { bindings::checkpoint_seccomp_put(self.0.as_ptr()) };
    }
}

/// How long an instruction is (`struct sock_filter`).
pub(crate) const INSN: usize = size_of::<bindings::sock_filter>();

/// The most instructions that a filter has.
pub(crate) const INSNS_MAX: u32 = bindings::BPF_MAXINSNS;

impl Filter {
    /// The newest filter of a task.
    pub(crate) fn newest(task: &Frozen) -> Option<Self> {
        // SAFETY: The task is referenced; the function takes the lock, and holds what it gives.
        NonNull::new(unsafe { bindings::checkpoint_seccomp_newest(task.as_ptr()) }).map(Self)
    }

    /// The filter that was there before.
    pub(crate) fn older(&self) -> Option<Self> {
        // SAFETY: The filter is held, and so are those that it stands on.
        NonNull::new(unsafe { bindings::checkpoint_seccomp_older(self.0.as_ptr()) }).map(Self)
    }

    /// The identity of the filter.
    pub(crate) fn key(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Whether it logs, and its program as bytes. `EBUSY`: somebody listens to it.
    pub(crate) fn program(&self) -> Result<(bool, KVVec<u8>)> {
        let mut log = false;
        let mut insns = ptr::null();
        let mut program = KVVec::new();

        // SAFETY: The filter is held. The program belongs to it and does not change; it has as
        // many instructions as is said.
        unsafe {
            let count =
                bindings::checkpoint_seccomp_read(self.0.as_ptr(), &raw mut log, &raw mut insns);
            let count = usize::try_from(count).map_err(|_| Error::from_errno(count))?;

            program.extend_from_slice(
                core::slice::from_raw_parts(insns.cast(), count.saturating_mul(INSN)),
                GFP_KERNEL,
            )?;
        }
        Ok((log, program))
    }

    /// Confines the running task with this filter, too. `EPERM`: it has one that this one does
    /// not stand on.
    pub(crate) fn join(&self) -> Result {
        // SAFETY: The filter is held; the function works on the running task.
        to_result(unsafe { bindings::checkpoint_seccomp_join(self.0.as_ptr()) })
    }
}

/// Confines the running task with a new filter (seccomp(2), with its checks). Its address space
/// must not be in use yet.
pub(crate) fn add(program: &[u8], log: bool) -> Result {
    // SAFETY: The program is valid for its length, in whole instructions; the function checks it.
    to_result(unsafe {
        bindings::checkpoint_seccomp_add(
            program.as_ptr().cast(),
            u32::try_from(program.len().checked_div(INSN).ok_or(EINVAL)?)?,
            log,
        )
    })
}

/// Puts the running task into the strict mode (seccomp(2)).
pub(crate) fn set_strict() -> Result {
    // SAFETY: The function works on the running task; this mode takes no argument.
    let result = unsafe {
        bindings::prctl_set_seccomp(bindings::SECCOMP_MODE_STRICT as usize as _, ptr::null_mut())
    };

    to_result(i32::try_from(result)?)
}
