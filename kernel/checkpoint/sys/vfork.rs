// SPDX-License-Identifier: GPL-2.0

//! Parents that wait in vfork(2).
//!
//! Such a parent counts as parked where it is, in the middle of the system call: nothing but the
//! end of the wait is left of it, and the call then returns the pid of the child.
//!
//! C function: `wait_for_vfork_done()`

use super::freeze::Frozen;
use super::task::TaskRef;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::types::Opaque;

/// Whether somebody waits until the task calls execve(2) or ends.
pub(crate) fn is_waited_for(child: &Frozen) -> bool {
    // SAFETY: The task is referenced, and the pointer is only compared.
    unsafe { !(*child.as_ptr()).vfork_done.is_null() }
}

/// Who that is.
pub(crate) fn parent(child: &Frozen) -> Option<TaskRef> {
    // SAFETY: The task is referenced; the helper looks under the locks, and takes a reference to
    // what it finds.
    let parent = unsafe { bindings::checkpoint_vfork_parent(child.as_ptr()) };

    // SAFETY: The reference that the helper took now belongs to the `ARef`.
    NonNull::new(parent).map(|parent| unsafe { ARef::from_raw(parent.cast()) })
}

/// Whether the task waits in vfork(2).
pub(crate) fn is_waiting(task: &Frozen) -> bool {
    // SAFETY: The task is referenced; its state is a single word, which the helper reads.
    unsafe { bindings::checkpoint_in_vfork(task.as_ptr()) }
}

/// A child that completes `done` when it calls execve(2) or ends.
///
/// # Invariants
///
/// `done` is initialized. The child's `vfork_done` points to it or to nothing, and is changed and
/// followed under the child's task lock.
pub(crate) struct Vfork {
    child: TaskRef,
    done: KBox<Opaque<bindings::completion>>,
}

// SAFETY: A completion is made to be used from several tasks.
unsafe impl Send for Vfork {}

impl Vfork {
    /// Has a child of a restart tell when it calls execve(2) or ends. The child has not been in
    /// user space yet; if it ends before, so does the restart.
    pub(crate) fn new(child: TaskRef) -> Result<Self> {
        let done = KBox::new(Opaque::uninit(), GFP_KERNEL)?;

        // SAFETY: The task is referenced, and the completion stays where it is until `drop`, which
        // takes the pointer back.
        unsafe { bindings::checkpoint_vfork_set(child.as_ptr(), done.get()) };
        // INVARIANT: The helper has initialized the completion and set the pointer.
        Ok(Self { child, done })
    }

    /// Waits, as the running task, until it has done so. A fatal signal ends the wait.
    pub(crate) fn wait(self) {
        // SAFETY: The child is referenced, and the function drops one reference. By the type
        // invariants the completion is the one that the child completes.
        unsafe {
            bindings::get_task_struct(self.child.as_ptr());
            bindings::wait_for_vfork_done(self.child.as_ptr(), self.done.get());
        }
    }
}

impl Drop for Vfork {
    fn drop(&mut self) {
        // SAFETY: The task is referenced; the helper clears the pointer under the lock, unless it
        // is gone already: then nobody looks at the completion any more.
        unsafe { bindings::checkpoint_vfork_clear(self.child.as_ptr()) };
    }
}
