// SPDX-License-Identifier: GPL-2.0

//! Signals: what they do, which are blocked, which are pending.
//!
//! C header: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use super::freeze::Frozen;
use super::timer::IntervalTimers;
use crate::format::task::SigAction;
use crate::format::task::SIGINFO_SIZE;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::task::Task;

/// How many signals there are, from 1.
pub(crate) const SIGNALS: usize = bindings::_NSIG as usize;

/// SIGKILL and SIGSTOP, which nobody may block.
const UNBLOCKABLE: u64 = 1 << (bindings::SIGKILL - 1) | 1 << (bindings::SIGSTOP - 1);

/// The actions of all signals, from 1.
pub(crate) type Actions = KVec<SigAction>;

/// A siginfo as user space sees it.
pub(crate) type SigInfo = [u8; SIGINFO_SIZE];

/// A set of signals as a number, the first signal in the lowest bit.
pub(super) fn from_set(set: &bindings::sigset_t) -> u64 {
    set.sig.iter().rev().fold(0u64, |bits, &word| {
        bits.checked_shl(usize::BITS).unwrap_or(0) | word as u64
    })
}

/// The set of signals that a number stands for.
pub(super) fn to_set(bits: u64) -> bindings::sigset_t {
    let mut set = bindings::sigset_t::default();
    let mut bits = bits;

    for word in &mut set.sig {
        *word = bits as usize;
        bits = bits.checked_shr(usize::BITS).unwrap_or(0);
    }
    set
}

/// The identity of the handlers, and how many tasks share them. `ESRCH`: it has been killed.
pub(crate) fn handlers_key(task: &Task) -> Result<(usize, u64)> {
    let (mut key, mut count) = (0, 0);

    // SAFETY: The task is referenced; the helper looks under the lock.
    to_result(unsafe {
        bindings::checkpoint_sighand_key(task.as_ptr(), &raw mut key, &raw mut count)
    })?;
    Ok((key as usize, u64::from(count)))
}

/// Gives the running process, which has no threads yet, the handlers of another one
/// (CLONE_SIGHAND). `ESRCH`: that has ended.
pub(crate) fn share_handlers(other: &Task) -> Result {
    // SAFETY: The other task is referenced. The restart makes the threads of the running process
    // later, so that the running task is the only one of it.
    to_result(unsafe { bindings::checkpoint_share_sighand(other.as_ptr()) })
}

/// Wakes up who waits for the signals of the running process through a signalfd in an epoll set.
pub(crate) fn notify_signalfd() {
    // SAFETY: The helper works on the running task.
    unsafe { bindings::checkpoint_signalfd_notify() };
}

/// Reads the actions.
pub(crate) fn actions(task: &Frozen) -> Result<Actions> {
    let mut raw = KVec::from_elem(bindings::k_sigaction::default(), SIGNALS, GFP_KERNEL)?;
    let mut actions = KVec::with_capacity(SIGNALS, GFP_KERNEL)?;

    // SAFETY: The task is referenced, and there is room for all actions.
    to_result(unsafe { bindings::checkpoint_get_actions(task.as_ptr(), raw.as_mut_ptr()) })?;
    for action in &raw {
        actions.push(
            SigAction {
                handler: action.sa.sa_handler.map_or(0, |f| f as usize as u64),
                flags: action.sa.sa_flags as u64,
                restorer: action.sa.sa_restorer.map_or(0, |f| f as usize as u64),
                mask: from_set(&action.sa.sa_mask),
            },
            GFP_KERNEL,
        )?;
    }
    Ok(actions)
}

/// Sets one action of the running task (`do_sigaction`, with its checks).
pub(crate) fn set_action(signal: i32, action: &SigAction) -> Result {
    // SAFETY: The helper makes a `struct k_sigaction` of the numbers; the addresses are user
    // space's business, as in sigaction(2).
    to_result(unsafe {
        bindings::checkpoint_set_action(
            signal,
            action.handler as usize,
            action.flags as usize,
            action.restorer as usize,
            &raw const action.mask,
        )
    })
}

/// What [`pending`] reads at one moment.
pub(crate) struct Pending {
    /// Which signals are pending at all, with a siginfo or without.
    pub(crate) set: u64,
    /// The siginfos, in order.
    pub(crate) infos: KVVec<SigInfo>,
    /// The timers of setitimer(2), if it was asked for the signals of the process.
    pub(crate) itimers: IntervalTimers,
}

/// The pending signals of the task, or those of its process.
pub(crate) fn pending(task: &Frozen, shared: bool) -> Result<Pending> {
    // Most have none.
    let mut room = 0usize;

    loop {
        let mut infos = KVVec::from_elem([0u8; SIGINFO_SIZE], room, GFP_KERNEL)?;
        let mut itimers = IntervalTimers::default();
        let mut set = 0;
        // SAFETY: The task is referenced; there is room for as many siginfos as is said.
        let found = unsafe {
            bindings::checkpoint_get_pending(
                task.as_ptr(),
                shared,
                infos.as_mut_ptr().cast(),
                u32::try_from(room)?,
                &raw mut set,
                &raw mut itimers,
            )
        };
        let found = usize::try_from(found).map_err(|_| Error::from_errno(found))?;

        if found <= room {
            infos.truncate(found);
            return Ok(Pending {
                set,
                infos,
                itimers,
            });
        }
        room = found;
    }
}

/// Sends a signal to the running task or to its process, with everything that is known of it.
pub(crate) fn send(info: &SigInfo, shared: bool) -> Result {
    // SAFETY: The helper reads a siginfo from the buffer and checks the signal's number.
    to_result(unsafe { bindings::checkpoint_send_siginfo(info.as_ptr().cast(), shared) })
}

/// Marks signals as pending that have no siginfo.
pub(crate) fn add_pending(set: u64, shared: bool) {
    // SAFETY: The helper works on the running task under the lock.
    unsafe { bindings::checkpoint_add_pending(&raw const set, shared) };
}

/// Sets the mask of the running task, and the one to go back to.
pub(crate) fn set_blocked(blocked: u64, saved: Option<u64>) {
    let mut set = to_set(blocked);

    // SAFETY: The functions work on the running task.
    unsafe {
        bindings::set_current_blocked(&raw mut set);
        if let Some(saved) = saved {
            (*bindings::get_current()).saved_sigmask = to_set(saved & !UNBLOCKABLE);
            bindings::set_restore_sigmask();
        }
    }
}

/// Makes the running task look at its signals before it goes to user space, so that an
/// interrupted system call is restarted.
pub(crate) fn set_sigpending() {
    // SAFETY: The function sets an atomic bit of the running task.
    unsafe { bindings::set_sigpending() };
}
