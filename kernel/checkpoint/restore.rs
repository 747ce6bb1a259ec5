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

#[path = "restore/caller.rs"]
mod caller;
#[path = "restore/objects.rs"]
mod objects;

use self::objects::Built;
use self::objects::Slot;

use crate::error::Error;
use crate::error::Result;
use crate::format::file::Unnamed;
use crate::format::memory;
use crate::format::namespace::ShmSegment;
use crate::format::task as format;
use crate::format::ObjRef;
use crate::format::Record;
use crate::fs;
use crate::fs::table;
use crate::image::RawRecord;
use crate::ipc;
use crate::log::Log;
use crate::mm;
use crate::mm::pages::Owner;
use crate::mm::reader::PageReader;
use crate::plan::Plan;
use crate::plan::TaskPlan;
use crate::sys;
use crate::sys::clone::Body;
use crate::sys::clone::Next;
use crate::sys::clone::Spawn;
use crate::sys::fdtable::Files;
use crate::sys::file::Path;
use crate::sys::freeze::Frozen;
use crate::sys::fs_struct::Fs;
use crate::sys::lazy;
use crate::sys::mm::Mm;
use crate::sys::ns::PidNs;
use crate::sys::stream::InStream;
use crate::sys::sync::Gate;
use crate::sys::task::TaskRef;
use crate::sys::vfork::Vfork;
use crate::task;
use kernel::bindings;
use kernel::fmt;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
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

    fn check_failed(&self) -> Result {
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
                set_sessions(self)?;
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
    let root = spawn(restart, 0)?;

    if restart.has_cgroups {
        restart.pass(&restart.all_born)?;
        task::cgroup::restore(restart)?;
        restart.build.open();
    }
    let later = read_pages(restart, stream, flags)?;
    finish_files(restart)?;
    #[cfg(CONFIG_INET)]
    crate::net::show_creators(restart)?;
    ipc::sem_undo::share(restart)?;
    task::namespace::finish(restart, &*restart.task(0)?, restart.root_task()?)?;
    fs::eventpoll::restore_items(restart)?;
    fs::lock::restore_rest(restart)?;
    task::share_io(restart)?;
    if !restart.is_caller() {
        set_usage(restart)?;
    }
    task::usage::restore_peaks(restart)?;
    set_limits(restart)?;
    set_registers(restart)?;
    restart.check_failed()?;
    start_clocks(restart)?;
    if !restart.is_caller() {
        set_start(restart)?;
    }
    stop_tasks(restart)?;
    fs::start(restart)?;
    if restart.is_caller() {
        caller::start(restart)?;
        if let Some(image) = later {
            image.start();
        }
        return Ok(0);
    }
    start_timers(restart)?;
    task::pids::restore_last_pids(restart)?;
    commit(restart, flags)?;
    if let Some(image) = later {
        image.start();
    }
    Ok(root)
}

/// Makes a task of the plan as a child or a thread of the running task.
fn spawn(restart: &Arc<Restart>, index: usize) -> Result<i32> {
    let plan = restart.plan.tasks.get(index).ok_or(EINVAL)?;
    let flags = if plan.is_leader {
        sys::clone::VM | sys::clone::AUTOREAP
    } else {
        sys::clone::THREAD
    };
    // What is made there is in the namespaces that it has.
    let _entered = match plan.creator {
        _ if !plan.is_leader => None,
        None => task::namespace::make(restart, plan.namespaces)?,
        Some(creator) => {
            let creator = restart.plan.tasks.get(creator as usize).ok_or(EINVAL)?;

            task::pids::make(restart, creator.number, plan.number)?
        }
    };
    let body = TaskBody {
        restart: restart.clone(),
        index,
        done: false,
    };

    let pids = if restart.is_caller() {
        KVVec::new()
    } else {
        task::pids::numbers(restart, plan.number, plan.tid)?
    };
    let spawn = Spawn { flags, pids: &pids };

    restart.alive.fetch_add(1, Full);
    match sys::clone::spawn(&spawn, body) {
        Err((errno, body)) if errno == EEXIST => {
            restart.wait_free(plan.tid);
            sys::clone::spawn(&spawn, body)
        }
        spawned => spawned,
    }
    .map_err(|(errno, mut body)| {
        body.done = true;
        let why = if errno == EEXIST {
            "the pid is taken"
        } else if errno == EPERM {
            "you may not choose pids (CAP_CHECKPOINT_RESTORE)"
        } else {
            "it cannot be made"
        };

        restart.log.error(errno, fmt!("pid {}: {why}", plan.tid))
    })
}

