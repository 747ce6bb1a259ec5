// SPDX-License-Identifier: GPL-2.0

//! Parking a task, the way that the freezer of cgroup v2 does.
//!
//! A task with `JOBCTL_TRAP_FREEZE` goes to sleep where signals are delivered: its user registers
//! are complete on its kernel stack, it holds no lock, and an interrupted system call has been
//! made ready to be restarted. Stopped tasks and a parent that waits in vfork(2) count as parked
//! for the cgroup freezer, and so they do here (`task->frozen`).
//!
//! C sources: `kernel/cgroup/freezer.c`, `do_freezer_trap()` in `kernel/signal.c`

use super::task::TaskRef;
use core::ops::Deref;
use kernel::bindings;
use kernel::prelude::*;
use kernel::task::Task;
use kernel::time::delay::fsleep;
use kernel::time::Delta;

/// A task that does not run until this token is dropped, or the running task itself.
///
/// # Invariants
///
/// The task was seen parked (or is `current`), off its CPU, after its freeze trap had been set by
/// us or by a cgroup. It can wake up for SIGKILL only: then its pointers go away under their
/// usual locks, but nothing of it changes otherwise. A stopped task that is sent SIGCONT goes from
/// the stop to the trap, where its registers are the same.
///
/// If `stack` is set, the token owns a reference to the kernel stack, where the user registers
/// are. It is not set for `current`, whose stack stays, and for a task that has ended.
pub(crate) struct Frozen {
    task: TaskRef,
    thaw: bool,
    stack: bool,
}

impl Deref for Frozen {
    type Target = Task;

    fn deref(&self) -> &Task {
        &self.task
    }
}

impl Frozen {
    /// The running task, which needs no parking to be read.
    pub(crate) fn current() -> Self {
        // INVARIANT: It is `current`.
        Self {
            task: super::task::current(),
            thaw: false,
            stack: false,
        }
    }

    /// A task that has ended: waits for the moment after its last steps, which count as well.
    pub(crate) fn ended(task: TaskRef) -> Self {
        // Nothing keeps it from coming to its end any more.
        while !has_left_cpu(&task, bindings::TASK_DEAD) {
            fsleep(Delta::from_micros(5));
        }
        // INVARIANT: It never runs again; it needs no trap.
        Self {
            task,
            thaw: false,
            stack: false,
        }
    }

    /// A task of a restart, which has told that it is about to sleep until all others have come
    /// as far: waits for the moment in which it leaves its CPU.
    /// `ESRCH`: it has been killed.
    pub(crate) fn waiting(task: TaskRef) -> Result<Self> {
        wait_inactive(&task);
        // INVARIANT: It is off its CPU, and only the restart or SIGKILL wakes it up.
        let mut frozen = Self {
            task,
            thaw: false,
            stack: false,
        };

        frozen.hold_stack()?;
        Ok(frozen)
    }

    /// Takes the reference to the kernel stack. `ESRCH`: the task has been killed.
    fn hold_stack(&mut self) -> Result {
        // SAFETY: The task is referenced; the function gives a reference, or null.
        self.stack = unsafe { !bindings::checkpoint_get_stack(self.task.as_ptr()).is_null() };
        if !self.stack || super::task::exit_state(&self.task) != 0 {
            return Err(ESRCH);
        }
        Ok(())
    }

    /// Whether the task stays where it has parked: see `checkpoint_is_settled`.
    pub(crate) fn is_settled(&self) -> bool {
        // SAFETY: The task is referenced; the helper looks under the lock.
        unsafe { bindings::checkpoint_is_settled(self.task.as_ptr()) }
    }

    /// Waits for the moment in which a task that is settled leaves its CPU.
    pub(crate) fn wait_inactive(&self) {
        wait_inactive(&self.task);
    }

    /// The task, and the number of the system call that it is in, for the log.
    pub(crate) fn straggler(&self) -> (&Task, i32) {
        // SAFETY: The task is referenced; a racing read gives some number.
        (&self.task, unsafe {
            bindings::syscall_get_nr(self.task.as_ptr())
        })
    }

