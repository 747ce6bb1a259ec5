// SPDX-License-Identifier: GPL-2.0

//! checkpoint(2): freeze, collect, leak check, metadata, page data, trailer; then thaw, kill or
//! leave.
//!
//! Nothing is written before everything has been collected: a refusal leaves a short image that
//! says why. Whatever happens, dropping the [`Tree`] lets the tasks run on.
//!
//! With `CHECKPOINT_COW` the address spaces are duplicated as fork(2) does once the tasks have been
//! collected, and the tree runs on from there: their pages are found in the duplicates and written
//! from them. Only shared memory, which cannot be duplicated, is written before.
//!
//! With `CHECKPOINT_TRACK` the duplicates stay behind, until the process ends, executes another
//! program or is saved so again. With `CHECKPOINT_INCREMENTAL` the pages that an address space
//! still has in common with them are left out: they are in the image that was written then.

use crate::error::Error;
use crate::error::Result;
use crate::format::header;
use crate::format::namespace::Namespaces;
use crate::format::End;
use crate::format::Failure;
use crate::format::Header;
use crate::format::ObjRef;
use crate::fs;
use crate::image;
use crate::image::Writer;
use crate::ipc;
use crate::log::Log;
use crate::mm;
use crate::object::Class;
use crate::object::ObjectTable;
use crate::object::Sharers;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::file::Path;
use crate::sys::freeze::Frozen;
use crate::sys::ns::PidNs;
use crate::sys::ns::Proxy;
use crate::sys::stream::OutStream;
use crate::sys::task::TaskRef;
use crate::task;
use crate::tree;
use crate::tree::Tree;
use kernel::bindings;
use kernel::fmt;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::str::CStr;
use kernel::str::CString;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;

const FLAGS: u64 = (bindings::CHECKPOINT_SUBTREE
    | bindings::CHECKPOINT_NETNS
    | bindings::CHECKPOINT_KILL
    | bindings::CHECKPOINT_LEAVE_FROZEN
    | bindings::CHECKPOINT_THAW
    | bindings::CHECKPOINT_STATS
    | bindings::CHECKPOINT_COW
    | bindings::CHECKPOINT_TRACK
    | bindings::CHECKPOINT_INCREMENTAL) as u64;

/// What may become of the tree: one of them, or neither.
const ENDS: u64 = (bindings::CHECKPOINT_KILL | bindings::CHECKPOINT_LEAVE_FROZEN) as u64;

/// The number of the last checkpoint.
static LAST_ID: Atomic<i32> = Atomic::new(0);

/// What is being saved, and what has been.
pub(crate) struct Saver<'a> {
    /// The log of the call.
    pub(crate) log: &'a Log,
    /// All tasks.
    pub(crate) tree: &'a Tree,
    /// The metadata so far.
    pub(crate) out: Writer,
    /// The objects so far.
    pub(crate) objects: ObjectTable,
    /// Where the paths of the image start: the caller's root.
    pub(crate) root: Path,
    /// The pid namespace in which the image names tasks: that of the root of the tree.
    pub(crate) ns: PidNs,
    /// The namespaces of the caller, which need not be saved.
    pub(crate) outside: Proxy,
    /// The namespaces of the root of the tree.
    pub(crate) inside: Proxy,
    /// What has been saved of the namespaces of the root.
    pub(crate) namespaces: Option<Namespaces>,
    /// The IPC namespace of the tree, if it has one of its own.
    pub(crate) ipc: Option<ipc::Saved>,
    /// `header::MODE_*`
    pub(crate) mode: u32,
    /// When the tree was frozen.
    pub(crate) frozen: sys::time::Now,
    /// The files so far.
    pub(crate) files: KVVec<FileRef>,
    /// The tables of descriptors so far.
    pub(crate) tables: KVVec<sys::fdtable::Files>,
    /// The `struct fs_struct`s so far, and how many tasks use each.
    pub(crate) directories: KVVec<(usize, u32)>,
    /// The logins so far, and the first task of each.
    pub(crate) logins: RBTree<u32, i32>,
    /// The autogroups so far, and the first process of each.
    pub(crate) autogroups: RBTree<usize, i32>,
    /// How far the clocks of the tree are ahead of those of the machine.
    pub(crate) clocks: sys::usage::Start,
    /// The I/O contexts that several tasks have.
    pub(crate) io_contexts: Sharers,
    /// The lists of what is to be undone of semaphores.
    pub(crate) undo_lists: Sharers,
    /// Epoll sets, whose registrations are saved when all files are.
    pub(crate) epolls: KVVec<(FileRef, ObjRef)>,
    /// The [`sys::file::key`] of each signalfd so far.
    pub(crate) signalfds: KVVec<usize>,
    /// Open files with locks, and the table that was saved last of those that have them.
    pub(crate) locked: RBTree<usize, ObjRef>,
    /// Memory whose pages are to be written.
    pub(crate) pages: mm::Pages,
    /// The task that is being saved, for the log.
    who: TaskRef,
}

