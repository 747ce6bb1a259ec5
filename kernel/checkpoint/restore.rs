// SPDX-License-Identifier: GPL-2.0

//! restart(2): read and check everything, reserve, build, commit, let run.
//!
//! The caller is the *coordinator*. It makes the root of the tree; each task makes its threads and
//! children, then builds itself in its own context, all at once; the coordinator reads the page
//! data and sets the registers. All tasks wait at gates between these steps:
//!
//! ```text
//! coordinator           each task
//! make the root    ---> make what others share (empty), make threads and children
//!                       who has made nobody: fill memory map
//! cgroups, if any <---  the last born: sessions, groups; open `build`
//! page data        <--- the others, too; then descriptors, directories, credentials, signals
//!                  <--- built
//! epoll, registers
//! open `stops`     ---> those that had stopped for their tracer stop
//! open `zombies`   ---> those that had ended end
//! open `commit`    ---> run
//! ```
//!
//! With RESTART_TASKSELF the coordinator becomes the saved task: see [`caller`].
//!
//! Everything that can fail comes before the commit. Whatever fails, in whichever task, is told to
//! [`Restart::fail`]: it opens all gates, everybody who comes through one ends, and the
//! coordinator waits until the last is gone.

mod body;
mod caller;
mod finish;
mod objects;
mod pages;

use self::objects::Slot;

use crate::error::Error;
use crate::error::Result;
use crate::format::memory;
use crate::format::task as format;
use crate::format::ObjRef;
use crate::format::Record;
use crate::fs;
use crate::image::RawRecord;
use crate::ipc;
use crate::log::Log;
use crate::plan::Plan;
use crate::sys;
use crate::sys::file::Path;
use crate::sys::ns::PidNs;
use crate::sys::stream::InStream;
use crate::sys::sync::Gate;
use crate::sys::task::TaskRef;
use crate::task;
use kernel::bindings;
use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Full;
use kernel::sync::new_mutex;
use kernel::sync::Arc;
use kernel::sync::Mutex;

const FLAGS: u64 = (bindings::RESTART_TASKSELF
    | bindings::RESTART_FROZEN
    | bindings::RESTART_GHOST
    | bindings::RESTART_KEEP_LSM
    | bindings::RESTART_CONN_RESET
    | bindings::RESTART_NEW_PIDS
    | bindings::RESTART_LAZY) as u64;

/// Flags of restart(2) that ask for what is not there yet.
const UNSUPPORTED: u64 = (bindings::RESTART_KEEP_LSM | bindings::RESTART_NEW_PIDS) as u64;

/// A restart that is going on.
#[pin_data]
pub(crate) struct Restart {
    /// The log of the call.
    pub(crate) log: Arc<Log>,
    plan: Plan,
    root: Path,
    /// Who becomes the task of the image, if somebody does.
    caller: Option<TaskRef>,
    /// Whether tasks are to be moved to other cgroups.
    has_cgroups: bool,
    slots: KVVec<Pin<KBox<Slot>>>,
    #[pin]
    tasks: Mutex<KVVec<Option<TaskRef>>>,
    #[pin]
    error: Mutex<Option<Error>>,
    failed: Atomic<i32>,
    /// Set when nothing can fail any more.
    committed: Atomic<i32>,
    /// Tasks that have been made and are not through with this restart.
    alive: Atomic<i32>,
    /// Tasks that have made their threads and children.
    born: Atomic<i32>,
    #[pin]
    all_born: Gate,
    #[pin]
    build: Gate,
    /// Tasks that have built themselves.
    built: Atomic<i32>,
    #[pin]
    all_built: Gate,
    #[pin]
    stops: Gate,
    #[pin]
    zombies: Gate,
    #[pin]
    commit: Gate,
    /// The caller has the registers of the image.
    #[pin]
    become_it: Gate,
}

