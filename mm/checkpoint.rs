// SPDX-License-Identifier: GPL-2.0

//! Address spaces, and the memory in them.
//!
//! Kept: private and shared mappings, of files and of none, the vdso; their protection
//! and protection keys, what mlock(2), mlockall(2), madvise(2) and mseal(2) have set, names; the
//! addresses of code, heap, stack, arguments; the executable and its format; dumpable. Content: anonymous pages,
//! also of a private mapping of a file, present or swapped out, and shared anonymous memory; what
//! processes share is stored once; huge pages of hugetlb; NUMA policies.
//! Not kept, and refused: mappings of devices; userfaultfd, guard regions in locked memory.
//!
//! C functions: `do_mmap()`, `exec_mmap()`, `get_user_pages_remote()`

#[path = "checkpoint/aio.rs"]
pub(crate) mod aio;
#[path = "checkpoint/crew.rs"]
mod crew;
#[path = "checkpoint/hashes.rs"]
mod hashes;
#[path = "checkpoint/hugetlb.rs"]
pub(crate) mod hugetlb;
#[path = "checkpoint/mempolicy.rs"]
pub(crate) mod mempolicy;
#[path = "checkpoint/pages.rs"]
pub(crate) mod pages;
#[path = "checkpoint/reader.rs"]
pub(crate) mod reader;
#[path = "checkpoint/shmem.rs"]
pub(crate) mod shmem;
#[path = "checkpoint/vma.rs"]
pub(crate) mod vma;

pub(crate) use self::pages::PageWriter;
pub(crate) use self::pages::Pages;

use crate::error::Result;
use crate::format::memory as format;
use crate::format::namespace::UserNs as UserNsState;
use crate::format::ObjRef;
use crate::format::Record;
use crate::fs;
use crate::image::RawRecord;
use crate::object::Class;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::freeze::Frozen;
use crate::sys::mm::Mm;
use crate::sys::mm::AUXV_WORDS;
use crate::sys::user_ns::UserNs;
use crate::task::user_ns;
use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::Arc;

/// The bits of `mm->flags` that are kept: what goes into a core dump, PR_SET_THP_DISABLE,
/// PR_SET_MDWE, and whether new mappings are looked for from the top.
const FLAGS: u64 = 0x1ff << bindings::MMF_DUMPABLE_BITS
    | 1 << bindings::MMF_DISABLE_THP_EXCEPT_ADVISED
    | 1 << bindings::MMF_DISABLE_THP_COMPLETELY
    | 1 << bindings::MMF_HAS_MDWE
    | 1 << bindings::MMF_HAS_MDWE_NO_INHERIT
    | 1 << bindings::MMF_TOPDOWN
    | MERGE_ANY;

/// prctl(PR_SET_MEMORY_MERGE).
const MERGE_ANY: u64 = 1 << bindings::MMF_VM_MERGE_ANY;

/// What mlockall(2) sets for mappings to come.
const DEF_FLAGS: u64 = format::VMA_LOCKED | format::VMA_LOCKONFAULT;

/// PR_SET_MDWE, which cannot be taken back.
const MDWE: u64 = 1 << bindings::MMF_HAS_MDWE | 1 << bindings::MMF_HAS_MDWE_NO_INHERIT;

/// The bits that tell what the kernel has done with the address space, which no program can see.
const FLAGS_IGNORED: u64 = 0x3
    | 1 << bindings::MMF_VM_HUGEPAGE
    | 1 << bindings::MMF_VM_MERGEABLE
    | 1 << bindings::MMF_HUGE_ZERO_FOLIO
    | 1 << bindings::MMF_RECALC_UPROBES
    | 1 << bindings::MMF_OOM_SKIP
    | 1 << bindings::MMF_UNSTABLE
    | 1 << bindings::MMF_OOM_REAP_QUEUED
    | 1 << bindings::MMF_MULTIPROCESS
    | 1 << bindings::MMF_HAS_PINNED;

