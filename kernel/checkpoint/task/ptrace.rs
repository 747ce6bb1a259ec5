// SPDX-License-Identifier: GPL-2.0

//! Tasks that are traced with ptrace(2) by others of the tree.
//!
//! Kept: who traces whom, the options, whether system calls and instructions are reported; the stop
//! that a task is in with its siginfo and message, what the tracer can wait for, PTRACE_INTERRUPT
//! and PTRACE_LISTEN. What the tracer resumes the task with has the effect that it would have had.
//! Not kept, and refused: tracers outside of the tree, threads that have ended, the stop of a task
//! that ends, PTRACE_SINGLEBLOCK, PTRACE_O_SUSPEND_SECCOMP. Hardware breakpoints, which stay when the
//! tracer goes, are the business of the architecture.
//!
//! A system call that a traced task sleeps in is interrupted to park it, as by a signal: its tracer
//! may see that it is made again.
//!
//! At a restart the coordinator makes the tracers trace, then lets the tasks that were stopped
//! stop, each in its own context, and sets what the stops were before anybody else runs.
//!
//! C functions: `ptrace_attach()`, `ptrace_stop()`

use crate::error::Error;
use crate::error::Result;
use crate::format::task as format;
use crate::format::task::Ptrace;
use crate::format::task::SIGINFO_SIZE;
use crate::format::ObjRef;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::ptrace::State;
use crate::sys::ptrace::Stop;
use crate::sys::ptrace::Traced;
use crate::sys::signal::SigInfo;
use crate::sys::signal::SIGNALS;
use crate::sys::vfork::Vfork;
use crate::tree::Tree;
use kernel::bindings;
use kernel::prelude::*;
use kernel::task::Task;

/// The options that are supported.
const OPTIONS: u32 = bindings::PTRACE_O_MASK & !bindings::PTRACE_O_SUSPEND_SECCOMP;

/// How a task is traced. Refuses what goes beyond the tree.
pub(super) fn get(saver: &Saver<'_>, task: &Frozen, tree: &Tree) -> Result<Option<Traced>> {
    let mut outside = None;

    sys::task::Tasklist::read().tracees(task, |tracee| {
        if !tree.has(&tracee) {
            outside = Some(tracee.pid());
        }
    });
    if let Some(pid) = outside {
        return Err(saver.refuse(fmt!(
            "traces a process with ptrace(2) that is not in the tree (pid {pid})"
        )));
    }
    let Some(traced) = sys::ptrace::get(task) else {
        return Ok(None);
    };

    if !tree.has(&traced.tracer) {
        return Err(saver.refuse(fmt!(
            "is traced with ptrace(2) by a process outside of the tree"
        )));
    }
    if let Some(what) = traced.refused() {
        return Err(saver.refuse(fmt!("{what}")));
    }
    Ok(Some(traced))
}

/// Saves how a task is traced.
pub(super) fn save(saver: &mut Saver<'_>, traced: &Traced, number: ObjRef) -> Result {
    let State {
        refused: _,
        flags,
        options,
        stop,
        stop_signal,
        exit_code,
        child,
        message,
    } = traced.state;
    let state = Ptrace {
        task: number,
        tracer: sys::task::pid_in(&traced.tracer, &saver.ns),
        flags,
        options,
        stop,
        stop_signal,
        exit_code,
        child,
        message,
    };
    let info: &[&[u8]] = if flags & format::PTRACE_SIGINFO != 0 {
        &[&traced.info]
    } else {
        &[]
    };

    saver.out.record(&state, info)
}

