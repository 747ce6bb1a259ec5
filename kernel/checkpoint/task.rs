// SPDX-License-Identifier: GPL-2.0

//! Processes and threads.
//!
//! Kept: the tree with all pids, sessions and process groups (also of dead leaders); zombies, also
//! leaders that have threads which have not ended; what
//! threads share; credentials; signal handlers, masks and what is pending; interrupted system
//! calls; registers; who traces whom; names, limits, priorities, rseq and robust lists; what [`attributes`] keeps;
//! cgroups; nested pid namespaces.
//! Not kept, and refused: what [`Frozen::snapshot`] calls refused; what [`namespace`] and [`pids`]
//! refuse.

#[path = "task/attributes.rs"]
mod attributes;
#[path = "task/cgroup.rs"]
pub(crate) mod cgroup;
#[path = "task/cred.rs"]
mod cred;
#[path = "task/login.rs"]
pub(crate) mod login;
#[path = "task/namespace.rs"]
pub(crate) mod namespace;
#[path = "task/pids.rs"]
pub(crate) mod pids;
#[path = "task/posix_timer.rs"]
pub(crate) mod posix_timer;
#[path = "task/process.rs"]
pub(crate) mod process;
#[path = "task/ptrace.rs"]
pub(crate) mod ptrace;
#[path = "task/regs.rs"]
pub(crate) mod regs;
#[path = "task/restart_block.rs"]
mod restart_block;
#[path = "task/signal.rs"]
mod signal;
#[path = "task/timer.rs"]
mod timer;
#[path = "task/usage.rs"]
pub(crate) mod usage;
#[path = "task/user_ns.rs"]
pub(crate) mod user_ns;

use crate::arch;
use crate::error::Result;
use crate::format::header;
use crate::format::task as format;
use crate::format::ObjRef;
use crate::fs::table;
use crate::image;
use crate::ipc;
use crate::mm;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::task::Rseq;
use crate::sys::task::Snapshot;
use crate::sys::task::TaskRef;
use crate::sys::task::TASK_ARCH;
use crate::tree::Member;
use crate::tree::Tree;
use kernel::prelude::*;

/// Saves every task of the tree, and all that they refer to. Gives how many there are.
pub(crate) fn save_all(saver: &mut Saver<'_>, tree: &Tree) -> Result<u32> {
    for (member, next) in tree.tasks().iter().zip(1usize..) {
        saver.set_who(member.task());
        match member {
            Member::Live(task) => save(saver, task, tree)?,
            Member::Zombie(task) => {
                // The threads of a process follow each other.
                let has_threads = tree
                    .tasks()
                    .get(next)
                    .is_some_and(|next| next.task().tgid() == task.tgid());

                save_zombie(saver, task, tree, has_threads)?;
            }
        }
    }
    signal::check_sharing(saver, tree)?;
    attributes::check_sharing(saver, tree)?;
    ipc::sem_undo::check_sharing(saver, tree)?;
    pids::check_sysv(saver, tree)?;
    Ok(u32::try_from(tree.tasks().len()).map_err(|_| E2BIG)?)
}

