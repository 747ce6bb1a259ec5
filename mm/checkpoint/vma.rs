// SPDX-License-Identifier: GPL-2.0

//! Mappings.
//!
//! A flag of a mapping is kept because it stands in [`FLAGS`]; any other is refused.

use super::pages::Run;
use super::shmem;
use crate::error::Result;
use crate::format::memory as format;
use crate::format::memory::Vma;
use crate::format::ObjRef;
use crate::format::Record;
use crate::fs;
use crate::image::RawRecord;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::mm::bits;
use crate::sys::mm::Mm;
use crate::sys::mm::MmReadGuard;
use crate::sys::mm::VmaInfo;
use kernel::fmt;
use kernel::prelude::*;

/// What the kernel and the image call each flag.
const FLAGS: [(u64, u64); 21] = [
    (bits::READ, format::VMA_READ),
    (bits::WRITE, format::VMA_WRITE),
    (bits::EXEC, format::VMA_EXEC),
    (bits::SHARED, format::VMA_SHARED),
    (bits::MAYREAD, format::VMA_MAYREAD),
    (bits::MAYWRITE, format::VMA_MAYWRITE),
    (bits::MAYEXEC, format::VMA_MAYEXEC),
    (bits::MAYSHARE, format::VMA_MAYSHARE),
    (bits::GROWSDOWN, format::VMA_GROWSDOWN),
    (bits::LOCKED, format::VMA_LOCKED),
    (bits::LOCKONFAULT, format::VMA_LOCKONFAULT),
    (bits::SEQ_READ, format::VMA_SEQ_READ),
    (bits::RAND_READ, format::VMA_RAND_READ),
    (bits::DONTCOPY, format::VMA_DONTCOPY),
    (bits::NORESERVE, format::VMA_NORESERVE),
    (bits::ACCOUNT, format::VMA_ACCOUNT),
    (bits::WIPEONFORK, format::VMA_WIPEONFORK),
    (bits::DONTDUMP, format::VMA_DONTDUMP),
    (bits::HUGEPAGE, format::VMA_HUGEPAGE),
    (bits::NOHUGEPAGE, format::VMA_NOHUGEPAGE),
    (bits::DROPPABLE, format::VMA_DROPPABLE),
];

/// Flags that are not kept, because they are no property of the mapping: whether a tracker has
/// seen it written (soft-dirty).
const IGNORED: u64 = bits::SOFTDIRTY;

/// How many runs one walk of the page tables can find.
const RUNS: usize = 512;

/// The flags in the names of the image; what is left has no name.
fn to_image(flags: u64) -> (u64, u64) {
    FLAGS
        .iter()
        .fold((0, flags & !IGNORED), |(known, left), &(kernel, image)| {
            if flags & kernel != 0 {
                (known | image, left & !kernel)
            } else {
                (known, left)
            }
        })
}

/// The flags in the names of the kernel; what is left is not known.
fn to_kernel(flags: u64) -> (u64, u64) {
    FLAGS
        .iter()
        .fold((0, flags), |(known, left), &(kernel, image)| {
            if flags & image != 0 {
                (known | kernel, left & !image)
            } else {
                (known, left)
            }
        })
}

/// Saves all mappings of an address space. Gives its anonymous pages.
pub(super) fn save_all(saver: &mut Saver<'_>, mm: &Mm, number: ObjRef) -> Result<KVVec<Run>> {
    let mut runs = KVVec::new();
    let mut address = 0;

    loop {
        let guard = mm.read_lock()?;
        let Some(vma) = guard.vma_from(address)? else {
            return Ok(runs);
        };

        // Droppable pages count as dropped: they hold the state of random number generators,
        // which must not give the same numbers twice.
        if vma.special.is_none() && vma.flags & (bits::MAYSHARE | bits::DROPPABLE) == 0 {
            find_pages(saver, &guard, &vma, &mut runs)?;
        }
        // What a mapping refers to is saved without the lock: it takes other locks.
        drop(guard);
        save(saver, &vma, number)?;
        address = vma.end;
    }
}

fn save(saver: &mut Saver<'_>, vma: &VmaInfo, mm: ObjRef) -> Result {
    let (flags, unknown) = to_image(vma.flags);
    let special = vma.special.as_ref().map(|name| name.to_bytes());
    let refuse =
        |what: fmt::Arguments<'_>| saver.refuse(fmt!("mapping at {:#x}: {what}", vma.start));

    if special.is_none() && unknown != 0 {
        return Err(refuse(fmt!(
            "has properties that are not supported: {unknown:#x}"
        )));
    }
    if vma.name.is_some() {
        return Err(refuse(fmt!("has a name (PR_SET_VMA_ANON_NAME)")));
    }
    if vma.policy {
        return Err(refuse(fmt!("has a NUMA policy (mbind(2))")));
    }
    if special.is_some_and(|name| !crate::arch::SPECIAL.contains(&name)) {
        return Err(refuse(fmt!("is of a kind that is not supported")));
    }
    let (kind, object) = match &vma.file {
        _ if special.is_some() => (format::VMA_SPECIAL, ObjRef::NONE),
        None => (format::VMA_ANON, ObjRef::NONE),
        Some(file) if sys::mm::shmem::is_anonymous(file) => {
            (format::VMA_SHMEM, shmem::save(saver, file)?)
        }
        Some(file) => (format::VMA_FILE, fs::save(saver, file)?),
    };
    let name = special.unwrap_or_default();

    saver.out.record(
        &Vma {
            mm,
            kind,
            start: vma.start,
            end: vma.end,
            flags: if special.is_some() { 0 } else { flags },
            pgoff: if kind == format::VMA_ANON {
                0
            } else {
                vma.pgoff
            },
            object,
            name: u32::try_from(name.len()).map_err(|_| EINVAL)?,
        },
        &[name],
    )
}