/// The name of something, for the log.
pub(crate) struct Name(Option<CString>);

impl Name {
    /// The name of a task, if there is one.
    pub(crate) fn of_task(task: Option<&TaskRef>) -> Self {
        Self(task.and_then(|task| tree::describe(task).ok()))
    }
}

impl core::ops::Deref for Name {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        self.0.as_deref().unwrap_or(c"?")
    }
}

impl Saver<'_> {
    /// Writes why the state cannot be saved, and gives the error.
    #[track_caller]
    pub(crate) fn refuse(&self, args: fmt::Arguments<'_>) -> Error {
        let who = Name::of_task(Some(&self.who));

        self.log.error(EOPNOTSUPP, fmt!("{}: {args}", &*who))
    }

    /// Refuses the id of a user or of a group that means nothing to the caller.
    pub(crate) fn check_ids(&self, ids: &[u32]) -> Result {
        if !ids.contains(&u32::MAX) {
            return Ok(());
        }
        Err(self.refuse(fmt!(
            "has, or has something that belongs to, a user or a group that has no number in the \
             user namespace of the caller"
        )))
    }

    /// Names the task that is saved next.
    pub(crate) fn set_who(&mut self, task: TaskRef) {
        self.who = task;
    }

    /// The time since the tree was frozen, in ns: timers of the kernel go on meanwhile.
    pub(crate) fn since_frozen(&self) -> i64 {
        sys::time::now()
            .monotonic
            .saturating_sub(self.frozen.monotonic)
            .max(0)
    }

    /// A file as the log names it.
    pub(crate) fn name_of(&self, file: &FileRef) -> Name {
        Name(Path::of(file).description().ok())
    }

    /// A path as the restarter will see it.
    pub(crate) fn path_name(&self, path: &Path) -> Result<CString> {
        if path.is_unlinked() {
            let name = Name(path.description().ok());

            return Err(self.refuse(fmt!("{}: it uses it, and it has been deleted", &*name)));
        }
        path.name(&self.root).map_err(|errno| {
            self.log.error(
                errno,
                fmt!(
                    "{}: a file that it uses cannot be reached from the root directory",
                    &*Name::of_task(Some(&self.who))
                ),
            )
        })
    }
}

/// checkpoint(2). Gives what it returns.
pub(crate) fn checkpoint(
    pid: i32,
    fd: i32,
    flags: u64,
    logfd: i32,
) -> core::result::Result<i64, kernel::error::Error> {
    let cow = flags & u64::from(bindings::CHECKPOINT_COW) != 0;
    let track = flags & u64::from(bindings::CHECKPOINT_TRACK) != 0;
    let kill = flags & u64::from(bindings::CHECKPOINT_KILL) != 0;

    if flags & !FLAGS != 0
        || flags & ENDS == ENDS
        || (cow && flags & ENDS != 0)
        || (track && kill)
        || pid < 0
    {
        return Err(EINVAL);
    }
    let log = KBox::pin_init(Log::new(open_log(logfd)?), GFP_KERNEL)?;

    run(pid, fd, flags, &log).map_err(|error| {
        log.finish(&error);
        error.errno()
    })
}

/// The file that the messages of a call go to; -1: none.
pub(crate) fn open_log(
    logfd: i32,
) -> core::result::Result<Option<OutStream>, kernel::error::Error> {
    if logfd == -1 {
        return Ok(None);
    }
    OutStream::fget(logfd).map(Some)
}

