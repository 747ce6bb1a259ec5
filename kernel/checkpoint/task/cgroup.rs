// SPDX-License-Identifier: GPL-2.0

//! The cgroups (version 2) of tasks.
//!
//! Kept: where the cgroup of each task is, as seen from that of the root of the tree, also of
//! threads and of tasks that have ended. The root is in the cgroup of whoever restarts, and the
//! others come into those that are at the same places as seen from there. They must exist, and the
//! restarter must be allowed to write to their cgroup.procs.
//! Not kept: the cgroups themselves, and their settings; those of version 1.

use crate::error::Result;
use crate::format::task as format;
use crate::format::task::Cgroup;
use crate::format::ObjRef;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::file::PATH_MAX;
use crate::sys::freeze::Frozen;
use crate::sys::task::TaskRef;
use kernel::prelude::*;
use kernel::str::BStr;
use kernel::str::CString;

/// Saves where the cgroup of a task is, unless it is that of the root.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen, number: ObjRef) -> Result {
    let root = saver.tree.tasks().first().ok_or(ESRCH)?.task();
    let way = sys::cgroup::way(&root, task).map_err(|errno| {
        if errno == ENOENT {
            return saver.refuse(fmt!("has ended in a cgroup that has been removed"));
        }
        saver
            .log
            .error(errno, fmt!("pid {}: the path of its cgroup", task.pid()))
    })?;
    let mut path = way.as_slice();
    let mut up = 0u32;

    // A cgroup cannot be called "..".
    while let Some(rest) = path.strip_prefix(b"/..") {
        if !rest.is_empty() && !rest.starts_with(b"/") {
            break;
        }
        path = rest;
        up = up.saturating_add(1);
    }
    let path = path.strip_prefix(b"/").unwrap_or(path);

    if up == 0 && path.is_empty() {
        return Ok(());
    }
    saver.out.record(
        &Cgroup {
            task: number,
            up,
            len: u32::try_from(path.len()).map_err(|_| EINVAL)?,
            reserved: 0,
        },
        &[path],
    )
}

/// Checks the record. Gives the task.
pub(crate) fn check(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, path) = record.parse::<Cgroup>()?;
    let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);

    if state.len as usize != path.len()
        || path.len() >= PATH_MAX
        || state.up as usize >= PATH_MAX
        || (state.up == 0 && path.is_empty())
        || !(path.is_empty() || path.split(|&byte| byte == b'/').all(is_name))
        || state.reserved != 0
    {
        return Err(EINVAL.into());
    }
    Ok(state.task)
}

/// Where a cgroup is, as seen from that of the root.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Place<'a> {
    up: u32,
    path: &'a [u8],
}

impl<'a> Place<'a> {
    fn of(restart: &'a Restart, number: ObjRef) -> Result<Self> {
        let Some(record) = restart.belonging::<Cgroup>(number).next() else {
            return Ok(Self::default());
        };
        let (state, path) = record.parse::<Cgroup>()?;
        let Cgroup {
            task: _,
            up,
            len: _,
            reserved: _,
        } = state;

        Ok(Self { up, path })
    }

    /// Opens what moves tasks there.
    fn open(&self, threads: bool) -> core::result::Result<FileRef, Error> {
        let path = CString::try_from_fmt(fmt!("{}", BStr::from_bytes(self.path)))?;

        sys::cgroup::open(self.up, &path, threads)
    }
}

/// The place that tasks were moved to last: many have the same.
#[derive(Default)]
struct Last<'a>(Option<(Place<'a>, bool, FileRef)>);

impl<'a> Last<'a> {
    /// Moves a task to a place, alone or with its process.
    fn move_task(
        &mut self,
        place: Place<'a>,
        alone: bool,
        task: &TaskRef,
    ) -> core::result::Result<(), Error> {
        let file = match self.0.take() {
            Some((last, threads, file)) if last == place && threads == alone => file,
            _ => place.open(alone)?,
        };

        sys::cgroup::move_to(&file, task)?;
        self.0 = Some((place, alone, file));
        Ok(())
    }
}

/// Moves all tasks to their cgroups; called by the coordinator, with the caller's rights, before
/// they have memory that would be charged to another one.
pub(crate) fn restore(restart: &Restart) -> Result {
    let mut last = Last::default();
    let mut of_process = Place::default();

    for task in restart.tasks() {
        let (task, number) = task?;
        let (state, _) = restart.record::<format::Task>(number)?;
        let (process, _) = restart.record::<format::Process>(state.process)?;
        let place = Place::of(restart, number)?;
        let is_leader = state.tid == process.tgid;
        // A process has been made where the root is, and takes its threads along.
        let has = if is_leader {
            Place::default()
        } else {
            of_process
        };

        if is_leader {
            of_process = place;
        }
        if place == has {
            continue;
        }
        last.move_task(place, !is_leader, &task)
            .map_err(|errno| explain(restart, errno, state.tid, place))?;
    }
    Ok(())
}

fn explain(restart: &Restart, errno: Error, tid: i32, place: Place<'_>) -> crate::error::Error {
    let why = if errno == ENOENT {
        "there is none that you can see"
    } else if errno == EACCES || errno == EPERM || errno == EROFS {
        "you may not move a task there"
    } else if errno == EBUSY {
        "it is frozen, or it may have no tasks since its children have"
    } else {
        "no task can be moved there"
    };

    restart.log.error(
        errno,
        fmt!(
            "pid {tid}: cgroup \"{}\", {} levels above that of the restarter: {why}",
            BStr::from_bytes(place.path),
            place.up
        ),
    )
}
