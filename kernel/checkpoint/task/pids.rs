// SPDX-License-Identifier: GPL-2.0

//! Nested pid namespaces.
//!
//! Kept: the pid namespace of each task and its pids in it and in those around it, up to that of the
//! root of the tree; the pid namespace that its children are going to have (unshare(2)); where each
//! namespace looks for the next pid.
//! Not kept, and refused: tasks that have come into a pid namespace from outside and have lost their
//! parent; namespaces whose init is not in the tree; the pids of leaders of process groups and
//! sessions that have been reaped and were in a nested namespace.
//!
//! A namespace is made again as it was made, together with its init: by clone(2) with CLONE_NEWPID,
//! or by a parent that calls unshare(2) first and whose children are in the new namespace from then
//! on.

use crate::error::Result;
use crate::format::header;
use crate::format::namespace::PidNs as PidNsState;
use crate::format::task::Pids;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image;
use crate::image::RawRecord;
use crate::object::Class;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::ns::Entered;
use crate::sys::ns::PidNs;
use crate::sys::task::pid_in;
use crate::sys::user_ns::UserNs;
use crate::task::user_ns;
use crate::tree::Tree;
use kernel::prelude::*;
use kernel::task::Task;

/// How deep pid namespaces are nested at most (`MAX_PID_NS_LEVEL`).
pub(crate) const LEVELS: u32 = 32;

/// Saves the pid namespaces of a task, unless both are that of the root.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen, number: ObjRef) -> Result {
    let active = PidNs::of(task)?;
    // Who has ended makes no children.
    let children = PidNs::for_children(task).unwrap_or(PidNs::of(task)?);

    if sys::ns::outlives_leader(task, &saver.ns) {
        return Err(saver.refuse(fmt!(
            "is in a process group or a session whose leader has been reaped, and was in a nested \
             pid namespace"
        )));
    }
    if active.is(&saver.ns) && children.is(&saver.ns) {
        return Ok(());
    }
    check_birth(saver, task, &active)?;
    if !children.is(&active) {
        check_children(saver, task, &active, &children)?;
    }
    let ns = save_ns(saver, &active)?;
    let children = save_ns(saver, &children)?;
    let mut numbers = KVVec::new();
    let mut level = active;

    while !level.is(&saver.ns) {
        numbers.push(pid_in(task, &level), GFP_KERNEL)?;
        level = level.parent().ok_or(EINVAL)?;
    }
    saver.out.record(
        &Pids {
            task: number,
            ns,
            children,
            count: u32::try_from(numbers.len()).map_err(|_| EINVAL)?,
        },
        &[numbers.as_slice().as_bytes()],
    )
}

/// Refuses a task that its parent could not make where it is.
fn check_birth(saver: &Saver<'_>, task: &Frozen, active: &PidNs) -> Result {
    if active.is(&saver.ns) || task.pid() != task.tgid() {
        return Ok(());
    }
    let parent = sys::task::Tasklist::read().real_parent(task).ok_or(ESRCH)?;
    let (around, next) = (PidNs::of(&parent)?, PidNs::for_children(&parent)?);
    let is_init = pid_in(task, active) == 1;
    let made = active.parent().is_some_and(|outer| outer.is(&around));

    if around.is(active) || next.is(active) || (is_init && made) {
        return Ok(());
    }
    Err(saver.refuse(fmt!(
        "is in another pid namespace than its parent, which has not made it there (setns(2))"
    )))
}

/// Refuses what unshare(2) of the task would not give it.
fn check_children(
    saver: &mut Saver<'_>,
    task: &Frozen,
    active: &PidNs,
    children: &PidNs,
) -> Result {
    let init = sys::task::find_in(1, children);
    let is_mine = match &init {
        Some(init) => sys::task::Tasklist::read()
            .real_parent(init)
            .is_some_and(|parent| parent.as_ptr() == task.as_ptr()),
        None => children.is_new(),
    };

    if saver.mode == header::MODE_SELF
        || !is_mine
        || !children.parent().is_some_and(|outer| outer.is(active))
        || saver
            .objects
            .refer(Class::PidNsForChildren, children.key())
            .is_some()
    {
        return Err(saver.refuse(fmt!(
            "has another pid namespace for its children, which it has not made, or whose init has \
             been reaped"
        )));
    }
    // The number is nobody's: it only says that there is one.
    saver
        .objects
        .insert(Class::PidNsForChildren, children.key(), ObjRef::NONE)
}

/// Saves a namespace, those around it first. None stands for that of the root.
fn save_ns(saver: &mut Saver<'_>, ns: &PidNs) -> Result<ObjRef> {
    let mut missing = KVec::new();
    let mut known = ObjRef::NONE;
    let mut level = ns.clone();

    while !level.is(&saver.ns) {
        if let Some(number) = saver.objects.refer(Class::PidNs, level.key()) {
            known = number;
            break;
        }
        let outer = level.parent().ok_or_else(|| {
            saver.refuse(fmt!(
                "is in a pid namespace that is not below that of the root of the tree"
            ))
        })?;

        missing.push(level, GFP_KERNEL)?;
        level = outer;
    }
    while let Some(level) = missing.pop() {
        let init = sys::task::find_in(1, &level);

        if !init.map_or(level.is_new(), |init| saver.tree.has(&init)) {
            return Err(saver.refuse(fmt!("is in a pid namespace whose init is not in the tree")));
        }
        let user_ns = user_ns::save(saver, UserNs::of_pids(&level)?)?;

        known = saver.out.object(
            &PidNsState {
                last_pid: level.last_pid(),
                parent: known,
                user_ns,
                reserved: 0,
            },
            &[],
        )?;
        saver.objects.insert(Class::PidNs, level.key(), known)?;
    }
    Ok(known)
}