fn run(pid: i32, fd: i32, flags: u64, log: &Log) -> Result<i64> {
    let caller = sys::task::current();
    let root = if pid == 0 {
        caller.clone()
    } else {
        leader(&sys::task::find_by_vpid(pid)?)?
    };

    if flags & u64::from(bindings::CHECKPOINT_THAW) != 0 {
        tree::thaw(&root, log)?;
        return Ok(0);
    }
    if flags & u64::from(bindings::CHECKPOINT_NETNS) != 0 {
        return Err(log.error(
            EOPNOTSUPP,
            fmt!("network namespaces are not supported (CHECKPOINT_NETNS)"),
        ));
    }
    let mode = mode(&root, &caller, flags, log)?;
    let mut out = OutStream::fget(fd)?;
    let started = sys::time::now();
    let tree = tree::freeze(&root, log)?;
    let saved = save(&root, tree, mode, flags, &mut out, log).map_err(|error| {
        log.finish(&error);
        let _ = write_failure(&mut out, &error, log);
        Error::told(error.errno())
    })?;

    if flags & u64::from(bindings::CHECKPOINT_STATS) != 0 {
        report(started, &saved, log);
    }
    Ok(saved.id)
}

/// The process of a task.
fn leader(task: &TaskRef) -> Result<TaskRef> {
    let mut leader = None;

    sys::task::Tasklist::read().threads(task, |thread| {
        if thread.pid() == thread.tgid() {
            leader = Some(thread);
        }
    });
    Ok(leader.ok_or(ESRCH)?)
}

/// What kind of tree it is; checks that it is one that the flags ask for.
fn mode(root: &TaskRef, caller: &TaskRef, flags: u64, log: &Log) -> Result<u32> {
    let is_init = sys::task::pid_in(root, &PidNs::of(root)?) == 1;

    if flags & u64::from(bindings::CHECKPOINT_SUBTREE) == 0 && !is_init {
        return Err(log.error(
            EINVAL,
            fmt!(
                "{} is not the init of a container (CHECKPOINT_SUBTREE saves any tree)",
                &*tree::describe(root)?
            ),
        ));
    }
    if is_init && sys::task::pid_in(root, &PidNs::current()?) == 1 {
        return Err(log.error(
            EINVAL,
            fmt!("a container is saved from outside of it, not from inside"),
        ));
    }
    if !is_init && !PidNs::of(root)?.is(&PidNs::current()?) {
        return Err(log.error(
            EOPNOTSUPP,
            fmt!(
                "{} is inside of a container; save the container, or save it from inside",
                &*tree::describe(root)?
            ),
        ));
    }
    if root.as_ptr() == caller.as_ptr() {
        return Ok(header::MODE_SELF);
    }
    Ok(if flags & u64::from(bindings::CHECKPOINT_SUBTREE) == 0 {
        header::MODE_CONTAINER
    } else {
        header::MODE_SUBTREE
    })
}

/// What a successful checkpoint tells.
struct Saved {
    id: i64,
    frozen: sys::time::Now,
    thawed: sys::time::Now,
    bytes: u64,
    meta_bytes: u64,
    data_pages: u64,
    shared_pages: u64,
    parent_pages: u64,
    tasks: u32,
    objects: u32,
}

/// What has been collected of a tree: everything but which pages it has.
struct Collected {
    out: Writer,
    pages: mm::Pages,
    tasks: u32,
    /// Whether somebody outside of the tree may run in one of its address spaces.
    shares_memory: bool,
}

