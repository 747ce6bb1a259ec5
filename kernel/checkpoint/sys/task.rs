// SPDX-License-Identifier: GPL-2.0

//! Tasks: finding them, walking the tree, reading what they are.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use super::freeze::Frozen;
use super::ns::PidNs;
use super::signal::from_set;
use core::ptr;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::sync::aref::ARef;
use kernel::task::Task;

/// A reference to a task.
pub(crate) type TaskRef = ARef<Task>;

/// Takes a reference to a task that C lends.
///
/// # Safety
///
/// `task` must be valid during the call.
pub(super) unsafe fn get(task: *mut bindings::task_struct) -> Option<TaskRef> {
    let task = NonNull::new(task)?;

    // SAFETY: The task is valid, and `Task` is a transparent wrapper of it.
    unsafe { bindings::get_task_struct(task.as_ptr()) };
    // SAFETY: The reference that was just taken now belongs to the `ARef`.
    Some(unsafe { ARef::from_raw(task.cast()) })
}

/// The running task.
pub(crate) fn current() -> TaskRef {
    // SAFETY: The current task is valid while it runs.
    unsafe { get(Task::current_raw()) }.unwrap_or_else(|| ARef::from(&**kernel::current!()))
}

/// The number of the running process in its own pid namespace.
pub(crate) fn current_tgid() -> i32 {
    kernel::current!().tgid_nr_ns(None)
}

/// The task with that pid in the caller's pid namespace (`find_get_task_by_vpid`).
pub(crate) fn find_by_vpid(pid: i32) -> Result<TaskRef> {
    // SAFETY: The function may be called with any number; what it returns is referenced.
    let task = NonNull::new(unsafe { bindings::find_get_task_by_vpid(pid) }).ok_or(ESRCH)?;

    // SAFETY: The reference that the call took now belongs to the `ARef`.
    Ok(unsafe { ARef::from_raw(task.cast()) })
}

/// Whether the caller could attach to the task with ptrace(2).
pub(crate) fn may_attach(task: &Task) -> bool {
    // SAFETY: The task is referenced.
    unsafe { bindings::ptrace_may_access(task.as_ptr(), bindings::PTRACE_MODE_ATTACH_REALCREDS) }
}

/// Sends SIGKILL to the process of the task.
pub(crate) fn kill(task: &Task) {
    // SAFETY: The task is referenced; the small integer is SEND_SIG_PRIV.
    unsafe { bindings::send_sig(bindings::SIGKILL as i32, task.as_ptr(), 1) };
}

/// The pid of a task as a pid namespace sees it; 0 where it does not.
pub(crate) fn pid_in(task: &Task, ns: &PidNs) -> i32 {
    // SAFETY: Both are referenced.
    unsafe {
        bindings::__task_pid_nr_ns(task.as_ptr(), bindings::pid_type_PIDTYPE_PID, ns.as_ptr())
    }
}

/// The pid of the task's process as a pid namespace sees it.
pub(crate) fn tgid_in(task: &Task, ns: &PidNs) -> i32 {
    // SAFETY: Both are referenced.
    unsafe {
        bindings::__task_pid_nr_ns(task.as_ptr(), bindings::pid_type_PIDTYPE_TGID, ns.as_ptr())
    }
}

/// The process group and the session of a task; 0 for one that the namespace does not see.
pub(crate) fn pgrp_and_session_in(task: &Task, ns: &PidNs) -> (i32, i32) {
    // SAFETY: Both are referenced.
    unsafe {
        (
            bindings::__task_pid_nr_ns(task.as_ptr(), bindings::pid_type_PIDTYPE_PGID, ns.as_ptr()),
            bindings::__task_pid_nr_ns(task.as_ptr(), bindings::pid_type_PIDTYPE_SID, ns.as_ptr()),
        )
    }
}

/// The task that has the number in a pid namespace.
pub(crate) fn find_in(nr: i32, ns: &PidNs) -> Option<TaskRef> {
    let _rcu = kernel::sync::rcu::read_lock();

    // SAFETY: The namespace is referenced; what is found is valid under RCU.
    unsafe { get(bindings::find_task_by_pid_ns(nr, ns.as_ptr())) }
}

