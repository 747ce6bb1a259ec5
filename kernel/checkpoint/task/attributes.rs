// SPDX-License-Identifier: GPL-2.0

//! What prctl(2), sched_setattr(2), seccomp(2) and similar calls have set of a task.
//!
//! Kept: the scheduling policy with all parameters; utilization clamps; I/O priority, and who shares it; speculation control;
//! PR_MCE_KILL, PR_SET_IO_FLUSHER, PR_SET_TSC; syscall user dispatch; the registrations of
//! membarrier(2); PR_FUTEX_HASH, if it was asked for; the strict mode and the filters of
//! seccomp(2), with who shares them.
//! Not kept, and refused: filters with a listener.

use crate::error::Result;
use crate::format::task as format;
use crate::format::task::Attributes;
use crate::format::task::SeccompFilter;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::ipc;
use crate::object::Class;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::attributes::Plain;
use crate::sys::freeze::Frozen;
use crate::sys::seccomp;
use crate::sys::seccomp::Filter;
use crate::tree::Member;
use crate::tree::Tree;
use kernel::prelude::*;

/// Every `ATTRIBUTE_*`, in the order of `CHECKPOINT_*` in `kernel/checkpoint/checkpoint.h`.
const FLAGS: u32 = format::ATTRIBUTE_RESET_ON_FORK
    | format::ATTRIBUTE_SLICE
    | format::ATTRIBUTE_RECLAIM
    | format::ATTRIBUTE_OVERRUN
    | format::ATTRIBUTE_MCE_PROCESS
    | format::ATTRIBUTE_MCE_EARLY
    | format::ATTRIBUTE_IO_FLUSHER
    | format::ATTRIBUTE_NO_TSC
    | format::ATTRIBUTE_DISPATCH
    | format::ATTRIBUTE_STRICT
    | format::ATTRIBUTE_FUTEX_SLOTS
    | format::ATTRIBUTE_UTIL_MIN
    | format::ATTRIBUTE_UTIL_MAX;

/// The lengths of slices that sched_setattr(2) gives, in ns.
const SLICES: core::ops::RangeInclusive<u64> = 100_000..=100_000_000;

/// The utilization of a CPU that works as much as any (`SCHED_CAPACITY_SCALE`).
const UTIL_MOST: u32 = 1024;

/// Saves the attributes of a task, whose newest filter has been saved.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen, number: ObjRef, filter: ObjRef) -> Result {
    let plain = task.attributes();
    let io = io_context(saver, task, &plain)?;
    let sem_undo = ipc::sem_undo::save(saver, task)?;

    saver.out.record(
        &Attributes {
            task: number,
            flags: plain.flags,
            filter,
            ioprio: plain.ioprio,
            speculation: plain.speculation,
            membarrier: plain.membarrier,
            runtime: plain.runtime,
            deadline: plain.deadline,
            period: plain.period,
            dispatch_offset: plain.dispatch_offset,
            dispatch_len: plain.dispatch_len,
            dispatch_selector: plain.dispatch_selector,
            futex_slots: plain.futex_slots,
            io,
            sem_undo,
            reserved: 0,
            util_min: plain.util_min,
            util_max: plain.util_max,
        },
        &[],
    )
}

/// The first task that has the same I/O context, if several have it.
fn io_context(saver: &mut Saver<'_>, task: &Frozen, plain: &Plain) -> Result<i32> {
    if plain.io_users <= 1 {
        return Ok(0);
    }
    let tid = sys::task::pid_in(task, &saver.ns);

    saver.io_contexts.join(plain.io_context, tid)
}

/// Refuses an I/O context that somebody outside of the tree has too.
pub(super) fn check_sharing(saver: &mut Saver<'_>, tree: &Tree) -> Result {
    for member in tree.tasks() {
        let Member::Live(task) = member else {
            continue;
        };
        let plain = task.attributes();

        if plain.io_users > 1 && saver.io_contexts.count(plain.io_context) != plain.io_users {
            saver.set_who(task.task());
            return Err(saver.refuse(fmt!(
                "shares its I/O priority with a process outside of the tree (CLONE_IO)"
            )));
        }
    }
    Ok(())
}