/// Saves a tree that does not run, and lets it run on, kills it or leaves it, as the flags say. If
/// it fails, the tree runs on.
fn save(
    root: &TaskRef,
    tree: Tree,
    mode: u32,
    flags: u64,
    out: &mut OutStream,
    log: &Log,
) -> Result<Saved> {
    let frozen = sys::time::now();
    let mut tree = Some(tree);
    let mut thawed = None;
    let Collected {
        out: mut metadata,
        mut pages,
        tasks,
        shares_memory,
    } = collect(root, tree.as_ref().ok_or(ESRCH)?, mode, frozen, log)?;
    // Whoever runs meanwhile could write to what is duplicated, and fork what is not to be forked.
    let may_duplicate = !shares_memory && !pages.has_huge_pages();
    let has = |flag: u32| flags & u64::from(flag) != 0;
    let cow = has(bindings::CHECKPOINT_COW) && may_duplicate;
    let track = has(bindings::CHECKPOINT_TRACK) && may_duplicate;
    let incremental = has(bindings::CHECKPOINT_INCREMENTAL);

    if incremental {
        pages.look_back();
    }
    let copied = cow && !track && !incremental && pages.copy(log)?;
    if (cow || track) && !copied {
        pages.duplicate()?;
    }
    if cow && !pages.has_shared_memory() {
        thawed = end(&mut tree, flags);
    }
    let mut write = || -> Result<(i64, u32)> {
        pages.find(log)?;
        pages.save_maps(&mut metadata)?;
        let objects = metadata.objects();

        metadata.record(&End { objects, tasks }, &[])?;
        let id = write_metadata(metadata.bytes(), &pages, mode, frozen, out)?;
        let mut writer = mm::PageWriter::new(&pages, shares_memory)?;

        writer.write_shared_memory(out)?;
        if cow && thawed.is_none() {
            thawed = end(&mut tree, flags);
        }
        writer.write_address_spaces(out)?;
        pages.check_duplicates(log)?;
        writer.finish(out)?;
        Ok((id, objects))
    };
    // That pages are missing may show in other ways as well.
    let (id, objects) = match write() {
        Err(error) if !error.is_told() => {
            pages.check_duplicates(log)?;
            return Err(error);
        }
        written => written?,
    };
    let (data_pages, shared_pages, parent_pages) =
        (pages.count(), pages.shared(), pages.unchanged());

    if track || incremental {
        // If that fails, the next image has everything.
        let _ = pages.track(track.then_some((id as u64, frozen.realtime)));
    }
    Ok(Saved {
        id,
        frozen,
        thawed: thawed
            .or_else(|| end(&mut tree, flags))
            .unwrap_or_else(sys::time::now),
        bytes: out.written(),
        meta_bytes: metadata.bytes().len() as u64,
        data_pages,
        shared_pages,
        parent_pages,
        tasks,
        objects,
    })
}

/// Does with the tree what the flags say, and waits for those that are to end. Gives the moment at
/// which all were let go, the first time.
fn end(tree: &mut Option<Tree>, flags: u64) -> Option<sys::time::Now> {
    let tree = tree.take()?;
    let mut killed = None;

    if flags & u64::from(bindings::CHECKPOINT_KILL) != 0 {
        killed = Some(tree.kill());
    } else if flags & u64::from(bindings::CHECKPOINT_LEAVE_FROZEN) != 0 {
        tree.leave_frozen();
    } else {
        drop(tree);
    }
    let thawed = sys::time::now();

    if let Some(killed) = killed {
        killed.wait();
    }
    Some(thawed)
}

/// Collects everything but which pages there are, of a tree that does not run.
fn collect(
    root: &TaskRef,
    tree: &Tree,
    mode: u32,
    frozen: sys::time::Now,
    log: &Log,
) -> Result<Collected> {
    let mut saver = Saver {
        log,
        tree,
        out: Writer::with_room(metadata_room(tree)),
        objects: ObjectTable::new(),
        root: Path::current_root(),
        ns: PidNs::of(root)?,
        outside: sys::ns::proxy(&Frozen::current())?,
        inside: root_proxy(tree, log)?,
        namespaces: None,
        ipc: None,
        mode,
        frozen,
        files: KVVec::new(),
        tables: KVVec::new(),
        directories: KVVec::new(),
        logins: RBTree::new(),
        autogroups: RBTree::new(),
        clocks: root_clocks(tree)?,
        io_contexts: Sharers::new(),
        undo_lists: Sharers::new(),
        epolls: KVVec::new(),
        signalfds: KVVec::new(),
        locked: RBTree::new(),
        pages: mm::Pages::new(),
        who: root.clone(),
    };

    if mode == header::MODE_SELF && tree.tasks().len() != 1 {
        return Err(saver.refuse(fmt!(
            "saves itself, but has other threads or children (save the tree from outside of it)"
        )));
    }
    mm::aio::settle(&mut saver, tree)?;
    let tasks = task::save_all(&mut saver, tree)?;

    fs::eventpoll::save_items(&mut saver)?;
    fs::lock::save_rest(&mut saver)?;
    #[cfg(CONFIG_INET)]
    crate::net::check_pairs(&saver)?;
    if mode == header::MODE_CONTAINER {
        mm::count_kept(&mut saver)?;
        fs::check_leaks(&saver)?;
        ipc::check_leaks(&saver)?;
    }
    let shares_memory = saver
        .pages
        .address_spaces()
        .any(|mm| mm.users() > saver.objects.references(Class::Mm, mm.key()));

    Ok(Collected {
        out: saver.out,
        pages: saver.pages,
        tasks,
        shares_memory,
    })
}