impl Restart {
    fn new(plan: Plan, log: Arc<Log>, flags: u64) -> Result<Arc<Self>> {
        #[cfg(CONFIG_INET)]
        crate::net::check_creators(&plan)?;
        let as_caller = flags & u64::from(bindings::RESTART_TASKSELF) != 0;
        let mut slots = KVVec::new();
        let mut tasks = KVVec::new();

        for _ in 0..plan.objects() {
            slots.push(KBox::pin_init(Slot::new(), GFP_KERNEL)?, GFP_KERNEL)?;
        }
        for _ in plan.tasks.iter() {
            tasks.push(None, GFP_KERNEL)?;
        }
        let has_cgroups = !as_caller && plan.records::<format::Cgroup>().next().is_some();

        Ok(Arc::pin_init(
            pin_init!(Self {
                log,
                plan,
                root: Path::current_root(),
                has_cgroups,
                caller: as_caller.then(sys::task::current),
                slots,
                tasks <- new_mutex!(tasks),
                error <- new_mutex!(None),
                failed: Atomic::new(0),
                committed: Atomic::new(0),
                alive: Atomic::new(0),
                born: Atomic::new(0),
                all_born <- Gate::new(),
                build <- Gate::new(),
                built: Atomic::new(0),
                all_built <- Gate::new(),
                stops <- Gate::new(),
                zombies <- Gate::new(),
                commit <- Gate::new(),
                become_it <- Gate::new(),
            }),
            GFP_KERNEL,
        )?)
    }

    /// Where the paths of the image start: the root directory of the caller.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the caller becomes the task of the image, with the pid, the parent, the process
    /// group and the session that it has.
    pub(crate) fn is_caller(&self) -> bool {
        self.caller.is_some()
    }

    /// Whether the running task is the twin of the caller, which ends when the caller has what it
    /// has made.
    pub(crate) fn is_twin(&self) -> bool {
        let current = sys::task::current();

        self.caller
            .as_ref()
            .is_some_and(|caller| caller.as_ptr() != current.as_ptr())
    }

    /// The pid namespace in which the image names tasks.
    pub(crate) fn pid_ns(&self) -> Result<PidNs> {
        Ok(PidNs::of(&*self.task(0)?)?)
    }

    /// Gives a moment to who has that number of the image and has just been killed: it is free when
    /// somebody has waited for that task.
    fn wait_free(&self, number: i32) {
        // Before there is a root, it is the caller's namespace in which it is to be made.
        if let Ok(ns) = self.pid_ns().or_else(|_| Ok::<_, Error>(PidNs::current()?)) {
            sys::clone::wait_free(number, &ns);
        }
    }

    /// The number that the running task has for a task that the image calls `number`. It is its own
    /// if the caller becomes that task.
    pub(crate) fn tid(&self, number: i32) -> Result<i32> {
        if !self.plan.has_tid(number) {
            return Ok(number);
        }
        if self.is_caller() {
            return Ok(sys::task::current_tgid());
        }
        task::pids::seen_here(&*self.task_of(number)?)
    }

