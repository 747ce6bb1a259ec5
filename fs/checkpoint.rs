// SPDX-License-Identifier: GPL-2.0

//! Open files, descriptor tables, and where paths start.
//!
//! Kept: everything that [`KINDS`] lists; which descriptors, tables and processes share what.
//! Not kept, and refused: files of any other kind, leases, F_SETOWN, O_ASYNC,
//! working directories without a name.
//!
//! A kind of file is one file of this folder and one row of the table.

#[path = "checkpoint/eventfd.rs"]
mod eventfd;
#[path = "checkpoint/eventpoll.rs"]
pub(crate) mod eventpoll;
#[path = "checkpoint/lock.rs"]
pub(crate) mod lock;
#[path = "checkpoint/path.rs"]
pub(crate) mod path;
#[path = "checkpoint/pidfd.rs"]
mod pidfd;
#[path = "checkpoint/pipe.rs"]
pub(crate) mod pipe;
#[path = "checkpoint/signalfd.rs"]
mod signalfd;
#[path = "checkpoint/table.rs"]
pub(crate) mod table;
#[path = "checkpoint/timerfd.rs"]
mod timerfd;
#[path = "checkpoint/tty.rs"]
pub(crate) mod tty;
#[path = "checkpoint/unnamed.rs"]
pub(crate) mod unnamed;

use crate::error::Error;
use crate::error::Result;
use crate::format::file as format;
use crate::format::file::OpenFile;
#[cfg(CONFIG_INET)]
use crate::format::socket;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::mm;
use crate::object::Class;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use kernel::fmt;
use kernel::prelude::*;
use kernel::time::delay::fsleep;
use kernel::time::Delta;

/// A kind of open file.
pub(crate) struct FileKind {
    /// What people call it.
    pub(crate) name: &'static str,
    /// [`Record::KIND`] of its record.
    pub(crate) record: u16,
    /// Whether the file is of this kind: a test of its `f_op`, by whatever tells it.
    pub(crate) is: fn(&FileRef) -> bool,
    /// Saves it, and what is behind it; gives the number of its record.
    pub(crate) save: fn(&mut Saver<'_>, &FileRef) -> Result<ObjRef>,
    /// Makes it again in the context of a restored task. What it refers to is made first
    /// ([`Restart::file`], ...), by whoever comes first.
    pub(crate) restore: fn(&Restart, ObjRef) -> Result<FileRef>,
}

/// Every kind of file that can be saved. The first row that says yes takes the file.
pub(crate) static KINDS: &[FileKind] = &[
    pipe::KIND,
    eventfd::KIND,
    eventpoll::KIND,
    timerfd::KIND,
    signalfd::KIND,
    pidfd::KIND,
    tty::KIND,
    unnamed::KIND,
    #[cfg(CONFIG_INET)]
    crate::net::KIND,
    path::KIND,
];

/// Saves an open file, unless it is known already, and counts the reference.
pub(crate) fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let key = sys::file::key(file);

    if let Some(number) = saver.objects.refer(Class::File, key) {
        return Ok(number);
    }
    if let Some(what) = sys::file::refused(file) {
        return Err(saver.refuse(fmt!("{}: {what}", &*saver.name_of(file))));
    }
    let kind = KINDS.iter().find(|kind| (kind.is)(file)).ok_or_else(|| {
        saver.refuse(fmt!(
            "{}: files of this kind are not supported",
            &*saver.name_of(file)
        ))
    })?;
    let number = (kind.save)(saver, file)?;

    saver.objects.insert(Class::File, key, number)?;
    saver.files.push(file.clone(), GFP_KERNEL)?;
    Ok(number)
}

/// Makes an open file again.
pub(crate) fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let record = restart.raw(number)?.kind;
    let kind = KINDS
        .iter()
        .find(|kind| kind.record == record)
        .ok_or(EINVAL)?;

    (kind.restore)(restart, number).map_err(|error| {
        restart.explain(
            error,
            fmt!("object {}: cannot bring back {}", number.0, kind.name),
        )
    })
}

/// Starts what runs by itself: the last step before the tasks do.
pub(crate) fn start(restart: &Restart) -> Result {
    timerfd::start_all(restart)
}

/// Whether a record is an open file.
pub(crate) fn is_file(record: u16) -> bool {
    KINDS.iter().any(|kind| kind.record == record)
}

/// Checks the record of a file, or of what is behind one; gives the object that it belongs to, if
/// it is none itself.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<Option<ObjRef>> {
    let is_object = match record.kind {
        format::PathFile::KIND => path::check(record).map(|()| true),
        format::PipeFile::KIND | format::Pipe::KIND => pipe::check(record, kind_of).map(|()| true),
        format::TtyFile::KIND | format::Pty::KIND => tty::check(record, kind_of).map(|()| true),
        format::Unnamed::KIND => unnamed::check_object(record).map(|()| true),
        format::UnnamedFile::KIND => unnamed::check(record, kind_of).map(|()| true),
        format::EventFile::KIND => eventfd::check(record, kind_of).map(|()| true),
        format::EpollFile::KIND => eventpoll::check(record).map(|()| true),
        format::EpollItem::KIND => {
            return match eventpoll::check_item(record, kind_of)? {
                _ if !record.object.is_none() => Err(EINVAL.into()),
                sighand if sighand.is_none() => Ok(None),
                sighand => Ok(Some(sighand)),
            }
        }
        format::FileLock::KIND => {
            let table = lock::check(record, kind_of)?;

            return if record.object.is_none() {
                Ok((!table.is_none()).then_some(table))
            } else {
                Err(EINVAL.into())
            };
        }
        format::TimerFile::KIND => timerfd::check(record).map(|()| true),
        format::PidFile::KIND => pidfd::check(record, kind_of).map(|()| true),
        format::SignalFile::KIND => signalfd::check(record).map(|()| true),
        #[cfg(CONFIG_INET)]
        socket::SocketFile::KIND | socket::SocketPair::KIND => {
            crate::net::check(record, kind_of).map(|()| true)
        }
        _ => Err(EINVAL.into()),
    }?;

    if is_object == record.object.is_none() {
        return Err(EINVAL.into());
    }
    Ok(None)
}

