// SPDX-License-Identifier: GPL-2.0

//! NUMA policies of mappings, of shared memory and of tasks.
//!
//! C source: `mm/mempolicy.c`

use kernel::bindings;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::task::Task;

/// What mbind(2) and set_mempolicy_home_node(2) have set, and where.
pub(crate) type Policy = bindings::checkpoint_policy;

/// The first policy of shared memory for pages from number `from` on.
pub(crate) fn of_shared(file: &File, from: u64) -> Option<Policy> {
    let mut policy = Policy::default();

    // SAFETY: The file is referenced; the helper looks whether it is one of tmpfs.
    unsafe { bindings::checkpoint_shared_policy(file.as_ptr(), &raw const from, &raw mut policy) }
        .then_some(policy)
}

/// Sets the policy of a range of the running task's address space. `EINVAL`: the machine has not
/// these nodes, or something is not mapped there.
pub(crate) fn set(policy: &Policy) -> Result {
    // SAFETY: The helper works on the running task's address space, and checks what it is told.
    to_result(unsafe { bindings::checkpoint_set_vma_policy(policy) })
}

/// The policy of a task, if it has one.
pub(crate) fn of_task(task: &Task) -> Option<Policy> {
    let mut policy = Policy::default();

    // SAFETY: The task is referenced; the helper reads under its lock.
    unsafe { bindings::checkpoint_task_policy(task.as_ptr(), &raw mut policy) }.then_some(policy)
}

/// Sets or takes the policy of the running task. `EINVAL`: the machine has not these nodes.
pub(crate) fn set_task(policy: Option<&Policy>) -> Result {
    let policy = policy.map_or(core::ptr::null(), core::ptr::from_ref);

    // SAFETY: The pointer is valid or null; the helper checks what it is told, and works on the
    // running task.
    to_result(unsafe { bindings::checkpoint_set_task_policy(policy) })
}

/// Takes all policies from shared memory.
pub(crate) fn clear_shared(file: &File) -> Result {
    // SAFETY: The file is referenced; the helper looks whether it is one of tmpfs.
    to_result(unsafe { bindings::checkpoint_set_shared_policy(file.as_ptr(), core::ptr::null()) })
}

/// Sets the policy of a range of pages of shared memory. `EINVAL`: the machine has not these nodes.
pub(crate) fn set_shared(file: &File, policy: &Policy) -> Result {
    // SAFETY: As above; the helper checks what it is told.
    to_result(unsafe { bindings::checkpoint_set_shared_policy(file.as_ptr(), policy) })
}
