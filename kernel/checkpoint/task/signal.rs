// SPDX-License-Identifier: GPL-2.0

//! Signal handlers and pending signals.
//!
//! Kept: every action with its flags and mask, and which processes share them (CLONE_SIGHAND); what is pending, for a thread or for the process,
//! in order and with its siginfo. The signals of timers are kept with the timers, by
//! [`super::posix_timer`].
//! Not kept, and refused: handlers that are shared with a process outside of the tree.
//!
//! C functions: `do_sigaction()`, `do_send_sig_info()`

use crate::error::Result;
use crate::format::task::SigAction;
use crate::format::task::SigQueue;
use crate::format::task::Sighand;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image;
use crate::image::RawRecord;
use crate::object::Class;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::signal::SigInfo;
use crate::sys::signal::SIGNALS;
use crate::tree::Tree;
use kernel::bindings;
use kernel::prelude::*;
use kernel::rbtree::RBTree;

/// Saves the handlers of a task.
pub(super) fn save_handlers(saver: &mut Saver<'_>, task: &Frozen) -> Result<ObjRef> {
    let (key, _) = sys::signal::handlers_key(task)?;

    if let Some(number) = saver.objects.refer(Class::Sighand, key) {
        return Ok(number);
    }
    let actions = sys::signal::actions(task)?;
    let state = Sighand {
        signals: SIGNALS as u32,
        reserved: 0,
    };
    let number = saver.out.object(&state, &[actions.as_slice().as_bytes()])?;

    saver.objects.insert(Class::Sighand, key, number)?;
    Ok(number)
}

/// Refuses handlers that somebody outside of the tree has too. Who has ended has them until
/// somebody waits for it.
pub(super) fn check_sharing(saver: &mut Saver<'_>, tree: &Tree) -> Result {
    let mut seen = RBTree::<usize, u64>::new();

    for member in tree.tasks() {
        let (key, _) = sys::signal::handlers_key(&member.task())?;

        match seen.get_mut(&key) {
            Some(count) => *count = count.saturating_add(1),
            None => {
                seen.try_create_and_insert(key, 1, GFP_KERNEL)?;
            }
        }
    }
    for member in tree.tasks() {
        let task = member.task();
        let (key, users) = sys::signal::handlers_key(&task)?;

        if seen.get(&key) != Some(&users) {
            saver.set_who(task);
            return Err(saver.refuse(fmt!(
                "shares signal handlers with a process outside of the tree (CLONE_SIGHAND)"
            )));
        }
    }
    Ok(())
}

/// Saves what is pending for a thread, or for its process.
pub(super) fn save_pending(
    saver: &mut Saver<'_>,
    task: &Frozen,
    owner: ObjRef,
    shared: bool,
) -> Result {
    let sys::signal::Pending {
        set: pending,
        infos,
        itimers,
    } = sys::signal::pending(task, shared)?;

    if shared {
        super::timer::save_itimers(saver, owner, &itimers)?;
        super::posix_timer::save(saver, task, owner)?;
    }
    if pending & bit(bindings::SIGKILL as usize) != 0 {
        return Err(ESRCH.into());
    }
    if pending == 0 {
        return Ok(());
    }
    let state = SigQueue {
        owner,
        signals: u32::try_from(infos.len()).map_err(|_| E2BIG)?,
        pending,
    };

    saver.out.record(&state, &[infos.as_slice().as_bytes()])
}

/// The bit of a signal in a mask.
fn bit(signal: usize) -> u64 {
    u32::try_from(signal)
        .ok()
        .and_then(|signal| signal.checked_sub(1))
        .and_then(|shift| 1u64.checked_shl(shift))
        .unwrap_or(0)
}

/// Checks the record of handlers or of pending signals; gives the owner of the latter.
pub(crate) fn check(record: &RawRecord<'_>) -> Result<ObjRef> {
    if record.kind == Sighand::KIND {
        let (state, tail) = record.parse::<Sighand>()?;

        if state.signals != SIGNALS as u32
            || state.reserved != 0
            || tail.len() != size_of::<[SigAction; SIGNALS]>()
        {
            return Err(EINVAL.into());
        }
        return Ok(ObjRef::NONE);
    }
    let (state, tail) = record.parse::<SigQueue>()?;

    for info in &image::all::<SigInfo>(tail, state.signals)? {
        let signal = info
            .first_chunk()
            .map_or(0, |number| i32::from_ne_bytes(*number));
        let signal = usize::try_from(signal).map_err(|_| EINVAL)?;

        if signal > SIGNALS || bit(signal) & state.pending == 0 {
            return Err(EINVAL.into());
        }
    }
    if state.pending & bit(bindings::SIGKILL as usize) != 0 {
        return Err(EINVAL.into());
    }
    Ok(state.owner)
}

/// Sets the handlers of the running process; called by its leader.
pub(crate) fn restore_handlers(restart: &Restart, number: ObjRef) -> Result {
    let (state, tail) = restart.record::<Sighand>(number)?;
    let Sighand {
        signals,
        reserved: _,
    } = state;

    for (action, signal) in image::all::<SigAction>(tail, signals)?.iter().zip(1..) {
        if signal != bindings::SIGKILL as i32 && signal != bindings::SIGSTOP as i32 {
            sys::signal::set_action(signal, action)?;
        }
    }
    Ok(())
}

/// Makes pending again what was pending for the running task, or (by its leader) for its process.
/// Handlers and the mask must have been set.
pub(crate) fn restore_pending(restart: &Restart, owner: ObjRef, shared: bool) -> Result {
    for record in restart.belonging::<SigQueue>(owner) {
        let (state, tail) = record.parse::<SigQueue>()?;
        let SigQueue {
            owner: _,
            signals,
            pending,
        } = state;

        for info in &image::all::<SigInfo>(tail, signals)? {
            sys::signal::send(info, shared)?;
        }
        sys::signal::add_pending(pending, shared);
    }
    Ok(())
}