/// Counts the reference to the executable that execve(2) has, of a task that is stopped in it.
pub(crate) fn refer_to_exe(saver: &mut Saver<'_>, task: &Frozen) -> Result {
    if let Some(exe) = Mm::of(task)?.exe() {
        fs::save(saver, &exe)?;
    }
    Ok(())
}

/// Counts the files that the duplicates of earlier checkpoints refer to, once all others of the
/// tree are counted: who shares them is nobody outside.
pub(crate) fn count_kept(saver: &mut Saver<'_>) -> Result {
    let Saver { pages, objects, .. } = saver;

    for mm in pages.address_spaces() {
        let Some((before, _)) = sys::track::get(mm) else {
            continue;
        };
        let mut count = |file: Option<FileRef>| {
            file.and_then(|file| objects.refer(Class::File, sys::file::key(&file)))
        };
        let mut address = 0;

        count(before.exe());
        loop {
            let Some(vma) = before.read_lock()?.vma_from(address)? else {
                break;
            };

            address = vma.end;
            count(vma.file);
        }
    }
    Ok(())
}

/// Saves the address space of a task.
pub(crate) fn save(saver: &mut Saver<'_>, task: &Frozen) -> Result<ObjRef> {
    let mm = Mm::of(task)?;

    if let Some(number) = saver.objects.refer(Class::Mm, mm.key()) {
        return Ok(number);
    }
    let state = mm.state();

    let (def_flags, unknown) = vma::to_image(state.def_flags);

    if unknown != 0 || def_flags & !DEF_FLAGS != 0 {
        return Err(saver.refuse(fmt!(
            "its future mappings have properties that are not supported: {:#x}",
            state.def_flags
        )));
    }
    if state.flags & !FLAGS & !FLAGS_IGNORED != 0 {
        return Err(saver.refuse(fmt!(
            "its address space has a property that is not supported (flags {:#x})",
            state.flags & !FLAGS & !FLAGS_IGNORED
        )));
    }
    if state.binfmt > format::BINFMT_COMPAT_ELF {
        return Err(saver.refuse(fmt!("its executable has a format that is not supported")));
    }
    let exe = mm
        .exe()
        .ok_or_else(|| saver.refuse(fmt!("has no executable")))?;
    let exe = fs::save(saver, &exe)?;
    let user_ns = user_ns::save(saver, UserNs::of_program(task)?)?;
    let number = saver.out.object(
        &format::Mm {
            layout: state.layout,
            mmap_base: state.mmap_base,
            mmap_legacy_base: state.mmap_legacy_base,
            flags: state.flags & FLAGS,
            def_flags,
            vdso: state.vdso,
            vdso_crc: if state.vdso == 0 {
                0
            } else {
                sys::mm::vdso_crc(&state.arch)
            },
            exe,
            dumpable: sys::mm::dumpable(task),
            auxv: AUXV_WORDS as u32,
            arch: state.arch,
            binfmt: state.binfmt,
            user_ns,
        },
        &[state.auxv.as_bytes()],
    )?;

    saver.objects.insert(Class::Mm, mm.key(), number)?;
    crate::task::usage::save_peaks(saver, &mm, number)?;
    crate::arch::save_mm(saver, &mm, number)?;
    let ranges = vma::save_all(saver, &mm, number)?;

    saver.pages.add_mm(number, mm, ranges, task.task())
}

/// Checks the record.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result {
    let (state, tail) = record.parse::<format::Mm>()?;

    if state.flags & !FLAGS != 0
        || state.def_flags & !DEF_FLAGS != 0
        || !kind_of(state.exe).is_some_and(fs::is_mappable)
        || state.dumpable > 2
        || state.binfmt > format::BINFMT_COMPAT_ELF
        || !(state.user_ns.is_none() || kind_of(state.user_ns) == Some(UserNsState::KIND))
        || state.auxv as usize != AUXV_WORDS
        || tail.len() != size_of::<[u64; AUXV_WORDS]>()
    {
        return Err(EINVAL.into());
    }
    crate::arch::check_mm(&state.arch)
}

