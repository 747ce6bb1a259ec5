// SPDX-License-Identifier: GPL-2.0

//! RESTART_TASKSELF: the caller becomes the task of the image.
//!
//! A task that is given up half-way cannot go back. So a *twin*, a child of the caller, is built
//! from the image first, with all that can be refused; it makes the address space, the descriptors
//! and the directories. Until then, whatever fails leaves the caller as it was. When the twin waits
//! for the commit, the caller takes over what it has made and sets what it has set, on the way out
//! of the system call. The twin sets the registers, which a task cannot set for itself, and ends.
//!
//! As after execve(2) there is no way back then: if memory runs out now, the caller is killed.
//!
//! The caller keeps its pid, its parent, its process group, its session and the controlling
//! terminal of that, and the signals that are pending for it. As in execve(2), its timers end, and
//! the hardware breakpoints that it has. What it was to undo of semaphores (SEM_UNDO) is undone, as
//! when it ends.

use super::body;
use super::objects::Built;
use super::Restart;
use crate::error::Error;
use crate::error::Result;
use crate::format::header;
use crate::format::namespace::UserNs;
use crate::format::task as format;
use crate::fs;
use crate::plan::TaskPlan;
use crate::sys;
use crate::sys::clone::Body;
use crate::sys::clone::Next;
use crate::sys::freeze::Frozen;
use crate::task;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Refuses, before anything is made, an image that is more than a task, and a caller that is.
pub(super) fn check(restart: &Restart) -> Result {
    if !restart.is_caller() {
        return Ok(());
    }
    if restart.plan.header.mode == header::MODE_CONTAINER {
        return Err(container(restart));
    }
    let [plan] = restart.plan.tasks.as_slice() else {
        return Err(restart.log.error(
            EINVAL,
            fmt!("the caller can become one task, and this image has several (RESTART_TASKSELF)"),
        ));
    };
    let caller = Frozen::current();
    let (process, _) = restart.record::<format::Process>(plan.process)?;

    if plan.is_zombie {
        return Err(EINVAL.into());
    }
    if task::namespace::clone_flags(restart, plan.namespaces)? != 0
        || task::pids::has_any(restart)
        || restart.records::<UserNs>().next().is_some()
    {
        return Err(container(restart));
    }
    if !process.tty.is_none() {
        return Err(restart.log.error(
            EINVAL,
            fmt!(
                "the image has a controlling terminal, but the caller keeps its own session \
                 (RESTART_TASKSELF)"
            ),
        ));
    }
    if caller.threads() != 1 || sys::signal::handlers_key(&caller)?.1 != 1 {
        return Err(restart.log.error(
            EBUSY,
            fmt!("the caller has threads, or shares its signal handlers (RESTART_TASKSELF)"),
        ));
    }
    match caller.snapshot().refused {
        Some(what) => Err(restart
            .log
            .error(EBUSY, fmt!("the caller {what} (RESTART_TASKSELF)"))),
        None => Ok(()),
    }
}

fn container(restart: &Restart) -> Error {
    restart.log.error(
        EINVAL,
        fmt!("the caller cannot become a container (RESTART_TASKSELF)"),
    )
}

/// Lets the caller become the task, whose twin waits for the commit.
pub(super) fn start(restart: &Arc<Restart>) -> Result {
    let body = Caller {
        restart: restart.clone(),
        done: false,
    };

    Ok(sys::clone::before_return(body)?)
}

/// The way of the caller from the end of the system call to the code of the image.
struct Caller {
    restart: Arc<Restart>,
    done: bool,
}

impl Body for Caller {
    fn run(&mut self) -> core::result::Result<Next, ()> {
        let result = become_it(&self.restart);

        self.done = true;
        result.map(|()| Next::Run).map_err(|error| {
            self.restart.log.finish(&error);
            self.restart.fail(error);
            super::undo(&self.restart);
        })
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if !self.done {
            // Somebody has killed it; so ends the twin.
            self.restart.fail(EINTR.into());
        }
    }
}

fn become_it(restart: &Restart) -> Result {
    let plan = *restart.plan.tasks.first().ok_or(EINVAL)?;
    let (state, _) = restart.record::<format::Task>(plan.number)?;

    sys::signal::set_blocked(u64::MAX, None);
    sys::process::reset_arch();
    sys::timer::end_timers();
    sys::ipc::undo_now();
    for object in [state.mm, state.files, state.fs] {
        match restart.made(object)? {
            Built::Mm(mm) => mm.join(&*restart.task(0)?)?,
            Built::Files(files) => files.install(),
            Built::Fs(fs) => fs.install(),
            _ => return Err(EINVAL.into()),
        }
    }
    task::process::prepare(restart, plan.process)?;
    task::restore_handlers(restart, state.sighand)?;
    task::confine(restart, plan.number)?;
    task::process::restore(restart, plan.process)?;
    task::posix_timer::make_alarms(restart, plan.process)?;
    task::restore(restart, plan.number)?;
    task::posix_timer::make_others(restart, plan.process)?;
    body::restore_pending(restart, &plan)?;
    fs::eventpoll::restore_signal_items(restart, state.sighand)?;
    // With the rights that the caller has had.
    task::process::set_limits(restart, &sys::task::current(), plan.process)?;
    // It keeps the moment when it was made, by which others know it.
    task::usage::restore(restart, &Frozen::current(), plan.number)?;
    task::usage::restore_process(restart, &Frozen::current(), plan.process)?;
    task::restore_cred(restart, plan.number)?;
    #[cfg(CONFIG_INET)]
    crate::net::show_creators(restart)?;
    // The twin waits until we sleep.
    restart.commit.open();
    restart.pass(&restart.become_it)?;
    super::undo(restart);
    restart.release();
    task::posix_timer::start(restart, &sys::task::current(), plan.process)?;
    task::release(restart, plan.number, true)
}

/// What the twin has left to do. It ends then, and leaves no trace.
pub(super) fn finish(restart: &Restart, plan: &TaskPlan) -> Result<Next> {
    let caller = restart.caller.clone().ok_or(EINVAL)?;
    let (process, _) = restart.record::<format::Process>(plan.process)?;

    task::regs::restore(restart, &Frozen::waiting(caller.clone())?, plan.number)?;
    sys::task::set_stop(&caller, &task::process::stop(&process));
    restart.become_it.open();
    Ok(Next::Exit(0))
}