    /// The record of an object.
    pub(crate) fn raw(&self, number: ObjRef) -> Result<RawRecord<'_>> {
        self.plan.object(number)
    }

    /// The record of an object of a known kind.
    pub(crate) fn record<T: Record>(&self, number: ObjRef) -> Result<(T, &[u8])> {
        self.plan.object(number)?.parse()
    }

    /// All records of a kind.
    pub(crate) fn records<T: Record>(&self) -> impl Iterator<Item = RawRecord<'_>> {
        self.plan.records::<T>()
    }

    /// Whether a task, a process group or a session of the tree has the number.
    pub(crate) fn has_pid(&self, number: i32) -> bool {
        self.plan.has_tid(number)
            || self
                .records::<format::Process>()
                .filter_map(|record| record.parse::<format::Process>().ok())
                .any(|(process, _)| process.pgid == number || process.sid == number)
    }

    /// The records of a kind that belong to an object.
    pub(crate) fn belonging<T: Record>(
        &self,
        owner: ObjRef,
    ) -> impl Iterator<Item = RawRecord<'_>> {
        self.plan.belonging::<T>(owner)
    }

    /// Writes what an error is about, unless it has been told.
    pub(crate) fn explain(&self, error: Error, args: fmt::Arguments<'_>) -> Error {
        if error.is_told() {
            error
        } else {
            self.log.error(error.errno(), args)
        }
    }

    /// Ends the restart. Only the first error counts; the coordinator tells it.
    fn fail(&self, error: Error) {
        if self.committed.load(kernel::sync::atomic::Acquire) != 0 {
            return;
        }
        if self.failed.xchg(1, Full) == 0 {
            *self.error.lock() = Some(error);
        }
        for gate in [
            &self.all_born,
            &self.build,
            &self.all_built,
            &self.stops,
            &self.zombies,
            &self.commit,
            &self.become_it,
        ] {
            gate.open();
        }
        for slot in &self.slots {
            slot.give_up();
        }
    }

    /// `ECANCELED`: the restart has failed.
    pub(crate) fn check_failed(&self) -> Result {
        match self.failed.load(kernel::sync::atomic::Acquire) {
            0 => Ok(()),
            _ => Err(Error::told(ECANCELED)),
        }
    }

    /// Waits at a gate. `ECANCELED`: the restart has failed.
    fn pass(&self, gate: &Gate) -> Result {
        gate.wait_killable()?;
        self.check_failed()
    }

    /// Counts a task. Gives whether it is the last.
    fn is_last(&self, count: &Atomic<i32>) -> bool {
        let done = count.fetch_add(1, Full).wrapping_add(1);

        usize::try_from(done) == Ok(self.plan.tasks.len())
    }

    /// Makes the running task known to others.
    fn enter(&self, index: usize) {
        if let Some(slot) = self.tasks.lock().get_mut(index) {
            *slot = Some(sys::task::current());
        }
    }

    /// Called by each task that has made its threads and children; waits until all have. The
    /// coordinator is woken only if it has something to do.
    fn born(&self) -> Result {
        if self.is_last(&self.born) {
            if !self.is_caller() {
                finish::set_sessions(self)?;
            }
            self.all_born.open();
            if !self.has_cgroups {
                self.build.open();
            }
        }
        self.pass(&self.build)
    }

    /// Called by each task that has built itself.
    fn built(&self) -> Result {
        if self.is_last(&self.built) {
            for record in self.records::<memory::PageMap>() {
                self.set_empty(record.parse::<memory::PageMap>()?.0.owner)?;
            }
            self.all_built.open();
        }
        Ok(())
    }

    /// All tasks with their records.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = Result<(TaskRef, ObjRef)>> + '_ {
        self.plan
            .tasks
            .iter()
            .enumerate()
            .map(|(index, plan)| Ok((self.task(index)?, plan.number)))
    }

    /// The task of the tree with that number. `EINVAL`: there is none.
    pub(crate) fn task_of(&self, tid: i32) -> Result<TaskRef> {
        self.task(self.plan.index_of(tid).ok_or(EINVAL)?)
    }

    /// The record of the root of the tree.
    fn root_task(&self) -> Result<ObjRef> {
        Ok(self.plan.tasks.first().ok_or(EINVAL)?.number)
    }

    fn task(&self, index: usize) -> Result<TaskRef> {
        Ok(self
            .tasks
            .lock()
            .get(index)
            .and_then(|task| task.clone())
            .ok_or(ESRCH)?)
    }
}