    /// How many threads the process of the task has.
    pub(crate) fn threads(&self) -> u64 {
        // SAFETY: The task is referenced, and so is its process; the number is a single word.
        unsafe { (*(*self.task.as_ptr()).signal).nr_threads as u64 }
    }

    /// A reference to the task.
    pub(crate) fn task(&self) -> TaskRef {
        self.task.clone()
    }

    /// Leaves the task parked for good, until somebody calls [`thaw`].
    pub(crate) fn leave(mut self) {
        self.thaw = false;
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if self.thaw {
            thaw(&self.task);
        }
        if self.stack {
            // SAFETY: By the type invariants the token owns a reference.
            unsafe { bindings::checkpoint_put_stack(self.task.as_ptr()) };
        }
    }
}

/// Waits until a task that is about to sleep, or to die, is off its CPU.
fn wait_inactive(task: &Task) {
    while !has_left_cpu(task, bindings::TASK_ANY) && super::task::exit_state(task) == 0 {
        fsleep(Delta::from_micros(5));
    }
}

/// Waits until a task in one of these states is off its CPU. False: it is in another state.
fn has_left_cpu(task: &Task, states: u32) -> bool {
    // C sleeps for a whole tick if the task has been preempted, often by the one who waits for it, and
    // needs no more than a moment.
    while is_preempted(task) {
        fsleep(Delta::from_micros(20));
    }
    // SAFETY: The task is referenced.
    unsafe { bindings::wait_task_inactive(task.as_ptr(), states) != 0 }
}

/// Whether a task waits for a CPU to go on. A hint, which may be wrong a moment later.
fn is_preempted(task: &Task) -> bool {
    let task = task.as_ptr();

    // SAFETY: The task is referenced; racing reads give some values of the past.
    unsafe {
        (&raw const (*task).on_cpu).read_volatile() == 0
            && (&raw const (*task).on_rq).read_volatile() != 0
            // It sleeps already, for all but the scheduler's arithmetic.
            && (&raw const (*task).se.sched_delayed).read_volatile() == 0
    }
}

/// A task that has been told to park and may not have got there. Dropped, it runs on.
pub(crate) struct Freezing(Frozen);

impl Freezing {
    /// Tells the task to park.
    pub(crate) fn start(task: TaskRef) -> Self {
        // SAFETY: The task is referenced.
        let held = unsafe {
            // Whoever has set the trap before, a cgroup or another checkpoint, takes it away.
            let held = (*task.as_ptr()).jobctl & bindings::JOBCTL_TRAP_FREEZE as usize != 0;

            bindings::cgroup_freeze_task(task.as_ptr(), true);
            held
        };

        Self(Frozen {
            task,
            thaw: !held,
            stack: false,
        })
    }

    /// Whether it has parked, or ended.
    pub(crate) fn has_arrived(&self) -> bool {
        // SAFETY: The task is referenced; the bit is set once and stays while it is parked.
        let frozen = unsafe { bindings::task_is_frozen(self.0.task.as_ptr()) };

        frozen || super::task::exit_state(&self.0.task) != 0
    }

    /// The token, once it has arrived: waits for the moment in which it leaves its CPU. If the
    /// task has ended, the token gives nothing but the task.
    pub(crate) fn finish(mut self) -> Frozen {
        wait_inactive(&self.0.task);
        // INVARIANT: It has arrived, and is off its CPU now.
        let _ = self.0.hold_stack();
        self.0
    }

    /// The task, and the number of the system call that it is in, for the log.
    pub(crate) fn straggler(&self) -> (&Task, i32) {
        self.0.straggler()
    }
}

/// Parks a task that has just been made and has not been in user space yet: it will stop there
/// before its first instruction.
pub(crate) fn trap(task: &Task) {
    // SAFETY: The task is referenced.
    unsafe { bindings::cgroup_freeze_task(task.as_ptr(), true) };
}

/// Lets a task run that was left parked, unless a cgroup holds it.
pub(crate) fn thaw(task: &Task) {
    // SAFETY: The task is referenced.
    unsafe {
        if !bindings::cgroup_task_freeze(task.as_ptr()) {
            bindings::cgroup_freeze_task(task.as_ptr(), false);
        }
    }
}
