// SPDX-License-Identifier: GPL-2.0

//! Tables of descriptors, and where paths start.
//!
//! Kept: which descriptors there are, their close-on-exec flags, which tasks share a table; umask,
//! working directory and root, and which tasks share them.
//!
//! C headers: [`include/linux/fdtable.h`](srctree/include/linux/fdtable.h),
//! [`include/linux/fs_struct.h`](srctree/include/linux/fs_struct.h)

use super::path::path_name;
use crate::error::Result;
use crate::format::file::Fd;
use crate::format::file::Files;
use crate::format::file::Fs;
use crate::format::ObjRef;
use crate::image;
use crate::image::RawRecord;
use crate::object::Class;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::Path;
use crate::sys::freeze::Frozen;
use kernel::bindings;
use kernel::prelude::*;

/// Saves the table of a task, and all files in it.
pub(crate) fn save_files(saver: &mut Saver<'_>, task: &Frozen) -> Result<ObjRef> {
    let files = sys::fdtable::Files::of(task)?;

    if let Some(number) = saver.objects.refer(Class::Files, files.key()) {
        return Ok(number);
    }
    let mut fds = KVVec::new();

    let descriptors = files.descriptors()?;

    for descriptor in &descriptors {
        fds.push(
            Fd {
                fd: descriptor.fd,
                cloexec: u32::from(descriptor.cloexec),
                file: super::save(saver, &descriptor.file)?,
                reserved: 0,
            },
            GFP_KERNEL,
        )?;
    }
    let state = Files {
        count: u32::try_from(fds.len()).map_err(|_| E2BIG)?,
        reserved: 0,
    };
    let number = saver.out.object(&state, &[fds.as_slice().as_bytes()])?;

    saver.objects.insert(Class::Files, files.key(), number)?;
    super::lock::save(saver, (&files, number), &descriptors)?;
    saver.tables.push(files, GFP_KERNEL)?;
    Ok(number)
}

/// Saves working directory, root and umask of a task.
pub(crate) fn save_fs(saver: &mut Saver<'_>, task: &Frozen) -> Result<ObjRef> {
    let info = sys::fs_struct::info(task)?;

    if let Some(number) = saver.objects.refer(Class::Fs, info.key) {
        return Ok(number);
    }
    let cwd = saver.path_name(&info.cwd)?;
    let root = saver.path_name(&info.root)?;
    let state = Fs {
        umask: info.umask,
        cwd: u32::try_from(cwd.to_bytes().len()).map_err(|_| EINVAL)?,
        root: u32::try_from(root.to_bytes().len()).map_err(|_| EINVAL)?,
        reserved: 0,
    };
    let number = saver
        .out
        .object(&state, &[cwd.to_bytes(), root.to_bytes()])?;

    saver.objects.insert(Class::Fs, info.key, number)?;
    saver.directories.push((info.key, info.users), GFP_KERNEL)?;
    Ok(number)
}

/// Checks the record of a table.
pub(crate) fn check_files(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result {
    let (state, tail) = record.parse::<Files>()?;
    let mut free = 0;

    if state.reserved != 0 {
        return Err(EINVAL.into());
    }
    for fd in &image::all::<Fd>(tail, state.count)? {
        if fd.fd < free
            || fd.cloexec > 1
            || fd.reserved != 0
            || !kind_of(fd.file).is_some_and(super::is_file)
        {
            return Err(EINVAL.into());
        }
        free = fd.fd.checked_add(1).ok_or(EINVAL)?;
    }
    Ok(())
}

/// Checks the record of working directory and root.
pub(crate) fn check_fs(record: &RawRecord<'_>) -> Result {
    let (state, tail) = record.parse::<Fs>()?;
    let (cwd, root) = tail.split_at_checked(state.cwd as usize).ok_or(EINVAL)?;

    if state.reserved != 0 || state.umask & !0o777 != 0 || root.len() != state.root as usize {
        return Err(EINVAL.into());
    }
    path_name(cwd)?;
    path_name(root)?;
    Ok(())
}

/// Fills the running task's table, which has no descriptors yet.
pub(crate) fn restore_files(restart: &Restart, number: ObjRef) -> Result {
    let (state, tail) = restart.record::<Files>(number)?;
    let Files { count, reserved: _ } = state;

    // The highest comes first, so that the table grows at most once: it waits for a grace period
    // of RCU whenever it does.
    let descriptors = image::all::<Fd>(tail, count)?;

    for fd in descriptors.iter().rev() {
        let file = restart.file(fd.file)?;

        // What makes a file may pass through a descriptor of this table: it is done by now, and
        // has left the table as it was.
        sys::fdtable::install(fd.fd, &file, fd.cloexec != 0).map_err(|errno| {
            restart
                .log
                .error(errno, fmt!("object {}: descriptor {}", number.0, fd.fd))
        })?;
    }
    super::lock::restore(restart, number, &descriptors)
}

/// Sets working directory, root and umask of the running task.
pub(crate) fn restore_fs(restart: &Restart, number: ObjRef) -> Result {
    let (state, tail) = restart.record::<Fs>(number)?;
    let Fs {
        umask,
        cwd,
        root: _,
        reserved: _,
    } = state;
    let (cwd, root) = tail.split_at_checked(cwd as usize).ok_or(EINVAL)?;
    let directory = |name: &[u8]| -> Result<Path> {
        let name = path_name(name)?;
        let flags = bindings::O_DIRECTORY | bindings::O_PATH;
        let file = restart.root().open(&name, flags).map_err(|errno| {
            restart
                .log
                .error(errno, fmt!("{}: cannot go there", &*name))
        })?;

        Ok(Path::of(&file))
    };
    let outer = restart.root();
    let cwd = directory(cwd)?;
    let root = directory(root)?;

    if !root.is(outer) && !sys::cred::capable(bindings::CAP_SYS_CHROOT) {
        return Err(restart.log.error(
            EPERM,
            fmt!("object {}: you may not change the root directory", number.0),
        ));
    }
    sys::fs_struct::set(&root, &cwd, umask);
    Ok(())
}