/// Sets the executable, once its content is there.
pub(crate) fn set_exe(restart: &Restart, mm: &Mm, number: ObjRef) -> Result {
    let (state, _) = restart.record::<format::Mm>(number)?;

    mm.set_exe(&restart.file(state.exe)?).map_err(|errno| {
        restart
            .log
            .error(errno, fmt!("object {}: its executable", number.0))
    })
}

/// Gives the running task a new, empty address space.
pub(crate) fn make(restart: &Restart, number: ObjRef) -> Result<Arc<Mm>> {
    let (state, _) = restart.record::<format::Mm>(number)?;
    let user_ns = restart.user_ns(state.user_ns)?;
    let mm = Mm::new_empty()?;

    mm.install(user_ns.as_deref())?;
    Ok(Arc::new(mm, GFP_KERNEL)?)
}

/// Maps everything in the running task's address space, without its content.
pub(crate) fn fill(restart: &Restart, mm: &Mm, number: ObjRef) -> Result {
    let (state, tail) = restart.record::<format::Mm>(number)?;
    let format::Mm {
        layout,
        mmap_base,
        mmap_legacy_base,
        flags,
        def_flags,
        vdso,
        vdso_crc,
        exe: _,
        dumpable: _,
        auxv: _,
        arch,
        binfmt,
        // For `make`.
        user_ns: _,
    } = state;
    let auxv = <[u64; AUXV_WORDS]>::read_from_bytes(tail).map_err(|_| EINVAL)?;

    if vdso != 0 && vdso_crc != sys::mm::vdso_crc(&arch) {
        return Err(restart.log.error(
            EOPNOTSUPP,
            fmt!(
                "object {}: the vdso of this kernel differs from the one that the image needs",
                number.0
            ),
        ));
    }
    if !sys::mm::layout_fits(&layout, mmap_base, mmap_legacy_base) {
        return Err(restart.log.error(
            EINVAL,
            fmt!("object {}: its addresses make no sense", number.0),
        ));
    }
    if def_flags != 0 && !sys::mm::may_lock() {
        return Err(restart
            .log
            .error(EPERM, fmt!("object {}: you may not lock memory", number.0)));
    }
    if flags & MERGE_ANY != 0 && !sys::cred::capable(bindings::CAP_SYS_RESOURCE) {
        return Err(restart.log.error(
            EPERM,
            fmt!(
                "object {}: you may not merge memory (PR_SET_MEMORY_MERGE)",
                number.0
            ),
        ));
    }
    mm.set_arch(&arch).map_err(|errno| {
        restart.log.error(
            errno,
            fmt!(
                "object {}: this machine has no protection keys, or runs no 32-bit code",
                number.0
            ),
        )
    })?;
    crate::arch::restore_mm(restart, number)?;
    sys::mm::set_binfmt(binfmt).map_err(|errno| {
        restart.log.error(
            errno,
            fmt!(
                "object {}: this kernel does not know the format of its executable",
                number.0
            ),
        )
    })?;
    vma::restore_all(restart, number, &arch)?;
    mm.set_state(&sys::mm::State {
        layout,
        mmap_base,
        mmap_legacy_base,
        // What the restarter denies itself it denies its children (PR_SET_MDWE).
        flags: (mm.state().flags & (!FLAGS | MDWE)) | (flags & !MERGE_ANY),
        def_flags: vma::to_kernel(def_flags).0,
        vdso,
        auxv,
        arch,
        binfmt,
    });
    if mm.state().vdso != vdso {
        return Err(EINVAL.into());
    }
    vma::restore_advice(restart, number, flags & MERGE_ANY != 0)?;
    pages::make_tables(restart, mm, number)
}