/// restart(2). Gives what it returns.
pub(crate) fn restart(
    pid: i32,
    fd: i32,
    flags: u64,
    logfd: i32,
) -> core::result::Result<i64, kernel::error::Error> {
    let both = u64::from(bindings::RESTART_TASKSELF | bindings::RESTART_FROZEN);

    if flags & !FLAGS != 0 || pid != 0 || flags & both == both {
        return Err(EINVAL);
    }
    let log = Arc::pin_init(Log::new(crate::save::open_log(logfd)?), GFP_KERNEL)?;
    let mut stream = InStream::fget(fd)?;

    if flags & UNSUPPORTED != 0 {
        return Err(log
            .error(
                EOPNOTSUPP,
                fmt!("these flags are not supported: {:#x}", flags & UNSUPPORTED),
            )
            .errno());
    }
    // Pids are chosen: whoever may not do that need not make us read anything.
    if flags & u64::from(bindings::RESTART_TASKSELF) == 0 && !sys::cred::may_choose_pids() {
        return Err(log
            .error(
                EPERM,
                fmt!("you may not choose pids (CAP_CHECKPOINT_RESTORE)"),
            )
            .errno());
    }
    let restart = Plan::read(&mut stream, &log)
        .and_then(|plan| Restart::new(plan, log.clone(), flags))
        .and_then(|restart| caller::check(&restart).map(|()| restart))
        .map_err(|error| {
            log.finish(&error);
            error.errno()
        })?;

    match coordinate(&restart, &mut stream, flags) {
        Ok(pid) => Ok(i64::from(pid)),
        Err(error) => {
            restart.fail(error);
            undo(&restart);
            let error = restart.error.lock().take().unwrap_or(Error::from(EIO));

            // Not the task that has failed: who is being killed cannot write to a file.
            log.finish(&error);
            Err(error.errno())
        }
    }
}

/// Waits until every task that was made is gone. Who has just been made ends by itself, at the first
/// gate.
fn undo(restart: &Restart) {
    for task in restart.tasks.lock().iter().flatten() {
        sys::task::kill(task);
    }
    while restart.alive.load(kernel::sync::atomic::Acquire) != 0 {
        kernel::time::delay::fsleep(kernel::time::Delta::from_micros(100));
    }
    let tasks: KVVec<Option<TaskRef>> =
        core::mem::replace(&mut *restart.tasks.lock(), KVVec::new());

    for task in tasks.iter().flatten() {
        sys::clone::wait_gone(task);
    }
}

fn coordinate(restart: &Arc<Restart>, stream: &mut InStream, flags: u64) -> Result<i32> {
    for plan in restart.plan.tasks.iter() {
        task::regs::check_cpu(restart, plan.number)?;
    }
    task::user_ns::make_all(restart)?;
    let root = body::spawn(restart, 0)?;

    if restart.has_cgroups {
        restart.pass(&restart.all_born)?;
        task::cgroup::restore(restart)?;
        restart.build.open();
    }
    let later = pages::read(restart, stream, flags)?;
    finish::files(restart)?;
    #[cfg(CONFIG_INET)]
    crate::net::show_creators(restart)?;
    ipc::sem_undo::share(restart)?;
    task::namespace::finish(restart, &*restart.task(0)?, restart.root_task()?)?;
    fs::eventpoll::restore_items(restart)?;
    fs::lock::restore_rest(restart)?;
    task::share_io(restart)?;
    if !restart.is_caller() {
        finish::set_usage(restart)?;
    }
    task::usage::restore_peaks(restart)?;
    finish::set_limits(restart)?;
    finish::set_registers(restart)?;
    restart.check_failed()?;
    finish::start_clocks(restart)?;
    if !restart.is_caller() {
        finish::set_start(restart)?;
    }
    finish::stop_tasks(restart)?;
    fs::start(restart)?;
    if restart.is_caller() {
        caller::start(restart)?;
        if let Some(image) = later {
            image.start();
        }
        return Ok(0);
    }
    finish::start_timers(restart)?;
    task::pids::restore_last_pids(restart)?;
    finish::commit(restart, flags)?;
    if let Some(image) = later {
        image.start();
    }
    Ok(root)
}