/// The relations between tasks, held still: `tasklist_lock` for reading.
pub(crate) struct Tasklist(());

impl Tasklist {
    /// Takes the lock. Nothing may sleep until it is dropped.
    pub(crate) fn read() -> Self {
        // SAFETY: The lock is global and the guard releases it.
        unsafe { bindings::tasklist_read_lock() };
        Self(())
    }

    /// Calls `each` with every thread of the process, in the order of their creation.
    pub(crate) fn threads(&self, task: &Task, mut each: impl FnMut(TaskRef)) {
        // SAFETY: The task is referenced and its signal_struct lives as long; the list does not
        // change under the lock.
        unsafe {
            let head = &raw mut (*(*task.as_ptr()).signal).thread_head;
            let mut entry = (*head).next;

            while entry != head {
                each_entry(
                    kernel::container_of!(entry, bindings::task_struct, thread_node),
                    &mut each,
                );
                entry = (*entry).next;
            }
        }
    }

    /// Calls `each` with every process whose parent is this thread, in the order of their
    /// creation.
    pub(crate) fn children(&self, task: &Task, mut each: impl FnMut(TaskRef)) {
        // SAFETY: The task is referenced; the list does not change under the lock.
        unsafe {
            let head = &raw mut (*task.as_ptr()).children;
            let mut entry = (*head).next;

            while entry != head {
                each_entry(
                    kernel::container_of!(entry, bindings::task_struct, sibling),
                    &mut each,
                );
                entry = (*entry).next;
            }
        }
    }

    /// Calls `each` with every task that this thread traces with ptrace(2).
    pub(crate) fn tracees(&self, task: &Task, mut each: impl FnMut(TaskRef)) {
        // SAFETY: The task is referenced; the list does not change under the lock.
        unsafe {
            let head = &raw mut (*task.as_ptr()).ptraced;
            let mut entry = (*head).next;

            while entry != head {
                each_entry(
                    kernel::container_of!(entry, bindings::task_struct, ptrace_entry),
                    &mut each,
                );
                entry = (*entry).next;
            }
        }
    }

    /// The thread that is the parent.
    pub(crate) fn real_parent(&self, task: &Task) -> Option<TaskRef> {
        // SAFETY: The pointer is stable and valid under the lock.
        unsafe { get((*task.as_ptr()).real_parent) }
    }
}

/// Hands a task of a list to `each`.
///
/// # Safety
///
/// `task` must be valid during the call.
unsafe fn each_entry(task: *mut bindings::task_struct, each: &mut impl FnMut(TaskRef)) {
    // SAFETY: By the safety requirement of this function.
    if let Some(task) = unsafe { get(task) } {
        each(task);
    }
}

impl Drop for Tasklist {
    fn drop(&mut self) {
        // SAFETY: The guard holds the lock.
        unsafe { bindings::tasklist_read_unlock() };
    }
}

/// Whether a fatal signal waits for the running task.
pub(crate) fn is_dying() -> bool {
    // SAFETY: The function looks at the running task.
    unsafe { bindings::checkpoint_fatal_signal_pending() }
}

/// `task->exit_state`: 0 while it is alive.
pub(crate) fn exit_state(task: &Task) -> i32 {
    // SAFETY: The task is referenced; a racing change is seen sooner or later.
    unsafe { ptr::read_volatile(&raw const (*task.as_ptr()).exit_state) }
}

/// Whether a task has ended and is about to be forgotten (`EXIT_DEAD`).
pub(crate) fn is_gone(task: &Task) -> bool {
    exit_state(task) == bindings::EXIT_DEAD as i32
}

/// The name (`task->comm`).
pub(crate) fn comm(task: &Task) -> [u8; 16] {
    // SAFETY: The task is referenced; the name is an array in it, which may tear but not end.
    unsafe { (*task.as_ptr()).comm }.map(|c| c as u8)
}

