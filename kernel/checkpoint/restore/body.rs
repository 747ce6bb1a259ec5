// SPDX-License-Identifier: GPL-2.0

//! What each task of a restart does, in its own context, before it runs its own code.

use super::caller;
use super::objects::Built;
use super::Restart;
use crate::error::Error;
use crate::error::Result;
use crate::format::task as format;
use crate::fs;
use crate::fs::table;
use crate::mm;
use crate::plan::TaskPlan;
use crate::sys;
use crate::sys::clone::Body;
use crate::sys::clone::Next;
use crate::sys::clone::Spawn;
use crate::sys::fdtable::Files;
use crate::sys::fs_struct::Fs;
use crate::sys::mm::Mm;
use crate::sys::vfork::Vfork;
use crate::task;
use kernel::prelude::*;
use kernel::sync::atomic::Full;
use kernel::sync::Arc;

/// Makes a task of the plan as a child or a thread of the running task.
pub(super) fn spawn(restart: &Arc<Restart>, index: usize) -> Result<i32> {
    let plan = restart.plan.tasks.get(index).ok_or(EINVAL)?;
    let flags = if plan.is_leader {
        sys::clone::VM | sys::clone::AUTOREAP
    } else {
        sys::clone::THREAD
    };
    // What is made there is in the namespaces that it has.
    let _entered = match plan.creator {
        _ if !plan.is_leader => None,
        None => task::namespace::make(restart, plan.namespaces)?,
        Some(creator) => {
            let creator = restart.plan.tasks.get(creator as usize).ok_or(EINVAL)?;

            task::pids::make(restart, creator.number, plan.number)?
        }
    };
    let body = TaskBody {
        restart: restart.clone(),
        index,
        done: false,
    };

    let pids = if restart.is_caller() {
        KVVec::new()
    } else {
        task::pids::numbers(restart, plan.number, plan.tid)?
    };
    let spawn = Spawn { flags, pids: &pids };

    restart.alive.fetch_add(1, Full);
    match sys::clone::spawn(&spawn, body) {
        Err((errno, body)) if errno == EEXIST => {
            restart.wait_free(plan.tid);
            sys::clone::spawn(&spawn, body)
        }
        spawned => spawned,
    }
    .map_err(|(errno, mut body)| {
        body.done = true;
        let why = if errno == EEXIST {
            "the pid is taken"
        } else if errno == EPERM {
            "you may not choose pids (CAP_CHECKPOINT_RESTORE)"
        } else {
            "it cannot be made"
        };

        restart.log.error(errno, fmt!("pid {}: {why}", plan.tid))
    })
}

/// What a task of the plan does before it runs its own code.
struct TaskBody {
    restart: Arc<Restart>,
    index: usize,
    done: bool,
}

impl Body for TaskBody {
    fn run(&mut self) -> core::result::Result<Next, ()> {
        let result = run(&self.restart, self.index);

        self.done = true;
        result.map_err(|error| self.restart.fail(error))
    }
}

impl Drop for TaskBody {
    fn drop(&mut self) {
        if !self.done {
            // It may never have come to run.
            self.restart.enter(self.index);
            self.restart.fail(EINTR.into());
        }
        self.restart.alive.fetch_sub(1, Full);
    }
}

