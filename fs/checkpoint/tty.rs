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

#[path = "tty/pty.rs"]
mod pty;
#[path = "tty/tail.rs"]
mod tail;

pub(crate) use self::pty::restore_pty;
pub(crate) use self::pty::PtyEnds;

use super::path;
use super::path::path_name;
use super::FileKind;
use crate::error::Result;
use crate::format::file::Pty;
use crate::format::file::TtyFile;
use crate::format::file::TTY_CONTROLLING;
use crate::format::file::TTY_HUNG_UP;
use crate::format::file::TTY_MASTER;
use crate::format::file::TTY_SLAVE;
use crate::format::header;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::fdtable::Files;
use crate::sys::file::FileRef;
use crate::sys::freeze::Frozen;
use crate::sys::tty::End;
use crate::sys::tty::Flag;
use crate::sys::tty::Tty;
use crate::tree::Member;
use crate::tree::Tree;
use kernel::fs::file::flags;
use kernel::prelude::*;

/// The row of the table of kinds.
pub(crate) const KIND: FileKind = FileKind {
    name: "a terminal",
    record: TtyFile::KIND,
    is: is_tty,
    save,
    restore,
};

/// The flags that a file of a terminal can have.
const FLAGS: u32 = flags::O_ACCMODE
    | flags::O_APPEND
    | flags::O_NONBLOCK
    | flags::O_SYNC
    | flags::O_LARGEFILE
    | flags::O_NOFOLLOW
    | flags::O_CLOEXEC;

/// Device number of /dev/tty.
const DEV_TTY: u32 = 5 << 20;

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
        pty: pty::save(saver, &slave, &master)?,
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

    pty::save(saver, &slave, &master)
}

/// Checks a record of a pseudo-terminal or of an end before anything is made of it.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: &dyn Fn(ObjRef) -> Option<u16>) -> Result {
    if record.kind == Pty::KIND {
        tail::check(record)
    } else {
        check_end(record, kind_of)
    }
}

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

/// A file of a terminal that was hung up: the slave of a new one whose master is closed.
fn hung_up(restart: &Restart, flags: u32) -> Result<FileRef> {
    let (master, slave) = pty::open_master(restart, c"/dev/ptmx", flags::O_RDWR)?;

    slave.other().ok_or(EINVAL)?.set_flag(Flag::Locked, false);
    let file = pty::open_slave(&master, flags)?;

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
    Ok(ends
        .slave
        .set_controlling(ends.foreground, &restart.pid_ns()?)?)
}
