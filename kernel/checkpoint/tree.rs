// SPDX-License-Identifier: GPL-2.0

//! The tree of a checkpoint: finding all of its tasks, and stopping them.

use crate::error::Error;
use crate::error::Result;
use crate::log::Log;
use crate::sys::freeze::Freezing;
use crate::sys::freeze::Frozen;
use crate::sys::ptrace;
use crate::sys::task;
use crate::sys::task::TaskRef;
use crate::sys::task::Tasklist;
use crate::sys::vfork;
use kernel::prelude::*;
use kernel::task::Task;
use kernel::time::delay::fsleep;
use kernel::time::Delta;

/// How long the tree may take to park before the checkpoint gives up, in µs.
const TIMEOUT: u64 = 10_000_000;

/// Between two looks at a task that has not parked, in µs.
const PAUSE: u64 = 20;

/// All tasks of a tree, parked. Dropped, it lets them run on.
///
/// The threads of a process follow each other, the leader first; parents stand before children.
pub(crate) struct Tree {
    tasks: KVVec<Member>,
    /// The identities of all tasks, sorted.
    keys: KVVec<usize>,
    /// Who waits in vfork(2), and the child for which it does, sorted.
    vforks: KVVec<(usize, TaskRef)>,
}

/// A task of the tree.
pub(crate) enum Member {
    /// Parked; the caller itself counts as parked.
    Live(Frozen),
    /// Ended and not waited for.
    Zombie(TaskRef),
}

impl Member {
    /// A reference to the task.
    pub(crate) fn task(&self) -> TaskRef {
        match self {
            Member::Live(frozen) => frozen.task(),
            Member::Zombie(task) => task.clone(),
        }
    }

    /// The identity of the task.
    fn key(&self) -> usize {
        match self {
            Member::Live(frozen) => key(frozen),
            Member::Zombie(task) => key(task),
        }
    }
}

/// The identity of a task.
fn key(task: &Task) -> usize {
    task.as_ptr() as usize
}

/// A task as the log names it.
pub(crate) fn describe(task: &TaskRef) -> Result<kernel::str::CString> {
    let comm = task::comm(task);
    let comm = comm.split(|&c| c == 0).next().unwrap_or_default();

    Ok(kernel::str::CString::try_from_fmt(fmt!(
        "pid {} ({})",
        task.pid(),
        kernel::str::BStr::from_bytes(comm)
    ))?)
}

/// The tree below `root` as it is at this moment.
fn collect(root: &TaskRef) -> Result<KVVec<TaskRef>> {
    let mut room = 64usize;

    loop {
        let mut found = KVVec::<TaskRef>::with_capacity(room, GFP_KERNEL)?;
        let complete = {
            let list = Tasklist::read();
            let mut complete = true;
            // Under the lock there is no memory to be had: what does not fit is counted as a
            // reason to try again with more room.
            let mut add = |found: &mut KVVec<TaskRef>, task: TaskRef| {
                if task::is_gone(&task) {
                    return;
                }
                complete &= found.push_within_capacity(task).is_ok();
            };
            let mut next = 0usize;

            list.threads(root, |thread| add(&mut found, thread));
            while let Some(thread) = found.get(next).cloned() {
                list.children(&thread, |child| {
                    list.threads(&child, |thread| add(&mut found, thread));
                });
                next = next.saturating_add(1);
            }
            complete
        };

        if complete {
            return Ok(found);
        }
        room = room.checked_mul(2).ok_or(ENOMEM)?;
    }
}

