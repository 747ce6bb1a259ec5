// SPDX-License-Identifier: GPL-2.0

//! Terminals.
//!
//! A pseudo-terminal whose master is open in the tree is brought back as a whole. Kept: its
//! number, settings, size, lock, packet mode, TIOCEXCL, permissions and owner of its name, what
//! either end has received and not read, the line that is being typed, stopped output, and whose
//! controlling terminal it is, with the foreground process group. A master whose slave somebody
//! outside of the tree has open sees it closed after the restart.
//!
//! Other terminals belong to somebody outside: the master of an ssh session, a console, a serial
//! line. In a container they are refused; otherwise they are found again by their path, and stay
//! as they are then.
//!
//! A terminal that was hung up stays so.
//!
//! Not kept, and refused: other line disciplines than N_TTY, locked settings (TIOCSLCKTRMIOS),
//! BSD pseudo-terminals, a session of the tree whose controlling terminal is outside of it,
//! echoes that wait for room.
//!
//! C sources: `drivers/tty/pty.c`, `drivers/tty/n_tty.c`

use super::path;
use super::path::path_name;
use super::FileKind;
use crate::error::Result;
use crate::format::file::Pty;
use crate::format::file::TtyFile;
use crate::format::file::TtyQueue;
use crate::format::file::PTY_EXCLUSIVE;
use crate::format::file::PTY_LOCKED;
use crate::format::file::PTY_OPENED;
use crate::format::file::PTY_PACKET;
use crate::format::file::TTY_CONTROLLING;
use crate::format::file::TTY_HUNG_UP;
use crate::format::file::TTY_MASTER;
use crate::format::file::TTY_QUEUE_ERASING;
use crate::format::file::TTY_QUEUE_LNEXT;
use crate::format::file::TTY_QUEUE_PUSH;
use crate::format::file::TTY_QUEUE_STOPPED;
use crate::format::file::TTY_QUEUE_TCO_STOPPED;
use crate::format::file::TTY_SLAVE;
use crate::format::header;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::object::Class;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::fdtable::Files;
use crate::sys::file::FileRef;
use crate::sys::file::Path;
use crate::sys::freeze::Frozen;
use crate::sys::kept::Kept;
use crate::sys::tty::End;
use crate::sys::tty::Flag;
use crate::sys::tty::Received;
use crate::sys::tty::Termios;
use crate::sys::tty::Tty;
use crate::sys::tty::NCCS;
use crate::sys::tty::RAW_MAX;
use crate::sys::tty::READ_MAX;
use crate::tree::Member;
use crate::tree::Tree;
use kernel::alloc::KVVec;
use kernel::fs::file::flags;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::sync::new_mutex;
use kernel::sync::Arc;
use kernel::sync::Mutex;
use kernel::time::delay::fsleep;
use kernel::time::Delta;

/// The row of the table of kinds.
pub(crate) const KIND: FileKind = FileKind {
    name: "a terminal",
    record: TtyFile::KIND,
    is: is_tty,
    save,
    restore,
};

/// Device number of /dev/tty.
const DEV_TTY: u32 = 5 << 20;

/// Bits of permissions.
const S_IALLUGO: u32 = 0o7777;

/// How often, and in which distance, the number of a pseudo-terminal is asked for that somebody
/// has, who may be another part of this restart that looks for its own.
const TRIES: u32 = 50;
const PAUSE_MS: i64 = 20;

fn is_tty(file: &FileRef) -> bool {
    sys::tty::is_tty(file)
}

fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let tty = Tty::of(file).ok_or(EINVAL)?;
    let open = super::save_open(saver, file)?;

    if sys::tty::is_hung_up(file) {
        let state = TtyFile {
            open,
            pty: ObjRef::NONE,
            end: TTY_HUNG_UP,
        };

        return saver.out.object(&state, &[]);
    }
    let Some((slave, master)) = inside(saver.tree, &tty)? else {
        return save_outside(saver, file);
    };
    let end = match tty.end() {
        Some(End::Master) => TTY_MASTER,
        _ if sys::file::status(file).rdev == DEV_TTY => TTY_CONTROLLING,
        _ => TTY_SLAVE,
    };
    let state = TtyFile {
        open,
        pty: save_pty(saver, &slave, &master)?,
        end,
    };

    saver.out.object(&state, &[])
}