/// The way of a task from its first moment to user space.
fn run(restart: &Arc<Restart>, index: usize) -> Result<Next> {
    let plan = *restart.plan.tasks.get(index).ok_or(EINVAL)?;

    // Nothing may interfere; what is pending is looked at when the mask is what it was.
    sys::signal::set_blocked(u64::MAX, None);
    sys::process::reset_arch();
    restart.enter(index);
    restart.check_failed()?;
    if plan.is_zombie {
        return run_zombie(restart, &plan, index);
    }
    let shared = make_shared(restart, &plan)?;

    if plan.is_leader {
        task::process::prepare(restart, plan.process)?;
        make_handlers(restart, &plan)?;
    }
    make_tasks(restart, index)?;
    task::confine(restart, plan.number)?;
    task::login::make(restart, plan.number)?;
    let fills_early = fills_early(restart, &plan, index);

    if fills_early {
        fill_mm(restart, &plan, &shared)?;
    }
    restart.born()?;
    let vfork = vfork(restart, index)?;
    let is_stopped = task::ptrace::is_stopped(restart, plan.number)?;

    if is_stopped && vfork.is_some() && !task::ptrace::is_at_vfork(restart, plan.number)? {
        return Err(EINVAL.into());
    }
    // Others wait for it: it comes before all that may wait itself.
    set_uts(restart, &plan)?;
    if !fills_early {
        fill_mm(restart, &plan, &shared)?;
    }
    drop(shared);
    fill(restart, &plan)?;
    restart.built()?;
    restart.pass(if is_stopped {
        &restart.stops
    } else {
        &restart.commit
    })?;
    if restart.is_caller() {
        return caller::finish(restart, &plan);
    }
    task::release(restart, plan.number, plan.is_main)?;
    if plan.creator.is_none() {
        task::namespace::restore_last_pid(restart, plan.number)?;
    }
    if is_stopped {
        let stop = task::ptrace::stop(restart, plan.number, vfork)?;

        return Ok(stop.map_or(Next::Run, Next::Stop));
    }
    Ok(vfork.map_or(Next::Run, Next::Wait))
}

/// The child for which the running task waits in vfork(2). It has its address space by now:
/// setting that is like execve(2), and would end the wait.
fn vfork(restart: &Restart, index: usize) -> Result<Option<Vfork>> {
    let is_vfork = |child: &usize| {
        restart
            .plan
            .tasks
            .get(*child)
            .is_some_and(|plan| plan.is_vfork)
    };

    restart
        .plan
        .created_by(index)
        .find(is_vfork)
        .map(|child| Ok(Vfork::new(restart.task(child)?)?))
        .transpose()
}

/// A process that had ended has its pids and credentials, and ends again. A leader that has
/// threads makes them first, and ends alone.
fn run_zombie(restart: &Arc<Restart>, plan: &TaskPlan, index: usize) -> Result<Next> {
    let heir = plan
        .heir
        .and_then(|heir| restart.plan.tasks.get(heir as usize));

    if let Some(heir) = heir {
        make_mm(restart, plan)?;
        task::process::prepare(restart, heir.process)?;
        make_handlers(restart, heir)?;
        make_tasks(restart, index)?;
    }
    task::login::make(restart, plan.number)?;
    restart.born()?;
    let exit_code = task::restore_zombie(restart, plan.number)?;

    restart.built()?;
    restart.pass(&restart.zombies)?;
    Ok(match heir {
        Some(_) => Next::ExitThread(exit_code),
        None => Next::Exit(exit_code),
    })
}

/// What a task shares with others, held while it is filled.
struct Shared {
    mm: Arc<Mm>,
}

/// Gives the running task its address space, unless it was made with it.
fn make_mm(restart: &Restart, plan: &TaskPlan) -> Result<Arc<Mm>> {
    let built = restart.shared(plan.mm, plan.makes_mm, || {
        Ok(Built::Mm(mm::make(restart, plan.mm)?))
    })?;
    let Built::Mm(mm) = built else {
        return Err(EINVAL.into());
    };

    if let Some(maker) = plan.joins_mm {
        mm.join(&*restart.task(maker as usize)?)?;
    }
    Ok(mm)
}

/// Makes what tasks share, or takes what others have made: empty, so that threads and children
/// can be made at once.
fn make_shared(restart: &Restart, plan: &TaskPlan) -> Result<Shared> {
    let (state, _) = restart.record::<format::Task>(plan.number)?;
    let mm = make_mm(restart, plan)?;
    let files = restart.shared(state.files, plan.owns_files, || {
        Ok(Built::Files(Arc::new(Files::new_empty()?, GFP_KERNEL)?))
    })?;
    let fs = restart.shared(state.fs, plan.owns_fs, || {
        Ok(Built::Fs(Arc::new(Fs::copy_current()?, GFP_KERNEL)?))
    })?;

    match (files, fs) {
        (Built::Files(files), Built::Fs(fs)) => {
            files.install();
            fs.install();
            if plan.creator.is_none() {
                task::namespace::restore(restart, state.namespaces)?;
            }
            Ok(Shared { mm })
        }
        _ => Err(EINVAL.into()),
    }
}