/// What a task of the plan does before it runs its own code.
struct TaskBody {
    restart: Arc<Restart>,
    index: usize,
    done: bool,
}

impl Body for TaskBody {
    fn run(&mut self) -> core::result::Result<Next, ()> {
        let result = run(&self.restart, self.index);

        self.done = true;
        result.map_err(|error| self.restart.fail(error))
    }
}

impl Drop for TaskBody {
    fn drop(&mut self) {
        if !self.done {
            // It may never have come to run.
            self.restart.enter(self.index);
            self.restart.fail(EINTR.into());
        }
        self.restart.alive.fetch_sub(1, Full);
    }
}

/// The way of a task from its first moment to user space.
fn run(restart: &Arc<Restart>, index: usize) -> Result<Next> {
    let plan = *restart.plan.tasks.get(index).ok_or(EINVAL)?;

    // Nothing may interfere; what is pending is looked at when the mask is what it was.
    sys::signal::set_blocked(u64::MAX, None);
    sys::process::reset_arch();
    restart.enter(index);
    restart.check_failed()?;
    if plan.is_zombie {
        return run_zombie(restart, &plan, index);
    }
    let shared = make_shared(restart, &plan)?;

    if plan.is_leader {
        prepare(restart, &plan)?;
        make_handlers(restart, &plan)?;
    }
    make_tasks(restart, index)?;
    task::confine(restart, plan.number)?;
    task::login::make(restart, plan.number)?;
    let fills_early = fills_early(restart, &plan, index);

    if fills_early {
        fill_mm(restart, &plan, &shared)?;
    }
    restart.born()?;
    let vfork = vfork(restart, index)?;
    let is_stopped = task::ptrace::is_stopped(restart, plan.number)?;

    if is_stopped && vfork.is_some() && !task::ptrace::is_at_vfork(restart, plan.number)? {
        return Err(EINVAL.into());
    }
    // Others wait for it: it comes before all that may wait itself.
    set_uts(restart, &plan)?;
    if !fills_early {
        fill_mm(restart, &plan, &shared)?;
    }
    drop(shared);
    fill(restart, &plan)?;
    restart.built()?;
    restart.pass(if is_stopped {
        &restart.stops
    } else {
        &restart.commit
    })?;
    if restart.is_caller() {
        return caller::finish(restart, &plan);
    }
    task::release(restart, plan.number, plan.is_main)?;
    if plan.creator.is_none() {
        task::namespace::restore_last_pid(restart, plan.number)?;
    }
    if is_stopped {
        let stop = task::ptrace::stop(restart, plan.number, vfork)?;

        return Ok(stop.map_or(Next::Run, Next::Stop));
    }
    Ok(vfork.map_or(Next::Run, Next::Wait))
}

/// The child for which the running task waits in vfork(2). It has its address space by now:
/// setting that is like execve(2), and would end the wait.
fn vfork(restart: &Restart, index: usize) -> Result<Option<Vfork>> {
    let is_vfork = |child: &usize| {
        restart
            .plan
            .tasks
            .get(*child)
            .is_some_and(|plan| plan.is_vfork)
    };

    restart
        .plan
        .created_by(index)
        .find(is_vfork)
        .map(|child| Ok(Vfork::new(restart.task(child)?)?))
        .transpose()
}