/// Saves a terminal that belongs to somebody outside of the tree.
fn save_outside(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    if saver.mode == header::MODE_CONTAINER {
        return Err(saver.refuse(fmt!(
            "{}: a terminal that belongs to somebody outside of the container",
            &*saver.name_of(file)
        )));
    }
    (path::KIND.save)(saver, file)
}

/// The slave of a pseudo-terminal, and the open file of its master, if the tree has that.
fn inside(tree: &Tree, tty: &Tty) -> Result<Option<(Tty, FileRef)>> {
    let (Some(end), Some(other)) = (tty.end(), tty.other()) else {
        return Ok(None);
    };
    let master = match end {
        End::Master => tty.master_file(),
        End::Slave => other.master_file(),
    };
    let slave = match end {
        End::Master => Some(other),
        End::Slave => other.other(),
    };
    let (Some(master), Some(slave)) = (master, slave) else {
        return Ok(None);
    };

    Ok(has(tree, &master)?.then_some((slave, master)))
}

/// Whether a descriptor of the tree refers to the file.
fn has(tree: &Tree, file: &FileRef) -> Result<bool> {
    let key = sys::file::key(file);

    for member in tree.tasks() {
        let Member::Live(task) = member else {
            continue;
        };
        let descriptors = Files::of(task)?.descriptors()?;

        if descriptors
            .iter()
            .any(|descriptor| sys::file::key(&descriptor.file) == key)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Saves both ends of a pseudo-terminal, unless it is known already.
fn save_pty(saver: &mut Saver<'_>, slave: &Tty, file: &FileRef) -> Result<ObjRef> {
    if let Some(number) = saver.objects.refer(Class::Pty, slave.key()) {
        return Ok(number);
    }
    let master = slave.other().ok_or(EINVAL)?;
    let path = saver.path_name(&Path::of(file))?;
    let (received, sent) = (
        received(saver, slave, file)?,
        received(saver, &master, file)?,
    );
    let Termios {
        flags,
        line,
        cc,
        speed,
    } = slave.termios();
    let mut padded = [0; 32];

    for (to, from) in padded.iter_mut().zip(cc) {
        *to = from;
    }
    let [mode, uid, gid] = slave.owner()?;
    let (session, foreground) = slave.session_in(&saver.ns);
    let (packet, status) = master.packet();
    let state = Pty {
        index: slave.index(),
        flags: bits([
            (PTY_LOCKED, master.flag(Flag::Locked)),
            (PTY_PACKET, packet),
            (PTY_EXCLUSIVE, slave.flag(Flag::Exclusive)),
            (
                PTY_OPENED,
                master.flag(Flag::OtherClosed) || slave.count() > 1,
            ),
        ]),
        pktstatus: u32::from(status),
        master_flags: super::save_open(saver, file)?.flags,
        mode,
        uid,
        gid,
        session,
        foreground,
        winsize: slave.winsize(),
        termios: flags,
        line: u32::from(line),
        speed,
        cc: padded,
        slave: queue(slave, &received),
        master: queue(&master, &sent),
        path: len(path.to_bytes()),
    };
    let tail = [
        path.to_bytes(),
        &received.read,
        &received.ends,
        &received.raw,
        &sent.read,
        &sent.ends,
        &sent.raw,
    ];
    let number = saver.out.object(&state, &tail)?;

    saver.objects.insert(Class::Pty, slave.key(), number)?;
    Ok(number)
}

/// What an end has received. Refuses what the record does not hold.
fn received(saver: &Saver<'_>, tty: &Tty, file: &FileRef) -> Result<Received> {
    if tty.has_locked_termios() {
        return Err(saver.refuse(fmt!(
            "{}: a terminal with locked settings (TIOCSLCKTRMIOS)",
            &*saver.name_of(file)
        )));
    }
    tty.received().map_err(|errno| {
        let what = match errno {
            EOPNOTSUPP => "a terminal with a line discipline other than N_TTY",
            EBUSY => "a terminal that has not echoed all of what was typed",
            _ => return errno.into(),
        };

        saver.refuse(fmt!("{}: {what}", &*saver.name_of(file)))
    })
}

fn queue(tty: &Tty, received: &Received) -> TtyQueue {
    let (stopped, tco_stopped) = tty.stopped();

    TtyQueue {
        read: len(&received.read),
        canon: received.canon,
        raw: len(&received.raw),
        column: received.column,
        canon_column: received.canon_column,
        flags: bits([
            (TTY_QUEUE_LNEXT, received.lnext),
            (TTY_QUEUE_ERASING, received.erasing),
            (TTY_QUEUE_PUSH, received.push),
            (TTY_QUEUE_STOPPED, stopped),
            (TTY_QUEUE_TCO_STOPPED, tco_stopped),
        ]),
    }
}

/// The bits whose condition holds.
fn bits<const N: usize>(bits: [(u32, bool); N]) -> u32 {
    bits.into_iter()
        .filter(|&(_, on)| on)
        .fold(0, |all, (bit, _)| all | bit)
}

/// The length of something short.
fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Whether an end of the pair that this file belongs to is open outside of the tree: leak
/// detection.
pub(crate) fn is_shared_outside(saver: &Saver<'_>, file: &FileRef) -> bool {
    let slave_of = |file: &FileRef| match Tty::of(file) {
        Some(tty) if tty.end() == Some(End::Master) => tty.other(),
        tty => tty,
    };
    let Some(slave) = slave_of(file).filter(|_| !sys::tty::is_hung_up(file)) else {
        return false;
    };
    let ours = saver
        .files
        .iter()
        .filter(|other| slave_of(other).is_some_and(|other| other.key() == slave.key()))
        .count();

    // The master counts as one that has the slave open.
    slave.end().is_some() && slave.count() != ours as u64
}

/// Saves the controlling terminal of a process whose session belongs to the tree, and gives its
/// number; none if it has no such terminal.
pub(crate) fn save_ctty(saver: &mut Saver<'_>, task: &Frozen) -> Result<ObjRef> {
    let Some(tty) = Tty::controlling(task) else {
        return Ok(ObjRef::NONE);
    };
    let Some((slave, master)) = inside(saver.tree, &tty)? else {
        return Err(saver.refuse(fmt!(
            "its controlling terminal belongs to somebody outside of the tree"
        )));
    };

    save_pty(saver, &slave, &master)
}

/// The parts of the tail of a [`Pty`].
struct Tail<'a> {
    path: &'a [u8],
    slave: QueueTail<'a>,
    master: QueueTail<'a>,
}

struct QueueTail<'a> {
    read: &'a [u8],
    ends: &'a [u8],
    raw: &'a [u8],
}