/// Checks the record.
pub(crate) fn check(record: &RawRecord<'_>) -> Result<Ptrace> {
    let (state, tail) = record.parse::<Ptrace>()?;
    let has = |flag| state.flags & flag != 0;
    let known = (format::PTRACE_LISTENS << 1).wrapping_sub(1);
    let stopped = state.stop != format::STOP_NONE;
    let size = if has(format::PTRACE_SIGINFO) {
        SIGINFO_SIZE
    } else {
        0
    };

    if state.flags & !known != 0
        || state.options & !OPTIONS != 0
        || state.tracer <= 0
        || state.stop > format::STOP_SECCOMP
        || state.stop_signal > SIGNALS as u32
        || state.exit_code > 0xffff
        || (state.child > 0) != matches!(state.stop, format::STOP_CLONE | format::STOP_VFORK)
        || state.child < 0
        || tail.len() != size
        || (!stopped && (state.exit_code != 0 || state.message != 0))
        // Only a group stop comes without a siginfo, and only at a trap can the tracer listen.
        || (has(format::PTRACE_SIGINFO) != stopped && state.stop != format::STOP_TRAP)
        || (has(format::PTRACE_LISTENS)
            && (state.stop != format::STOP_TRAP || !has(format::PTRACE_SEIZED)))
        || (has(format::PTRACE_NOTIFIES) && !has(format::PTRACE_SEIZED))
        || (has(format::PTRACE_INTERRUPTED)
            && !has(format::PTRACE_SEIZED)
            && state.stop_signal == 0)
        || (!sys::task::is_stop_signal(state.stop_signal.cast_signed())
            && (state.stop_signal != 0 || has(format::PTRACE_JOINS)))
    {
        return Err(EINVAL.into());
    }
    Ok(state)
}

/// The record of a task that is traced.
fn find(restart: &Restart, number: ObjRef) -> Result<Option<(Ptrace, State, SigInfo)>> {
    let Some(record) = restart.belonging::<Ptrace>(number).next() else {
        return Ok(None);
    };
    let (record, tail) = record.parse::<Ptrace>()?;
    let Ptrace {
        task: _,
        tracer: _,
        flags,
        options,
        stop,
        stop_signal,
        exit_code,
        child,
        message,
    } = record;
    let mut info = [0; SIGINFO_SIZE];

    if let Some(tail) = tail.first_chunk() {
        info = *tail;
    }
    let state = State {
        refused: core::ptr::null(),
        flags,
        options,
        stop,
        stop_signal,
        exit_code,
        child,
        message,
    };

    Ok(Some((record, state, info)))
}

/// The thread that traces a task, by its tid.
pub(crate) fn tracer(restart: &Restart, number: ObjRef) -> Result<Option<i32>> {
    Ok(find(restart, number)?.map(|(record, _, _)| record.tracer))
}

/// Whether a task is stopped for its tracer.
pub(crate) fn is_stopped(restart: &Restart, number: ObjRef) -> Result<bool> {
    Ok(find(restart, number)?.is_some_and(|(_, state, _)| state.stop != format::STOP_NONE))
}

/// Whether that is before it waits in vfork(2).
pub(crate) fn is_at_vfork(restart: &Restart, number: ObjRef) -> Result<bool> {
    Ok(find(restart, number)?.is_some_and(|(_, state, _)| state.stop == format::STOP_VFORK))
}

/// Has a task trace another, if the restarter may; called by the coordinator, who has set the
/// registers.
pub(crate) fn attach(restart: &Restart, number: ObjRef, task: &Task, tracer: &Task) -> Result {
    let Some((_, state, info)) = find(restart, number)? else {
        return Ok(());
    };

    // One that has ended gives nothing away.
    if sys::task::exit_state(task) == 0 && !sys::task::may_attach(task) {
        return Err(restart
            .log
            .error(EPERM, fmt!("object {}: you may not trace it", number.0)));
    }
    sys::ptrace::attach(task, tracer, &state).map_err(|errno| {
        restart.explain(
            Error::from(errno),
            fmt!("object {}: its tracer may not trace it", number.0),
        )
    })?;
    if state.stop == format::STOP_NONE {
        sys::ptrace::set(task, &state, &info, 0);
    }
    Ok(())
}

/// The stop that the running task, which is ready otherwise, has to make, and the child for which it
/// waits then. At a signal it is made when the task looks at its signals.
pub(crate) fn stop(
    restart: &Restart,
    number: ObjRef,
    vfork: Option<Vfork>,
) -> Result<Option<Stop>> {
    let Some((_, state, _)) = find(restart, number)? else {
        return Ok(None);
    };

    if state.stop == format::STOP_SIGNAL {
        sys::ptrace::stop_at_signal()?;
        return Ok(None);
    }
    Ok(Some(Stop::new(state, vfork)))
}

/// Sets what the stop of a task was before; called by the coordinator, when it has stopped.
pub(crate) fn finish(restart: &Restart, number: ObjRef, task: &Task) -> Result {
    let (task_state, _) = restart.record::<format::Task>(number)?;

    if let Some((_, state, info)) = find(restart, number)? {
        sys::ptrace::set(task, &state, &info, task_state.blocked);
    }
    Ok(())
}