/// Sets the signal handlers of the running process, or takes over those that another one has set.
fn make_handlers(restart: &Restart, plan: &TaskPlan) -> Result {
    let (state, _) = restart.record::<format::Task>(plan.number)?;
    let built = restart.shared(state.sighand, plan.owns_sighand, || {
        task::restore_handlers(restart, state.sighand)?;
        Ok(Built::Sighand(sys::task::current()))
    })?;

    match built {
        Built::Sighand(_) if plan.owns_sighand => Ok(()),
        Built::Sighand(owner) => Ok(sys::signal::share_handlers(&owner)?),
        _ => Err(EINVAL.into()),
    }
}

/// Makes the UTS namespace of the running task, or takes over that which another one has made. By
/// now all tasks are there, and have that of the root.
fn set_uts(restart: &Restart, plan: &TaskPlan) -> Result {
    let Some(number) = plan.uts else {
        return Ok(());
    };
    let built = restart.shared(number, plan.owns_uts, || {
        task::namespace::make_uts(restart, number)?;
        Ok(Built::Uts(sys::task::current()))
    })?;

    match built {
        Built::Uts(_) if plan.owns_uts => Ok(()),
        Built::Uts(owner) => task::namespace::join_uts(restart, number, &owner),
        _ => Err(EINVAL.into()),
    }
}

/// Makes the threads and the children of the running task. Who unshares the pid namespace of its
/// children can make neither threads nor others afterwards.
fn make_tasks(restart: &Arc<Restart>, index: usize) -> Result {
    let number = |index: usize| Ok::<_, Error>(restart.plan.tasks.get(index).ok_or(EINVAL)?.number);
    let parent = number(index)?;

    for child in restart.plan.created_by(index) {
        if !task::pids::is_later(restart, parent, number(child)?)? {
            spawn(restart, child)?;
        }
    }
    task::pids::unshare(restart, parent)?;
    for child in restart.plan.created_by(index) {
        if task::pids::is_later(restart, parent, number(child)?)? {
            spawn(restart, child)?;
        }
    }
    Ok(())
}

/// Whether the running task can fill its address space while others are still being made: nobody is
/// made or will be with what it sets there (flags that are inherited), and the cgroup that it is in
/// is the one that pays.
fn fills_early(restart: &Restart, plan: &TaskPlan, index: usize) -> bool {
    plan.makes_mm
        && !plan.lends_mm
        && !restart.is_caller()
        && !restart.has_cgroups
        && restart.plan.created_by(index).next().is_none()
}

/// Fills the address space of the running task, if it owns that.
fn fill_mm(restart: &Restart, plan: &TaskPlan, shared: &Shared) -> Result {
    if plan.fills_mm {
        mm::fill(restart, &shared.mm, plan.mm)?;
        restart.set_empty(plan.mm)?;
    }
    Ok(())
}

/// Fills what else the running task owns, and sets what it is.
fn fill(restart: &Restart, plan: &TaskPlan) -> Result {
    let (state, _) = restart.record::<format::Task>(plan.number)?;

    if plan.owns_files {
        table::restore_files(restart, state.files)?;
    }
    if plan.owns_fs {
        table::restore_fs(restart, state.fs)?;
    }
    if plan.is_main {
        task::process::restore(restart, plan.process)?;
        task::posix_timer::make_alarms(restart, plan.process)?;
    }
    task::restore(restart, plan.number)?;
    if plan.is_main {
        task::posix_timer::make_others(restart, plan.process)?;
    }
    task::restore_cred(restart, plan.number)?;
    restore_pending(restart, plan)?;
    // It is the signals of the caller that are watched then.
    if plan.owns_sighand && !restart.is_caller() {
        fs::eventpoll::restore_signal_items(restart, state.sighand)?;
    }
    Ok(())
}

/// Makes the signals of the running task pending again, and of its process.
pub(super) fn restore_pending(restart: &Restart, plan: &TaskPlan) -> Result {
    task::restore_pending(restart, plan.number, false)?;
    if plan.is_main {
        task::restore_pending(restart, plan.process, true)?;
    }
    Ok(())
}
