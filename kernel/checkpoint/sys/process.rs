// SPDX-License-Identifier: GPL-2.0

//! Setting what a task is, from inside of the task.

use super::attributes::Plain;
use super::freeze::Frozen;
use super::task::Rseq;
use super::task::Snapshot;
use super::task::TASK_ARCH;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::task::Task;

/// Sets the name of the running task.
pub(crate) fn set_comm(mut comm: [u8; 16]) {
    if let Some(last) = comm.last_mut() {
        *last = 0;
    }
    // SAFETY: The name belongs to the running task, and ends with a zero.
    unsafe { bindings::__set_task_comm(bindings::get_current(), comm.as_ptr().cast(), false) };
}

/// What a task whose [`Snapshot::arch`] this is cannot have here, in words.
pub(crate) fn arch_lacks(arch: &[u64; TASK_ARCH]) -> Option<&'static str> {
    // SAFETY: The helper has all words; the sentences are constants, in ASCII.
    unsafe {
        let sentence = bindings::checkpoint_arch_lacks(arch.as_ptr());

        (!sentence.is_null())
            .then(|| CStr::from_char_ptr(sentence).to_str().ok())
            .flatten()
    }
}

/// Takes from the running task what only the architecture knows, and clones have from who made them.
pub(crate) fn reset_arch() {
    // SAFETY: The helper works on the running task, which is not in user space.
    unsafe { bindings::checkpoint_arch_reset() };
}

/// Sets everything of the running task that has no check of its own.
pub(crate) fn set(snapshot: &Snapshot) {
    set_comm(snapshot.comm);
    // SAFETY: All of it belongs to the running task, which is not in user space; the addresses
    // are followed by user access only.
    unsafe {
        let task = bindings::get_current();

        (*task).sas_ss_sp = snapshot.altstack.0 as _;
        (*task).sas_ss_size = snapshot.altstack.1 as _;
        (*task).sas_ss_flags = snapshot.altstack.2;
        (*task).pdeath_signal = snapshot.pdeath_signal;
        (*task).futex.robust_list = snapshot.robust_list as usize as _;
        bindings::checkpoint_set_compat_robust_list(snapshot.compat_robust_list as usize as _);
        (*task).clear_child_tid = snapshot.clear_child_tid as usize as _;
        (*task).personality = snapshot.personality;
        (*task).timer_slack_ns = snapshot.timer_slack;
        (*task).default_timer_slack_ns = snapshot.default_timer_slack;
        bindings::checkpoint_arch_set_state(snapshot.arch.as_ptr());
        if snapshot.no_new_privs {
            bindings::task_set_no_new_privs(task);
        }
    }
}

/// Registers the rseq area of the running task without touching it (rseq(2)). `EINVAL`: the
/// length or the place cannot be; `EOPNOTSUPP`: this kernel extends no time slices.
pub(crate) fn set_rseq(area: Rseq) -> Result {
    let Rseq {
        addr,
        len,
        sig,
        slice,
    } = area;

    // SAFETY: The helper checks what rseq(2) checks.
    to_result(unsafe { bindings::checkpoint_set_rseq(addr as usize, len, sig, slice) })
}

/// Prepares the rseq area of the running task, whose memory is complete, for its first update.
pub(crate) fn sync_rseq() {
    // SAFETY: The helper works on the running task and its memory.
    unsafe { bindings::checkpoint_sync_rseq() };
}

/// Whether there are such a policy, nice value and priority.
pub(crate) fn scheduler_fits(policy: u32, nice: i32, priority: u32) -> bool {
    let priority_fits = match policy {
        bindings::SCHED_FIFO | bindings::SCHED_RR => (1..=99).contains(&priority),
        bindings::SCHED_NORMAL
        | bindings::SCHED_BATCH
        | bindings::SCHED_IDLE
        | bindings::SCHED_DEADLINE => priority == 0,
        _ => false,
    };

    priority_fits && (-20..=19).contains(&nice)
}

/// Sets policy, nice value and priority of the running task, which [`scheduler_fits`], and what
/// else `plain` has of it (`sched_setattr`, which checks the rights of the running task).
pub(crate) fn set_scheduler(policy: u32, nice: i32, priority: u32, plain: &Plain) -> Result {
    let flag = |known: u32, flag: u32| u64::from(if plain.flags & known != 0 { flag } else { 0 });
    let clamps = bindings::CHECKPOINT_UTIL_MIN | bindings::CHECKPOINT_UTIL_MAX;
    // SAFETY: The helper reads the running task.
    let is_clamped = plain.flags & clamps != 0 || unsafe { bindings::checkpoint_is_clamped() };
    // The largest value takes back what the restarter has.
    let clamp = |known: u32, value: u32| match plain.flags & known {
        0 => u32::MAX,
        _ => value,
    };
    let attr = bindings::sched_attr {
        size: size_of::<bindings::sched_attr>() as u32,
        sched_policy: policy,
        sched_flags: flag(
            bindings::CHECKPOINT_RESET_ON_FORK,
            bindings::SCHED_FLAG_RESET_ON_FORK,
        ) | flag(bindings::CHECKPOINT_RECLAIM, bindings::SCHED_FLAG_RECLAIM)
            | flag(
                bindings::CHECKPOINT_OVERRUN,
                bindings::SCHED_FLAG_DL_OVERRUN,
            )
            | u64::from(if is_clamped {
                bindings::SCHED_FLAG_UTIL_CLAMP_MIN | bindings::SCHED_FLAG_UTIL_CLAMP_MAX
            } else {
                0
            }),
        sched_util_min: clamp(bindings::CHECKPOINT_UTIL_MIN, plain.util_min),
        sched_util_max: clamp(bindings::CHECKPOINT_UTIL_MAX, plain.util_max),
        sched_nice: nice,
        sched_priority: priority,
        sched_runtime: plain.runtime,
        sched_deadline: plain.deadline,
        sched_period: plain.period,
    };

    if matches!(
        policy,
        bindings::SCHED_FIFO | bindings::SCHED_RR | bindings::SCHED_DEADLINE
    ) {
        // With such a policy the nice value is not set, but the task may go back to it.
        set_scheduler(bindings::SCHED_NORMAL, nice, 0, &Plain::default())?;
    }
    // SAFETY: The attributes are valid; the function checks rights and values.
    to_result(unsafe { bindings::sched_setattr(bindings::get_current(), &raw const attr) })
}

