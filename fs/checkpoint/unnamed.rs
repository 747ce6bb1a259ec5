// SPDX-License-Identifier: GPL-2.0

//! Regular files without a name: memfd_create(2), and files that have been deleted while somebody
//! has them open or mapped.
//!
//! The memory of mmap(MAP_ANONYMOUS | MAP_HUGETLB) is such a file as well.
//!
//! Kept: the content, where it has holes, owner, permissions, times of access and modification;
//! the name and the seals of a memfd; the name that a file had and the directory that it was in;
//! whether it can be linked again (O_TMPFILE); huge pages, and how many of them are reserved.
//! Not kept: the inode number, the time of change, extended attributes.
//! Not kept, and refused: a deleted file that has another name (hard link), one in a directory that
//! is gone too, one with set-user-id or set-group-id; what is on a file system that does not keep
//! its pages in memory; memfds of secret memory.
//!
//! A deleted file comes back in the directory where it was, made there with the rights of the
//! restarter, whatever has its name now.
//!
//! C source: `mm/memfd.c`; C function: `vfs_tmpfile()`

use super::path::path_name;
use super::FileKind;
use crate::error::Result;
use crate::format::file::Unnamed;
use crate::format::file::UnnamedFile;
use crate::format::file::UNNAMED_DELETED;
use crate::format::file::UNNAMED_HUGE;
use crate::format::file::UNNAMED_LINKABLE;
use crate::format::file::UNNAMED_MEMFD;
use crate::format::file::UNNAMED_ORIGINAL;
use crate::format::file::UNNAMED_TMPFILE;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::mm;
use crate::mm::pages::Owner;
use crate::mm::pages::Run;
use crate::object::Class;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::file::Path;
use crate::sys::hugetlb;
use crate::sys::unnamed;
use crate::sys::unnamed::State;
use kernel::bindings;
use kernel::prelude::*;
use kernel::str::CString;

/// The row of the table of kinds.
pub(crate) const KIND: FileKind = FileKind {
    name: "a file without a name",
    record: UnnamedFile::KIND,
    is: is_unnamed,
    save,
    restore,
};

const S_IFMT: u32 = 0o170000;
const S_IFREG: u32 = 0o100000;
const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;

/// `F_SEAL_*`.
const SEALS: u32 = bindings::F_SEAL_SEAL
    | bindings::F_SEAL_SHRINK
    | bindings::F_SEAL_GROW
    | bindings::F_SEAL_WRITE
    | bindings::F_SEAL_FUTURE_WRITE
    | bindings::F_SEAL_EXEC;

/// What the names of memfds begin with.
const PREFIX: &[u8] = b"memfd:";

/// The name of the memory of mmap(MAP_ANONYMOUS | MAP_HUGETLB), `HUGETLB_ANON_FILE`.
const HUGE: &[u8] = b"anon_hugepage";

/// How a file is opened that the restart itself looks at.
const READ: u32 = bindings::O_RDONLY | bindings::O_LARGEFILE;

/// The bits of O_TMPFILE that fcntl(F_GETFL) shows.
const O_TMPFILE: u32 = bindings::__O_TMPFILE | bindings::O_DIRECTORY;

fn is_unnamed(file: &FileRef) -> bool {
    sys::file::status(file).mode & S_IFMT == S_IFREG
        && (is_memory(file) || (sys::file::is_on_disk(file) && sys::file::is_unlinked(file)))
}

/// Whether the file never was in a directory.
fn is_memory(file: &FileRef) -> bool {
    unnamed::is_memfd(file) || hugetlb::is_anonymous(file)
}

fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let status = sys::file::status(file);
    let is_tmpfile = status.flags & O_TMPFILE == O_TMPFILE;
    let original = if is_memory(file) && unnamed::is_original(file) {
        UNNAMED_ORIGINAL
    } else {
        0
    };
    let object = save_object(saver, file)?;
    let state = UnnamedFile {
        open: super::save_open(saver, file)?,
        file: object,
        flags: original | if is_tmpfile { UNNAMED_TMPFILE } else { 0 },
    };

    saver.out.object(&state, &[])
}

