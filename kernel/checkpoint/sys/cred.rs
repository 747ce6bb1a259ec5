// SPDX-License-Identifier: GPL-2.0

//! Credentials.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use super::freeze::Frozen;
use super::user_ns::NewUserNs;
use super::user_ns::UserNs;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::task::Task;

/// A reference to a `struct cred`, which does not change.
pub(crate) struct Cred(NonNull<bindings::cred>);

// SAFETY: Credentials are constant once a task has them.
unsafe impl Send for Cred {}
// SAFETY: As above.
unsafe impl Sync for Cred {}

impl Drop for Cred {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::put_cred(self.0.as_ptr()) };
    }
}

/// Credentials as plain numbers, ids in the caller's user namespace.
pub(crate) use bindings::checkpoint_cred as Plain;

impl Cred {
    /// The credentials of a parked task (`get_task_cred`).
    pub(crate) fn of(task: &Frozen) -> Result<Self> {
        // SAFETY: The task is referenced; the function gives a reference.
        NonNull::new(unsafe { bindings::get_task_cred(task.as_ptr()) }.cast_mut())
            .map(Self)
            .ok_or(ESRCH)
    }

    /// The identity of the credentials.
    pub(crate) fn key(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// The user namespace that they are in.
    pub(crate) fn user_ns(&self) -> Result<UserNs> {
        // SAFETY: The credentials are referenced, and refer to it for good.
        unsafe { UserNs::get((*self.0.as_ptr()).user_ns) }
    }

    /// Everything but the supplementary groups. An id that means nothing to the caller is
    /// `u32::MAX`.
    pub(crate) fn plain(&self) -> Plain {
        let mut plain = Plain::default();

        // SAFETY: The credentials are referenced and constant.
        unsafe { bindings::checkpoint_cred_get(self.0.as_ptr(), &raw mut plain) };
        plain
    }

    /// Whether there is no session keyring, or it is that of an ancestor of the task.
    pub(crate) fn inherits_session_keyring(&self, root: &Task) -> bool {
        // SAFETY: Both are referenced; the helper follows the parents of a task under RCU.
        unsafe { bindings::checkpoint_inherits_keyring(self.0.as_ptr(), root.as_ptr()) }
    }

    /// Whether the session keyring is the one that the kernel keeps for the user.
    pub(crate) fn has_user_session_keyring(&self) -> bool {
        // SAFETY: The credentials are referenced and constant.
        unsafe { bindings::checkpoint_has_user_session(self.0.as_ptr()) }
    }

    /// The supplementary groups.
    pub(crate) fn groups(&self) -> Result<KVVec<u32>> {
        let mut groups = KVVec::new();

        // SAFETY: The credentials are referenced and constant; the index is below the count.
        unsafe {
            for i in 0..bindings::checkpoint_cred_groups(self.0.as_ptr()) {
                groups.push(
                    bindings::checkpoint_cred_group(self.0.as_ptr(), i),
                    GFP_KERNEL,
                )?;
            }
        }
        Ok(groups)
    }
}

/// Gives the running task the credentials, in its user namespace or in another one. Whether it may
/// have them is for the caller to decide. `EINVAL`: an id means nothing in its user namespace.
pub(crate) fn commit(plain: &Plain, groups: &[u32], user_ns: Option<&NewUserNs>) -> Result {
    // SAFETY: Both arguments are valid; the function works on the running task.
    to_result(unsafe {
        bindings::checkpoint_cred_set(
            &raw const *plain,
            groups.as_ptr(),
            u32::try_from(groups.len())?,
            NewUserNs::raw_or_current(user_ns),
        )
    })
}

/// Gives the running task the session keyring that the kernel keeps for its user.
pub(crate) fn join_user_session_keyring() -> Result {
    // SAFETY: The helper works on the running task.
    to_result(unsafe { bindings::checkpoint_join_user_session() })
}

/// Whether the running task has the capability in its user namespace (`ns_capable`).
pub(crate) fn capable(capability: u32) -> bool {
    // SAFETY: Any number may be asked for that is a capability, which the constants are.
    unsafe { bindings::checkpoint_capable(capability as i32) }
}

/// Whether the running task may choose the pids of new tasks (CAP_CHECKPOINT_RESTORE or
/// CAP_SYS_ADMIN in its user namespace).
pub(crate) fn may_choose_pids() -> bool {
    capable(bindings::CAP_CHECKPOINT_RESTORE) || capable(bindings::CAP_SYS_ADMIN)
}