/// About how many bytes of metadata the tasks of a tree have.
fn metadata_room(tree: &Tree) -> usize {
    const LEADER: usize = 6 << 10;
    const THREAD: usize = 1 << 10;

    tree.tasks().iter().fold(0, |bytes: usize, member| {
        let task = member.task();
        let is_leader = task.pid() == task.tgid();

        bytes.saturating_add(if is_leader { LEADER } else { THREAD })
    })
}

fn root_proxy(tree: &Tree, log: &Log) -> Result<Proxy> {
    match tree.tasks().first() {
        Some(tree::Member::Live(frozen)) => Ok(sys::ns::proxy(frozen)?),
        Some(tree::Member::Zombie(_)) if tree.tasks().len() > 1 => Err(log.error(
            EOPNOTSUPP,
            fmt!(
                "the root of the tree has ended, but for its other threads, which is not supported"
            ),
        )),
        _ => Err(ESRCH.into()),
    }
}

fn root_clocks(tree: &Tree) -> Result<sys::usage::Start> {
    match tree.tasks().first() {
        Some(tree::Member::Live(frozen)) => Ok(task::usage::clocks(frozen)),
        _ => Err(ESRCH.into()),
    }
}

/// A header that has not been sealed yet.
pub(crate) fn new_header(mode: u32, frozen: sys::time::Now) -> Header {
    Header {
        magic: header::MAGIC,
        byte_order: header::BYTE_ORDER,
        format: header::FORMAT,
        header_crc: 0,
        meta_crc: 0,
        meta_len: 0,
        machine: crate::arch::MACHINE,
        page_shift: sys::page::SHIFT,
        mode,
        flags: 0,
        data_pages: 0,
        id: 0,
        realtime: frozen.realtime,
        monotonic: frozen.monotonic,
        boottime: frozen.boottime,
        config: 0,
        release: sys::ns::kernel_release(),
        chunk_pages: header::CHUNK_PAGES,
        reserved: 0,
        parent_id: 0,
        parent_realtime: 0,
        reserved2: [0; 2],
    }
}

/// Writes header and metadata, up to where the page data starts. Gives the number of the image.
fn write_metadata(
    metadata: &[u8],
    pages: &mm::Pages,
    mode: u32,
    frozen: sys::time::Now,
    out: &mut OutStream,
) -> Result<i64> {
    let mut head = new_header(mode, frozen);
    let id = i64::from(LAST_ID.fetch_add(1, Relaxed).wrapping_add(1) & i32::MAX).max(1);

    head.id = id as u64;
    head.data_pages = pages.count();
    if let Some((id, realtime)) = pages.parent() {
        head.flags |= header::FLAG_INCREMENTAL;
        head.parent_id = id;
        head.parent_realtime = realtime;
    }
    image::seal(&mut head, metadata);
    out.write_all(head.as_bytes())?;
    out.write_all(metadata)?;
    let zeros = KVVec::from_elem(0u8, image::padding(out.written())?, GFP_KERNEL)?;

    out.write_all(&zeros)?;
    Ok(id)
}

/// Writes an image that only tells why there is none.
fn write_failure(out: &mut OutStream, error: &Error, log: &Log) -> Result {
    let mut head = new_header(0, sys::time::now());
    let mut writer = Writer::new();
    let failure = Failure {
        errno: error.errno().to_errno().unsigned_abs(),
        pid: 0,
    };

    if out.written() != 0 {
        return Ok(());
    }
    writer.record(&failure, &[&log.kept()])?;
    head.flags = header::FLAG_FAILED;
    image::seal(&mut head, writer.bytes());
    out.write_all(head.as_bytes())?;
    Ok(out.write_all(writer.bytes())?)
}

fn report(started: sys::time::Now, saved: &Saved, log: &Log) {
    let now = sys::time::now();

    log.line(fmt!(
        "stats frozen_ns={} freeze_ns={} total_ns={} bytes={} meta_bytes={} data_pages={} \
         shared_pages={} parent_pages={} tasks={} objects={}",
        saved
            .thawed
            .monotonic
            .saturating_sub(saved.frozen.monotonic),
        saved.frozen.monotonic.saturating_sub(started.monotonic),
        now.monotonic.saturating_sub(started.monotonic),
        saved.bytes,
        saved.meta_bytes,
        saved.data_pages,
        saved.shared_pages,
        saved.parent_pages,
        saved.tasks,
        saved.objects
    ));
}
