// SPDX-License-Identifier: GPL-2.0

//! Locks of files.
//!
//! C header: [`include/linux/filelock.h`](srctree/include/linux/filelock.h)

use super::ns::PidNs;
use kernel::bindings;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;

/// A lock. Who owns it is an identity only: a table of descriptors for one of fcntl(F_SETLK).
pub(crate) type FileLock = bindings::checkpoint_file_lock;

pub(crate) use bindings::CHECKPOINT_LOCK_FLOCK as FLOCK;
pub(crate) use bindings::CHECKPOINT_LOCK_OFD as OFD;
pub(crate) use bindings::CHECKPOINT_LOCK_POSIX as POSIX;

/// The last byte that can be locked (`OFFSET_MAX`).
pub(crate) const LAST: i64 = i64::MAX;

/// How many locks there is room for at first.
const SOME: usize = 4;

/// The locks that were taken through an open file. The numbers of the processes are those of the
/// namespace, and 0 for one that has none there.
pub(crate) fn get(file: &File, ns: &PidNs) -> Result<KVVec<FileLock>> {
    let mut room = SOME;

    loop {
        let mut locks = KVVec::from_elem(FileLock::default(), room, GFP_KERNEL)?;
        let max = u32::try_from(room)?;
        // SAFETY: The file and the namespace are referenced, and there is room for as many locks
        // as the function is told.
        let n = unsafe {
            bindings::checkpoint_file_locks(file.as_ptr(), ns.as_ptr(), locks.as_mut_ptr(), max)
        };

        locks.truncate(n as usize);
        if locks.len() < room {
            return Ok(locks);
        }
        room = room.checked_mul(2).ok_or(EOVERFLOW)?;
    }
}

/// Takes a lock, for the running task's table of descriptors if it is one of fcntl(F_SETLK), in
/// which the file must be. `EAGAIN`: somebody else has one that conflicts with it. `EBADF`: the
/// file is not open for that.
pub(crate) fn set(file: &File, ns: &PidNs, lock: &FileLock) -> Result {
    // SAFETY: The file and the namespace are referenced; the function keeps no reference to the
    // state.
    to_result(unsafe { bindings::checkpoint_set_file_lock(file.as_ptr(), ns.as_ptr(), lock) })
}