/// Sets prctl(PR_SET_NO_NEW_PRIVS) of the running task.
pub(crate) fn set_no_new_privs() {
    // SAFETY: The flag is an atomic bit of the running task.
    unsafe { bindings::task_set_no_new_privs(bindings::get_current()) };
}

/// How many words of 64 CPUs an affinity has at most.
pub(crate) const AFFINITY_WORDS: usize = 128;

/// The CPUs that a parked task was bound to; empty if it may run everywhere.
pub(crate) fn affinity(task: &Frozen) -> Result<KVec<u64>> {
    let mut words = KVec::from_elem(0u64, AFFINITY_WORDS, GFP_KERNEL)?;

    // SAFETY: The task is referenced; there is room for as many words as is said.
    let count = unsafe {
        bindings::checkpoint_get_affinity(task.as_ptr(), words.as_mut_ptr(), AFFINITY_WORDS as u32)
    };

    words.truncate(count as usize);
    Ok(words)
}

/// Binds the running task to CPUs (sched_setaffinity(2)). `EINVAL`: there is none of them.
pub(crate) fn set_affinity(words: &[u64]) -> Result {
    // SAFETY: The words are valid; the function works on the running task.
    to_result(unsafe {
        bindings::checkpoint_set_affinity(words.as_ptr(), u32::try_from(words.len())?)
    })
}

/// Sets a resource limit of a process (prlimit(2), with its checks on the running task).
pub(crate) fn set_rlimit(task: &Task, resource: usize, [soft, hard]: [u64; 2]) -> Result {
    let mut limit = bindings::rlimit {
        rlim_cur: soft.try_into()?,
        rlim_max: hard.try_into()?,
    };

    // SAFETY: The task is referenced and the limit is valid; the function checks number, values and rights.
    to_result(unsafe {
        bindings::do_prlimit(
            task.as_ptr(),
            u32::try_from(resource)?,
            &raw mut limit,
            core::ptr::null_mut(),
        )
    })
}

/// Sets `/proc/PID/oom_score_adj` of the running process; lowering it takes CAP_SYS_RESOURCE.
pub(crate) fn set_oom_score_adj(value: i16, min: i16) -> Result {
    let range = bindings::OOM_SCORE_ADJ_MIN as i16..=bindings::OOM_SCORE_ADJ_MAX as i16;

    if !range.contains(&value) || !range.contains(&min) {
        return Err(EINVAL);
    }
    // SAFETY: The fields belong to the running process, and each is a single word.
    unsafe {
        let signal = (*bindings::get_current()).signal;

        if (value < (*signal).oom_score_adj_min || min < (*signal).oom_score_adj_min)
            && !bindings::capable(bindings::CAP_SYS_RESOURCE as i32)
        {
            return Err(EACCES);
        }
        (*signal).oom_score_adj = value;
        (*signal).oom_score_adj_min = min;
    }
    Ok(())
}

/// Sets prctl(PR_SET_CHILD_SUBREAPER) and whether the running process has called execve(2).
pub(crate) fn set_flags(subreaper: bool, execed: bool) {
    // SAFETY: The fields belong to the running process, which has no child but those of the
    // restart, made after it.
    unsafe {
        let task = bindings::get_current();

        (*(*task).signal).is_child_subreaper = subreaper;
        if execed {
            (*task).flags &= !bindings::PF_FORKNOEXEC;
        }
    }
}

/// A number that tells the autogroup of a process from others, 0 for none, and the nice value of
/// that.
pub(crate) fn autogroup(task: &Task) -> (usize, i32) {
    let mut nice = 0;
    // SAFETY: The task is referenced; the helper reads under the lock of the autogroup.
    let key = unsafe { bindings::checkpoint_get_autogroup(task.as_ptr(), &raw mut nice) };

    (key, nice)
}

/// Gives the running process an autogroup of its own, as setsid(2) does, with a nice value, as a
/// write to `/proc/self/autogroup` does. `EPERM`: it is negative, and the process may not have that.
pub(crate) fn make_autogroup(nice: i32) -> Result {
    // SAFETY: The helper works on the running process.
    unsafe { bindings::checkpoint_set_autogroup(core::ptr::null_mut()) };
    if nice == 0 {
        return Ok(());
    }
    for _ in 0..100 {
        // SAFETY: The helper works on the running process.
        match to_result(unsafe { bindings::checkpoint_autogroup_nice(nice) }) {
            // Without CAP_SYS_ADMIN one can be set in a tenth of a second.
            Err(errno) if errno == EAGAIN => {
                kernel::time::delay::fsleep(kernel::time::Delta::from_millis(20));
            }
            result => return result,
        }
    }
    Err(EAGAIN)
}

/// Puts the running process into the autogroup of another one.
pub(crate) fn share_autogroup(other: &Task) {
    // SAFETY: The other task is referenced; the helper looks whether it is alive.
    unsafe { bindings::checkpoint_set_autogroup(other.as_ptr()) };
}