/// The flags of an open file that are brought back.
const FLAGS: u32 = kernel::fs::file::flags::O_ACCMODE
    | kernel::fs::file::flags::O_APPEND
    | kernel::fs::file::flags::O_NONBLOCK
    | kernel::fs::file::flags::O_DSYNC
    | kernel::fs::file::flags::O_SYNC
    | kernel::fs::file::flags::O_DIRECT
    | kernel::fs::file::flags::O_LARGEFILE
    | kernel::fs::file::flags::O_NOATIME
    | kernel::fs::file::flags::O_DIRECTORY
    | kernel::fs::file::flags::O_NOFOLLOW
    | kernel::fs::file::flags::O_PATH
    | kernel::fs::file::flags::O_CLOEXEC;

/// `__FMODE_EXEC` in `f_flags`.
const FMODE_EXEC: u32 = 0x20;

/// Whether a record is an open regular file, directory or device, which can be mapped.
pub(crate) fn is_mappable(record: u16) -> bool {
    matches!(record, format::PathFile::KIND | format::UnnamedFile::KIND)
}

/// Saves what every open file has.
pub(crate) fn save_open(saver: &Saver<'_>, file: &FileRef) -> Result<OpenFile> {
    save_open_but(saver, file, 0)
}

/// Like [`save_open`], without flags that mean something else for this kind of file.
pub(crate) fn save_open_but(saver: &Saver<'_>, file: &FileRef, own: u32) -> Result<OpenFile> {
    let status = sys::file::status(file);

    // Whoever opens it in order to execute it has a flag that is the kernel's own. What was opened
    // without a name says so in its own record.
    let flags = status.flags & !FMODE_EXEC & !own & !kernel::bindings::__O_TMPFILE;

    if flags & !FLAGS != 0 {
        return Err(saver.refuse(fmt!(
            "{}: open with flags that are not supported: {:#o}",
            &*saver.name_of(file),
            flags & !FLAGS
        )));
    }
    Ok(OpenFile {
        flags,
        reserved: 0,
        pos: status.pos,
        hint: 0,
    })
}

/// Checks what [`save_open`] saved, and gives the flags to open with.
pub(crate) fn open_flags(open: &OpenFile) -> Result<u32> {
    if open.flags & !FLAGS != 0 || open.reserved != 0 || open.hint != 0 {
        return Err(EINVAL.into());
    }
    Ok(open.flags)
}

/// How often it is looked whether a reference from outside is there to stay, and how many
/// milliseconds lie between.
const LOOKS: u32 = 100;
const BETWEEN_LOOKS: i64 = 5;

/// Compares how often the tree refers to each shared object with how often anybody does (*leak
/// detection*). `EBUSY`: somebody outside shares one, and the log says which.
///
/// Who looks into `/proc/PID` from outside has a reference, too, but soon lets it go.
pub(crate) fn check_leaks(saver: &Saver<'_>) -> Result {
    for _ in 1..LOOKS {
        match compare_references(saver, false) {
            Err(error) if error.errno() == EBUSY => {}
            result => return result,
        }
        if sys::task::is_dying() {
            return Err(EINTR.into());
        }
        fsleep(Delta::from_millis(BETWEEN_LOOKS));
    }
    compare_references(saver, true)
}

/// One look; the log is told only if it is the last.
fn compare_references(saver: &Saver<'_>, tell: bool) -> Result {
    let busy = |args: fmt::Arguments<'_>| match tell {
        true => saver.log.error(EBUSY, args),
        false => Error::told(EBUSY),
    };
    let compare = |what: fmt::Arguments<'_>, class, key, count| {
        let ours = saver.objects.references(class, key);

        if ours == count {
            return Ok(());
        }
        Err(busy(fmt!(
            "{what}: the container has {ours} references, but there are {count}"
        )))
    };

    for file in &saver.files {
        // One reference more is our own, by which the file stays.
        let count = sys::file::count(file).saturating_sub(1);
        let key = sys::file::key(file);

        // The name takes longer than all else: it is looked up only for the log.
        if saver.objects.references(Class::File, key) != count {
            compare(
                fmt!("file {}", &*saver.name_of(file)),
                Class::File,
                key,
                count,
            )?;
        }
    }
    for file in &saver.files {
        if pipe::is_shared_outside(&saver.objects, file) || tty::is_shared_outside(saver, file) {
            return Err(busy(fmt!(
                "{}: an end is open outside of the container",
                &*saver.name_of(file)
            )));
        }
    }
    for table in &saver.tables {
        compare(
            fmt!("a table of descriptors"),
            Class::Files,
            table.key(),
            table.users(),
        )?;
    }
    for &(key, users) in &saver.directories {
        compare(
            fmt!("a working directory"),
            Class::Fs,
            key,
            u64::from(users),
        )?;
    }
    for memory in saver.pages.shared_memory() {
        let (ours, count) = mm::shmem::count_mappings(saver, memory);

        if ours != count {
            return Err(busy(fmt!(
                "shared memory without a name: the container has {ours} mappings of it, but \
                 there are {count}"
            )));
        }
    }
    saver
        .pages
        .address_spaces()
        .try_for_each(|mm| compare(fmt!("an address space"), Class::Mm, mm.key(), mm.users()))
}
