// SPDX-License-Identifier: GPL-2.0

//! What prctl(2), sched_setattr(2) and similar calls have set of a task.
//!
//! C sources: `kernel/sys.c`, `kernel/sched/syscalls.c`

use super::freeze::Frozen;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::task::Task;

/// The attributes as plain numbers.
pub(crate) use bindings::checkpoint_attributes as Plain;

impl Frozen {
    /// Reads the attributes of the task.
    pub(crate) fn attributes(&self) -> Plain {
        let mut plain = Plain::default();

        // SAFETY: The task is parked and referenced. What is read are single words; its I/O
        // context and its address space are read under their locks.
        unsafe { bindings::checkpoint_attributes_get(self.as_ptr(), &raw mut plain) };
        plain
    }
}

/// Sets the I/O priority of the running task (ioprio_set(2), with its checks). With `make` it has
/// an I/O context then, which others can share.
pub(crate) fn set_ioprio(ioprio: u32, make: bool) -> Result {
    // SAFETY: The helper checks the value, and works on the running task.
    to_result(unsafe { bindings::checkpoint_set_ioprio(ioprio, make) })
}

/// Gives a task the I/O context of another one (CLONE_IO). `ESRCH`: that has none.
pub(crate) fn share_io(task: &Task, first: &Task) -> Result {
    // SAFETY: Both tasks are referenced; the helper works under their locks.
    to_result(unsafe { bindings::checkpoint_share_io(task.as_ptr(), first.as_ptr()) })
}

/// Sets what prctl(PR_GET_SPECULATION_CTRL) says in the running task, for all kinds.
/// `EOPNOTSUPP`: this machine does not let a task choose.
pub(crate) fn set_speculation(state: &[i32; 3]) -> Result {
    for (which, &want) in (0u32..).zip(state) {
        // SAFETY: There are as many kinds as the array has elements; the helper works on the
        // running task.
        to_result(unsafe { bindings::checkpoint_set_speculation(which, want) })?;
    }
    Ok(())
}

/// Sets the attributes of the running task that are flags.
/// `EPERM`: it may not be an I/O flusher.
pub(crate) fn set_flags(flags: u32) -> Result {
    // SAFETY: The helper looks at the bits that it knows, and works on the running task.
    to_result(unsafe { bindings::checkpoint_set_prctls(flags) })
}

/// Sets the dispatch of system calls of the running task, with the checks of prctl(2).
pub(crate) fn set_dispatch(plain: &Plain) -> Result {
    // SAFETY: The argument is valid; the helper works on the running task.
    to_result(unsafe { bindings::checkpoint_set_dispatch(&raw const *plain) })
}

/// Registers the address space of the running task with membarrier(2).
pub(crate) fn set_membarrier(state: u32) -> Result {
    // SAFETY: The helper looks at the bits that it knows; the running task has an address space.
    to_result(unsafe { bindings::checkpoint_set_membarrier(state) })
}

/// Sets how many slots the futexes of the running task's address space have.
pub(crate) fn set_futex_slots(slots: u32) -> Result {
    // SAFETY: The function checks the number; the running task has an address space.
    to_result(unsafe { bindings::checkpoint_set_futex_slots(slots) })
}
