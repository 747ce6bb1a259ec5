// SPDX-License-Identifier: GPL-2.0

//! Tables of descriptors.
//!
//! C header: [`include/linux/fdtable.h`](srctree/include/linux/fdtable.h)

use super::file;
use super::file::FileRef;
use super::freeze::Frozen;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::error::to_result;
use kernel::prelude::*;

/// A reference to a `struct files_struct`.
pub(crate) struct Files(NonNull<bindings::files_struct>);

// SAFETY: Tables are shared between tasks and have their own lock.
unsafe impl Send for Files {}
// SAFETY: As above.
unsafe impl Sync for Files {}

impl Drop for Files {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::put_files_struct(self.0.as_ptr()) };
    }
}

/// A descriptor in use.
pub(crate) struct Descriptor {
    pub(crate) fd: u32,
    pub(crate) cloexec: bool,
    pub(crate) file: FileRef,
}

impl Files {
    /// The table of a parked task. `ESRCH`: the task has been killed.
    pub(crate) fn of(task: &Frozen) -> Result<Self> {
        // SAFETY: The task is referenced; the helper takes a reference under the task's lock.
        let files = unsafe { bindings::checkpoint_get_files(task.as_ptr()) };

        NonNull::new(files).map(Self).ok_or(ESRCH)
    }

    /// A table without descriptors, which no task uses yet.
    pub(crate) fn new_empty() -> Result<Self> {
        let mut all = bindings::fd_range {
            from: 0,
            to: u32::MAX,
        };

        // SAFETY: The table of the running task is valid; the copy leaves out every descriptor.
        let files =
            from_err_ptr(unsafe { bindings::dup_fd(&raw mut bindings::init_files, &raw mut all) })?;

        NonNull::new(files).map(Self).ok_or(ENOMEM)
    }

    /// Makes this the table of the running task.
    pub(crate) fn install(&self) {
        // SAFETY: The helper takes its own reference, and drops that to the old table.
        unsafe { bindings::checkpoint_set_files(self.0.as_ptr()) };
    }

    /// The identity of the table.
    pub(crate) fn key(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// How many references there are apart from this one.
    pub(crate) fn users(&self) -> u64 {
        // SAFETY: The table is referenced.
        let count = unsafe { bindings::checkpoint_files_count(self.0.as_ptr()) };

        (count as u64).saturating_sub(1)
    }

    /// Every descriptor, in order.
    pub(crate) fn descriptors(&self) -> Result<KVVec<Descriptor>> {
        let mut found = KVVec::new();
        let mut fd = 0u32;

        loop {
            let mut cloexec = false;
            // SAFETY: The table is referenced; the helper finds the next descriptor from `fd` on
            // under the table's lock, and takes a reference to its file.
            let file = unsafe {
                bindings::checkpoint_next_fd(self.0.as_ptr(), &raw mut fd, &raw mut cloexec)
            };

            if file.is_null() {
                return Ok(found);
            }
            // SAFETY: The helper took the reference.
            let file = unsafe { file::from_raw(file)? };

            found.push(Descriptor { fd, cloexec, file }, GFP_KERNEL)?;
            fd = fd.checked_add(1).ok_or(EINVAL)?;
        }
    }
}

/// Puts a file into a slot of the running task's table. `EMFILE`, `EBADF`: beyond the limit.
pub(crate) fn install(fd: u32, file: &FileRef, cloexec: bool) -> Result {
    let flags = if cloexec { bindings::O_CLOEXEC } else { 0 };

    // SAFETY: The file is referenced; the table takes its own reference.
    to_result(unsafe { bindings::replace_fd(fd, file.as_ptr(), flags) }.min(0))
}

/// Takes a file out of the running task's table that a function like `do_eventfd` has put there.
pub(crate) fn take(fd: i32) -> Result<FileRef> {
    let fd = u32::try_from(fd).map_err(|_| Error::from_errno(fd))?;

    // SAFETY: `fget` gives a reference or null.
    let file = unsafe { bindings::fget(fd) };
    // SAFETY: The descriptor belongs to the running task.
    unsafe { bindings::close_fd(fd) };
    if file.is_null() {
        return Err(EBADF);
    }
    // SAFETY: The reference is ours, and nobody has looked at the file by its descriptor.
    unsafe { file::from_raw(file) }
}
