// SPDX-License-Identifier: GPL-2.0

//! What the coordinator of a restart does with tasks that have been made, up to the commit.

use super::objects::Built;
use super::Restart;
use crate::error::Result;
use crate::format::file::Unnamed;
use crate::format::memory;
use crate::format::namespace::ShmSegment;
use crate::format::task as format;
use crate::fs;
use crate::mm;
use crate::plan::TaskPlan;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::task::TaskRef;
use crate::task;
use kernel::bindings;
use kernel::prelude::*;
use kernel::rbtree::RBTree;

/// Puts every process into its session and its process group.
pub(super) fn set_sessions(restart: &Restart) -> Result {
    let ns = restart.pid_ns()?;
    let mut made = RBTree::<i32, ()>::new();

    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if !plan.is_leader {
            continue;
        }
        let task = restart.task(index)?;
        let (process, _) = restart.record::<format::Process>(plan.process)?;

        for (is_session, number) in [(true, process.sid), (false, process.pgid)] {
            if number == 0 {
                continue;
            }
            let make = !restart.plan.has_tid(number) && made.get(&number).is_none();
            let set = if is_session {
                sys::clone::set_session
            } else {
                sys::clone::set_group
            };

            match set(&task, &ns, number, make) {
                Err(errno) if errno == EEXIST => {
                    restart.wait_free(number);
                    set(&task, &ns, number, make)
                }
                done => done,
            }
            .map_err(|errno| {
                restart.log.error(
                    errno,
                    fmt!("pid {}: session or process group {number}", plan.tid),
                )
            })?;
            if make {
                made.try_create_and_insert(number, (), GFP_KERNEL)?;
            }
        }
    }
    Ok(())
}

/// Sets the resource limits of all processes, now that they have what may be beyond them.
pub(super) fn set_limits(restart: &Restart) -> Result {
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if plan.is_main {
            task::process::set_limits(restart, &*restart.task(index)?, plan.process)?;
        }
    }
    Ok(())
}

/// Sets what all tasks have used that wait for the commit. What is left for them to do counts again.
/// CPU clocks go on from there, before limits and timers look at them.
pub(super) fn set_usage(restart: &Restart) -> Result {
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        let task = Frozen::waiting(restart.task(index)?)?;

        task::usage::restore(restart, &task, plan.number)?;
    }
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if plan.is_leader {
            let leader = Frozen::waiting(restart.task(index)?)?;

            task::usage::restore_process(restart, &leader, plan.process)?;
        }
    }
    Ok(())
}

/// Sets when all tasks were made.
pub(super) fn set_start(restart: &Restart) -> Result {
    let root = Frozen::waiting(restart.task(0)?)?;

    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        let task = Frozen::waiting(restart.task(index)?)?;

        task::usage::restore_start(restart, &root, &task, plan.number)?;
    }
    Ok(())
}

/// Sets what a task has used that has ended anew: ending counts as well.
fn set_usage_of_ended(restart: &Restart, plan: &TaskPlan, task: &TaskRef) -> Result {
    let ended = Frozen::ended(task.clone());

    task::usage::restore(restart, &ended, plan.number)?;
    if plan.heir.is_none() {
        task::usage::restore_process(restart, &ended, plan.process)?;
    }
    Ok(())
}

/// Starts the clocks of a container.
pub(super) fn start_clocks(restart: &Restart) -> Result {
    let plan = restart.plan.tasks.first().ok_or(EINVAL)?;

    task::namespace::start_clocks(restart, &restart.task(0)?, plan.namespaces)
}

/// Starts the timers of timer_create(2) of all processes. What they send waits for the commit.
pub(super) fn start_timers(restart: &Restart) -> Result {
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if plan.is_main {
            task::posix_timer::start(restart, &*restart.task(index)?, plan.process)?;
        }
    }
    Ok(())
}