/// Saves the filters of a task that no other task has; gives the newest.
pub(super) fn save_filters(saver: &mut Saver<'_>, task: &Frozen) -> Result<ObjRef> {
    let mut older = ObjRef::NONE;
    let mut new = KVVec::new();
    let mut next = Filter::newest(task);

    while let Some(filter) = next {
        if let Some(number) = saver.objects.find(Class::Seccomp, filter.key()) {
            older = number;
            break;
        }
        next = filter.older();
        new.push(filter, GFP_KERNEL)?;
    }
    for filter in new.iter().rev() {
        let (log, program) = filter.program().map_err(|errno| match errno {
            errno if errno == EBUSY => saver.refuse(fmt!(
                "is confined by a filter of seccomp(2) with a listener \
                 (SECCOMP_FILTER_FLAG_NEW_LISTENER)"
            )),
            _ => saver.refuse(fmt!(
                "is confined by a filter of seccomp(2) without a program"
            )),
        })?;
        let insns = program.len().checked_div(seccomp::INSN).ok_or(EINVAL)?;
        let number = saver.out.object(
            &SeccompFilter {
                older,
                flags: if log { format::SECCOMP_LOG } else { 0 },
                insns: u32::try_from(insns).map_err(|_| E2BIG)?,
                reserved: 0,
            },
            &[&program],
        )?;

        saver.objects.insert(Class::Seccomp, filter.key(), number)?;
        older = number;
    }
    Ok(older)
}

/// Checks the attributes of a task; gives the task.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<Attributes>()?;
    let has = |flag| state.flags & flag != 0;
    let dispatch = [
        state.dispatch_offset,
        state.dispatch_len,
        state.dispatch_selector,
    ];
    let clamp_fits = |flag, value| value <= if has(flag) { UTIL_MOST } else { 0 };
    let speculation_fits = |value: &i32| (-4095..0x20).contains(value);

    if state.flags & !FLAGS != 0
        || state.io < 0
        || state.sem_undo < 0
        || state.reserved != 0
        || state.ioprio > u32::from(u16::MAX)
        || state.membarrier & !MEMBARRIER != 0
        || !state.speculation.iter().all(speculation_fits)
        || !(state.filter.is_none() || kind_of(state.filter) == Some(SeccompFilter::KIND))
        || (has(format::ATTRIBUTE_STRICT) && !state.filter.is_none())
        || (has(format::ATTRIBUTE_SLICE) && !SLICES.contains(&state.runtime))
        || (!has(format::ATTRIBUTE_DISPATCH) && dispatch != [0; 3])
        || (!has(format::ATTRIBUTE_FUTEX_SLOTS) && state.futex_slots != 0)
        || !clamp_fits(format::ATTRIBUTE_UTIL_MIN, state.util_min)
        || !clamp_fits(format::ATTRIBUTE_UTIL_MAX, state.util_max)
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(state.task)
}

/// All of `MEMBARRIER_STATE_*`.
const MEMBARRIER: u32 = 0xff;

