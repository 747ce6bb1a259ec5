// SPDX-License-Identifier: GPL-2.0

//! Where a task's paths start.
//!
//! C header: [`include/linux/fs_struct.h`](srctree/include/linux/fs_struct.h)

use super::file::Path;
use super::freeze::Frozen;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;

/// What a `struct fs_struct` of a parked task holds.
pub(crate) struct Info {
    pub(crate) root: Path,
    pub(crate) cwd: Path,
    pub(crate) umask: u32,
    pub(crate) users: u32,
    pub(crate) key: usize,
}

/// Reads it. `ESRCH`: the task has been killed.
pub(crate) fn info(task: &Frozen) -> Result<Info> {
    let mut root = bindings::path::default();
    let mut cwd = bindings::path::default();
    let (mut umask, mut users, mut key) = (0, 0, 0);

    // SAFETY: The task is referenced; the helper fills everything in under its lock, with
    // references to the paths.
    unsafe {
        to_result(bindings::checkpoint_fs_get(
            task.as_ptr(),
            &raw mut root,
            &raw mut cwd,
            &raw mut umask,
            &raw mut users,
            &raw mut key,
        ))?;
        Ok(Info {
            root: Path::from_raw(root),
            cwd: Path::from_raw(cwd),
            umask,
            users,
            key: key as usize,
        })
    }
}

/// A reference to a `struct fs_struct`.
pub(crate) struct Fs(NonNull<bindings::fs_struct>);

// SAFETY: They are shared by tasks and have their own lock.
unsafe impl Send for Fs {}
// SAFETY: As above.
unsafe impl Sync for Fs {}

impl Drop for Fs {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::checkpoint_fs_drop(self.0.as_ptr()) };
    }
}

impl Fs {
    /// A copy of the running task's.
    pub(crate) fn copy_current() -> Result<Self> {
        // SAFETY: The function gives a new reference or null.
        NonNull::new(unsafe { bindings::checkpoint_fs_new() })
            .map(Self)
            .ok_or(ENOMEM)
    }

    /// Makes this the running task's.
    pub(crate) fn install(&self) {
        // SAFETY: The helper takes its own reference, and drops that to the old one.
        unsafe { bindings::checkpoint_fs_install(self.0.as_ptr()) };
    }
}

/// Sets root, working directory and umask of the running task.
pub(crate) fn set(root: &Path, cwd: &Path, umask: u32) {
    // SAFETY: Both paths are referenced; the helper takes its own references.
    unsafe { bindings::checkpoint_fs_set(root.as_ptr(), cwd.as_ptr(), umask) };
}
