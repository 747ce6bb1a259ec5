// SPDX-License-Identifier: GPL-2.0

//! The cgroups (version 2) of tasks.
//!
//! C header: [`include/linux/cgroup.h`](srctree/include/linux/cgroup.h)

use super::file;
use super::file::FileRef;
use kernel::bindings;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::task::Task;

/// The way from the cgroup of one task to that of another, like "/../a/b"; empty if it is the same.
/// `ENOENT`: the other one has been removed.
pub(crate) fn way(from: &Task, to: &Task) -> Result<KVVec<u8>> {
    let mut buf = KVVec::from_elem(0u8, file::PATH_MAX, GFP_KERNEL)?;
    // SAFETY: Both tasks are referenced, and the buffer has so many bytes.
    let len = unsafe {
        bindings::checkpoint_cgroup_way(
            from.as_ptr(),
            to.as_ptr(),
            buf.as_mut_ptr().cast(),
            buf.len(),
        )
    };

    to_result(len.min(0))?;
    buf.truncate(usize::try_from(len).map_err(|_| EINVAL)?);
    Ok(buf)
}

/// Opens what moves processes (cgroup.procs), or single threads (cgroup.threads), to the cgroup that
/// has the path below the one that is `up` above that of the running task, with all checks of
/// open(2).
pub(crate) fn open(up: u32, path: &CStr, threads: bool) -> Result<FileRef> {
    let name = if threads {
        c"cgroup.threads"
    } else {
        c"cgroup.procs"
    };

    // SAFETY: Both names are valid during the call. The file is new, and ours.
    unsafe {
        file::from_raw(bindings::checkpoint_cgroup_open(
            up,
            path.as_char_ptr(),
            name.as_char_ptr(),
        ))
    }
}

/// Moves a process to the cgroup by what [`open`] gave, or a single thread, with all checks of
/// write(2). `EBUSY`: the cgroup has its tasks frozen, or may have none.
pub(crate) fn move_to(file: &File, task: &Task) -> Result {
    // SAFETY: The file and the task are referenced.
    unsafe {
        to_result(bindings::checkpoint_cgroup_move(
            file.as_ptr(),
            task.as_ptr(),
        ))?;
        if bindings::cgroup_task_freeze(task.as_ptr()) {
            return Err(EBUSY);
        }
    }
    Ok(())
}