/// Refuses SysV objects that remember pids which nested namespaces see otherwise.
pub(super) fn check_sysv(saver: &Saver<'_>, tree: &Tree) -> Result {
    let has_objects = saver.ipc.as_ref().is_some_and(|ipc| ipc.has_objects());

    for member in tree.tasks() {
        if has_objects && !PidNs::of(&member.task())?.is(&saver.ns) {
            return Err(saver.refuse(fmt!(
                "the tree has nested pid namespaces and SysV objects, which is not supported"
            )));
        }
    }
    Ok(())
}

/// Checks the record. Gives the task.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<Pids>()?;
    let numbers = image::all::<i32>(tail, state.count)?;
    let is_ns = |object: ObjRef| object.is_none() || kind_of(object) == Some(PidNsState::KIND);

    if !is_ns(state.ns)
        || !is_ns(state.children)
        || (state.ns.is_none() && state.children.is_none())
        || state.ns.is_none() != numbers.is_empty()
        || state.count > LEVELS
        || numbers.iter().any(|&number| number <= 0)
    {
        return Err(EINVAL.into());
    }
    Ok(state.task)
}

/// In which pid namespaces a task is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place {
    /// The namespace; none is that of the root.
    pub(crate) ns: ObjRef,
    /// The one of its children.
    pub(crate) children: ObjRef,
    /// How deep the namespace is below that of the root.
    pub(crate) levels: u32,
    /// Its pid there; 0 in that of the root.
    pub(crate) number: i32,
}

impl Place {
    /// Takes the record of a task apart, if it has one.
    pub(crate) fn of(record: Option<RawRecord<'_>>) -> Result<Self> {
        let Some(record) = record else {
            return Ok(Self::default());
        };
        let (state, tail) = record.parse::<Pids>()?;
        let Pids {
            task: _,
            ns,
            children,
            count,
        } = state;
        let numbers = image::all::<i32>(tail, count)?;

        Ok(Self {
            ns,
            children,
            levels: count,
            number: numbers.first().copied().unwrap_or(0),
        })
    }

    fn get(restart: &Restart, number: ObjRef) -> Result<Self> {
        Self::of(restart.belonging::<Pids>(number).next())
    }

    /// Whether a child that is there is in the namespace that its parent has made for children.
    pub(crate) fn is_for_children(&self, child: &Place) -> bool {
        self.children != self.ns && child.ns == self.children
    }

    /// Whether a task that is there is made together with its namespace.
    fn is_init_of_clone(&self, parent: &Place) -> bool {
        self.ns != parent.ns && !parent.is_for_children(self)
    }
}

/// Whether the image is of more than the pid namespace of its root.
pub(crate) fn has_any(restart: &Restart) -> bool {
    restart.records::<Pids>().next().is_some()
}

/// The pids of a task, from the innermost pid namespace outwards to that of the root.
pub(crate) fn numbers(restart: &Restart, number: ObjRef, tid: i32) -> Result<KVVec<i32>> {
    let mut numbers = match restart.belonging::<Pids>(number).next() {
        Some(record) => {
            let (state, tail) = record.parse::<Pids>()?;

            image::all::<i32>(tail, state.count)?
        }
        None => KVVec::new(),
    };

    numbers.push(tid, GFP_KERNEL)?;
    Ok(numbers)
}

/// Makes the pid namespace that a child of the running task is made with, if there is one. The
/// running task has it for its children for as long as it takes to make that.
pub(crate) fn make(restart: &Restart, parent: ObjRef, child: ObjRef) -> Result<Option<Entered>> {
    let (parent, place) = (Place::get(restart, parent)?, Place::get(restart, child)?);

    if !place.is_init_of_clone(&parent) {
        return Ok(None);
    }
    make_ns(restart, child, place.ns).map(Some)
}

/// Makes a pid namespace for the children of the running task.
fn make_ns(restart: &Restart, number: ObjRef, ns: ObjRef) -> Result<Entered> {
    let (state, _) = restart.record::<PidNsState>(ns)?;
    let owner = restart.user_ns(state.user_ns)?;

    Entered::new(sys::clone::NEWPID, owner.as_deref()).map_err(|errno| {
        restart.log.error(
            errno,
            fmt!(
                "object {}: you may not make pid namespaces (CAP_SYS_ADMIN)",
                number.0
            ),
        )
    })
}

/// Whether a child is in the namespace that its parent has made for children.
pub(crate) fn is_later(restart: &Restart, parent: ObjRef, child: ObjRef) -> Result<bool> {
    Ok(Place::get(restart, parent)?.is_for_children(&Place::get(restart, child)?))
}

/// Makes the namespace of the children of the running task, if it had made one.
pub(crate) fn unshare(restart: &Restart, number: ObjRef) -> Result {
    let place = Place::get(restart, number)?;

    if place.children == place.ns {
        return Ok(());
    }
    make_ns(restart, number, place.children)?.stay();
    Ok(())
}

/// Sets from where on the nested namespaces look for a new pid, once all tasks have theirs.
pub(crate) fn restore_last_pids(restart: &Restart) -> Result {
    for task in restart.tasks() {
        let (task, number) = task?;
        let place = Place::get(restart, number)?;

        if place.number != 1 {
            continue;
        }
        let (state, _) = restart.record::<PidNsState>(place.ns)?;
        let PidNsState {
            last_pid,
            parent: _,
            user_ns: _,
            reserved: _,
        } = state;

        PidNs::of(&task)?.set_last_pid(last_pid);
    }
    Ok(())
}

/// The number that the running task has for another one; 0 if it cannot see it.
pub(crate) fn seen_here(task: &Task) -> Result<i32> {
    Ok(pid_in(task, &PidNs::current()?))
}