/// A process that had ended has its pids and credentials, and ends again. A leader that has
/// threads makes them first, and ends alone.
fn run_zombie(restart: &Arc<Restart>, plan: &TaskPlan, index: usize) -> Result<Next> {
    let heir = plan
        .heir
        .and_then(|heir| restart.plan.tasks.get(heir as usize));

    if let Some(heir) = heir {
        make_mm(restart, plan)?;
        prepare(restart, heir)?;
        make_handlers(restart, heir)?;
        make_tasks(restart, index)?;
    }
    task::login::make(restart, plan.number)?;
    restart.born()?;
    let exit_code = task::restore_zombie(restart, plan.number)?;

    restart.built()?;
    restart.pass(&restart.zombies)?;
    Ok(match heir {
        Some(_) => Next::ExitThread(exit_code),
        None => Next::Exit(exit_code),
    })
}

/// What a task shares with others, held while it is filled.
struct Shared {
    mm: Arc<Mm>,
}

/// Gives the running task its address space, unless it was made with it.
fn make_mm(restart: &Restart, plan: &TaskPlan) -> Result<Arc<Mm>> {
    let built = restart.shared(plan.mm, plan.makes_mm, || {
        Ok(Built::Mm(mm::make(restart, plan.mm)?))
    })?;
    let Built::Mm(mm) = built else {
        return Err(EINVAL.into());
    };

    if let Some(maker) = plan.joins_mm {
        mm.join(&*restart.task(maker as usize)?)?;
    }
    Ok(mm)
}

/// Makes what tasks share, or takes what others have made: empty, so that threads and children
/// can be made at once.
fn make_shared(restart: &Restart, plan: &TaskPlan) -> Result<Shared> {
    let (state, _) = restart.record::<format::Task>(plan.number)?;
    let mm = make_mm(restart, plan)?;
    let files = restart.shared(state.files, plan.owns_files, || {
        Ok(Built::Files(Arc::new(Files::new_empty()?, GFP_KERNEL)?))
    })?;
    let fs = restart.shared(state.fs, plan.owns_fs, || {
        Ok(Built::Fs(Arc::new(Fs::copy_current()?, GFP_KERNEL)?))
    })?;

    match (files, fs) {
        (Built::Files(files), Built::Fs(fs)) => {
            files.install();
            fs.install();
            if plan.creator.is_none() {
                task::namespace::restore(restart, state.namespaces)?;
            }
            Ok(Shared { mm })
        }
        _ => Err(EINVAL.into()),
    }
}

/// Sets what threads and children get from the running process when they are made, or what setting
/// later would take from them.
fn prepare(restart: &Restart, plan: &TaskPlan) -> Result {
    task::process::prepare(restart, plan.process)
}

/// Sets the signal handlers of the running process, or takes over those that another one has set.
fn make_handlers(restart: &Restart, plan: &TaskPlan) -> Result {
    let (state, _) = restart.record::<format::Task>(plan.number)?;
    let built = restart.shared(state.sighand, plan.owns_sighand, || {
        task::restore_handlers(restart, state.sighand)?;
        Ok(Built::Sighand(sys::task::current()))
    })?;

    match built {
        Built::Sighand(_) if plan.owns_sighand => Ok(()),
        Built::Sighand(owner) => Ok(sys::signal::share_handlers(&owner)?),
        _ => Err(EINVAL.into()),
    }
}

/// Makes the UTS namespace of the running task, or takes over that which another one has made. By
/// now all tasks are there, and have that of the root.
fn set_uts(restart: &Restart, plan: &TaskPlan) -> Result {
    let Some(number) = plan.uts else {
        return Ok(());
    };
    let built = restart.shared(number, plan.owns_uts, || {
        task::namespace::make_uts(restart, number)?;
        Ok(Built::Uts(sys::task::current()))
    })?;

    match built {
        Built::Uts(_) if plan.owns_uts => Ok(()),
        Built::Uts(owner) => task::namespace::join_uts(restart, number, &owner),
        _ => Err(EINVAL.into()),
    }
}