fn save(saver: &mut Saver<'_>, task: &Frozen, tree: &Tree) -> Result {
    let snapshot = task.snapshot();

    if let Some(what) = snapshot.refused {
        return Err(saver.refuse(fmt!("{what}")));
    }
    let traced = ptrace::get(saver, task, tree)?;

    regs::check(saver, task)?;
    // Objects come before the records that refer to them.
    let process = process::save(saver, task, tree)?;
    let namespaces = namespace::save(saver, task)?;
    let creds = cred::save(saver, task)?;
    let filter = attributes::save_filters(saver, task)?;
    let sighand = signal::save_handlers(saver, task)?;
    let mm = mm::save(saver, task)?;
    let files = table::save_files(saver, task)?;
    let fs = table::save_fs(saver, task)?;
    let mut flags = 0;

    if snapshot.saved_sigmask.is_some() {
        flags |= format::TASK_RESTORE_SIGMASK;
    }
    if snapshot.no_new_privs {
        flags |= format::TASK_NO_NEW_PRIVS;
    }
    if task.as_ptr() == sys::task::current().as_ptr() {
        flags |= format::TASK_SELF;
    }
    if is_vfork_child(saver, task, tree)? {
        flags |= format::TASK_VFORK;
    }
    let rseq = match &traced {
        // The new program has not lost yet what the old one had registered.
        Some(traced) if traced.state.stop == format::STOP_EXEC => {
            mm::refer_to_exe(saver, task)?;
            Rseq::NONE
        }
        _ => snapshot.rseq,
    };

    if rseq.slice {
        flags |= format::TASK_RSEQ_SLICE;
    }
    let (login, login_uid) = login::get(saver, task)?;
    let state = format::Task {
        tid: sys::task::pid_in(task, &saver.ns),
        flags,
        process,
        creds,
        namespaces,
        mm,
        files,
        fs,
        sighand,
        exit_code: 0,
        comm: snapshot.comm,
        blocked: snapshot.blocked,
        saved_sigmask: snapshot.saved_sigmask.unwrap_or(0),
        altstack: snapshot.altstack.0,
        altstack_size: snapshot.altstack.1,
        altstack_flags: snapshot.altstack.2,
        pdeath_signal: snapshot.pdeath_signal,
        robust_list: snapshot.robust_list,
        compat_robust_list: snapshot.compat_robust_list,
        clear_child_tid: snapshot.clear_child_tid,
        rseq: rseq.addr,
        rseq_len: rseq.len,
        rseq_sig: rseq.sig,
        personality: snapshot.personality,
        sched_policy: snapshot.policy,
        nice: snapshot.nice,
        rt_priority: snapshot.rt_priority,
        timer_slack: snapshot.timer_slack,
        default_timer_slack: snapshot.default_timer_slack,
        arch: snapshot.arch,
        login,
        login_uid,
    };
    let affinity = sys::process::affinity(task)?;
    let number = saver
        .out
        .object(&state, &[affinity.as_slice().as_bytes()])?;

    regs::save(saver, task, number, vfork_result(saver, task, tree)?)?;
    arch::save_task(saver, task, number)?;
    attributes::save(saver, task, number, filter)?;
    mm::mempolicy::save_task(saver, task, number)?;
    cgroup::save(saver, task, number)?;
    pids::save(saver, task, number)?;
    restart_block::save(saver, task, number)?;
    usage::save(saver, task, number)?;
    if let Some(traced) = &traced {
        ptrace::save(saver, traced, number)?;
    }
    signal::save_pending(saver, task, number, false)?;
    if task.pid() == task.tgid() {
        usage::save_process(saver, task, process)?;
        signal::save_pending(saver, task, process, true)?;
    }
    Ok(())
}

/// Whether the parent of the task waits in vfork(2) for it.
fn is_vfork_child(saver: &Saver<'_>, task: &Frozen, tree: &Tree) -> Result<bool> {
    if !sys::vfork::is_waited_for(task) {
        return Ok(false);
    }
    let parent = sys::task::Tasklist::read().real_parent(task);
    let child = parent.as_ref().and_then(|parent| tree.vfork_child(parent));

    if child.is_some_and(|child| child.as_ptr() == task.as_ptr()) {
        return Ok(true);
    }
    Err(saver.refuse(fmt!(
        "was made by vfork(2), and a task that is not its parent in the tree waits for it"
    )))
}

/// What the vfork(2) that a task waits in is going to return.
fn vfork_result(saver: &Saver<'_>, task: &Frozen, tree: &Tree) -> Result<Option<u64>> {
    if !sys::vfork::is_waiting(task) {
        return Ok(None);
    }
    let child = tree.vfork_child(task).ok_or_else(|| {
        saver.refuse(fmt!(
            "waits in vfork(2) for a process that is not in the tree"
        ))
    })?;

    let ns = sys::ns::PidNs::of(task)?;

    Ok(Some(u64::from(
        sys::task::pid_in(child, &ns).unsigned_abs(),
    )))
}