/// Finishes what had to wait for the content of files: NUMA policies, seals and times, and
/// executables, which nobody may write to.
pub(super) fn files(restart: &Restart) -> Result {
    for record in restart.plan.records::<memory::Shmem>() {
        let file = restart.shmem(record.object)?;

        mm::mempolicy::restore_shared(restart, &file, record.object)?;
    }
    for record in restart.plan.records::<ShmSegment>() {
        let file = restart.segment(record.object)?;

        mm::mempolicy::restore_shared(restart, &file, record.object)?;
    }
    for record in restart.plan.records::<Unnamed>() {
        let file = restart.unnamed(record.object)?;

        mm::mempolicy::restore_shared(restart, &file, record.object)?;
        fs::unnamed::finish(restart, record.object)?;
    }
    for record in restart.plan.records::<memory::Mm>() {
        if let Built::Mm(mm) = restart.made(record.object)? {
            mm::set_exe(restart, &mm, record.object)?;
        }
    }
    Ok(())
}

/// Sets the registers of all tasks, which wait for the commit.
pub(super) fn set_registers(restart: &Restart) -> Result {
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if plan.is_zombie {
            continue;
        }
        let task = Frozen::waiting(restart.task(index)?)?;

        task::regs::restore(restart, &task, plan.number)?;
    }
    Ok(())
}

/// Has a task be traced, if it was.
fn attach(restart: &Restart, plan: &TaskPlan, task: &TaskRef) -> Result {
    let Some(tid) = task::ptrace::tracer(restart, plan.number)? else {
        return Ok(());
    };
    let tracer = restart.task(restart.plan.index_of(tid).ok_or(EINVAL)?)?;

    task::ptrace::attach(restart, plan.number, task, &tracer)
}

/// Has all tasks be traced that were, and stop that were stopped for their tracer.
pub(super) fn stop_tasks(restart: &Restart) -> Result {
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if !plan.is_zombie {
            attach(restart, plan, &restart.task(index)?)?;
        }
    }
    restart.stops.open();
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if !task::ptrace::is_stopped(restart, plan.number)? {
            continue;
        }
        let task = restart.task(index)?;

        sys::ptrace::wait_stopped(&task, || restart.check_failed().is_err())?;
        task::ptrace::finish(restart, plan.number, &task)?;
    }
    Ok(())
}

/// Lets the tasks run. Nothing fails any more.
pub(super) fn commit(restart: &Restart, flags: u64) -> Result {
    let mut zombies = KVVec::new();
    let mut ended = KVVec::new();
    let mut tasks = KVVec::new();

    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        let task = restart.task(index)?;
        let (process, _) = restart.record::<format::Process>(plan.process)?;

        if plan.is_zombie {
            zombies.push((task.clone(), plan), GFP_KERNEL)?;
        }
        if plan.is_zombie && plan.heir.is_none() {
            ended.push((task, process.exit_signal), GFP_KERNEL)?;
        } else {
            // The restarter is not the parent that the root had: it gets what a child of its own
            // sends, whatever the image says.
            let exit_signal = match plan.creator {
                Some(_) => process.exit_signal,
                None => bindings::SIGCHLD as i32,
            };

            let leads = plan
                .is_leader
                .then(|| (exit_signal, task::process::stop(&process)));

            tasks.push((task, leads), GFP_KERNEL)?;
        }
    }
    for (task, _) in &ended {
        sys::clone::keep(task, 0);
    }
    restart.zombies.open();
    for (task, plan) in &zombies {
        sys::clone::wait_zombie(task)?;
        set_usage_of_ended(restart, plan, task)?;
        attach(restart, plan, task)?;
    }
    for (task, exit_signal) in &ended {
        sys::clone::keep(task, *exit_signal);
    }
    restart.release();
    for (task, leads) in &tasks {
        if let Some((exit_signal, stop)) = leads {
            sys::clone::keep(task, *exit_signal);
            sys::task::set_stop(task, stop);
        }
        if flags & u64::from(bindings::RESTART_FROZEN) != 0 {
            sys::freeze::trap(task);
        }
    }
    restart.committed.store(1, kernel::sync::atomic::Release);
    restart.commit.open();
    Ok(())
}