/// Stops the tree below `root`, all of its threads but the caller.
///
/// New tasks may appear until the last one has parked, so that this goes on until two looks at
/// the tree give the same. `EBUSY`: a task did not park in time, and is named in the log.
pub(crate) fn freeze(root: &TaskRef, log: &Log) -> Result<Tree> {
    let mut tasks = KVVec::<Member>::new();
    let caller = task::current();
    let mut waited = 0u64;
    let mut settled = false;

    loop {
        let found = collect(root)?;

        // Before, since nobody may stop the tasks of others; and when all of them have parked, since
        // one may have become somebody else's on the way (a set-user-ID program).
        check_rights(&found, log)?;
        if same(&found, &tasks) {
            if settled {
                return Tree::new(tasks);
            }
            settled = settle(&mut tasks, &mut waited, log)?;
            continue;
        }
        settled = false;
        let mut old = Known::new(core::mem::replace(
            &mut tasks,
            KVVec::with_capacity(found.len(), GFP_KERNEL)?,
        ))?;
        let mut freezing = KVVec::with_capacity(found.len(), GFP_KERNEL)?;

        for task in found {
            freezing.push(
                match old.take(&task) {
                    Some(member) => Step::Done(member),
                    None if task.as_ptr() == caller.as_ptr() => {
                        Step::Done(Member::Live(Frozen::current()))
                    }
                    None if task::exit_state(&task) != 0 => Step::Done(Member::Zombie(task)),
                    None => Step::Wait(Freezing::start(task)),
                },
                GFP_KERNEL,
            )?;
        }
        for step in freezing {
            tasks.push(arrive(step, &mut waited, log)?, GFP_KERNEL)?;
        }
    }
}

enum Step {
    Done(Member),
    Wait(Freezing),
}

/// Waits until a task that was told to park has done so.
fn arrive(step: Step, waited: &mut u64, log: &Log) -> Result<Member> {
    let freezing = match step {
        Step::Done(member) => return Ok(member),
        Step::Wait(freezing) => freezing,
    };

    while !freezing.has_arrived() {
        pause(waited).map_err(|errno| straggler(errno, freezing.straggler(), log))?;
    }
    let frozen = freezing.finish();

    Ok(if task::exit_state(&frozen) != 0 {
        Member::Zombie(frozen.task())
    } else {
        Member::Live(frozen)
    })
}

/// Waits until tasks that have all parked stay where they are: one that parked early may have been
/// stopped by a thread that parked late, or its tracer may have let it go on. Then it goes on with
/// its system call before it parks again: it makes tasks, ends, or lets go on what it traces itself.
/// Gives true.
fn settle(tasks: &mut [Member], waited: &mut u64, log: &Log) -> Result<bool> {
    let caller = task::current();
    let rounds = tasks
        .iter()
        .filter(|member| ptrace::nests(&member.task()))
        .count()
        .saturating_add(1);

    for _ in 0..rounds {
        for member in &mut *tasks {
            let Member::Live(frozen) = member else {
                continue;
            };

            if frozen.as_ptr() == caller.as_ptr() {
                continue;
            }
            while !frozen.is_settled() {
                pause(waited).map_err(|errno| straggler(errno, frozen.straggler(), log))?;
            }
            frozen.wait_inactive();
            if task::exit_state(frozen) != 0 {
                *member = Member::Zombie(frozen.task());
            }
        }
    }
    Ok(true)
}

/// Lets the tasks go on for a moment. `EBUSY`: that was the last one; `EINTR`: the caller is wanted.
fn pause(waited: &mut u64) -> core::result::Result<(), kernel::error::Error> {
    if task::current().signal_pending() {
        return Err(EINTR);
    }
    if *waited > TIMEOUT {
        return Err(EBUSY);
    }
    fsleep(Delta::from_micros(PAUSE as i64));
    *waited = waited.saturating_add(PAUSE);
    Ok(())
}

fn straggler(errno: kernel::error::Error, (task, call): (&Task, i32), log: &Log) -> Error {
    if errno != EBUSY {
        return errno.into();
    }
    log.error(
        EBUSY,
        fmt!(
            "pid {}: did not stop in {} s; it is in system call {call}",
            task.pid(),
            TIMEOUT / 1_000_000
        ),
    )
}

/// The tasks that have parked before, by their identities.
struct Known(KVVec<(usize, Option<Member>)>);

impl Known {
    fn new(tasks: KVVec<Member>) -> Result<Self> {
        let mut known = KVVec::with_capacity(tasks.len(), GFP_KERNEL)?;

        for task in tasks {
            known.push((task.key(), Some(task)), GFP_KERNEL)?;
        }
        known.sort_unstable_by_key(|(key, _)| *key);
        Ok(Self(known))
    }