/// Makes the threads and the children of the running task. Who unshares the pid namespace of its
/// children can make neither threads nor others afterwards.
fn make_tasks(restart: &Arc<Restart>, index: usize) -> Result {
    let number = |index: usize| Ok::<_, Error>(restart.plan.tasks.get(index).ok_or(EINVAL)?.number);
    let parent = number(index)?;

    for child in restart.plan.created_by(index) {
        if !task::pids::is_later(restart, parent, number(child)?)? {
            spawn(restart, child)?;
        }
    }
    task::pids::unshare(restart, parent)?;
    for child in restart.plan.created_by(index) {
        if task::pids::is_later(restart, parent, number(child)?)? {
            spawn(restart, child)?;
        }
    }
    Ok(())
}

/// Whether the running task can fill its address space while others are still being made: nobody is
/// made or will be with what it sets there (flags that are inherited), and the cgroup that it is in
/// is the one that pays.
fn fills_early(restart: &Restart, plan: &TaskPlan, index: usize) -> bool {
    plan.makes_mm
        && !plan.lends_mm
        && !restart.is_caller()
        && !restart.has_cgroups
        && restart.plan.created_by(index).next().is_none()
}

/// Fills the address space of the running task, if it owns that.
fn fill_mm(restart: &Restart, plan: &TaskPlan, shared: &Shared) -> Result {
    if plan.fills_mm {
        mm::fill(restart, &shared.mm, plan.mm)?;
        restart.set_empty(plan.mm)?;
    }
    Ok(())
}

/// Fills what else the running task owns, and sets what it is.
fn fill(restart: &Restart, plan: &TaskPlan) -> Result {
    let (state, _) = restart.record::<format::Task>(plan.number)?;

    if plan.owns_files {
        table::restore_files(restart, state.files)?;
    }
    if plan.owns_fs {
        table::restore_fs(restart, state.fs)?;
    }
    if plan.is_main {
        task::process::restore(restart, plan.process)?;
        task::posix_timer::make_alarms(restart, plan.process)?;
    }
    task::restore(restart, plan.number)?;
    if plan.is_main {
        task::posix_timer::make_others(restart, plan.process)?;
    }
    task::restore_cred(restart, plan.number)?;
    restore_pending(restart, plan)?;
    // It is the signals of the caller that are watched then.
    if plan.owns_sighand && !restart.is_caller() {
        fs::eventpoll::restore_signal_items(restart, state.sighand)?;
    }
    Ok(())
}

/// Makes the signals of the running task pending again, and of its process.
fn restore_pending(restart: &Restart, plan: &TaskPlan) -> Result {
    task::restore_pending(restart, plan.number, false)?;
    if plan.is_main {
        task::restore_pending(restart, plan.process, true)?;
    }
    Ok(())
}

/// Puts every process into its session and its process group.
fn set_sessions(restart: &Restart) -> Result {
    let ns = restart.pid_ns()?;
    let mut made = RBTree::<i32, ()>::new();

    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if !plan.is_leader {
            continue;
        }
        let task = restart.task(index)?;
        let (process, _) = restart.record::<format::Process>(plan.process)?;

        for (is_session, number) in [(true, process.sid), (false, process.pgid)] {
            if number == 0 {
                continue;
            }
            let make = !restart.plan.has_tid(number) && made.get(&number).is_none();
            let set = if is_session {
                sys::clone::set_session
            } else {
                sys::clone::set_group
            };

            match set(&task, &ns, number, make) {
                Err(errno) if errno == EEXIST => {
                    restart.wait_free(number);
                    set(&task, &ns, number, make)
                }
                done => done,
            }
            .map_err(|errno| {
                restart.log.error(
                    errno,
                    fmt!("pid {}: session or process group {number}", plan.tid),
                )
            })?;
            if make {
                made.try_create_and_insert(number, (), GFP_KERNEL)?;
            }
        }
    }
    Ok(())
}

/// Sets the resource limits of all processes, now that they have what may be beyond them.
fn set_limits(restart: &Restart) -> Result {
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if plan.is_main {
            task::process::set_limits(restart, &*restart.task(index)?, plan.process)?;
        }
    }
    Ok(())
}