/// Saves a task that has ended and stays: a process that nobody has waited for, or a leader that
/// has threads which have not ended.
fn save_zombie(saver: &mut Saver<'_>, task: &TaskRef, tree: &Tree, has_threads: bool) -> Result {
    let zombie = sys::freeze::Frozen::ended(task.clone());

    // They stay for a tracer only.
    if task.pid() != task.tgid() {
        return Err(saver.refuse(fmt!(
            "is a thread that has ended, and is traced with ptrace(2)"
        )));
    }
    let traced = ptrace::get(saver, &zombie, tree)?;
    let process = process::save(saver, &zombie, tree)?;
    let creds = cred::save(saver, &zombie)?;
    let (login, login_uid) = login::get(saver, &zombie)?;
    let state = format::Task {
        tid: sys::task::pid_in(task, &saver.ns),
        flags: format::TASK_ZOMBIE,
        process,
        creds,
        namespaces: ObjRef::NONE,
        mm: ObjRef::NONE,
        files: ObjRef::NONE,
        fs: ObjRef::NONE,
        sighand: ObjRef::NONE,
        exit_code: sys::task::exit_code(task),
        comm: sys::task::comm(task),
        login,
        login_uid,
        ..zerocopy::FromZeros::new_zeroed()
    };

    let number = saver.out.object(&state, &[])?;

    cgroup::save(saver, &zombie, number)?;
    pids::save(saver, &zombie, number)?;
    usage::save(saver, &zombie, number)?;
    usage::save_process(saver, &zombie, process)?;
    if let Some(traced) = &traced {
        ptrace::save(saver, traced, number)?;
    }
    if has_threads {
        signal::save_pending(saver, &zombie, process, true)?;
    }
    Ok(())
}

/// How many words of 64 CPUs the tail of a task has.
fn affinity_words(tail: &[u8]) -> Result<u32> {
    let (chunks, rest) = tail.as_chunks::<{ size_of::<u64>() }>();
    let words = chunks.len();

    if !rest.is_empty() || words > sys::process::AFFINITY_WORDS {
        return Err(EINVAL.into());
    }
    Ok(u32::try_from(words).map_err(|_| EINVAL)?)
}

