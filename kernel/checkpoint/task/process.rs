// SPDX-License-Identifier: GPL-2.0

//! What the threads of a process share (`struct signal_struct`).
//!
//! Kept: pids, parent, session and process group, exit signal, resource limits, oom_score_adj,
//! child subreaper, the controlling terminal; that it is stopped by a signal, and what of that and
//! of SIGCONT its parent can wait for; who may trace it (PR_SET_PTRACER).

use crate::error::Result;
use crate::format::file::Pty;
use crate::format::task as format;
use crate::format::ObjRef;
use crate::format::Record;
use crate::fs::tty;
use crate::image::RawRecord;
use crate::object::Class;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::ns::PidNs;
use crate::tree::Tree;
use kernel::prelude::*;
use kernel::task::Task;

/// Saves the process of a task.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen, tree: &Tree) -> Result<ObjRef> {
    if let Some(number) = saver.objects.refer(Class::Process, task.process_key()) {
        return Ok(number);
    }
    let process = task.process();
    let (pgid, sid) = group_and_session(saver, task, tree);
    let mut flags = 0;

    // The terminal of a session outside of the tree is that of whoever restarts.
    let tty = if sid == 0 {
        ObjRef::NONE
    } else {
        tty::save_ctty(saver, task)?
    };

    let (autogroup, autogroup_nice) = autogroup(saver, task, tree)?;

    if process.stop.stopping {
        return Err(saver.refuse(fmt!(
            "is to be stopped or continued by a signal, and a thread of it still waits in vfork(2), or \
             for its tracer"
        )));
    }
    if process.stop.stopped && !sys::task::is_stop_signal(process.stop.signal.cast_signed()) {
        return Err(saver.refuse(fmt!("is stopped, and its tracer lets it run")));
    }
    if process.stop.stopped {
        flags |= format::PROCESS_STOPPED;
    }
    if process.stop.continued {
        flags |= format::PROCESS_CONTINUED;
    }
    if process.subreaper {
        flags |= format::PROCESS_SUBREAPER;
    }
    if process.execed {
        flags |= format::PROCESS_EXECED;
    }
    let state = format::Process {
        tgid: sys::task::tgid_in(task, &saver.ns),
        pgid,
        sid,
        parent: parent(saver, task, tree),
        exit_signal: process.exit_signal,
        flags,
        stop_signal: i32::try_from(process.stop.signal).map_err(|_| EINVAL)?,
        oom_score_adj: process.oom_score_adj,
        oom_score_adj_min: process.oom_score_adj_min,
        tty,
        stop_code: process.stop.code,
        rlimits: process.rlimits,
        autogroup,
        autogroup_nice,
        ptracer: ptracer(saver, task, tree)?,
        reserved2: 0,
    };
    let number = saver.out.object(&state, &[])?;

    saver
        .objects
        .insert(Class::Process, task.process_key(), number)?;
    Ok(number)
}

/// The first process that has the same autogroup, and the nice value of that. 0 is for the one
/// that the tree has from outside.
fn autogroup(saver: &mut Saver<'_>, task: &Frozen, tree: &Tree) -> Result<(i32, i32)> {
    let (key, nice) = sys::process::autogroup(task);
    let root = tree.tasks().first().ok_or(ESRCH)?.task();
    let outside = sys::task::Tasklist::read().real_parent(&root);

    if key == 0 || outside.is_some_and(|task| sys::process::autogroup(&task).0 == key) {
        return Ok((0, 0));
    }
    if let Some(first) = saver.autogroups.get(&key) {
        return Ok((*first, nice));
    }
    let first = sys::task::tgid_in(task, &saver.ns);

    saver
        .autogroups
        .try_create_and_insert(key, first, GFP_KERNEL)?;
    Ok((first, nice))
}

/// The task that may trace the process (PR_SET_PTRACER): -1 for any, 0 for none.
fn ptracer(saver: &Saver<'_>, task: &Frozen, tree: &Tree) -> Result<i32> {
    let key = match sys::ptrace::ptracer(task) {
        None => return Ok(0),
        Some(0) => return Ok(-1),
        Some(key) => key,
    };
    let inside = tree
        .tasks()
        .iter()
        .map(|member| member.task())
        .find(|task| task.as_ptr() as usize == key);

    match inside {
        Some(tracer) => Ok(sys::task::pid_in(&tracer, &saver.ns)),
        None => Err(saver.refuse(fmt!(
            "lets a process outside of the tree trace it (PR_SET_PTRACER)"
        ))),
    }
}

/// The thread of the tree that is the parent; 0 for the root.
fn parent(saver: &Saver<'_>, task: &Frozen, tree: &Tree) -> i32 {
    let parent = sys::task::Tasklist::read().real_parent(task);

    parent
        .filter(|parent| tree.has(parent))
        .map_or(0, |parent| sys::task::pid_in(&parent, &saver.ns))
}