/// Checks a filter.
pub(crate) fn check_filter(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result {
    let (state, tail) = record.parse::<SeccompFilter>()?;
    let len = (state.insns as usize).checked_mul(seccomp::INSN);

    if !(state.older.is_none() || kind_of(state.older) == Some(SeccompFilter::KIND))
        || state.flags & !format::SECCOMP_LOG != 0
        || !(1..=seccomp::INSNS_MAX).contains(&state.insns)
        || state.reserved != 0
        || len != Some(tail.len())
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// The attributes of a task.
fn of(restart: &Restart, number: ObjRef) -> Result<Attributes> {
    let record = restart.belonging::<Attributes>(number).next();

    Ok(record.ok_or(EINVAL)?.parse()?.0)
}

/// Confines the running task with what seccomp(2) had confined it with.
///
/// A new filter passes through memory of the running task, so this comes while its address space
/// is empty; after its threads and children have been made, which would have its filters too; and
/// with the rights of the restarter. A system call that a filter forbids is not made any more.
pub(super) fn confine(restart: &Restart, number: ObjRef) -> Result {
    let state = of(restart, number)?;
    let mut chain = KVVec::new();
    let mut next = state.filter;

    if state.flags & format::ATTRIBUTE_STRICT != 0 {
        sys::seccomp::set_strict()?;
    }
    // A reference leads to an object that stands before, so that the chain has an end.
    while !next.is_none() {
        chain.push(next, GFP_KERNEL)?;
        next = restart.record::<SeccompFilter>(next)?.0.older;
    }
    for &filter in chain.iter().rev() {
        restart
            .seccomp(filter)
            .and_then(|filter| Ok(filter.join()?))
            .map_err(|error| {
                restart.explain(
                    error,
                    fmt!(
                        "object {}: you may not use a filter of seccomp(2)",
                        filter.0
                    ),
                )
            })?;
    }
    Ok(())
}

/// The task whose I/O context a task has, if that is not its own.
fn io_of(state: &Attributes, tid: i32) -> Option<i32> {
    (state.io != 0 && state.io != tid).then_some(state.io)
}

/// Gives all tasks of a restart, which wait, the I/O context of the one that they share it with.
pub(crate) fn share_io(restart: &Restart) -> Result {
    if restart.is_caller() {
        return Ok(());
    }
    for task in restart.tasks() {
        let (task, number) = task?;
        let (state, _) = restart.record::<format::Task>(number)?;

        if state.flags & format::TASK_ZOMBIE != 0 {
            continue;
        }
        if let Some(first) = io_of(&of(restart, number)?, state.tid) {
            sys::attributes::share_io(&task, &*restart.task_of(first)?)?;
        }
    }
    Ok(())
}

/// Makes a filter, in a task that is confined by all that it stands on.
pub(crate) fn restore_filter(restart: &Restart, number: ObjRef) -> Result<Filter> {
    let (state, program) = restart.record::<SeccompFilter>(number)?;
    let SeccompFilter {
        older: _,
        flags,
        insns: _,
        reserved: _,
    } = state;

    seccomp::add(program, flags & format::SECCOMP_LOG != 0)?;
    Ok(Filter::newest(&Frozen::current()).ok_or(ESRCH)?)
}

/// Sets the attributes of the running task, which is described by `task` as well.
pub(super) fn restore(restart: &Restart, number: ObjRef, task: &format::Task) -> Result {
    let Attributes {
        task: _,
        flags,
        // See `confine`.
        filter: _,
        ioprio,
        speculation,
        membarrier,
        runtime,
        deadline,
        period,
        dispatch_offset,
        dispatch_len,
        dispatch_selector,
        futex_slots,
        io,
        // See `ipc::sem_undo`.
        sem_undo: _,
        reserved: _,
        util_min,
        util_max,
    } = of(restart, number)?;
    let plain = Plain {
        io_context: 0,
        io_users: 0,
        flags,
        ioprio,
        speculation,
        membarrier,
        runtime,
        deadline,
        period,
        dispatch_offset,
        dispatch_len,
        dispatch_selector,
        futex_slots,
        util_min,
        util_max,
    };
    let tell = |what: &'static str| {
        move |errno| {
            restart
                .log
                .error(errno, fmt!("object {}: {what}", number.0))
        }
    };

    sys::process::set_scheduler(task.sched_policy, task.nice, task.rt_priority, &plain)
        .map_err(tell("its scheduling policy cannot be set"))?;
    // With others it shares what the first of them has: see `share_io`.
    if io == 0 || io == task.tid {
        sys::attributes::set_ioprio(ioprio, io != 0)
            .map_err(tell("its I/O priority cannot be set"))?;
    }
    sys::attributes::set_speculation(&speculation).map_err(tell(
        "its control of speculation (PR_SET_SPECULATION_CTRL) cannot be set",
    ))?;
    sys::attributes::set_flags(flags)
        .map_err(tell("it may not be an I/O flusher (CAP_SYS_RESOURCE)"))?;
    sys::attributes::set_dispatch(&plain)
        .map_err(tell("its syscall user dispatch cannot be set"))?;
    sys::attributes::set_membarrier(membarrier)
        .map_err(tell("it cannot be registered with membarrier(2)"))?;
    if flags & format::ATTRIBUTE_FUTEX_SLOTS != 0 {
        sys::attributes::set_futex_slots(futex_slots).map_err(tell(
            "it cannot have so many slots of futexes (PR_FUTEX_HASH)",
        ))?;
    }
    Ok(())
}
