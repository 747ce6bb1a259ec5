// SPDX-License-Identifier: GPL-2.0

//! User namespaces.
//!
//! C header: [`include/linux/user_namespace.h`](srctree/include/linux/user_namespace.h)

use super::freeze::Frozen;
use super::ns::PidNs;
use core::ptr;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::error::to_result;
use kernel::prelude::*;

/// A reference to a user namespace.
pub(crate) struct UserNs(NonNull<bindings::user_namespace>);

// SAFETY: User namespaces are shared by tasks and have their own locks.
unsafe impl Send for UserNs {}
// SAFETY: As above.
unsafe impl Sync for UserNs {}

impl Drop for UserNs {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::checkpoint_put_user_ns(self.0.as_ptr()) };
    }
}

/// The properties of a user namespace as plain numbers, ids as the running task sees them.
pub(crate) use bindings::checkpoint_user_ns as Plain;

/// The maps of user, group and project ids.
pub(crate) const MAPS: usize = 3;

impl UserNs {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// The pointer must be null, or own a reference.
    pub(super) unsafe fn from_raw(raw: *mut bindings::user_namespace) -> Result<Self> {
        NonNull::new(raw).map(Self).ok_or(ESRCH)
    }

    /// Takes a reference of its own.
    ///
    /// # Safety
    ///
    /// The namespace must be referenced.
    pub(super) unsafe fn get(raw: *mut bindings::user_namespace) -> Result<Self> {
        // SAFETY: By the safety requirement.
        unsafe { Self::from_raw(bindings::checkpoint_get_user_ns(raw)) }
    }

    /// That of the running task.
    pub(crate) fn current() -> Result<Self> {
        // SAFETY: The running task refers to it.
        unsafe { Self::get(bindings::checkpoint_current_user_ns()) }
    }

    /// The one in which the program of a task was started (`struct task_exec_state`).
    pub(crate) fn of_program(task: &Frozen) -> Result<Self> {
        // SAFETY: The task is referenced; the helper gives a reference.
        unsafe { Self::from_raw(bindings::checkpoint_exec_user_ns(task.as_ptr())) }
    }

    /// The one to which the UTS namespace of a task belongs.
    pub(crate) fn of_uts(task: &Frozen) -> Result<Self> {
        // SAFETY: The task is referenced; the helper gives a reference or null.
        unsafe { Self::from_raw(bindings::checkpoint_uts_owner(task.as_ptr())) }
    }

    /// The one to which the IPC namespace of a task belongs.
    pub(crate) fn of_ipc(task: &Frozen) -> Result<Self> {
        // SAFETY: The task is referenced; the helper gives a reference or null.
        unsafe { Self::from_raw(bindings::checkpoint_ipc_owner(task.as_ptr())) }
    }

    /// The one to which the time namespace of a task belongs.
    pub(crate) fn of_time(task: &Frozen) -> Result<Self> {
        // SAFETY: The task is referenced; the helper gives a reference or null.
        unsafe { Self::from_raw(bindings::checkpoint_time_owner(task.as_ptr())) }
    }

    /// The one to which a pid namespace belongs.
    pub(crate) fn of_pids(ns: &PidNs) -> Result<Self> {
        // SAFETY: The pid namespace is referenced, and refers to it for good.
        unsafe { Self::get((*ns.as_ptr()).user_ns) }
    }

    /// The namespace around this one.
    pub(crate) fn parent(&self) -> Result<Self> {
        // SAFETY: The namespace is referenced, and holds a reference to its parent, which does not
        // change.
        unsafe { Self::get((*self.0.as_ptr()).parent) }
    }

