// SPDX-License-Identifier: GPL-2.0

//! Making tasks that run kernel code before they run their own.
//!
//! A new task starts in [`entry`], which queues [`work`] and returns; the return to user space
//! then runs the work. There, and not in the first function, the task builds what it is: when
//! that function returns, the architecture still writes the return value of a system call into
//! the user registers, and only after that may they be set for good.
//!
//! C functions: `kernel_clone()`, `task_work_add()`

use super::ns::PidNs;
use super::ptrace::Stop;
use super::task::TaskRef;
use super::vfork::Vfork;
use core::ffi::c_void;
use core::ptr;
use kernel::bindings;
use kernel::error::to_result;
use kernel::ffi::c_long;
use kernel::prelude::*;
use kernel::task::Task;

/// What becomes of a new task.
pub(crate) enum Next {
    /// It runs its own code.
    Run,
    /// It does so when the child has called execve(2) or ended.
    Wait(Vfork),
    /// It does so when its tracer lets it go on.
    Stop(Stop),
    /// Its process ends with this wait status.
    Exit(i32),
    /// It ends alone with this wait status, and its process goes on.
    ExitThread(i32),
}

/// What a new task does before it runs its own code.
pub(crate) trait Body: Send {
    /// Builds the task. If it fails, the task is killed. A body that is dropped without having
    /// run belongs to a task that was killed first.
    fn run(&mut self) -> Result<Next, ()>;
}

#[repr(C)]
struct Start<B> {
    work: bindings::callback_head,
    body: B,
}

/// What a new task shares with its creator, and what it is called.
pub(crate) struct Spawn<'a> {
    /// `CLONE_*`
    pub(crate) flags: u64,
    /// Its pid, from the innermost pid namespace outwards; empty lets the kernel choose.
    pub(crate) pids: &'a [i32],
}

/// Shares everything; also what every new task is given at first.
pub(crate) const VM: u64 = bindings::CLONE_VM as u64;
/// Another thread of the creator's process.
pub(crate) const THREAD: u64 =
    (bindings::CLONE_THREAD | bindings::CLONE_SIGHAND | bindings::CLONE_VM) as u64;
/// A process that leaves no trace when it ends, until [`keep`] is called.
pub(crate) const AUTOREAP: u64 = bindings::CLONE_AUTOREAP as u64;
/// A new pid namespace, whose init the task is.
pub(crate) const NEWPID: u64 = bindings::CLONE_NEWPID as u64;
/// A new UTS namespace.
pub(crate) const NEWUTS: u64 = bindings::CLONE_NEWUTS as u64;
/// A new time namespace, which the task is to join.
pub(crate) const NEWTIME: u64 = bindings::CLONE_NEWTIME as u64;
/// A new IPC namespace.
pub(crate) const NEWIPC: u64 = bindings::CLONE_NEWIPC as u64;

/// Makes a child or a thread of the running task, without descriptors, and gives its pid in the
/// running task's pid namespace. The body comes back if there is no task that runs it.
pub(crate) fn spawn<B: Body>(spawn: &Spawn<'_>, body: B) -> Result<i32, (Error, B)> {
    let mut pids = KVec::new();
    let place = pids
        .extend_from_slice(spawn.pids, GFP_KERNEL)
        .and_then(|()| KBox::<Start<B>>::new_uninit(GFP_KERNEL));
    let start = match place {
        Ok(place) => KBox::into_raw(place.write(Start {
            work: bindings::callback_head::default(),
            body,
        })),
        Err(error) => return Err((error.into(), body)),
    };
    let mut args = bindings::kernel_clone_args {
        flags: spawn.flags | u64::from(bindings::CLONE_UNTRACED),
        fn_: Some(entry::<B>),
        fn_arg: start.cast(),
        set_tid: pids.as_mut_ptr(),
        set_tid_size: pids.len(),
        ..Default::default()
    };

    args.set_no_files(1);
    // SAFETY: The arguments are valid during the call. The new task takes over `start`.
    let pid = unsafe { bindings::kernel_clone(&raw mut args) };

    to_result(pid.min(0)).map_err(|error| {
        // SAFETY: There is no task; `start` is still ours.
        let start = unsafe { KBox::from_raw(start) };

        (error, KBox::into_inner(start).body)
    })?;
    Ok(pid)
}

/// Has the running task do something on its way out of the system call that it is in.
pub(crate) fn before_return<B: Body>(body: B) -> Result {
    let start = KBox::into_raw(KBox::new(
        Start {
            work: bindings::callback_head::default(),
            body,
        },
        GFP_KERNEL,
    )?);

    // SAFETY: `start` came from a box and is given away.
    unsafe { queue(start) }
}

/// Queues the work of the running task. `ESRCH`: it is ending.
///
/// # Safety
///
/// `start` must come from `KBox::<Start<B>>::into_raw`, and is taken over.
unsafe fn queue<B: Body>(start: *mut Start<B>) -> Result {
    // SAFETY: By the safety requirement; the queued work takes over `start`, and if it cannot be
    // queued nobody else has it.
    unsafe {
        bindings::init_task_work(&raw mut (*start).work, Some(work::<B>));
        to_result(bindings::task_work_add(
            bindings::get_current(),
            &raw mut (*start).work,
            bindings::task_work_notify_mode_TWA_RESUME,
        ))
        .inspect_err(|_| drop(KBox::from_raw(start)))
    }
}