/// How many words [`Snapshot::arch`] has.
pub(crate) const TASK_ARCH: usize = 6;

/// An area of rseq(2).
#[derive(Clone, Copy)]
pub(crate) struct Rseq {
    pub(crate) addr: u64,
    pub(crate) len: u32,
    pub(crate) sig: u32,
    /// PR_RSEQ_SLICE_EXTENSION.
    pub(crate) slice: bool,
}

impl Rseq {
    /// A task that has none.
    pub(crate) const NONE: Self = Self {
        addr: 0,
        len: 0,
        sig: 0,
        slice: false,
    };
}

/// What there is to read of a parked task without following its pointers.
pub(crate) struct Snapshot {
    pub(crate) comm: [u8; 16],
    pub(crate) blocked: u64,
    pub(crate) saved_sigmask: Option<u64>,
    pub(crate) altstack: (u64, u64, u32),
    pub(crate) pdeath_signal: i32,
    pub(crate) robust_list: u64,
    pub(crate) compat_robust_list: u64,
    pub(crate) clear_child_tid: u64,
    pub(crate) rseq: Rseq,
    pub(crate) personality: u32,
    pub(crate) policy: u32,
    pub(crate) nice: i32,
    pub(crate) rt_priority: u32,
    pub(crate) timer_slack: u64,
    pub(crate) default_timer_slack: u64,
    pub(crate) no_new_privs: bool,
    /// See [`crate::format::task::Task::arch`].
    pub(crate) arch: [u64; TASK_ARCH],
    /// What it is in the middle of that cannot be saved, in words.
    pub(crate) refused: Option<&'static str>,
}

impl Frozen {
    /// Reads the task.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let task = self.as_ptr();

        // SAFETY: The task is parked and referenced. What is read belongs to it alone and is
        // changed by nobody else; what others may change (the nice value, say) is a single word.
        unsafe {
            let restore = bindings::test_tsk_restore_sigmask(task);
            let mut arch = [0; TASK_ARCH];

            bindings::checkpoint_arch_get_state(task, arch.as_mut_ptr());

            Snapshot {
                comm: comm(self),
                blocked: from_set(&(*task).blocked),
                saved_sigmask: restore.then_some(from_set(&(*task).saved_sigmask)),
                altstack: (
                    (*task).sas_ss_sp as u64,
                    (*task).sas_ss_size as u64,
                    (*task).sas_ss_flags,
                ),
                pdeath_signal: (*task).pdeath_signal,
                robust_list: (*task).futex.robust_list as u64,
                compat_robust_list: bindings::task_compat_robust_list(task),
                clear_child_tid: (*task).clear_child_tid as u64,
                rseq: Rseq {
                    addr: (*task).rseq.usrptr as u64,
                    len: (*task).rseq.len,
                    sig: (*task).rseq.sig,
                    slice: bindings::checkpoint_rseq_slice(task),
                },
                personality: (*task).personality,
                policy: (*task).policy,
                nice: bindings::checkpoint_task_nice(task),
                rt_priority: (*task).rt_priority,
                timer_slack: (*task).timer_slack_ns,
                default_timer_slack: (*task).default_timer_slack_ns,
                no_new_privs: bindings::task_no_new_privs(task),
                arch,
                refused: self.refused(),
            }
        }
    }

    /// What keeps the task from being saved, if anything does.
    fn refused(&self) -> Option<&'static str> {
        let task = self.as_ptr();

        // SAFETY: As in `snapshot`. The pointers are only compared with null.
        unsafe {
            let signal = (*task).signal;

            if (*task).flags & (bindings::PF_KTHREAD | bindings::PF_USER_WORKER) != 0 {
                Some("is a kernel thread")
            } else if bindings::task_has_io_uring(task) {
                Some("uses io_uring(7)")
            } else if !matches!(
                (*task).seccomp.mode as u32,
                bindings::SECCOMP_MODE_DISABLED
                    | bindings::SECCOMP_MODE_STRICT
                    | bindings::SECCOMP_MODE_FILTER
            ) {
                Some("is being ended by seccomp(2)")
            } else if bindings::task_is_landlocked(task) {
                Some("is confined by Landlock")
            } else if (*signal).autoreap() != 0 {
                Some("is reaped by the kernel (CLONE_AUTOREAP)")
            } else if !matches!(
                (*task).policy,
                bindings::SCHED_NORMAL | bindings::SCHED_BATCH
            ) && (*task).policy != bindings::SCHED_IDLE
                && (*task).policy != bindings::SCHED_FIFO
                && (*task).policy != bindings::SCHED_RR
                && (*task).policy != bindings::SCHED_DEADLINE
            {
                Some("has a scheduling policy that is not supported")
            } else {
                let sentence = bindings::checkpoint_refused(task);

                // The sentences are constants, in ASCII.
                (!sentence.is_null())
                    .then(|| CStr::from_char_ptr(sentence).to_str().ok())
                    .flatten()
            }
        }
    }

    /// The `struct signal_struct`, as the identity of the process.
    pub(crate) fn process_key(&self) -> usize {
        // SAFETY: The pointer does not change, and is not followed.
        unsafe { (*self.as_ptr()).signal as usize }
    }

    /// What the threads of a process share and is no object of its own.
    pub(crate) fn process(&self) -> ProcessSnapshot {
        let task = self.as_ptr();

        // SAFETY: The task is parked and referenced, and its signal_struct lives as long.
        unsafe {
            let signal = (*task).signal;

            ProcessSnapshot {
                exit_signal: (*(*task).group_leader).exit_signal,
                subreaper: (*signal).is_child_subreaper,
                execed: (*(*task).group_leader).flags & bindings::PF_FORKNOEXEC == 0,
                oom_score_adj: (*signal).oom_score_adj,
                oom_score_adj_min: (*signal).oom_score_adj_min,
                stop: stop(self),
                rlimits: (*signal)
                    .rlim
                    .map(|r| [r.rlim_cur as u64, r.rlim_max as u64]),
            }
        }
    }
}