/// Checks a record of a task, before anything is made of it.
pub(crate) fn check(state: &format::Task, tail: &[u8], mode: u32) -> Result {
    affinity_words(tail)?;
    let known = format::TASK_RESTORE_SIGMASK
        | format::TASK_NO_NEW_PRIVS
        | format::TASK_ZOMBIE
        | format::TASK_SELF
        | format::TASK_VFORK
        | format::TASK_RSEQ_SLICE;
    let zombie = state.flags & format::TASK_ZOMBIE != 0;
    let objects = [
        state.namespaces,
        state.mm,
        state.files,
        state.fs,
        state.sighand,
    ];

    if state.flags & !known != 0
        || state.tid <= 0
        || (zombie && state.arch != [0; TASK_ARCH])
        || arch::check_task(&state.arch).is_err()
        || !login::fits(state)
        || objects.iter().any(|object| object.is_none() != zombie)
        || (state.flags & format::TASK_SELF != 0 && mode == header::MODE_CONTAINER)
        || !(0..=sys::signal::SIGNALS as i32).contains(&state.pdeath_signal)
        || state.exit_code & !0xffff != 0
        || !sys::process::scheduler_fits(state.sched_policy, state.nice, state.rt_priority)
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Confines the running task, which may need it to be confined for good. Those that it has made are
/// there by now.
pub(crate) fn confine(restart: &Restart, number: ObjRef) -> Result {
    let (state, _) = restart.record::<format::Task>(number)?;

    if state.flags & format::TASK_NO_NEW_PRIVS != 0 {
        sys::process::set_no_new_privs();
    }
    attributes::confine(restart, number)
}

/// Sets those properties of the running task that can be refused, but for its credentials.
/// [`release`] sets the others.
pub(crate) fn restore(restart: &Restart, number: ObjRef) -> Result {
    let (state, affinity) = restart.record::<format::Task>(number)?;
    let format::Task {
        tid: _,
        process: _,
        // For `restore_cred`.
        creds: _,
        namespaces: _,
        mm: _,
        files: _,
        fs: _,
        sighand: _,
        exit_code: _,
        rseq,
        rseq_len,
        rseq_sig,
        // These are for `attributes`.
        sched_policy: _,
        nice: _,
        rt_priority: _,
        // These are for `release`.
        flags: _,
        comm: _,
        blocked: _,
        saved_sigmask: _,
        altstack: _,
        altstack_size: _,
        altstack_flags: _,
        pdeath_signal: _,
        robust_list: _,
        compat_robust_list: _,
        clear_child_tid: _,
        personality: _,
        timer_slack: _,
        default_timer_slack: _,
        arch: _,
        // For `login`.
        login: _,
        login_uid: _,
    } = state;
    let rseq = Rseq {
        addr: rseq,
        len: rseq_len,
        sig: rseq_sig,
        slice: state.flags & format::TASK_RSEQ_SLICE != 0,
    };

    if !affinity.is_empty() {
        let cpus = image::split::<u64>(affinity, affinity_words(affinity)?)?.0;

        sys::process::set_affinity(&cpus).map_err(|errno| {
            restart.log.error(
                errno,
                fmt!("object {}: it is bound to CPUs that are not here", number.0),
            )
        })?;
    }
    arch::restore_task(restart, number)?;
    attributes::restore(restart, number, &state)?;
    mm::mempolicy::restore_task(restart, number)?;
    sys::process::set_rseq(rseq).map_err(|errno| {
        restart.log.error(
            errno,
            fmt!(
                "object {}: its area of rseq(2), or what it asks for there",
                number.0
            ),
        )
    })?;
    login::join(restart, &state)?;
    restart_block::restore(restart, number)
}

/// Sets the credentials of the running task.
pub(crate) fn restore_cred(restart: &Restart, number: ObjRef) -> Result {
    let (state, _) = restart.record::<format::Task>(number)?;

    cred::restore(restart, state.creds)
}

/// Sets the other properties of the running task, after which it runs its own code.
pub(crate) fn release(restart: &Restart, number: ObjRef, is_main: bool) -> Result {
    let (state, _) = restart.record::<format::Task>(number)?;
    let (mm, _) = restart.record::<crate::format::memory::Mm>(state.mm)?;

    // Changing the credentials has reset it.
    // 2 stands for what execve(2) gives a set-user-ID program: nobody can ask for it.
    sys::mm::set_dumpable(if mm.dumpable == 1 { 1 } else { 0 });
    sys::process::set(&Snapshot {
        comm: state.comm,
        blocked: state.blocked,
        saved_sigmask: None,
        altstack: (state.altstack, state.altstack_size, state.altstack_flags),
        pdeath_signal: state.pdeath_signal,
        robust_list: state.robust_list,
        compat_robust_list: state.compat_robust_list,
        clear_child_tid: state.clear_child_tid,
        rseq: Rseq::NONE,
        personality: state.personality,
        policy: state.sched_policy,
        nice: state.nice,
        rt_priority: state.rt_priority,
        timer_slack: state.timer_slack,
        default_timer_slack: state.default_timer_slack,
        no_new_privs: state.flags & format::TASK_NO_NEW_PRIVS != 0,
        arch: state.arch,
        refused: None,
    });
    sys::process::sync_rseq();
    let saved = (state.flags & format::TASK_RESTORE_SIGMASK != 0).then_some(state.saved_sigmask);

    sys::signal::set_blocked(state.blocked, saved);
    sys::signal::set_sigpending();
    restart_block::start(restart, number)?;
    if is_main {
        // Other processes that have the same handlers may have added the signalfd.
        sys::signal::notify_signalfd();
        timer::start(restart, state.process)?;
    }
    Ok(())
}

/// Gives the running task what a task that has ended still has. Gives its wait status.
pub(crate) fn restore_zombie(restart: &Restart, number: ObjRef) -> Result<i32> {
    let (state, _) = restart.record::<format::Task>(number)?;

    login::join(restart, &state)?;
    cred::restore(restart, state.creds)?;
    sys::process::set_comm(state.comm);
    Ok(state.exit_code)
}

pub(crate) use self::signal::check as check_signals;
pub(crate) use self::signal::restore_handlers;
pub(crate) use self::signal::restore_pending;

pub(crate) use self::attributes::check as check_attributes;
pub(crate) use self::attributes::check_filter;
pub(crate) use self::attributes::restore_filter;
pub(crate) use self::attributes::share_io;
pub(crate) use self::cred::check as check_cred;
pub(crate) use self::posix_timer::check as check_posix_timers;
pub(crate) use self::ptrace::check as check_ptrace;
pub(crate) use self::restart_block::check as check_restart_block;
pub(crate) use self::timer::check as check_timers;