/// Saves the file itself, unless it is known already.
fn save_object(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let key = unnamed::key(file);

    if let Some(number) = saver.objects.refer(Class::Unnamed, key) {
        return Ok(number);
    }
    let refuse = |what| saver.refuse(fmt!("{}: {what}", &*saver.name_of(file)));
    let state = unnamed::state(file).map_err(|_| {
        refuse("it has been deleted, on a file system of which that is not supported")
    })?;
    let kind = if unnamed::is_memfd(file) {
        UNNAMED_MEMFD
    } else if hugetlb::is_anonymous(file) {
        UNNAMED_HUGE
    } else {
        UNNAMED_DELETED
    };

    if state.nlink != 0 {
        return Err(refuse("it has been deleted, but has another name"));
    }
    if state.mode & (S_ISUID | S_ISGID) != 0 {
        return Err(refuse(
            "it has been deleted, and is set-user-id or set-group-id",
        ));
    }
    saver.check_ids(&[state.uid, state.gid])?;
    let directory = if kind != UNNAMED_DELETED {
        CString::try_from(c"")?
    } else {
        saver.path_name(&unnamed::directory(file))?
    };
    let name = unnamed::last_name(file)?;
    let [atime, mtime] = [state.atime, state.mtime];
    let number = saver.out.object(
        &Unnamed {
            kind,
            mode: state.mode,
            uid: state.uid,
            gid: state.gid,
            seals: state.seals,
            flags: if state.linkable { UNNAMED_LINKABLE } else { 0 },
            size: state.size,
            atime,
            mtime,
            directory: u32::try_from(directory.to_bytes().len()).map_err(|_| EINVAL)?,
            name: u32::try_from(name.to_bytes().len()).map_err(|_| EINVAL)?,
            huge: state.huge,
            reserved: 0,
        },
        &[directory.to_bytes(), name.to_bytes()],
    )?;

    saver.objects.insert(Class::Unnamed, key, number)?;
    mm::hugetlb::save(saver, file, number)?;
    mm::mempolicy::save_shared(saver, file, number)?;
    save_content(saver, file, number)
}

/// Saves which pages there are. The file is opened anew, so that nobody's position moves.
fn save_content(saver: &mut Saver<'_>, file: &FileRef, number: ObjRef) -> Result<ObjRef> {
    let file = Path::of(file).open_here(READ)?;
    let mut runs = KVVec::new();
    let mut from = 0;

    while let Some((start, end)) = sys::shmem::next_data(&file, from)? {
        runs.push(Run::of_bytes(start, end)?, GFP_KERNEL)?;
        from = end;
    }
    let owner = if unnamed::is_shmem(&file) {
        Owner::Shmem(file)
    } else {
        Owner::File(file)
    };

    saver.pages.add(number, owner, runs)
}

/// Checks the record of an open file.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result {
    let (state, tail) = record.parse::<UnnamedFile>()?;
    let UnnamedFile { open, file, flags } = state;

    super::open_flags(&open)?;
    if kind_of(file) != Some(Unnamed::KIND)
        || flags & !(UNNAMED_ORIGINAL | UNNAMED_TMPFILE) != 0
        || (open.flags & bindings::O_DIRECTORY != 0) != (flags & UNNAMED_TMPFILE != 0)
        || open.pos < 0
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Checks the record of the file itself.
pub(crate) fn check_object(record: &RawRecord<'_>) -> Result {
    let (state, tail) = record.parse::<Unnamed>()?;
    let (directory, name) = tail
        .split_at_checked(state.directory as usize)
        .ok_or(EINVAL)?;
    let is_memory = match state.kind {
        UNNAMED_MEMFD | UNNAMED_HUGE => true,
        UNNAMED_DELETED => false,
        _ => return Err(EINVAL.into()),
    };
    let name_fits = match state.kind {
        UNNAMED_MEMFD => name.starts_with(PREFIX),
        UNNAMED_HUGE => name == HUGE && state.huge != 0,
        _ => !name.contains(&b'/'),
    };
    let is_time = |time: [i64; 2]| (0..1_000_000_000).contains(&time[1]);

    if state.mode & !0o1777 != S_IFREG
        || state.seals & !SEALS != 0
        || (state.kind != UNNAMED_MEMFD && state.seals != 0)
        || state.flags & !UNNAMED_LINKABLE != 0
        || (is_memory && state.flags != 0)
        || (state.huge != 0 && !mm::hugetlb::is_shift(state.huge))
        || state.reserved != 0
        || i64::try_from(state.size).is_err()
        || !is_time(state.atime)
        || !is_time(state.mtime)
        || name.len() != state.name as usize
        || name.is_empty()
        || name.len() > bindings::NAME_MAX as usize
        || name.contains(&0)
        || (is_memory && !directory.is_empty())
        || !name_fits
    {
        return Err(EINVAL.into());
    }
    if !is_memory {
        path_name(directory)?;
    }
    Ok(())
}

fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (state, _) = restart.record::<UnnamedFile>(number)?;
    let UnnamedFile { open, file, flags } = state;
    let open_flags = super::open_flags(&open)?;
    let behind = restart.unnamed(file)?;
    let is_original = flags & UNNAMED_ORIGINAL != 0 && is_memory(&behind);
    let file = if is_original {
        sys::pipe::set_flags(&behind, open_flags);
        behind
    } else {
        Path::of(&behind).open_here(open_flags & !O_TMPFILE)?
    };

    if flags & UNNAMED_TMPFILE != 0 && !is_original {
        unnamed::set_tmpfile(&file);
    }
    if open.pos != 0 {
        sys::file::seek(&file, open.pos)?;
    }
    Ok(file)
}

/// What the record says of the file, for the functions of `sys`.
fn state_of(record: &Unnamed) -> State {
    let Unnamed {
        kind: _,
        mode,
        uid,
        gid,
        seals,
        flags,
        size,
        atime,
        mtime,
        directory: _,
        name: _,
        huge,
        reserved: _,
    } = *record;

    State {
        size,
        atime,
        mtime,
        mode,
        uid,
        gid,
        seals,
        nlink: 0,
        huge,
        linkable: flags & UNNAMED_LINKABLE != 0,
    }
}

/// Makes the file itself, without its content: what memfd_create(2) returns, or open for reading.
pub(crate) fn restore_object(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (record, tail) = restart.record::<Unnamed>(number)?;
    let state = state_of(&record);
    let (directory, name) = tail
        .split_at_checked(record.directory as usize)
        .ok_or(EINVAL)?;
    let name = super::path::c_string(name)?;
    let made = match record.kind {
        UNNAMED_MEMFD => unnamed::create_memfd(&name, state.huge),
        UNNAMED_HUGE => hugetlb::create(state.size, state.huge),
        _ => {
            let directory = path_name(directory)?;

            unnamed::create_deleted(restart.root(), &directory, &name, state.linkable)
        }
    };
    let file = made.map_err(|errno| {
        restart.log.error(
            errno,
            fmt!("object {}: cannot make the file {} again", number.0, &*name),
        )
    })?;

    unnamed::set_attributes(&file, &state).map_err(|errno| {
        restart.log.error(
            errno,
            fmt!(
                "object {}: owner, permissions or size of the file {}",
                number.0,
                &*name
            ),
        )
    })?;
    mm::hugetlb::restore(restart, &file, number)?;
    Ok(file)
}

/// Sets the times and the seals, once the content is there and everything is mapped.
pub(crate) fn finish(restart: &Restart, number: ObjRef) -> Result {
    let (record, _) = restart.record::<Unnamed>(number)?;
    let file = restart.unnamed(number)?;

    unnamed::finish(&file, &state_of(&record)).map_err(|errno| {
        restart
            .log
            .error(errno, fmt!("object {}: times or seals", number.0))
    })
}
