// SPDX-License-Identifier: GPL-2.0

//! Mappings.
//!
//! A flag of a mapping is kept because it stands in [`FLAGS`]; any other is refused.

use super::aio;
use super::mempolicy;
use super::pages;
use super::pages::Range;
use super::shmem;
use crate::error::Error;
use crate::error::Result;
use crate::format::memory as format;
use crate::format::memory::AioContext;
use crate::format::memory::Guards;
use crate::format::memory::Vma;
use crate::format::namespace::ShmSegment;
use crate::format::ObjRef;
use crate::format::Record;
use crate::fs;
use crate::image;
use crate::image::RawRecord;
use crate::ipc;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::mm::Mm;
use crate::sys::mm::MM_ARCH;
use crate::sys::vma::bits;
use crate::sys::vma::Advice;
use crate::sys::vma::Found;
use crate::sys::vma::VmaInfo;
use crate::sys::vma::Walk;
use kernel::fmt;
use kernel::prelude::*;
use kernel::str::BStr;
use kernel::str::CString;

/// What the kernel and the image call each flag.
const FLAGS: [(u64, u64); 29] = [
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
    (bits::MERGEABLE, format::VMA_MERGEABLE),
    (bits::SEALED, format::VMA_SEALED),
    (bits::PKEY0, format::VMA_PKEY0),
    (bits::PKEY1, format::VMA_PKEY1),
    (bits::PKEY2, format::VMA_PKEY2),
    (bits::PKEY3, format::VMA_PKEY3),
    (bits::MAYBE_GUARD, format::VMA_MAYBE_GUARD),
    (bits::SHADOW_STACK, format::VMA_SHADOW_STACK),
];

/// Flags that are set by their own call, when everything is mapped.
const LATER: u64 = format::VMA_MERGEABLE | format::VMA_SEALED;

/// Flags that a mapping of huge pages has by its file.
const HUGE: u64 = bits::HUGETLB | bits::DONTEXPAND;

/// What the log says of flags that are not kept.
const REFUSED: [(u64, &str); 2] = [
    (
        bits::UFFD_MISSING | bits::UFFD_WP | bits::UFFD_MINOR | bits::UFFD_RWP,
        "is registered with userfaultfd(2)",
    ),
    (
        bits::PFNMAP | bits::IO | bits::MIXEDMAP,
        "is memory of a device",
    ),
];

/// Flags that are not kept, because they are no property of the mapping: whether a tracker has
/// seen it written (soft-dirty).
const IGNORED: u64 = bits::SOFTDIRTY;

/// Bytes that the name of a mapping may have (`ANON_VMA_NAME_MAX_LEN` less the zero).
const NAME_MAX: usize = 79;

/// Whether a mapping may have this name, see `is_valid_name_char()`.
fn is_name(name: &[u8]) -> bool {
    name.len() <= NAME_MAX
        && name
            .iter()
            .all(|byte| matches!(byte, b' '..=b'~') && !b"\\`$[]".contains(byte))
}

