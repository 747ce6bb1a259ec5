// SPDX-License-Identifier: GPL-2.0

//! Descriptors of tasks: pidfd_open(2), clone(2) with CLONE_PIDFD.
//!
//! Kept: the task, alive, a zombie or reaped, with what PIDFD_GET_INFO tells of one that is gone;
//! PIDFD_THREAD and the other flags; which descriptors are of the same task.
//! Not kept, and refused: tasks that are not in the tree, CLONE_PIDFD_AUTOKILL, extended
//! attributes. The number of the inode is another one after a restart.
//!
//! C source: `fs/pidfs.c`

use super::FileKind;
use crate::error::Result;
use crate::format::file as format;
use crate::format::file::PidFile;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::object::Class;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::pidfd::Of;
use crate::sys::pidfd::PidFd;
use crate::sys::pidfd::State;
use kernel::fs::file::flags;
use kernel::prelude::*;

/// The row of the table of kinds.
pub(crate) const KIND: FileKind = FileKind {
    name: "a pidfd",
    record: PidFile::KIND,
    is: is_pidfd,
    save,
    restore,
};

fn is_pidfd(file: &FileRef) -> bool {
    PidFd::new(file).is_some()
}

fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let pidfd = PidFd::new(file).ok_or(EINVAL)?;
    // Reaped tasks do not come back, so that this order of looks gives one of the two.
    let task = pidfd.task();
    let info = pidfd.state();
    let is_thread = sys::file::status(file).flags & sys::pidfd::THREAD != 0;
    let flag = |set, flag| if set { flag } else { 0 };
    let exited = task.is_none();
    let mut same = ObjRef::NONE;
    let pid = match task {
        Some(task) if !saver.tree.has(&task) => {
            return Err(saver.refuse(fmt!(
                "has a pidfd of a task that is not in the tree (pid {})",
                task.pid()
            )));
        }
        Some(task) => sys::task::pid_in(&task, &saver.ns),
        None => {
            same = saver
                .objects
                .find(Class::Pid, pidfd.key())
                .unwrap_or(ObjRef::NONE);
            group(saver, pidfd)?
        }
    };

    if info.has_xattrs {
        return Err(saver.refuse(fmt!("has a pidfd with extended attributes")));
    }
    let state = PidFile {
        open: super::save_open_but(saver, file, sys::pidfd::THREAD)?,
        pid,
        flags: flag(is_thread, format::PID_THREAD)
            | flag(exited, format::PID_EXITED)
            | flag(info.dumped, format::PID_DUMPED),
        same,
        exit_code: if exited { info.exit_code } else { 0 },
        coredump: [info.coredump_mask, info.coredump_signal, info.coredump_code],
        reserved: 0,
    };
    let number = saver.out.object(&state, &[])?;

    if exited && same.is_none() {
        saver.objects.insert(Class::Pid, pidfd.key(), number)?;
    }
    Ok(number)
}

/// The number of the process group or session whose leader has been reaped, if the tree has it;
/// otherwise 0.
fn group(saver: &Saver<'_>, pidfd: PidFd<'_>) -> Result<i32> {
    if !pidfd.names_group() {
        return Ok(0);
    }
    let number = pidfd.number_in(&saver.ns);
    let is_ours = number != 0
        && saver.tree.tasks().iter().any(|member| {
            let (group, session) = sys::task::pgrp_and_session_in(&member.task(), &saver.ns);

            group == number || session == number
        });

    if is_ours {
        return Ok(number);
    }
    Err(saver.refuse(fmt!(
        "has a pidfd of the dead leader of a process group that is not in the tree"
    )))
}

/// Checks a record before anything is made of it.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result {
    let (state, tail) = record.parse::<PidFile>()?;
    let known = format::PID_THREAD | format::PID_EXITED | format::PID_DUMPED;
    let has = |flag| state.flags & flag != 0;

    if super::open_flags(&state.open)? & flags::O_ACCMODE != flags::O_RDWR
        || state.open.pos != 0
        || state.flags & !known != 0
        || state.pid < 0
        || (state.pid == 0 && !has(format::PID_EXITED))
        || !(state.same.is_none() || kind_of(state.same) == Some(PidFile::KIND))
        || (!state.same.is_none() && !has(format::PID_EXITED))
        || (!has(format::PID_EXITED) && state.exit_code != 0)
        || (!has(format::PID_DUMPED) && state.coredump != [0; 3])
        || state.reserved != 0
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (state, _) = restart.record::<PidFile>(number)?;
    let PidFile {
        open,
        pid,
        flags,
        same,
        exit_code,
        coredump: [coredump_mask, coredump_signal, coredump_code],
        reserved: _,
    } = state;
    let other = if same.is_none() {
        None
    } else {
        Some(restart.file(same)?)
    };
    let ns = restart.pid_ns()?;
    let of = match &other {
        Some(other) => Of::Same(PidFd::new(other).ok_or(EINVAL)?),
        None if pid == 0 => Of::Nobody,
        // Nothing outside of the tree.
        None if restart.has_pid(pid) => Of::Number(pid, &ns),
        None => return Err(EINVAL.into()),
    };
    let thread = if flags & format::PID_THREAD != 0 {
        sys::pidfd::THREAD
    } else {
        0
    };
    let file = sys::pidfd::open(of, super::open_flags(&open)? | thread)?;
    let pidfd = PidFd::new(&file).ok_or(EINVAL)?;

    // A task that lives has not been reaped, whatever the image says.
    if (flags & format::PID_EXITED != 0) != pidfd.task().is_none() {
        return Err(EINVAL.into());
    }
    pidfd.set_state(&State {
        has_xattrs: false,
        exited: flags & format::PID_EXITED != 0,
        dumped: flags & format::PID_DUMPED != 0,
        exit_code,
        coredump_mask,
        coredump_signal,
        coredump_code,
    });
    Ok(file)
}