/// Takes `len` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], len: u32) -> Result<&'a [u8]> {
    let len = usize::try_from(len).map_err(|_| EINVAL)?;
    let (head, rest) = bytes.split_at_checked(len).ok_or(EINVAL)?;

    *bytes = rest;
    Ok(head)
}

impl<'a> QueueTail<'a> {
    fn split(queue: &TtyQueue, tail: &mut &'a [u8]) -> Result<Self> {
        let parts = Self {
            read: take(tail, queue.read)?,
            ends: take(tail, queue.read)?,
            raw: take(tail, queue.raw)?,
        };
        let known = TTY_QUEUE_LNEXT
            | TTY_QUEUE_ERASING
            | TTY_QUEUE_PUSH
            | TTY_QUEUE_STOPPED
            | TTY_QUEUE_TCO_STOPPED;

        if parts.read.len() > READ_MAX
            || parts.raw.len() > RAW_MAX
            || parts.ends.iter().any(|&end| end > 1)
            || queue.canon > queue.read
            || queue.flags & !known != 0
        {
            return Err(EINVAL.into());
        }
        Ok(parts)
    }

    fn received(&self, queue: &TtyQueue) -> Result<Received> {
        let TtyQueue {
            read: _,
            canon,
            raw: _,
            column,
            canon_column,
            flags,
        } = *queue;

        Ok(Received {
            read: copy(self.read)?,
            ends: copy(self.ends)?,
            canon,
            column,
            canon_column,
            lnext: flags & TTY_QUEUE_LNEXT != 0,
            erasing: flags & TTY_QUEUE_ERASING != 0,
            push: flags & TTY_QUEUE_PUSH != 0,
            raw: copy(self.raw)?,
        })
    }
}