/// Finds the pages of a private mapping that only the image can bring back.
fn find_pages(
    saver: &Saver<'_>,
    guard: &MmReadGuard<'_>,
    vma: &VmaInfo,
    runs: &mut KVVec<Run>,
) -> Result {
    let mut found = KVec::<(u64, u64)>::with_capacity(RUNS, GFP_KERNEL)?;
    let mut from = vma.start;

    loop {
        let walked = guard.walk_anon(from, |start, end| {
            if let Some(last) = found.last_mut() {
                if last.1 == start {
                    last.1 = end;
                    return Ok(());
                }
            }
            // The buffer is full: it is emptied, and the walk goes on from here.
            found.push_within_capacity((start, end)).map_err(|_| EAGAIN)
        });

        for &(start, end) in &found {
            runs.push(Run::of_bytes(start, end)?, GFP_KERNEL)?;
        }
        match walked {
            Ok(()) => return Ok(()),
            Err(error) if error == EAGAIN => {
                from = found.last().map_or(vma.end, |last| last.1);
                found.clear();
            }
            Err(error) if error == EOPNOTSUPP => {
                return Err(saver.refuse(fmt!(
                    "mapping at {:#x}: has pages that are not supported (guard regions, \
                     userfaultfd, poison or device memory)",
                    vma.start
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Checks the record; gives the address space that it belongs to.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<Vma> {
    let (vma, tail) = record.parse::<Vma>()?;
    let object_fits = match vma.kind {
        format::VMA_ANON => vma.object.is_none() && vma.pgoff == 0,
        format::VMA_FILE => kind_of(vma.object) == Some(crate::format::file::PathFile::KIND),
        format::VMA_SHMEM => {
            kind_of(vma.object) == Some(format::Shmem::KIND)
                && vma.flags & format::VMA_MAYSHARE != 0
        }
        format::VMA_SPECIAL => vma.object.is_none() && crate::arch::SPECIAL.contains(&tail),
        _ => false,
    };
    let may_share = vma.flags & format::VMA_MAYSHARE != 0;

    if kind_of(vma.mm) != Some(format::Mm::KIND)
        || vma.start >= vma.end
        || !sys::page::is_aligned(vma.start)
        || !sys::page::is_aligned(vma.end)
        || to_kernel(vma.flags).1 != 0
        || !object_fits
        || (vma.flags & format::VMA_SHARED != 0 && !may_share)
        || (vma.kind == format::VMA_ANON && may_share)
        || (vma.kind == format::VMA_SPECIAL && vma.flags != 0)
        || tail.len() != vma.name as usize
        || (vma.kind != format::VMA_SPECIAL && vma.name != 0)
    {
        return Err(EINVAL.into());
    }
    Ok(vma)
}

/// Maps everything that the image has for an address space, in that of the running task.
pub(super) fn restore_all(restart: &Restart, mm: ObjRef) -> Result {
    let mut special = None;

    for record in restart.belonging::<Vma>(mm) {
        let (vma, _) = record.parse::<Vma>()?;

        if vma.kind == format::VMA_SPECIAL {
            // The mappings of the vdso stand side by side, and come back together.
            special.get_or_insert(vma.start);
            continue;
        }
        restore(restart, &vma).map_err(|error| {
            restart.explain(error, fmt!("object {}: mapping at {:#x}", mm.0, vma.start))
        })?;
    }
    if let Some(start) = special {
        sys::mm::map_vdso(start)?;
    }
    Ok(())
}

fn restore(restart: &Restart, vma: &Vma) -> Result {
    let Vma {
        mm: _,
        kind,
        start,
        end,
        flags,
        pgoff,
        object,
        name: _,
    } = *vma;
    let file = match kind {
        format::VMA_FILE => Some(restart.file(object)?),
        format::VMA_SHMEM => Some(restart.shmem(object)?),
        _ => None,
    };

    Ok(sys::mm::map(&sys::mm::Mapping {
        start,
        len: end.checked_sub(start).ok_or(EINVAL)?,
        flags: to_kernel(flags).0,
        pgoff,
        file: file.as_ref(),
    })?)
}
