// SPDX-License-Identifier: GPL-2.0

//! Tasks that trace others with ptrace(2).
//!
//! C source: `kernel/ptrace.c`, `ptrace_stop()` in `kernel/signal.c`

use super::freeze::Frozen;
use super::signal::SigInfo;
use super::task::TaskRef;
use super::vfork;
use super::vfork::Vfork;
use crate::format::task::SIGINFO_SIZE;
use crate::format::task::STOP_VFORK;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::sync::aref::ARef;
use kernel::task::Task;
use kernel::time::delay::fsleep;
use kernel::time::Delta;

/// How a task is traced, and the stop that it is in.
pub(crate) use bindings::checkpoint_ptrace as State;

/// See [`get`].
pub(crate) struct Traced {
    /// Who traces it.
    pub(crate) tracer: TaskRef,
    /// How.
    pub(crate) state: State,
    /// The siginfo of its stop, if the state says that there is one.
    pub(crate) info: SigInfo,
}

impl Traced {
    /// What cannot be saved, in words.
    pub(crate) fn refused(&self) -> Option<&'static str> {
        if self.state.refused.is_null() {
            return None;
        }
        // SAFETY: The helper gives a string literal, which lives forever, or null.
        let sentence = unsafe { CStr::from_char_ptr(self.state.refused) };

        sentence.to_str().ok()
    }
}

/// How a task is traced, if it is.
pub(crate) fn get(task: &Frozen) -> Option<Traced> {
    let mut state = State::default();
    let mut info = [0; SIGINFO_SIZE];

    // SAFETY: The task is referenced; the helper looks under the locks, has room for a siginfo, and
    // takes a reference to what it gives.
    let tracer = NonNull::new(unsafe {
        bindings::checkpoint_ptrace_get(
            task.as_ptr(),
            &raw mut state,
            (&raw mut info).cast::<bindings::siginfo_t>(),
        )
    })?;

    Some(Traced {
        // SAFETY: The reference that the helper took now belongs to the `ARef`.
        tracer: unsafe { ARef::from_raw(tracer.cast()) },
        state,
        info,
    })
}

/// Whom the process of a task has allowed to trace it (PR_SET_PTRACER): `None` for nobody, else the
/// address of a task, which only tells tasks apart, or 0 for any.
pub(crate) fn ptracer(task: &Task) -> Option<usize> {
    let mut tracer = 0;

    // SAFETY: The task is referenced; the helper follows no other.
    unsafe { bindings::checkpoint_get_ptracer(task.as_ptr(), &raw mut tracer) }.then_some(tracer)
}

/// Has the running process allow a task to trace it, by its pid; -1 is any, and 0 none any more
/// (PR_SET_PTRACER). `ENOSYS`: nobody asks for that here. `EINVAL`: there is no such task.
pub(crate) fn set_ptracer(tracer: i32) -> Result {
    // SAFETY: The function looks for the pid, and works on the running process.
    to_result(unsafe { bindings::checkpoint_set_ptracer(tracer as isize as usize) })
}

/// Whether the task traces others and is traced itself.
pub(crate) fn nests(task: &Task) -> bool {
    // SAFETY: The task is referenced; the helper looks at single words.
    unsafe { bindings::checkpoint_ptrace_nests(task.as_ptr()) }
}

/// Has one task of a restart trace another, of another process. `ESRCH`: one of them has been
/// killed; `EPERM`: neither has the rights that the tracer is to have had.
pub(crate) fn attach(task: &Task, tracer: &Task, state: &State) -> Result {
    // SAFETY: Both tasks are referenced; the helper works under the lock of the task list.
    to_result(unsafe {
        bindings::checkpoint_ptrace_attach(task.as_ptr(), tracer.as_ptr(), &raw const *state)
    })
}

/// Waits until a task of a restart has stopped for its tracer. `ESRCH`: it has been killed, or
/// `has_failed` says that it never comes to that; `EINTR`: a signal came first.
pub(crate) fn wait_stopped(task: &Task, has_failed: impl Fn() -> bool) -> Result {
    // SAFETY: The task is referenced; the helper reads a single word.
    while !unsafe { bindings::checkpoint_is_traced(task.as_ptr()) } {
        if super::task::exit_state(task) != 0 || has_failed() {
            return Err(ESRCH);
        }
        if super::task::current().signal_pending() {
            return Err(EINTR);
        }
        fsleep(Delta::from_micros(20));
    }
    Ok(())
}

/// Sets what a task of a restart does when it goes on. If it is stopped, also what its tracer finds,
/// and its mask of signals.
pub(crate) fn set(task: &Task, state: &State, info: &SigInfo, blocked: u64) {
    // SAFETY: The task is referenced; the helper works under the lock and reads a siginfo.
    unsafe {
        bindings::checkpoint_ptrace_set(
            task.as_ptr(),
            &raw const *state,
            (&raw const *info).cast::<bindings::siginfo_t>(),
            &raw const blocked,
        );
    }
}

/// Has the running task stop for its tracer when it looks at its signals, as if there was one.
pub(crate) fn stop_at_signal() -> Result {
    // SAFETY: The function works on the running task.
    to_result(unsafe { bindings::checkpoint_signal_stop() })
}

/// A stop in the middle of the kernel, or on the way to user space.
pub(crate) struct Stop {
    state: State,
    vfork: Option<Vfork>,
}

impl Stop {
    /// The stop that `state` tells of, which is none at a signal, and the child for which the task
    /// waits in vfork(2) then.
    pub(crate) fn new(state: State, vfork: Option<Vfork>) -> Self {
        Self { state, vfork }
    }

    /// Stops the running task, and does what is left of its system call when the tracer lets it go
    /// on.
    pub(crate) fn enter(self) {
        // SAFETY: The helper works on the running task, which holds nothing.
        unsafe { bindings::checkpoint_ptrace_stop_again(&raw const self.state) };
        if self.state.stop == STOP_VFORK {
            vfork::finish(self.vfork, self.state.child, self.state.message);
        }
    }
}

// SAFETY: The only pointer is to a constant, and not followed.
unsafe impl Send for Stop {}