    /// The identity of the namespace.
    pub(crate) fn key(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Whether both are the same namespace.
    pub(crate) fn is(&self, other: &UserNs) -> bool {
        self.0 == other.0
    }

    /// All properties but the ranges of the maps.
    pub(crate) fn plain(&self) -> Plain {
        let mut plain = Plain::default();

        // SAFETY: The namespace is referenced.
        unsafe { bindings::checkpoint_user_ns_get(self.0.as_ptr(), &raw mut plain) };
        plain
    }

    /// Whether there are keys in the keyrings that the kernel keeps for its users.
    pub(crate) fn has_keys(&self) -> bool {
        // SAFETY: The namespace is referenced.
        unsafe { bindings::checkpoint_user_ns_has_keys(self.0.as_ptr()) }
    }

    /// A range of one of the [`MAPS`]: the first id inside, the first in the namespace around it,
    /// and how many. `EINVAL`: `plain`, which is of this namespace, tells of no such range.
    pub(crate) fn range(&self, plain: &Plain, map: usize, index: u32) -> Result<(u32, u32, u32)> {
        let (mut first, mut lower, mut count) = (0, 0, 0);

        if plain.ranges.get(map).is_none_or(|&ranges| index >= ranges) {
            return Err(EINVAL);
        }
        // SAFETY: The namespace is referenced and has a parent, since only the first one has none,
        // whose maps have one range that nobody has asked for. There are as many maps and ranges,
        // which are there for good.
        unsafe {
            bindings::checkpoint_user_ns_range(
                self.0.as_ptr(),
                map as u32,
                index,
                &raw mut first,
                &raw mut lower,
                &raw mut count,
            );
        }
        Ok((first, lower, count))
    }
}

/// A user namespace of our own making: credentials in it, with all rights that it gives.
pub(crate) struct NewUserNs(NonNull<bindings::cred>);

// SAFETY: The credentials do not change.
unsafe impl Send for NewUserNs {}
// SAFETY: As above.
unsafe impl Sync for NewUserNs {}

impl Drop for NewUserNs {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::put_cred(self.0.as_ptr()) };
    }
}

impl NewUserNs {
    /// Makes a user namespace in another one, or in that of the running task (`create_user_ns`).
    /// The maps are empty. Whether the running task may be its owner is for the caller to decide.
    ///
    /// `EPERM`: that has no id in the namespace around it; or the new namespace would have rights
    /// that the other does not give. `EINVAL`: an id means nothing. `ENOSPC`: too many, or too
    /// deep.
    pub(crate) fn make(parent: Option<&NewUserNs>, plain: &Plain) -> Result<Self> {
        let parent = parent.map_or(ptr::null(), |parent| parent.0.as_ptr().cast_const());

        // SAFETY: The credentials are referenced, or null; the helper gives a reference or an
        // error pointer.
        let cred = from_err_ptr(
            unsafe { bindings::checkpoint_user_ns_make(parent, &raw const *plain) }.cast_mut(),
        )?;

        NonNull::new(cred).map(Self).ok_or(EINVAL)
    }

    /// Sets one of the [`MAPS`], as writing the lines to /proc/PID/uid_map does, with the rights
    /// of the running task. `EPERM`: it may not; `EINVAL`: the lines are no map.
    pub(crate) fn write_map(&self, map: usize, lines: &CStr) -> Result {
        if map >= MAPS {
            return Err(EINVAL);
        }
        // SAFETY: The credentials are referenced; the lines end with a zero, and are copied.
        to_result(unsafe {
            bindings::checkpoint_user_ns_map(
                self.0.as_ptr(),
                map as u32,
                lines.as_char_ptr().cast_mut(),
            )
        })
    }

    /// Whether a user id of the running task's namespace means something in this one.
    pub(crate) fn has_uid(&self, id: u32) -> bool {
        // SAFETY: The credentials are referenced.
        unsafe { bindings::checkpoint_user_ns_has(self.0.as_ptr(), id, false) }
    }

    /// Whether a group id of the running task's namespace means something in this one.
    pub(crate) fn has_gid(&self, id: u32) -> bool {
        // SAFETY: The credentials are referenced.
        unsafe { bindings::checkpoint_user_ns_has(self.0.as_ptr(), id, true) }
    }

    /// Whether setgroups(2) is allowed in it (/proc/PID/setgroups).
    pub(crate) fn allows_groups(&self) -> bool {
        // SAFETY: The credentials are referenced.
        unsafe { bindings::checkpoint_user_ns_has_groups(self.0.as_ptr()) }
    }

    pub(super) fn as_cred(&self) -> *const bindings::cred {
        self.0.as_ptr()
    }

    /// The namespace, or that of the running task.
    pub(super) fn raw_or_current(ns: Option<&NewUserNs>) -> *mut bindings::user_namespace {
        match ns {
            // SAFETY: The credentials are referenced, and refer to it for good.
            Some(ns) => unsafe { (*ns.0.as_ptr()).user_ns },
            // SAFETY: The running task has one.
            None => unsafe { bindings::checkpoint_current_user_ns() },
        }
    }
}
