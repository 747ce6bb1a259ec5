// SPDX-License-Identifier: GPL-2.0

//! What is to be undone of semaphores when tasks end (SEM_UNDO), and who shares it
//! (CLONE_SYSVSEM).
//!
//! Kept: which tasks have the same list of adjustments, also an empty one, which shows when one of
//! them adds to it; the adjustments of sets in the IPC namespace of a container, in their order.
//! Not kept, and refused: lists that somebody outside of the tree has too; adjustments of sets
//! that are not in the tree.
//!
//! C source: `ipc/sem.c`

use super::ipc;
use crate::error::Result;
use crate::format::namespace::IpcNs;
use crate::format::namespace::SemUndo;
use crate::format::task::Attributes;
use crate::format::task::Task;
use crate::format::task::TASK_ZOMBIE;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image;
use crate::image::RawRecord;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::tree::Member;
use crate::tree::Tree;
use kernel::prelude::*;

/// The first task that has the list of a task, 0 if it has none; saves the list when it is seen
/// first.
pub(crate) fn save(saver: &mut Saver<'_>, task: &Frozen) -> Result<i32> {
    let Some(list) = ipc::undo_list(task) else {
        return Ok(0);
    };
    let tid = sys::task::pid_in(task, &saver.ns);
    let first = saver.undo_lists.join(list.key, tid)?;

    if first == tid {
        save_list(saver, task, list.key, tid)?;
    }
    Ok(first)
}

fn save_list(saver: &mut Saver<'_>, task: &Frozen, key: usize, tid: i32) -> Result {
    let sets = ipc::undo_sets(task)?;

    if sets.is_empty() {
        return Ok(());
    }
    let Some(saved) = &saver.ipc else {
        return Err(saver.refuse(fmt!(
            "has adjustments of semaphores that are not in the tree (SEM_UNDO)"
        )));
    };

    for id in sets {
        let adjustments = match saved.ns.undo(key, id) {
            // Somebody has removed the set meanwhile.
            Err(EIDRM) => continue,
            adjustments => adjustments?,
        };

        saver.out.record(
            &SemUndo {
                ipc: saved.number,
                tid,
                id,
                count: u32::try_from(adjustments.len()).map_err(|_| E2BIG)?,
            },
            &[adjustments.as_slice().as_bytes()],
        )?;
    }
    Ok(())
}

/// Refuses a list that somebody outside of the tree has too.
pub(crate) fn check_sharing(saver: &mut Saver<'_>, tree: &Tree) -> Result {
    for member in tree.tasks() {
        let Member::Live(task) = member else {
            continue;
        };

        if ipc::undo_list(task).is_some_and(|list| saver.undo_lists.count(list.key) != list.users) {
            saver.set_who(task.task());
            return Err(saver.refuse(fmt!(
                "shares its adjustments of semaphores with a process outside of the tree \
                 (CLONE_SYSVSEM)"
            )));
        }
    }
    Ok(())
}

/// Checks a record; gives the IPC namespace.
pub(super) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<SemUndo>()?;

    image::all::<i16>(tail, state.count)?;
    if kind_of(state.ipc) != Some(IpcNs::KIND) || state.tid <= 0 || state.id < 0 || state.count == 0
    {
        return Err(EINVAL.into());
    }
    Ok(state.ipc)
}

/// Gives all tasks of a restart, which wait, their lists, still empty.
pub(crate) fn share(restart: &Restart) -> Result {
    // The caller gets one when it needs it.
    if restart.is_caller() {
        return Ok(());
    }
    for task in restart.tasks() {
        let (task, number) = task?;
        let (state, _) = restart.record::<Task>(number)?;

        if state.flags & TASK_ZOMBIE != 0 {
            continue;
        }
        let record = restart.belonging::<Attributes>(number).next();
        let first = record.ok_or(EINVAL)?.parse::<Attributes>()?.0.sem_undo;

        if first == state.tid {
            ipc::make_undo_list(&task)?;
        } else if first != 0 {
            ipc::share_undo_list(&task, &*restart.task_of(first)?)?;
        }
    }
    Ok(())
}

/// Adds to the lists of all tasks what they are to undo in a namespace, which has its sets.
pub(super) fn finish(restart: &Restart, ns: &ipc::IpcNs, number: ObjRef) -> Result {
    for record in restart.belonging::<SemUndo>(number) {
        let (state, tail) = record.parse::<SemUndo>()?;
        let adjustments = image::all::<i16>(tail, state.count)?;

        ns.add_undo(&*restart.task_of(state.tid)?, state.id, &adjustments)
            .map_err(|errno| {
                restart.log.error(
                    errno,
                    fmt!(
                        "pid {}: adjustments of semaphore set {}",
                        state.tid,
                        state.id
                    ),
                )
            })?;
    }
    Ok(())
}