/// Sets what all tasks have used that wait for the commit. What is left for them to do counts again.
/// CPU clocks go on from there, before limits and timers look at them.
fn set_usage(restart: &Restart) -> Result {
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        let task = Frozen::waiting(restart.task(index)?)?;

        task::usage::restore(restart, &task, plan.number)?;
    }
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if plan.is_leader {
            let leader = Frozen::waiting(restart.task(index)?)?;

            task::usage::restore_process(restart, &leader, plan.process)?;
        }
    }
    Ok(())
}

/// Sets when all tasks were made.
fn set_start(restart: &Restart) -> Result {
    let root = Frozen::waiting(restart.task(0)?)?;

    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        let task = Frozen::waiting(restart.task(index)?)?;

        task::usage::restore_start(restart, &root, &task, plan.number)?;
    }
    Ok(())
}

/// Sets what a task has used that has ended anew: ending counts as well.
fn set_usage_of_ended(restart: &Restart, plan: &TaskPlan, task: &TaskRef) -> Result {
    let ended = Frozen::ended(task.clone());

    task::usage::restore(restart, &ended, plan.number)?;
    if plan.heir.is_none() {
        task::usage::restore_process(restart, &ended, plan.process)?;
    }
    Ok(())
}

/// Starts the clocks of a container.
fn start_clocks(restart: &Restart) -> Result {
    let plan = restart.plan.tasks.first().ok_or(EINVAL)?;

    task::namespace::start_clocks(restart, &restart.task(0)?, plan.namespaces)
}

/// Starts the timers of timer_create(2) of all processes. What they send waits for the commit.
fn start_timers(restart: &Restart) -> Result {
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if plan.is_main {
            task::posix_timer::start(restart, &*restart.task(index)?, plan.process)?;
        }
    }
    Ok(())
}

/// Where to read page data from.
fn page_reader<'a>(
    restart: &'a Restart,
    stream: &'a mut InStream,
    flags: u64,
) -> Result<PageReader<'a>> {
    let pages = restart.plan.header.data_pages;

    if flags & u64::from(bindings::RESTART_LAZY) == 0 {
        return PageReader::new(restart, stream, pages);
    }
    PageReader::new_lazy(restart, stream, pages).map_err(|error| {
        let why = if error.errno() == ESPIPE {
            "memory can be read later only from a regular file (RESTART_LAZY)"
        } else {
            "the trailer of the image is damaged or missing"
        };

        restart.explain(error, fmt!("{why}"))
    })
}

/// Has memory read that shall never be touched for the first time.
fn read_locked(restart: &Restart) -> Result {
    for record in restart.plan.records::<memory::Vma>() {
        let (vma, _) = record.parse::<memory::Vma>()?;

        if vma.flags & memory::VMA_LOCKED == 0 {
            continue;
        }
        if let Built::Mm(mm) = restart.made(vma.mm)? {
            lazy::pull(&mm, vma.start, vma.end).map_err(|errno| {
                restart
                    .log
                    .error(errno, fmt!("object {}: its locked memory", vma.mm.0))
            })?;
        }
    }
    Ok(())
}

/// Reads the content of all memory, while the tasks whose mappings are there go on building; or
/// makes sure that it will be read, from the image that is given. All tasks are built then.
fn read_pages(restart: &Restart, stream: &mut InStream, flags: u64) -> Result<Option<lazy::Image>> {
    let mut reader = page_reader(restart, stream, flags)?;

    for record in restart.plan.records::<memory::PageMap>() {
        let (map, _) = record.parse::<memory::PageMap>()?;
        let owner = match restart.empty(map.owner)? {
            Built::Mm(mm) => Owner::NewMm(mm),
            Built::File(file) => Owner::new_file(file)?,
            _ => return Err(EINVAL.into()),
        };

        reader.read(&record, &owner)?;
        restart.check_failed()?;
    }
    restart.pass(&restart.all_built)?;
    let later = reader.finish().map_err(|error| {
        restart.explain(
            error,
            fmt!("the page data of the image is damaged or incomplete"),
        )
    })?;

    if later.is_some() {
        read_locked(restart)?;
    }
    Ok(later)
}