/// The process group and the session; 0 for one that belongs to a process outside of the tree,
/// which stays that of whoever restarts.
fn group_and_session(saver: &Saver<'_>, task: &Frozen, tree: &Tree) -> (i32, i32) {
    let inside = |nr: i32| {
        let leader = sys::task::find_in(nr, &saver.ns);

        if leader.is_some_and(|leader| !tree.has(&leader)) {
            0
        } else {
            nr
        }
    };
    let (group, session) = sys::task::pgrp_and_session_in(task, &saver.ns);

    (inside(group), inside(session))
}

/// Checks the record.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<format::Process> {
    let (state, tail) = record.parse::<format::Process>()?;
    let known = format::PROCESS_SUBREAPER
        | format::PROCESS_EXECED
        | format::PROCESS_STOPPED
        | format::PROCESS_CONTINUED;
    let stopped = state.flags & format::PROCESS_STOPPED != 0;
    let continued = state.flags & format::PROCESS_CONTINUED != 0;

    if state.flags & !known != 0
        || state.tgid <= 0
        || state.pgid < 0
        || state.sid < 0
        || state.parent < 0
        || !(0..=sys::signal::SIGNALS as i32).contains(&state.exit_signal)
        || (stopped && continued)
        || (stopped && !sys::task::is_stop_signal(state.stop_signal))
        || (!stopped && (state.stop_signal != 0 || state.stop_code != 0))
        || state.stop_code > sys::signal::SIGNALS as u32
        || !(state.tty.is_none() || kind_of(state.tty) == Some(Pty::KIND))
        || state.autogroup < 0
        || !(-20..=19).contains(&state.autogroup_nice)
        || state.ptracer < -1
        || state.reserved2 != 0
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(state)
}

/// Sets what the running process has; called by its leader. Pids, parent and exit signal are set
/// by whoever makes the process.
pub(crate) fn restore(restart: &Restart, number: ObjRef) -> Result {
    let (state, _) = restart.record::<format::Process>(number)?;
    let format::Process {
        tgid: _,
        pgid: _,
        sid,
        parent: _,
        exit_signal: _,
        flags: _,
        stop_signal: _,
        oom_score_adj,
        oom_score_adj_min,
        tty,
        stop_code: _,
        rlimits: _,
        autogroup,
        // For `prepare`.
        autogroup_nice: _,
        ptracer,
        reserved2: _,
    } = state;

    if !restart.is_caller() {
        tty::restore_ctty(restart, tty, sid)?;
        if autogroup != 0 {
            let first = restart.task_of(autogroup)?;

            sys::process::share_autogroup(&first);
        }
    }
    sys::process::set_oom_score_adj(oom_score_adj, oom_score_adj_min)?;
    set_ptracer(restart, number, ptracer)
}

/// Sets who may trace the running process, a task of the tree. By now all of them are there.
fn set_ptracer(restart: &Restart, number: ObjRef, tracer: i32) -> Result {
    let tracer = if tracer > 0 {
        let ns = PidNs::current()?;

        sys::task::pid_in(&*restart.task_of(tracer)?, &ns)
    } else {
        tracer
    };

    match sys::ptrace::set_ptracer(tracer) {
        Err(errno) if tracer != 0 || errno != ENOSYS => Err(restart.log.error(
            errno,
            fmt!("object {}: its tracer (PR_SET_PTRACER)", number.0),
        )),
        _ => Ok(()),
    }
}

/// Sets what the children of the running process get to know of it when they are made.
pub(crate) fn prepare(restart: &Restart, number: ObjRef) -> Result {
    let (state, _) = restart.record::<format::Process>(number)?;

    sys::process::set_flags(
        state.flags & format::PROCESS_SUBREAPER != 0,
        state.flags & format::PROCESS_EXECED != 0,
    );
    if state.autogroup == state.tgid && !restart.is_caller() {
        sys::process::make_autogroup(state.autogroup_nice).map_err(|errno| {
            restart.log.error(
                errno,
                fmt!(
                    "object {}: nice value {} of an autogroup",
                    number.0,
                    state.autogroup_nice
                ),
            )
        })?;
    }
    Ok(())
}

/// Whether a process is stopped: to be set when nothing can fail any more, before any task runs.
pub(crate) fn stop(state: &format::Process) -> sys::task::Stop {
    sys::task::Stop {
        stopping: false,
        stopped: state.flags & format::PROCESS_STOPPED != 0,
        continued: state.flags & format::PROCESS_CONTINUED != 0,
        signal: state.stop_signal.unsigned_abs(),
        code: state.stop_code,
    }
}

/// Sets the resource limits of a process; called by the coordinator, with the caller's rights.
pub(crate) fn set_limits(restart: &Restart, task: &Task, number: ObjRef) -> Result {
    let (state, _) = restart.record::<format::Process>(number)?;

    for (resource, limit) in state.rlimits.into_iter().enumerate() {
        sys::process::set_rlimit(task, resource, limit).map_err(|errno| {
            restart.log.error(
                errno,
                fmt!("object {}: resource limit {resource}", number.0),
            )
        })?;
    }
    Ok(())
}