/// The first function of a new task.
///
/// # Safety
///
/// `arg` must come from `KBox::<Start<B>>::into_raw`, and is taken over.
unsafe extern "C" fn entry<B: Body>(arg: *mut c_void) -> i32 {
    // A task that is ending drops its body.
    // SAFETY: By the safety requirement.
    let _ = unsafe { queue::<B>(arg.cast()) };

    0
}

/// What a new task does on its way to user space.
///
/// # Safety
///
/// `head` must be the first field of a `Start<B>` that was queued by [`entry`].
unsafe extern "C" fn work<B: Body>(head: *mut bindings::callback_head) {
    // SAFETY: By the safety requirement: the field is the first of a `#[repr(C)]` struct.
    let mut start = unsafe { KBox::from_raw(head.cast::<Start<B>>()) };
    // SAFETY: The current task is valid.
    let dying = unsafe {
        (*bindings::get_current()).flags & bindings::PF_EXITING != 0
            || bindings::checkpoint_fatal_signal_pending()
    };

    let next = if dying { Err(()) } else { start.body.run() };

    // What comes now may not return, or not soon.
    drop(start);
    // SAFETY: The task holds nothing any more: it ends as through exit_group(2) or exit(2), or is sent a
    // signal that it finds before it comes to user space.
    unsafe {
        match next {
            Ok(Next::Run) => (),
            Ok(Next::Wait(vfork)) => vfork.wait(),
            Ok(Next::Stop(stop)) => stop.enter(),
            Ok(Next::Exit(code)) => bindings::do_group_exit(code),
            Ok(Next::ExitThread(code)) => bindings::do_exit(code as c_long),
            Err(()) => {
                bindings::send_sig(bindings::SIGKILL as i32, bindings::get_current(), 1);
            }
        }
    }
}

/// From now on a process that ends waits for its parent, which gets this signal (0: none).
pub(crate) fn keep(task: &Task, exit_signal: i32) {
    // SAFETY: The task is referenced; what exit_notify() reads is written under its lock.
    unsafe {
        bindings::tasklist_write_lock();
        (*(*task.as_ptr()).signal).set_autoreap(0);
        (*(*task.as_ptr()).group_leader).exit_signal = exit_signal;
        bindings::tasklist_write_unlock();
    }
}

/// Moves a process to the session with that number. See [`set_group`].
pub(crate) fn set_session(task: &Task, ns: &PidNs, session: i32, make: bool) -> Result {
    set_pid(task, ns, bindings::pid_type_PIDTYPE_SID, session, make)
}

/// Moves a process to the process group with that number. With `make` no pid may have the number
/// yet (`EEXIST`): a pid without a task is made, as if its task had ended. Otherwise there must be
/// one (`ESRCH`). `EPERM`: the caller may not choose pids.
pub(crate) fn set_group(task: &Task, ns: &PidNs, group: i32, make: bool) -> Result {
    set_pid(task, ns, bindings::pid_type_PIDTYPE_PGID, group, make)
}

fn set_pid(task: &Task, ns: &PidNs, kind: bindings::pid_type, pid: i32, make: bool) -> Result {
    // SAFETY: Both are referenced; the helper works under the task list's lock.
    to_result(unsafe { bindings::checkpoint_set_pid(task.as_ptr(), ns.as_ptr(), kind, pid, make) })
}

/// Waits until the process has ended and only its exit code is left (`EXIT_ZOMBIE`). `ESRCH`:
/// not even that is left, since somebody has killed it or its parent.
pub(crate) fn wait_zombie(task: &Task) -> Result {
    while super::task::exit_state(task) == 0 {
        kernel::time::delay::fsleep(kernel::time::Delta::from_micros(50));
    }
    if super::task::exit_state(task) != bindings::EXIT_ZOMBIE as i32 {
        return Err(ESRCH);
    }
    Ok(())
}

/// Waits, for a second at most, until those have been waited for who have the number in the namespace
/// and have ended.
pub(crate) fn wait_free(nr: i32, ns: &PidNs) {
    for _ in 0..1000 {
        // SAFETY: The namespace is referenced.
        if !unsafe { bindings::checkpoint_pid_is_ending(nr, ns.as_ptr()) }
            || super::task::is_dying()
        {
            return;
        }
        kernel::time::delay::fsleep(kernel::time::Delta::from_millis(1));
    }
}

/// Waits until the kernel has forgotten the task; for ten seconds at most, since a tracer may keep it.
pub(crate) fn wait_gone(task: &TaskRef) {
    for _ in 0..100_000 {
        // SAFETY: The task is referenced; the pid is detached when the task is released.
        if unsafe { ptr::read_volatile(&raw const (*task.as_ptr()).thread_pid) }.is_null() {
            return;
        }
        kernel::time::delay::fsleep(kernel::time::Delta::from_micros(100));
    }
}