/// The flags in the names of the image; what is left has no name.
pub(super) fn to_image(flags: u64) -> (u64, u64) {
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
pub(super) fn to_kernel(flags: u64) -> (u64, u64) {
    let (mut known, mut left) = (0, flags);

    // Most mappings have the first few.
    for &(kernel, image) in &FLAGS {
        if left == 0 {
            break;
        }
        // This kernel may have no shadow stacks.
        if left & image != 0 && kernel != 0 {
            known |= kernel;
            left &= !image;
        }
    }
    (known, left)
}

/// Saves all mappings of an address space. Gives those whose pages must be saved too.
pub(super) fn save_all(saver: &mut Saver<'_>, mm: &Mm, number: ObjRef) -> Result<KVVec<Range>> {
    let mut ranges = KVVec::with_capacity(mm.mappings(), GFP_KERNEL)?;
    let mut guards = KVVec::new();
    let mut policies = KVVec::new();
    let mut rings = 0usize;
    let mut address = 0;

    loop {
        let Some(vma) = mm.read_lock()?.vma_from(address)? else {
            save_guards(saver, number, &guards)?;
            mempolicy::save(saver, number, &policies)?;
            aio::check_all_mapped(saver, mm, rings)?;
            return Ok(ranges);
        };

        // Droppable pages count as dropped: they hold the state of random number generators,
        // which must not give the same numbers twice.
        let is_shared = vma.flags & (bits::MAYSHARE | bits::DROPPABLE) != 0;

        if vma.special.is_none() && !is_shared && vma.has_pages {
            let range = Range {
                start: vma.start,
                end: vma.end,
                // Locked memory is never touched for the first time.
                skip_zeros: vma.file.is_none() && vma.flags & bits::LOCKED == 0,
                huge: vma.flags & bits::HUGETLB != 0,
            };

            ranges.push(range, GFP_KERNEL)?;
        }
        if let Some(policy) = &vma.policy {
            policies.push(*policy, GFP_KERNEL)?;
        }
        if vma.flags & bits::MAYBE_GUARD != 0 {
            let mut buffer = pages::found_buffer()?;

            pages::find_in(mm, Walk::Guards, vma.start, vma.end, &mut buffer, |found| {
                if vma.flags & bits::LOCKED != 0 {
                    return Err(saver.refuse(fmt!(
                        "mapping at {:#x}: has guard regions in locked memory",
                        vma.start
                    )));
                }
                let Found { start, end, .. } = found;

                Ok(guards.push(format::Range { start, end }, GFP_KERNEL)?)
            })?;
        }
        if vma
            .file
            .as_ref()
            .is_some_and(|file| sys::aio::is_ring(file))
        {
            aio::save(saver, mm, number, &vma)?;
            rings = rings.saturating_add(1);
        }
        // What a mapping refers to is saved without the lock: it takes other locks.
        save(saver, &vma, number)?;
        address = vma.end;
    }
}

fn save(saver: &mut Saver<'_>, vma: &VmaInfo, mm: ObjRef) -> Result {
    let is_ring = vma
        .file
        .as_ref()
        .is_some_and(|file| sys::aio::is_ring(file));
    let implied = if vma.flags & bits::HUGETLB != 0 {
        HUGE
    } else if is_ring {
        bits::DONTEXPAND
    } else {
        0
    };
    let (flags, unknown) = to_image(vma.flags & !implied);
    let flags = if vma.unreserved {
        flags | format::VMA_UNRESERVED
    } else {
        flags
    };
    let special = vma.special.as_ref().map(|name| name.to_bytes());
    let refuse =
        |what: fmt::Arguments<'_>| saver.refuse(fmt!("mapping at {:#x}: {what}", vma.start));

    if let Some((_, what)) = REFUSED.iter().find(|(flags, _)| unknown & flags != 0) {
        if special.is_none() {
            return Err(refuse(fmt!("{what}")));
        }
    }
    if special.is_none() && unknown != 0 {
        return Err(refuse(fmt!(
            "has properties that are not supported: {unknown:#x}"
        )));
    }
    if vma.robbed {
        return Err(refuse(fmt!(
            "has lost huge pages to the process that made it"
        )));
    }
    if special.is_some_and(|name| !crate::arch::SPECIAL.contains(&name)) {
        return Err(refuse(fmt!("is of a kind that is not supported")));
    }
    let is_nameless =
        |file: &FileRef| sys::shmem::is_anonymous(file) || sys::ipc::is_attachment(file);

    // Through /proc/PID/map_files.
    if vma.flags & bits::MAYSHARE == 0 && vma.file.as_ref().is_some_and(is_nameless) {
        return Err(refuse(fmt!(
            "is a private mapping of shared memory that has no name"
        )));
    }
    let (kind, object) = match &vma.file {
        _ if special.is_some() => (format::VMA_SPECIAL, ObjRef::NONE),
        None => (format::VMA_ANON, ObjRef::NONE),
        _ if is_ring => (format::VMA_AIO, ObjRef::NONE),
        Some(file) if sys::shmem::is_anonymous(file) => {
            (format::VMA_SHMEM, shmem::save(saver, file)?)
        }
        Some(file) if sys::ipc::is_attachment(file) => {
            (format::VMA_SYSV, ipc::save_attachment(saver, file)?)
        }
        Some(file) => (format::VMA_FILE, fs::save(saver, file)?),
    };
    let name = vma.name.as_ref().map(|name| name.to_bytes());
    let name = special.or(name).unwrap_or_default();
    let keep = if special.is_some() {
        format::VMA_SEALED
    } else {
        u64::MAX
    };

    saver.out.record(
        &Vma {
            mm,
            kind,
            start: vma.start,
            end: vma.end,
            flags: flags & keep,
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

/// Saves the guard regions of an address space.
fn save_guards(saver: &mut Saver<'_>, mm: ObjRef, guards: &KVVec<format::Range>) -> Result {
    if guards.is_empty() {
        return Ok(());
    }
    saver.out.record(
        &Guards {
            mm,
            count: u32::try_from(guards.len()).map_err(|_| E2BIG)?,
        },
        &[guards.as_slice().as_bytes()],
    )
}

/// Checks the record; gives the address space that it belongs to.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<Vma> {
    let (vma, tail) = record.parse::<Vma>()?;
    let object_fits = match vma.kind {
        format::VMA_ANON => vma.object.is_none() && vma.pgoff == 0,
        format::VMA_FILE => kind_of(vma.object).is_some_and(fs::is_mappable),
        format::VMA_SHMEM => {
            kind_of(vma.object) == Some(format::Shmem::KIND)
                && vma.flags & format::VMA_MAYSHARE != 0
        }
        format::VMA_SYSV => {
            kind_of(vma.object) == Some(ShmSegment::KIND) && vma.flags & format::VMA_MAYSHARE != 0
        }
        format::VMA_AIO => aio::is_ring(&vma),
        format::VMA_SPECIAL => vma.object.is_none() && crate::arch::SPECIAL.contains(&tail),
        _ => false,
    };
    let may_share = vma.flags & format::VMA_MAYSHARE != 0;

    if kind_of(vma.mm) != Some(format::Mm::KIND)
        || vma.start >= vma.end
        || !sys::page::is_aligned(vma.start)
        || !sys::page::is_aligned(vma.end)
        || to_kernel(vma.flags & !(format::VMA_UNRESERVED | format::VMA_SHADOW_STACK)).1 != 0
        || (vma.flags & format::VMA_UNRESERVED != 0 && !may_be_unreserved(&vma))
        || !object_fits
        || (vma.flags & format::VMA_SHADOW_STACK != 0 && !may_be_shadow_stack(&vma))
        || (vma.flags & format::VMA_SHARED != 0 && !may_share)
        || (vma.kind == format::VMA_ANON && may_share)
        || (vma.kind == format::VMA_SPECIAL && vma.flags & !format::VMA_SEALED != 0)
        || tail.len() != vma.name as usize
        || (vma.kind != format::VMA_SPECIAL && !is_name(tail))
    {
        return Err(EINVAL.into());
    }
    Ok(vma)
}

/// Whether a mapping is one that map_shadow_stack(2) makes.
fn may_be_shadow_stack(vma: &Vma) -> bool {
    vma.kind == format::VMA_ANON
        && vma.flags & (format::VMA_SHARED | format::VMA_GROWSDOWN | format::VMA_DROPPABLE) == 0
}

/// Whether a mapping is a private one that counts, which one without a reservation would be.
fn may_be_unreserved(vma: &Vma) -> bool {
    vma.kind == format::VMA_FILE && vma.flags & (format::VMA_MAYSHARE | format::VMA_NORESERVE) == 0
}

/// Checks the record of guard regions; gives the address space that it belongs to.
pub(crate) fn check_guards(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
    let (guards, tail) = record.parse::<Guards>()?;
    let mut free = 0;

    if kind_of(guards.mm) != Some(format::Mm::KIND) {
        return Err(EINVAL.into());
    }
    for range in &image::all::<format::Range>(tail, guards.count)? {
        if range.start < free
            || range.start >= range.end
            || !sys::page::is_aligned(range.start)
            || !sys::page::is_aligned(range.end)
        {
            return Err(EINVAL.into());
        }
        free = range.end;
    }
    Ok(guards.mm)
}

/// Maps everything that the image has for an address space, in that of the running task.
pub(super) fn restore_all(restart: &Restart, mm: ObjRef, arch: &[u64; MM_ARCH]) -> Result {
    let mut special = None;
    let mut contexts = restart.belonging::<AioContext>(mm);

    aio::prepare(restart, mm)?;

    for record in restart.belonging::<Vma>(mm) {
        let (vma, _) = record.parse::<Vma>()?;

        if vma.kind == format::VMA_SPECIAL {
            // The mappings of the vdso stand side by side, and come back together.
            special.get_or_insert(vma.start);
            continue;
        }
        let result = if vma.kind == format::VMA_AIO {
            aio::restore(restart, contexts.next(), &vma)
        } else {
            restore(restart, &vma)
        };

        result.map_err(|error| {
            restart.explain(error, fmt!("object {}: mapping at {:#x}", mm.0, vma.start))
        })?;
    }
    if contexts.next().is_some() {
        return Err(EINVAL.into());
    }
    if let Some(start) = special {
        sys::mm::map_vdso(start, arch)?;
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
        format::VMA_SYSV => {
            let may_write = flags & (format::VMA_WRITE | format::VMA_MAYWRITE) != 0;

            Some(ipc::restore_attachment(restart, object, may_write)?)
        }
        _ => None,
    };
    let (known, unknown) = to_kernel(flags & !(LATER | format::VMA_UNRESERVED));

    if unknown != 0 {
        return Err(restart.log.error(
            EOPNOTSUPP,
            fmt!("mapping at {start:#x}: this kernel has no shadow stacks"),
        ));
    }
    sys::vma::map(&sys::vma::Mapping {
        start,
        len: end.checked_sub(start).ok_or(EINVAL)?,
        flags: known,
        pgoff,
        file: file.as_ref(),
        unreserved: flags & format::VMA_UNRESERVED != 0,
    })
    .map_err(|errno| match &file {
        Some(file) if errno == ENOMEM && sys::hugetlb::shift(file) != 0 => restart.log.error(
            errno,
            fmt!("mapping at {start:#x}: there are not enough huge pages"),
        ),
        _ if errno == EOPNOTSUPP && flags & format::VMA_SHADOW_STACK != 0 => restart.log.error(
            errno,
            fmt!("mapping at {start:#x}: this CPU has no shadow stacks"),
        ),
        _ => errno.into(),
    })
}

/// Gives the mappings in the running task's address space what is set by calls of its own: names,
/// guard regions, NUMA policies, whether they are merged, and, since they cannot be changed then, seals.
pub(super) fn restore_advice(restart: &Restart, mm: ObjRef, merge_any: bool) -> Result {
    let explain = |error: Error, start: u64| {
        restart.explain(error, fmt!("object {}: mapping at {start:#x}", mm.0))
    };
    let each = |what: &dyn Fn(&Vma, &[u8]) -> Result| -> Result {
        for record in restart.belonging::<Vma>(mm) {
            let (vma, tail) = record.parse::<Vma>()?;

            what(&vma, tail).map_err(|error| explain(error, vma.start))?;
        }
        Ok(())
    };

    each(&|vma, tail| {
        if vma.kind == format::VMA_SPECIAL || tail.is_empty() {
            return Ok(());
        }
        let name = CString::try_from_fmt(fmt!("{}", BStr::from_bytes(tail)))?;

        Ok(sys::vma::set_anon_name(vma.start, vma.end, &name)?)
    })?;
    for record in restart.belonging::<Guards>(mm) {
        let (Guards { mm: _, count }, tail) = record.parse::<Guards>()?;

        for format::Range { start, end } in image::all::<format::Range>(tail, count)? {
            sys::vma::madvise(start, end, Advice::GuardInstall)
                .map_err(|errno| explain(errno.into(), start))?;
        }
    }
    mempolicy::restore(restart, mm)?;
    if merge_any {
        // It marks all that can be merged; some may have been taken back since.
        sys::mm::merge_any()?;
    }
    each(&|vma, _| {
        let advice = match vma.flags & format::VMA_MERGEABLE != 0 {
            true => Advice::Mergeable,
            false if merge_any => Advice::Unmergeable,
            false => return Ok(()),
        };

        Ok(sys::vma::madvise(vma.start, vma.end, advice)?)
    })?;
    each(&|vma, _| {
        if vma.flags & format::VMA_SEALED != 0 {
            sys::vma::mseal(vma.start, vma.end)?;
        }
        Ok(())
    })
}
