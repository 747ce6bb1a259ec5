// SPDX-License-Identifier: GPL-2.0

//! Namespaces.
//!
//! C header: [`include/linux/nsproxy.h`](srctree/include/linux/nsproxy.h)

use super::freeze::Frozen;
use super::user_ns::NewUserNs;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::task::Task;

/// A reference to a pid namespace.
pub(crate) struct PidNs(NonNull<bindings::pid_namespace>);

// SAFETY: Pid namespaces are shared by tasks and have their own locks.
unsafe impl Send for PidNs {}
// SAFETY: As above.
unsafe impl Sync for PidNs {}

impl Drop for PidNs {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::put_pid_ns(self.0.as_ptr()) };
    }
}

impl Clone for PidNs {
    fn clone(&self) -> Self {
        // SAFETY: The namespace is referenced; the new value owns another reference.
        unsafe { bindings::get_pid_ns(self.0.as_ptr()) };
        Self(self.0)
    }
}

impl PidNs {
    /// The namespace that the task lives in (`task_active_pid_ns`). `ESRCH`: it has ended.
    pub(crate) fn of(task: &Task) -> Result<Self> {
        // SAFETY: The task is referenced; the helper takes a reference under RCU.
        let ns = unsafe { bindings::task_get_pid_ns(task.as_ptr()) };

        NonNull::new(ns).map(Self).ok_or(ESRCH)
    }

    /// The namespace of the caller.
    pub(crate) fn current() -> Result<Self> {
        Self::of(&super::task::current())
    }

    /// The namespace that the task's children are going to live in. `ESRCH`: it has ended.
    pub(crate) fn for_children(task: &Task) -> Result<Self> {
        // SAFETY: The task is referenced; the helper takes a reference under the task's lock.
        let ns = unsafe { bindings::checkpoint_pidns_for_children(task.as_ptr()) };

        NonNull::new(ns).map(Self).ok_or(ESRCH)
    }

    /// The namespace around this one.
    pub(crate) fn parent(&self) -> Option<Self> {
        // SAFETY: The namespace is referenced, and holds a reference to its parent, which does not
        // change; another one is taken, also of null, which stays null.
        NonNull::new(unsafe { bindings::get_pid_ns((*self.0.as_ptr()).parent) }).map(Self)
    }

    /// Whether nobody has been in it so far.
    pub(crate) fn is_new(&self) -> bool {
        // SAFETY: The namespace is referenced.
        unsafe { bindings::checkpoint_pidns_is_new(self.0.as_ptr()) }
    }

    /// The identity of the namespace.
    pub(crate) fn key(&self) -> usize {
        self.0.as_ptr() as usize
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::pid_namespace {
        self.0.as_ptr()
    }

    /// Whether both are the same namespace.
    pub(crate) fn is(&self, other: &PidNs) -> bool {
        self.0 == other.0
    }

    /// The pid that was given out last, or 0.
    pub(crate) fn last_pid(&self) -> i32 {
        // SAFETY: The namespace is referenced; a racing read gives some recent pid.
        let next = unsafe { (*self.0.as_ptr()).idr.idr_next };

        i32::try_from(next).unwrap_or(0).saturating_sub(1).max(0)
    }

    /// Sets the pid after which the next one is looked for, in a namespace of our own making.
    pub(crate) fn set_last_pid(&self, pid: i32) {
        // SAFETY: The namespace is referenced; the cursor is a hint that any value suits.
        unsafe {
            (*self.0.as_ptr()).idr.idr_next = u32::try_from(pid).unwrap_or(0).saturating_add(1);
        }
    }
}

/// Whether the process group or the session of a task has the pid of a leader that has been reaped,
/// and was in a namespace below `ns`.
pub(crate) fn outlives_leader(task: &Task, ns: &PidNs) -> bool {
    // SAFETY: Both are referenced.
    unsafe { bindings::checkpoint_pid_outlives(task.as_ptr(), ns.as_ptr()) }
}

/// A pid that no task has, as if its task had ended. Its number is free again when it is dropped.
pub(crate) struct DeadPid(NonNull<bindings::pid>);

impl Drop for DeadPid {
    fn drop(&mut self) {
        // SAFETY: The pid was allocated here, no task is attached to it, and the namespace's own
        // reference is given up with it.
        unsafe { bindings::free_pid(self.0.as_ptr()) };
    }
}

impl DeadPid {
    /// Makes the pid with a number, unless there is one. `EPERM`: the caller may not choose pids.
    pub(crate) fn new(ns: &PidNs, number: i32) -> Result<Option<Self>> {
        // SAFETY: The namespace is referenced; the helper gives a pid of its own making, null, or
        // an error pointer.
        let pid = from_err_ptr(unsafe { bindings::checkpoint_make_pid(ns.as_ptr(), number) })?;

        Ok(NonNull::new(pid).map(Self))
    }
}

/// The namespaces of a task other than its pid namespace, as identities.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) uts: usize,
    pub(crate) ipc: usize,
    pub(crate) mnt: usize,
    pub(crate) net: usize,
    pub(crate) time: usize,
    pub(crate) time_for_children: usize,
    pub(crate) pid_for_children: usize,
    pub(crate) cgroup: usize,
}

/// The running task is in namespaces that it has just made, until this is dropped.
pub(crate) struct Entered(NonNull<bindings::nsproxy>);

impl Drop for Entered {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference, which the running task takes over.
        unsafe { bindings::checkpoint_leave_namespaces(self.0.as_ptr()) };
    }
}