    /// Takes a task out of them.
    fn take(&mut self, task: &TaskRef) -> Option<Member> {
        let index = self
            .0
            .binary_search_by_key(&key(task), |(key, _)| *key)
            .ok()?;

        self.0.get_mut(index)?.1.take()
    }
}

fn same(found: &[TaskRef], tasks: &[Member]) -> bool {
    found.len() == tasks.len()
        && found
            .iter()
            .zip(tasks)
            .all(|(found, task)| key(found) == task.key())
}

fn check_rights(tasks: &[TaskRef], log: &Log) -> Result {
    for task in tasks {
        if task::exit_state(task) == 0 && !task::may_attach(task) {
            return Err(log.error(
                EPERM,
                fmt!(
                    "{}: you may not trace it, so you may not save it",
                    &*describe(task)?
                ),
            ));
        }
    }
    Ok(())
}

impl Tree {
    fn new(tasks: KVVec<Member>) -> Result<Self> {
        let mut keys = KVVec::with_capacity(tasks.len(), GFP_KERNEL)?;
        let mut vforks = KVVec::new();

        for task in &tasks {
            keys.push(task.key(), GFP_KERNEL)?;
            if let Member::Live(frozen) = task {
                if let Some(parent) = vfork::parent(frozen) {
                    vforks.push((key(&parent), frozen.task()), GFP_KERNEL)?;
                }
            }
        }
        keys.sort_unstable();
        vforks.sort_unstable_by_key(|(key, _)| *key);
        Ok(Self {
            tasks,
            keys,
            vforks,
        })
    }

    /// The child for which a task waits in vfork(2), if there is one in the tree.
    pub(crate) fn vfork_child(&self, task: &Task) -> Option<&TaskRef> {
        let index = self
            .vforks
            .binary_search_by_key(&key(task), |(key, _)| *key)
            .ok()?;

        self.vforks.get(index).map(|(_, child)| child)
    }

    /// Whether a task belongs to the tree.
    pub(crate) fn has(&self, task: &Task) -> bool {
        self.keys.binary_search(&key(task)).is_ok()
    }

    /// The tasks.
    pub(crate) fn tasks(&self) -> &[Member] {
        &self.tasks
    }

    /// Kills all of them but the caller's process, without letting them run again. Gives who has
    /// been killed.
    pub(crate) fn kill(self) -> Killed {
        let caller = task::current().tgid();

        for task in self.tasks.iter().map(Member::task) {
            if task.tgid() != caller {
                task::kill(&task);
            }
        }
        let mut tasks = self.tasks;

        for member in tasks.iter_mut() {
            *member = Member::Zombie(member.task());
        }
        Killed(tasks)
    }

    /// Leaves all of them parked.
    pub(crate) fn leave_frozen(self) {
        for member in self.tasks {
            if let Member::Live(frozen) = member {
                frozen.leave();
            }
        }
    }
}

/// Tasks that have been told to end.
pub(crate) struct Killed(KVVec<Member>);

impl Killed {
    /// Waits until all of them have ended: what they had (ports, names, locks, memory) can be had by
    /// others then. For some ten seconds at most, and no longer than the running task lives.
    pub(crate) fn wait(&self) {
        let caller = task::current().tgid();
        let mut waited = 0;

        for task in self.0.iter().map(Member::task) {
            while task.tgid() != caller && task::exit_state(&task) == 0 {
                if waited > TIMEOUT || task::is_dying() {
                    return;
                }
                fsleep(Delta::from_micros(PAUSE as i64));
                waited = waited.saturating_add(PAUSE);
            }
        }
    }
}

/// Lets a tree run that was left parked.
pub(crate) fn thaw(root: &TaskRef, log: &Log) -> Result {
    let tasks = collect(root)?;

    check_rights(&tasks, log)?;
    for task in &tasks {
        crate::sys::freeze::thaw(task);
    }
    Ok(())
}