fn copy(bytes: &[u8]) -> Result<KVVec<u8>> {
    let mut copy = KVVec::new();

    copy.extend_from_slice(bytes, GFP_KERNEL)?;
    Ok(copy)
}

impl<'a> Tail<'a> {
    /// Splits a tail. `EINVAL`: it has another length than the record says, or what stands in it
    /// cannot be.
    fn split(state: &Pty, mut tail: &'a [u8]) -> Result<Self> {
        let parts = Self {
            path: take(&mut tail, state.path)?,
            slave: QueueTail::split(&state.slave, &mut tail)?,
            master: QueueTail::split(&state.master, &mut tail)?,
        };

        path_name(parts.path)?;
        match tail {
            [] => Ok(parts),
            _ => Err(EINVAL.into()),
        }
    }
}

/// Checks a record of a pseudo-terminal or of an end before anything is made of it.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: &dyn Fn(ObjRef) -> Option<u16>) -> Result {
    if record.kind == Pty::KIND {
        check_pty(record)
    } else {
        check_end(record, kind_of)
    }
}

fn check_pty(record: &RawRecord<'_>) -> Result {
    let (state, tail) = record.parse::<Pty>()?;
    let known = PTY_LOCKED | PTY_PACKET | PTY_EXCLUSIVE | PTY_OPENED;

    if state.flags & !known != 0
        || i32::try_from(state.index).is_err()
        || u8::try_from(state.pktstatus).is_err()
        || u8::try_from(state.line).is_err()
        || state.mode & !S_IALLUGO != 0
        || state.session < 0
        || state.foreground < 0
        || state.winsize.iter().any(|&n| u16::try_from(n).is_err())
        || state.cc.iter().skip(NCCS).any(|&c| c != 0)
        || state.master_flags & !FLAGS != 0
    {
        return Err(EINVAL.into());
    }
    Tail::split(&state, tail)?;
    Ok(())
}

/// The flags that a file of a terminal can have.
const FLAGS: u32 = flags::O_ACCMODE
    | flags::O_APPEND
    | flags::O_NONBLOCK
    | flags::O_SYNC
    | flags::O_LARGEFILE
    | flags::O_NOFOLLOW
    | flags::O_CLOEXEC;

