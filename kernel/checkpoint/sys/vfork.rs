// SPDX-License-Identifier: GPL-2.0

//! Parents that wait in vfork(2).
//!
//! Such a parent counts as parked where it is, in the middle of the system call: nothing but the
//! end of the wait is left of it, and the call then returns the pid of the child. One that is traced
//! may be stopped for its tracer before and after the wait.
//!
//! C function: `wait_for_vfork_done()`

use super::freeze::Frozen;
use super::task::TaskRef;
use core::ptr;
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

/// Who that is: it waits, or is stopped for its tracer before that.
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

    /// Waits, as the running task, until it has done so, and does what is left of vfork(2). A fatal
    /// signal ends the wait.
    pub(crate) fn wait(self) {
        finish(Some(self), 0, 0);
    }
}

/// What is left of vfork(2) in the running task, which is traced perhaps: the wait for its child,
/// if that has not gone on yet; telling the tracer; and returning the pid of the child, `number`, or
/// what the registers have if it is 0. The tracer sees it as `message` if it has been reaped.
pub(crate) fn finish(vfork: Option<Vfork>, number: i32, message: u64) {
    let (child, done) = match &vfork {
        Some(vfork) => (vfork.child.as_ptr(), vfork.done.get()),
        None => (ptr::null_mut(), ptr::null_mut()),
    };

    // SAFETY: The child is referenced, if there is one, and by the type invariants the completion is
    // the one that it completes. The helper works on the running task, which holds nothing else.
    unsafe { bindings::checkpoint_vfork_finish(child, done, number, message as usize) };
}

impl Drop for Vfork {
    fn drop(&mut self) {
        // SAFETY: The task is referenced; the helper clears the pointer under the lock, unless it
        // is gone already: then nobody looks at the completion any more.
        unsafe { bindings::checkpoint_vfork_clear(self.child.as_ptr()) };
    }
}