/// Whether a process is stopped by a signal (`struct checkpoint_stop`).
pub(crate) type Stop = bindings::checkpoint_stop;

fn stop(task: &Task) -> Stop {
    let mut stop = Stop::default();

    // SAFETY: The task is referenced; the helper looks under the lock.
    unsafe { bindings::checkpoint_get_stop(task.as_ptr(), &raw mut stop) };
    stop
}

/// Has all threads of a process of a restart stop on their way to user space.
pub(crate) fn set_stop(task: &Task, stop: &Stop) {
    // SAFETY: The task is referenced; the helper works under the lock. A signal has a small number.
    unsafe { bindings::checkpoint_set_stop(task.as_ptr(), stop) };
}

/// Whether the signal stops a process that does nothing about it.
pub(crate) fn is_stop_signal(signal: i32) -> bool {
    u32::try_from(signal).is_ok_and(|signal| {
        matches!(
            signal,
            bindings::SIGSTOP | bindings::SIGTSTP | bindings::SIGTTIN | bindings::SIGTTOU
        )
    })
}

/// See [`Frozen::process`].
pub(crate) struct ProcessSnapshot {
    pub(crate) exit_signal: i32,
    pub(crate) subreaper: bool,
    pub(crate) execed: bool,
    pub(crate) oom_score_adj: i16,
    pub(crate) oom_score_adj_min: i16,
    pub(crate) stop: Stop,
    pub(crate) rlimits: [[u64; 2]; 16],
}

/// The wait status of a task that has ended.
pub(crate) fn exit_code(task: &Task) -> i32 {
    // SAFETY: The task is referenced, and has ended: the codes do not change any more.
    unsafe {
        let signal = (*task.as_ptr()).signal;

        if (*signal).flags & bindings::SIGNAL_GROUP_EXIT != 0 {
            (*signal).group_exit_code
        } else {
            (*task.as_ptr()).exit_code
        }
    }
}