fn check_end(record: &RawRecord<'_>, kind_of: &dyn Fn(ObjRef) -> Option<u16>) -> Result {
    let (state, tail) = record.parse::<TtyFile>()?;
    let TtyFile { open, pty, end } = state;
    let refers = match end {
        TTY_MASTER | TTY_SLAVE | TTY_CONTROLLING => kind_of(pty) == Some(Pty::KIND),
        TTY_HUNG_UP => pty.is_none(),
        _ => false,
    };

    if !refers || super::open_flags(&open)? & !FLAGS != 0 || open.pos != 0 || !tail.is_empty() {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Both ends of a pseudo-terminal. It keeps them open.
#[pin_data]
pub(crate) struct PtyEnds {
    slave: Tty,
    session: i32,
    foreground: i32,
    /// Held while the slave is opened, which its lock and TIOCEXCL would forbid.
    #[pin]
    opening: Mutex<()>,
    /// The slave; none if it has never been open.
    _open: Option<Kept>,
    master: Kept,
}

impl PtyEnds {
    /// The master. It is open already, and only once.
    fn master(&self, flags: u32) -> Result<FileRef> {
        let file = self.master.file();

        sys::pipe::set_flags(&file, flags);
        exactly(file, flags)
    }

    /// Opens the slave with `open`, past its lock.
    fn open(&self, open: impl FnOnce() -> Result<FileRef>) -> Result<FileRef> {
        let master = self.slave.other().ok_or(EINVAL)?;
        let _guard = self.opening.lock();
        let locked = master.flag(Flag::Locked);
        let exclusive = self.slave.flag(Flag::Exclusive);

        master.set_flag(Flag::Locked, false);
        self.slave.set_flag(Flag::Exclusive, false);
        let file = open();

        master.set_flag(Flag::Locked, locked);
        self.slave.set_flag(Flag::Exclusive, exclusive);
        file
    }

    fn slave(&self, flags: u32) -> Result<FileRef> {
        self.open(|| open_peer(&self.master, flags))
    }

    /// The slave by the name of /dev/tty, which only those can use whose controlling terminal it
    /// is. Somebody else may have the file now: then it has its own name.
    fn controlling(&self, restart: &Restart, flags: u32) -> Result<FileRef> {
        if Tty::current().is_none_or(|tty| tty.key() != self.slave.key()) {
            return self.slave(flags);
        }
        self.open(|| {
            let file = restart.root().open(c"/dev/tty", flags | flags::O_NOCTTY)?;

            if Tty::of(&file).is_none_or(|tty| tty.key() != self.slave.key()) {
                return Err(EINVAL.into());
            }
            exactly(file, flags)
        })
    }
}

/// Opens the slave of a master.
fn open_peer(master: &File, flags: u32) -> Result<FileRef> {
    let path = sys::tty::slave_path(master)?;

    exactly(path.open_here(flags | flags::O_NOCTTY)?, flags)
}

/// An image can ask for a combination of flags that no system call gives.
fn exactly(file: FileRef, flags: u32) -> Result<FileRef> {
    if file.flags() != flags {
        return Err(EINVAL.into());
    }
    Ok(file)
}

/// Opens the master of a new pseudo-terminal.
fn open_master(restart: &Restart, name: &CStr, flags: u32) -> Result<(Kept, Tty)> {
    let file = restart
        .root()
        .open(name, flags | flags::O_NOCTTY)
        .map(Kept::new)
        .map_err(|errno| restart.log.error(errno, fmt!("{name}: cannot open it")))?;
    let master = Tty::of(&file).filter(|tty| tty.end() == Some(End::Master));
    let slave = master.and_then(|master| master.other()).ok_or_else(|| {
        restart.log.error(
            EINVAL,
            fmt!("{name}: it gives no pseudo-terminals any more"),
        )
    })?;

    Ok((file, slave))
}

/// Opens the master of the pseudo-terminal with that number.
///
/// The kernel gives the lowest number that is free, so that all below it are taken meanwhile.
fn open_numbered(restart: &Restart, name: &CStr, flags: u32, index: u32) -> Result<(Kept, Tty)> {
    for _ in 0..TRIES {
        let mut lower = KVVec::new();

        loop {
            let (master, slave) = open_master(restart, name, flags)?;

            if slave.index() == index {
                return Ok((master, slave));
            }
            if slave.index() > index {
                break;
            }
            lower.push(master, GFP_KERNEL)?;
        }
        drop(lower);
        fsleep(Delta::from_millis(PAUSE_MS));
    }
    Err(restart
        .log
        .error(EBUSY, fmt!("pseudo-terminal {index}: it is in use")))
}

/// Makes a pseudo-terminal as it was.
pub(crate) fn restore_pty(restart: &Restart, number: ObjRef) -> Result<Arc<PtyEnds>> {
    let (state, tail) = restart.record::<Pty>(number)?;
    let parts = Tail::split(&state, tail)?;
    let name = path_name(parts.path)?;
    let (file, slave) = open_numbered(restart, &name, state.master_flags, state.index)?;
    let open = set_up(restart, &state, &parts, &file, &slave)?;

    Ok(Arc::pin_init(
        pin_init!(PtyEnds {
            slave,
            session: state.session,
            foreground: state.foreground,
            opening <- new_mutex!(()),
            _open: open,
            master: file,
        }),
        GFP_KERNEL,
    )?)
}

/// Gives a new pseudo-terminal its state; gives the open slave, if it has been open before.
///
/// The settings come first, since what was received must not be looked at with others; packet mode
/// comes after the settings, whose change it would report; the lock comes last.
fn set_up(
    restart: &Restart,
    state: &Pty,
    parts: &Tail<'_>,
    file: &File,
    slave: &Tty,
) -> Result<Option<Kept>> {
    let Pty {
        index: _,
        flags,
        pktstatus,
        master_flags: _,
        mode,
        uid,
        gid,
        session: _,
        foreground: _,
        winsize,
        termios,
        line,
        speed,
        cc,
        slave: slave_queue,
        master: master_queue,
        path: _,
    } = *state;
    let master = slave.other().ok_or(EINVAL)?;
    let line = u8::try_from(line).map_err(|_| EINVAL)?;
    let status = u8::try_from(pktstatus).map_err(|_| EINVAL)?;
    let cc = *cc.first_chunk::<NCCS>().ok_or(EINVAL)?;
    let by_name = sys::tty::slave_path(file)?.open_here(flags::O_PATH)?;

    sys::tty::set_owner(&by_name, [mode, uid, gid], slave.owner()?).map_err(|errno| {
        restart.log.error(
            errno,
            fmt!("pseudo-terminal {}: permissions and owner", state.index),
        )
    })?;
    master.set_flag(Flag::Locked, false);
    let open = match flags & PTY_OPENED {
        0 => None,
        _ => Some(Kept::new(open_peer(file, flags::O_RDWR)?)),
    };

    slave.set_termios(&Termios {
        flags: termios,
        line,
        cc,
        speed,
    })?;
    slave.set_winsize(&winsize)?;
    for (tty, queue, tail) in [
        (slave, slave_queue, &parts.slave),
        (&master, master_queue, &parts.master),
    ] {
        tty.set_stopped(
            queue.flags & TTY_QUEUE_STOPPED != 0,
            queue.flags & TTY_QUEUE_TCO_STOPPED != 0,
        );
        tty.receive(&tail.received(&queue)?)?;
    }
    master.set_packet(flags & PTY_PACKET != 0, status)?;
    slave.set_flag(Flag::Exclusive, flags & PTY_EXCLUSIVE != 0);
    master.set_flag(Flag::Locked, flags & PTY_LOCKED != 0);
    Ok(open)
}

/// A file of a terminal that was hung up: the slave of a new one whose master is closed.
fn hung_up(restart: &Restart, flags: u32) -> Result<FileRef> {
    let (master, slave) = open_master(restart, c"/dev/ptmx", flags::O_RDWR)?;

    slave.other().ok_or(EINVAL)?.set_flag(Flag::Locked, false);
    let file = open_peer(&master, flags)?;

    drop(master);
    Ok(file)
}

fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (state, _) = restart.record::<TtyFile>(number)?;
    let TtyFile { open, pty, end } = state;
    let flags = super::open_flags(&open)?;

    match end {
        TTY_MASTER => restart.pty(pty)?.master(flags),
        TTY_SLAVE => restart.pty(pty)?.slave(flags),
        TTY_CONTROLLING => restart.pty(pty)?.controlling(restart, flags),
        TTY_HUNG_UP => hung_up(restart, flags),
        _ => Err(EINVAL.into()),
    }
}

/// Gives the running process, whose session and process group are set, the controlling terminal
/// that it had. A process of a session that was not saved (0) keeps that of the restarter.
pub(crate) fn restore_ctty(restart: &Restart, pty: ObjRef, session: i32) -> Result {
    if session == 0 {
        return Ok(());
    }
    if pty.is_none() {
        sys::tty::clear_ctty();
        return Ok(());
    }
    let ends = restart.pty(pty)?;

    if ends.session != session {
        return Err(EINVAL.into());
    }
    Ok(ends.slave.set_controlling(ends.foreground)?)
}