impl Entered {
    /// Makes namespaces that belong to a user namespace, or to that of the running task, as
    /// unshare(2) does. `flags`: `CLONE_NEW*` of [`super::clone`]; pid and time namespaces are those
    /// of its children. `EPERM`: it may not.
    pub(crate) fn new(flags: u64, owner: Option<&NewUserNs>) -> Result<Self> {
        let owner = owner.map_or(core::ptr::null(), NewUserNs::as_cred);
        let flags = usize::try_from(flags)?;

        // SAFETY: The credentials are referenced, or null. The helper works on the running task,
        // and gives a reference to the namespaces that it was in, or an error pointer.
        let old = from_err_ptr(unsafe { bindings::checkpoint_enter_namespaces(flags, owner) })?;

        NonNull::new(old).map(Self).ok_or(EINVAL)
    }

    /// The running task does not go back.
    pub(crate) fn stay(self) {
        // SAFETY: The type owns a reference, and gives it up without going back.
        unsafe { bindings::checkpoint_put_nsproxy(self.0.as_ptr()) };
        core::mem::forget(self);
    }
}

/// Reads the namespaces of a parked task or of the caller. `ESRCH`: it has been killed.
pub(crate) fn proxy(task: &Frozen) -> Result<Proxy> {
    let task = task.as_ptr();

    // SAFETY: The task is referenced. Its nsproxy is stable under the task's lock; the pointers in
    // it are only compared.
    unsafe {
        bindings::task_lock(task);
        let raw = (*task).nsproxy;
        let proxy = if raw.is_null() {
            Err(ESRCH)
        } else {
            Ok(Proxy {
                uts: (*raw).uts_ns as usize,
                ipc: (*raw).ipc_ns as usize,
                mnt: (*raw).mnt_ns as usize,
                net: (*raw).net_ns as usize,
                time: (*raw).time_ns as usize,
                time_for_children: (*raw).time_ns_for_children as usize,
                pid_for_children: (*raw).pid_ns_for_children as usize,
                cgroup: (*raw).cgroup_ns as usize,
            })
        };

        bindings::task_unlock(task);
        proxy
    }
}

/// The node name and the domain name of the task's UTS namespace.
pub(crate) fn uts_names(task: &Frozen) -> Result<([u8; 65], [u8; 65])> {
    let task = task.as_ptr();

    // SAFETY: The task is referenced; its nsproxy is stable under its lock. The names are arrays
    // of the namespace: if somebody sets them meanwhile, a mixture may be read, as uname(2) may.
    unsafe {
        bindings::task_lock(task);
        let raw = (*task).nsproxy;
        let names = if raw.is_null() {
            Err(ESRCH)
        } else {
            let name = &(*(*raw).uts_ns).name;

            Ok((
                name.nodename.map(|c| c as u8),
                name.domainname.map(|c| c as u8),
            ))
        };

        bindings::task_unlock(task);
        names
    }
}

/// Sets both names of the running task's UTS namespace, which it has for itself.
pub(crate) fn set_uts_names(nodename: &[u8; 65], domainname: &[u8; 65]) {
    // SAFETY: The helper writes to the running task's namespace under its lock and ends both
    // arrays with a zero.
    unsafe {
        bindings::checkpoint_set_uts(nodename.as_ptr().cast(), domainname.as_ptr().cast());
    }
}

/// Moves the running task to the UTS namespace of another one, as setns(2) does.
pub(crate) fn join_uts(task: &Task) -> Result {
    // SAFETY: The task is referenced; the helper works on the running one.
    to_result(unsafe { bindings::checkpoint_join_uts(task.as_ptr()) })
}

/// How far CLOCK_MONOTONIC and CLOCK_BOOTTIME of the task's time namespace are ahead of those of the
/// machine, in ns.
pub(crate) fn time_offsets(task: &Frozen) -> Result<(i64, i64)> {
    let (mut monotonic, mut boottime) = (0, 0);

    // SAFETY: The task is referenced; the helper reads under the task's lock.
    to_result(unsafe {
        bindings::checkpoint_timens_get(task.as_ptr(), &raw mut monotonic, &raw mut boottime)
    })?;
    Ok((monotonic, boottime))
}

/// Moves the running task, which is alone in its process, to the new time namespace that it was
/// made with. `EPERM`: it may not set the clocks of it.
pub(crate) fn join_time_ns() -> Result {
    // SAFETY: The helper works on the running task.
    to_result(unsafe { bindings::checkpoint_timens_join() })
}

/// Sets CLOCK_MONOTONIC and CLOCK_BOOTTIME of the time namespace that the task has joined with
/// [`join_time_ns`], where nobody has looked at a clock so far. The times are at most half of what
/// an `i64` holds, and not negative.
pub(crate) fn set_clocks(task: &Task, monotonic: i64, boottime: i64) -> Result {
    // SAFETY: The task is referenced; the helper checks that the namespace is not the caller's.
    to_result(unsafe {
        bindings::checkpoint_timens_set(task.as_ptr(), &raw const monotonic, &raw const boottime)
    })
}

/// The release of the running kernel, padded with zeros.
pub(crate) fn kernel_release() -> [u8; 64] {
    let mut release = [0; 64];

    // SAFETY: The name of the initial UTS namespace has a release that does not change.
    let raw = unsafe { bindings::init_uts_ns.name.release };

    for (to, &from) in release.iter_mut().zip(raw.iter().take_while(|&&c| c != 0)) {
        *to = from as u8;
    }
    release
}
