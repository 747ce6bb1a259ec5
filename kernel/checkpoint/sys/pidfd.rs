// SPDX-License-Identifier: GPL-2.0

//! Descriptors of tasks: pidfd_open(2).
//!
//! C sources: `fs/pidfs.c`, `kernel/pid.c`

use super::file;
use super::file::FileRef;
use super::ns::PidNs;
use super::task::TaskRef;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// `PIDFD_THREAD` in `f_flags`.
pub(crate) const THREAD: u32 = bindings::O_EXCL;

/// What is known of a task that may be gone.
pub(crate) use bindings::checkpoint_pidfd as State;

/// A file that is a pidfd.
#[derive(Clone, Copy)]
pub(crate) struct PidFd<'a>(&'a File);

impl<'a> PidFd<'a> {
    /// The file, if it is a pidfd.
    pub(crate) fn new(file: &'a File) -> Option<Self> {
        let mut state = State::default();

        // SAFETY: The file is referenced; the function checks that it is a pidfd.
        // INVARIANT: It is one if the function gives 0.
        match unsafe { bindings::checkpoint_pidfd_get(file.as_ptr(), &raw mut state) } {
            0 => Some(Self(file)),
            _ => None,
        }
    }

    /// What pidfs knows.
    pub(crate) fn state(self) -> State {
        let mut state = State::default();

        // SAFETY: The file is referenced.
        unsafe { bindings::checkpoint_pidfd_get(self.0.as_ptr(), &raw mut state) };
        state
    }

    /// The identity of the `struct pid`, which the file holds.
    pub(crate) fn key(self) -> usize {
        // SAFETY: The file is referenced, and a pidfd.
        unsafe { bindings::pidfd_pid(self.0.as_ptr()) as usize }
    }

    /// The task; none if it has been reaped.
    pub(crate) fn task(self) -> Option<TaskRef> {
        // SAFETY: The file is referenced, and a pidfd; the helper gives a reference or null.
        let task = NonNull::new(unsafe { bindings::checkpoint_pidfd_task(self.0.as_ptr()) })?;

        // SAFETY: The reference that the call took now belongs to the `ARef`.
        Some(unsafe { ARef::from_raw(task.cast()) })
    }

    /// Whether the pid names a process group or a session.
    pub(crate) fn names_group(self) -> bool {
        // SAFETY: The file is referenced, and a pidfd.
        unsafe { bindings::checkpoint_pidfd_names_group(self.0.as_ptr()) }
    }

    /// The number of the pid as a pid namespace sees it; 0 where it does not.
    pub(crate) fn number_in(self, ns: &PidNs) -> i32 {
        // SAFETY: File and namespace are referenced, and the file holds the pid.
        unsafe { bindings::pid_nr_ns(bindings::pidfd_pid(self.0.as_ptr()), ns.as_ptr()) }
    }

    /// Sets what is known of the task. It must have been reaped if the state says so.
    pub(crate) fn set_state(self, state: &State) {
        // SAFETY: The file is referenced, and a pidfd.
        unsafe { bindings::checkpoint_pidfd_set(self.0.as_ptr(), &raw const *state) };
    }
}

/// Whose pidfd [`open`] makes.
pub(crate) enum Of<'a> {
    /// Of the task, or of the process group or session without a leader, that has the number in
    /// the pid namespace.
    Number(i32, &'a PidNs),
    /// Of the same as another pidfd.
    Same(PidFd<'a>),
    /// Of a task that is gone.
    Nobody,
}

/// Makes a pidfd, with the `O_*` flags of one. `ESRCH`: nobody has the number. `ENOENT`: it is of a
/// thread that leads no process, and [`THREAD`] is not among the flags.
pub(crate) fn open(of: Of<'_>, flags: u32) -> Result<FileRef> {
    let null = core::ptr::null_mut();
    let (number, ns, same) = match of {
        Of::Number(number, ns) => (number, ns.as_ptr(), null),
        Of::Same(PidFd(file)) => (0, core::ptr::null_mut(), file.as_ptr()),
        Of::Nobody => (0, core::ptr::null_mut(), null),
    };

    // SAFETY: What is handed over is a referenced pidfd or null, and a referenced namespace if there
    // is a number; the function gives a new reference or an error pointer.
    unsafe {
        let file = file::from_raw(bindings::checkpoint_pidfd_open(
            number,
            ns,
            same,
            flags & THREAD,
        ))?;

        bindings::checkpoint_set_flags(file.as_ptr(), flags);
        Ok(file)
    }
}
