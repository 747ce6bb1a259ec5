// SPDX-License-Identifier: GPL-2.0

//! What tasks have used, and when they were made.
//!
//! Kept: CPU time, faults, context switches and I/O of tasks, of threads that have ended, of
//! children that were waited for, and of zombies; peaks of memory; start times. A CPU clock goes on
//! where it was: what the restart itself uses does not count, up to the last steps of a task.
//! Not kept: what taskstats and schedstats have beyond that.
//!
//! A start time is a moment of the clocks that the tree has, which is not in the future of them: a
//! container has the clocks that it had.
//!
//! An image may say what it likes: who has used less gains nothing, since what a limit of CPU time
//! counts begins anew with each fork(2). That sums do not wrap around is checked.
//!
//! C source: `kernel/sched/checkpoint.c`

use crate::error::Result;
use crate::format::memory::Mm as MmRecord;
use crate::format::task::Peaks;
use crate::format::task::Process;
use crate::format::task::ProcessUsage;
use crate::format::task::Task;
use crate::format::task::TaskUsage;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::mm::Mm;
use crate::sys::usage;
use crate::sys::usage::Start;
use crate::sys::usage::Usage;
use kernel::prelude::*;

/// The most that a number may be. Twice as much is still one.
const MAX: u64 = i64::MAX.cast_unsigned() / 2;

/// How far the clocks of a tree are ahead of those of the machine.
pub(crate) fn clocks(root: &Frozen) -> Start {
    let (monotonic, boottime) = sys::ns::time_offsets(root).unwrap_or((0, 0));

    Start {
        monotonic,
        boottime,
    }
}

/// Saves what a task has used.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen, number: ObjRef) -> Result {
    let start = usage::start(task);
    let ahead = saver.clocks;
    let Usage {
        time,
        shown,
        faults,
        switches,
        io,
    } = usage::of(task);

    saver.out.record(
        &TaskUsage {
            task: number,
            reserved: 0,
            start: start.monotonic.wrapping_add(ahead.monotonic),
            start_boottime: start.boottime.wrapping_add(ahead.boottime),
            time,
            shown,
            faults,
            switches,
            io,
        },
        &[],
    )
}

/// Saves what the process of a task has used, apart from its threads.
pub(super) fn save_process(saver: &mut Saver<'_>, task: &Frozen, number: ObjRef) -> Result {
    let usage::ProcessUsage {
        ended,
        blocks,
        child_time,
        child_faults,
        child_switches,
        child_blocks,
        maxrss,
    } = usage::of_process(task);

    saver.out.record(
        &ProcessUsage {
            process: number,
            reserved: 0,
            time: ended.time,
            shown: ended.shown,
            faults: ended.faults,
            switches: ended.switches,
            io: ended.io,
            blocks,
            child_time,
            child_faults,
            child_switches,
            child_blocks,
            maxrss,
        },
        &[],
    )
}

/// Saves the peaks of an address space.
pub(crate) fn save_peaks(saver: &mut Saver<'_>, mm: &Mm, number: ObjRef) -> Result {
    let (rss, vm) = mm.peaks();

    saver.out.record(
        &Peaks {
            mm: number,
            reserved: 0,
            rss,
            vm,
        },
        &[],
    )
}

/// Checks a record; gives its owner.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
    let fits = |numbers: &[&[u64]]| numbers.iter().all(|all| all.iter().all(|one| *one <= MAX));
    let (owner, kind, is_fine, tail) = match record.kind {
        TaskUsage::KIND => {
            let (state, tail) = record.parse::<TaskUsage>()?;
            let is_fine = state.reserved == 0
                && state.start.unsigned_abs() <= MAX
                && state.start_boottime.unsigned_abs() <= MAX
                && fits(&[&state.time, &state.shown, &state.faults, &state.switches]);

            (state.task, Task::KIND, is_fine, tail)
        }
        ProcessUsage::KIND => {
            let (state, tail) = record.parse::<ProcessUsage>()?;
            let is_fine = state.reserved == 0
                && fits(&[&state.time, &state.shown, &state.faults, &state.switches])
                && fits(&[&state.blocks, &state.child_time, &state.child_faults])
                && fits(&[&state.child_switches, &state.child_blocks, &state.maxrss]);

            (state.process, Process::KIND, is_fine, tail)
        }
        _ => {
            let (state, tail) = record.parse::<Peaks>()?;
            let is_fine = state.reserved == 0 && fits(&[&[state.rss, state.vm]]);

            (state.mm, MmRecord::KIND, is_fine, tail)
        }
    };

    if !is_fine || kind_of(owner) != Some(kind) || !tail.is_empty() {
        return Err(EINVAL.into());
    }
    Ok(owner)
}

/// The CPU time that a record adds to that of its process.
pub(crate) fn total(time: &[u64; 4]) -> u64 {
    time.iter().fold(0, |sum, part| sum.saturating_add(*part))
}

/// Sets what a task has used, which waits or is the running one, or has ended.
pub(crate) fn restore(restart: &Restart, task: &Frozen, number: ObjRef) -> Result {
    let record = restart.belonging::<TaskUsage>(number).next();
    let (state, _) = record.ok_or(EINVAL)?.parse::<TaskUsage>()?;
    let TaskUsage {
        task: _,
        reserved: _,
        // For `restore_start`.
        start: _,
        start_boottime: _,
        time,
        shown,
        faults,
        switches,
        io,
    } = state;

    usage::set(
        task,
        &Usage {
            time,
            shown,
            faults,
            switches,
            io,
        },
    );
    Ok(())
}

/// Sets what the process of a task has used, when that of its threads is set.
pub(crate) fn restore_process(restart: &Restart, task: &Frozen, number: ObjRef) -> Result {
    let record = restart.belonging::<ProcessUsage>(number).next();
    let (state, _) = record.ok_or(EINVAL)?.parse::<ProcessUsage>()?;
    let ProcessUsage {
        process: _,
        reserved: _,
        time,
        shown,
        faults,
        switches,
        io,
        blocks,
        child_time,
        child_faults,
        child_switches,
        child_blocks,
        maxrss,
    } = state;

    usage::set_process(
        task,
        &usage::ProcessUsage {
            ended: Usage {
                time,
                shown,
                faults,
                switches,
                io,
            },
            blocks,
            child_time,
            child_faults,
            child_switches,
            child_blocks,
            maxrss,
        },
    );
    Ok(())
}

/// Sets when a task was made, once the clocks of the tree go. `root` is a task that has them.
pub(crate) fn restore_start(
    restart: &Restart,
    root: &Frozen,
    task: &Frozen,
    number: ObjRef,
) -> Result {
    let record = restart.belonging::<TaskUsage>(number).next();
    let (state, _) = record.ok_or(EINVAL)?.parse::<TaskUsage>()?;
    let now = sys::time::now();
    let ahead = clocks(root);
    let start = |saved: i64, ahead: i64, now: i64| saved.saturating_sub(ahead).min(now);

    usage::set_start(
        task,
        Start {
            monotonic: start(state.start, ahead.monotonic, now.monotonic),
            boottime: start(state.start_boottime, ahead.boottime, now.boottime),
        },
    );
    Ok(())
}

/// Sets the peaks of all address spaces, when their pages are there.
pub(crate) fn restore_peaks(restart: &Restart) -> Result {
    for record in restart.records::<Peaks>() {
        let (state, _) = record.parse::<Peaks>()?;
        let Peaks {
            mm,
            reserved: _,
            rss,
            vm,
        } = state;

        restart.address_space(mm)?.set_peaks(rss, vm);
    }
    Ok(())
}
