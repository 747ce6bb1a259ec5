// SPDX-License-Identifier: GPL-2.0

//! Pseudo-terminals, both ends together.
//!
//! Ordering: the settings come before what was received, which must not be looked at with others;
//! packet mode comes after the settings, whose change it would report; the lock comes last. The
//! master stays open until the restart is over: a slave whose master is closed is hung up.
//!
//! C sources: `drivers/tty/pty.c`, `drivers/tty/n_tty.c`

use super::path_name;
use super::tail::Tail;
use crate::error::Result;
use crate::format::file::Pty;
use crate::format::file::TtyQueue;
use crate::format::file::PTY_EXCLUSIVE;
use crate::format::file::PTY_LOCKED;
use crate::format::file::PTY_OPENED;
use crate::format::file::PTY_PACKET;
use crate::format::file::TTY_QUEUE_ERASING;
use crate::format::file::TTY_QUEUE_LNEXT;
use crate::format::file::TTY_QUEUE_PUSH;
use crate::format::file::TTY_QUEUE_STOPPED;
use crate::format::file::TTY_QUEUE_TCO_STOPPED;
use crate::format::ObjRef;
use crate::object::Class;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::file::Path;
use crate::sys::kept::Kept;
use crate::sys::tty::End;
use crate::sys::tty::Flag;
use crate::sys::tty::Received;
use crate::sys::tty::Termios;
use crate::sys::tty::Tty;
use crate::sys::tty::NCCS;
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

/// How often, and in which distance, the number of a pseudo-terminal is asked for that somebody
/// has, who may be another part of this restart that looks for its own.
const TRIES: u32 = 50;
const PAUSE_MS: i64 = 20;

/// Saves both ends of a pseudo-terminal, unless it is known already.
pub(super) fn save(saver: &mut Saver<'_>, slave: &Tty, file: &FileRef) -> Result<ObjRef> {
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

    saver.check_ids(&[uid, gid])?;
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
        master_flags: crate::fs::save_open(saver, file)?.flags,
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

/// Both ends of a pseudo-terminal. It keeps them open.
#[pin_data]
pub(crate) struct PtyEnds {
    pub(super) slave: Tty,
    pub(super) session: i32,
    pub(super) foreground: i32,
    /// Held while the slave is opened, which its lock and TIOCEXCL would forbid.
    #[pin]
    opening: Mutex<()>,
    /// The slave; none if it has never been open.
    _open: Option<Kept>,
    master: Kept,
}

impl PtyEnds {
    /// The master. It is open already, and only once.
    pub(super) fn master(&self, flags: u32) -> Result<FileRef> {
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

    pub(super) fn slave(&self, flags: u32) -> Result<FileRef> {
        self.open(|| open_slave(&self.master, flags))
    }

    /// The slave by the name of /dev/tty, which only those can use whose controlling terminal it
    /// is. Somebody else may have the file now: then it has its own name.
    pub(super) fn controlling(&self, restart: &Restart, flags: u32) -> Result<FileRef> {
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
pub(super) fn open_slave(master: &File, flags: u32) -> Result<FileRef> {
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
pub(super) fn open_master(restart: &Restart, name: &CStr, flags: u32) -> Result<(Kept, Tty)> {
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
        _ => Some(Kept::new(open_slave(file, flags::O_RDWR)?)),
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
