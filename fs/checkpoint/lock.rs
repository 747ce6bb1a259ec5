// SPDX-License-Identifier: GPL-2.0

//! Locks of files: flock(2), fcntl(F_SETLK) and fcntl(F_OFD_SETLK).
//!
//! Kept: the ranges, and who is shown as the owner. A lock of fcntl(F_SETLK) belongs to a table of
//! descriptors, and the others to an open file: those are taken again together with the first
//! table that has the file, or at last if it has no descriptor, as one that is only mapped. Who
//! waits for a lock makes the system call again.
//! Not kept, and refused: leases.
//!
//! C source: `fs/locks.c`

use crate::error::Result;
use crate::format::file::Fd;
use crate::format::file::FileLock;
use crate::format::file::Files;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::fdtable::Descriptor;
use crate::sys::lock;
use kernel::prelude::*;

/// Saves the locks of a table, and those of its open files that no table before had.
pub(crate) fn save(
    saver: &mut Saver<'_>,
    table: (&sys::fdtable::Files, ObjRef),
    descriptors: &[Descriptor],
) -> Result {
    let (owner, number) = table;

    for Descriptor { file, .. } in descriptors {
        let locks = lock::get(file, &saver.ns)?;
        let key = sys::file::key(file);

        if locks.is_empty() {
            continue;
        }
        let before = match saver.locked.get_mut(&key) {
            Some(last) => Some(core::mem::replace(last, number)),
            None => {
                saver
                    .locked
                    .try_create_and_insert(key, number, GFP_KERNEL)?;
                None
            }
        };

        for lock in &locks {
            let is_new = if lock.how == lock::POSIX {
                // One of somebody else with whom an open file is shared is not part of the tree,
                // or belongs to another table.
                lock.owner as usize == owner.key() && before != Some(number)
            } else {
                before.is_none()
            };

            if is_new {
                save_one(saver, number, key, lock)?;
            }
        }
    }
    Ok(())
}

fn save_one(saver: &mut Saver<'_>, table: ObjRef, file: usize, lock: &lock::FileLock) -> Result {
    let state = FileLock {
        table,
        file: saver
            .objects
            .find(crate::object::Class::File, file)
            .ok_or(EINVAL)?,
        how: lock.how,
        write: u32::from(lock.write),
        start: lock.start,
        end: lock.end,
        pid: lock.pid,
        reserved: 0,
    };

    saver.out.record(&state, &[])
}

/// Saves the locks of open files that no table has. All files of the tree must have been saved.
pub(crate) fn save_rest(saver: &mut Saver<'_>) -> Result {
    for index in 0..saver.files.len() {
        let file = saver.files.get(index).cloned().ok_or(EINVAL)?;
        let key = sys::file::key(&file);

        if saver.locked.get(&key).is_some() {
            continue;
        }
        for lock in &lock::get(&file, &saver.ns)? {
            if lock.how != lock::POSIX {
                save_one(saver, ObjRef::NONE, key, lock)?;
            }
        }
    }
    Ok(())
}

/// Checks a record; gives the table that the lock is taken with, if there is one.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<FileLock>()?;
    let FileLock {
        table,
        file,
        how,
        write,
        start,
        end,
        pid,
        reserved,
    } = state;
    let is_whole = start == 0 && end == lock::LAST;
    let belongs_to = if table.is_none() && how != lock::POSIX {
        None
    } else {
        Some(Files::KIND)
    };

    if kind_of(table) != belongs_to
        || !kind_of(file).is_some_and(super::is_file)
        || !matches!(how, lock::FLOCK | lock::POSIX | lock::OFD)
        || (how == lock::FLOCK && !is_whole)
        || write > 1
        || start < 0
        || end < start
        || pid < 0
        || reserved != 0
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(table)
}

/// Takes the locks again that belong to the running task's table, which has all its descriptors.
pub(crate) fn restore(restart: &Restart, number: ObjRef, descriptors: &[Fd]) -> Result {
    for record in restart.belonging::<FileLock>(number) {
        let (state, _) = record.parse::<FileLock>()?;

        // It goes when a descriptor of the table is closed.
        if !descriptors.iter().any(|fd| fd.file == state.file) {
            return Err(EINVAL.into());
        }
        restore_one(restart, state)?;
    }
    Ok(())
}

/// Takes the locks again that are taken with no table. All files must have been made.
pub(crate) fn restore_rest(restart: &Restart) -> Result {
    for record in restart.records::<FileLock>() {
        let (state, _) = record.parse::<FileLock>()?;

        if state.table.is_none() {
            restore_one(restart, state)?;
        }
    }
    Ok(())
}

fn restore_one(restart: &Restart, state: FileLock) -> Result {
    let FileLock {
        table: _,
        file,
        how,
        write,
        start,
        end,
        pid,
        reserved: _,
    } = state;
    let lock = lock::FileLock {
        owner: core::ptr::null_mut(),
        start,
        end,
        how,
        write: write != 0,
        pid,
    };

    lock::set(&*restart.file(file)?, &restart.pid_ns()?, &lock).map_err(|errno| {
        let what = match errno {
            EAGAIN => "somebody else has locked the file",
            _ => "cannot lock the file",
        };

        restart.log.error(errno, fmt!("object {}: {what}", file.0))
    })
}