/// Finishes what had to wait for the content of files: NUMA policies, seals and times, and
/// executables, which nobody may write to.
fn finish_files(restart: &Restart) -> Result {
    for record in restart.plan.records::<memory::Shmem>() {
        let file = restart.shmem(record.object)?;

        mm::mempolicy::restore_shared(restart, &file, record.object)?;
    }
    for record in restart.plan.records::<ShmSegment>() {
        let file = restart.segment(record.object)?;

        mm::mempolicy::restore_shared(restart, &file, record.object)?;
    }
    for record in restart.plan.records::<Unnamed>() {
        let file = restart.unnamed(record.object)?;

        mm::mempolicy::restore_shared(restart, &file, record.object)?;
        fs::unnamed::finish(restart, record.object)?;
    }
    for record in restart.plan.records::<memory::Mm>() {
        if let Built::Mm(mm) = restart.made(record.object)? {
            mm::set_exe(restart, &mm, record.object)?;
        }
    }
    Ok(())
}

/// Sets the registers of all tasks, which wait for the commit.
fn set_registers(restart: &Restart) -> Result {
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if plan.is_zombie {
            continue;
        }
        let task = Frozen::waiting(restart.task(index)?)?;

        task::regs::restore(restart, &task, plan.number)?;
    }
    Ok(())
}

/// Has a task be traced, if it was.
fn attach(restart: &Restart, plan: &TaskPlan, task: &TaskRef) -> Result {
    let Some(tid) = task::ptrace::tracer(restart, plan.number)? else {
        return Ok(());
    };
    let tracer = restart.task(restart.plan.index_of(tid).ok_or(EINVAL)?)?;

    task::ptrace::attach(restart, plan.number, task, &tracer)
}

/// Has all tasks be traced that were, and stop that were stopped for their tracer.
fn stop_tasks(restart: &Restart) -> Result {
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if !plan.is_zombie {
            attach(restart, plan, &restart.task(index)?)?;
        }
    }
    restart.stops.open();
    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        if !task::ptrace::is_stopped(restart, plan.number)? {
            continue;
        }
        let task = restart.task(index)?;

        sys::ptrace::wait_stopped(&task, || restart.check_failed().is_err())?;
        task::ptrace::finish(restart, plan.number, &task)?;
    }
    Ok(())
}

/// Lets the tasks run. Nothing fails any more.
fn commit(restart: &Restart, flags: u64) -> Result {
    let mut zombies = KVVec::new();
    let mut ended = KVVec::new();
    let mut tasks = KVVec::new();

    for (index, plan) in restart.plan.tasks.iter().enumerate() {
        let task = restart.task(index)?;
        let (process, _) = restart.record::<format::Process>(plan.process)?;

        if plan.is_zombie {
            zombies.push((task.clone(), plan), GFP_KERNEL)?;
        }
        if plan.is_zombie && plan.heir.is_none() {
            ended.push((task, process.exit_signal), GFP_KERNEL)?;
        } else {
            // The restarter is not the parent that the root had: it gets what a child of its own
            // sends, whatever the image says.
            let exit_signal = match plan.creator {
                Some(_) => process.exit_signal,
                None => bindings::SIGCHLD as i32,
            };

            let leads = plan
                .is_leader
                .then(|| (exit_signal, task::process::stop(&process)));

            tasks.push((task, leads), GFP_KERNEL)?;
        }
    }
    for (task, _) in &ended {
        sys::clone::keep(task, 0);
    }
    restart.zombies.open();
    for (task, plan) in &zombies {
        sys::clone::wait_zombie(task)?;
        set_usage_of_ended(restart, plan, task)?;
        attach(restart, plan, task)?;
    }
    for (task, exit_signal) in &ended {
        sys::clone::keep(task, *exit_signal);
    }
    restart.release();
    for (task, leads) in &tasks {
        if let Some((exit_signal, stop)) = leads {
            sys::clone::keep(task, *exit_signal);
            sys::task::set_stop(task, stop);
        }
        if flags & u64::from(bindings::RESTART_FROZEN) != 0 {
            sys::freeze::trap(task);
        }
    }
    restart.committed.store(1, kernel::sync::atomic::Release);
    restart.commit.open();
    Ok(())
}
