// SPDX-License-Identifier: GPL-2.0

//! Contexts of asynchronous I/O, io_setup(2).
//!
//! Kept: the contexts with their addresses, which are their names, and the events that nobody has
//! taken; the ring that the program sees, byte by byte.
//! Refused: requests that are under way and do not end soon; a ring whose mapping the program has
//! changed; at restart, a ring that has another size there, as it has where few requests were asked
//! for on a machine with another number of CPUs.
//!
//! C source: `fs/aio.c`

use crate::error::Result;
use crate::format::memory as format;
use crate::format::memory::AioContext;
use crate::format::memory::Vma;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::aio;
use crate::sys::mm::Mm;
use crate::sys::vma::bits;
use crate::sys::vma::VmaInfo;
use crate::tree::Member;
use crate::tree::Tree;
use kernel::bindings;
use kernel::prelude::*;
use kernel::time::delay::fsleep;
use kernel::time::Delta;

/// What the mapping of a ring has; beside that it may be executable some time or not.
pub(super) const KERNEL_FLAGS: u64 = bits::READ
    | bits::WRITE
    | bits::MAYREAD
    | bits::MAYWRITE
    | bits::SHARED
    | bits::MAYSHARE
    | bits::DONTEXPAND
    | bits::DONTCOPY;

/// The same in the names of the image, which knows that a ring cannot be expanded.
const FLAGS: u64 = format::VMA_READ
    | format::VMA_WRITE
    | format::VMA_MAYREAD
    | format::VMA_MAYWRITE
    | format::VMA_SHARED
    | format::VMA_MAYSHARE
    | format::VMA_DONTCOPY;

/// How long requests may take that are under way when the tree is frozen, in us.
const PATIENCE: i64 = 1_000_000;

/// Waits until no request is under way: it could write to memory, to a file or to an eventfd that
/// has been saved.
pub(crate) fn settle(saver: &mut Saver<'_>, tree: &Tree) -> Result {
    let mut waited = 0;

    for member in tree.tasks() {
        let Member::Live(task) = member else {
            continue;
        };
        let mm = Mm::of(task)?;
        let mut pause = 50;

        while aio::is_busy(&mm) {
            if waited >= PATIENCE {
                saver.set_who(member.task());
                return Err(saver.refuse(fmt!(
                    "has asynchronous I/O under way that does not end (io_submit(2))"
                )));
            }
            fsleep(Delta::from_micros(pause));
            waited = waited.saturating_add(pause);
            pause = pause.saturating_mul(2).min(5_000);
        }
    }
    Ok(())
}

/// Saves the context whose ring is mapped there.
pub(super) fn save(saver: &mut Saver<'_>, mm: &Mm, number: ObjRef, vma: &VmaInfo) -> Result {
    let mut next = 0;
    let context = loop {
        match aio::get(mm, &mut next) {
            Some(context) if context.address == vma.start => break context,
            Some(_) => (),
            None => return Err(changed(saver)),
        }
    };

    if vma.end.checked_sub(vma.start) != Some(context.size)
        || vma.flags & !(bits::MAYEXEC | bits::SOFTDIRTY) != KERNEL_FLAGS
        || vma.policy.is_some()
        || vma.name.is_some()
    {
        return Err(changed(saver));
    }
    let mut ring = KVVec::from_elem(
        0u8,
        usize::try_from(context.size).map_err(|_| E2BIG)?,
        GFP_KERNEL,
    )?;

    aio::read(mm, &context, &mut ring)?;
    let len = ring
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last.saturating_add(1));
    let aio::Context {
        address,
        size,
        id,
        max_reqs,
        tail,
        completed,
    } = context;

    if id > bindings::CHECKPOINT_AIO_MAX {
        return Err(saver.refuse(fmt!(
            "has too many contexts of asynchronous I/O (io_setup(2))"
        )));
    }
    saver.out.record(
        &AioContext {
            mm: number,
            max_reqs,
            address,
            size,
            tail,
            completed,
            len: u32::try_from(len).map_err(|_| E2BIG)?,
            id,
        },
        &[ring.get(..len).ok_or(EINVAL)?],
    )
}

/// Refuses contexts other than those whose rings are mapped.
pub(super) fn check_all_mapped(saver: &Saver<'_>, mm: &Mm, mapped: usize) -> Result {
    let mut next = 0;
    let contexts = core::iter::from_fn(|| aio::get(mm, &mut next)).count();

    if contexts != mapped {
        return Err(changed(saver));
    }
    Ok(())
}

fn changed(saver: &Saver<'_>) -> crate::error::Error {
    saver.refuse(fmt!(
        "has changed the mapping of a ring for asynchronous I/O (io_setup(2))"
    ))
}

/// Checks the record; gives the address space that it belongs to.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<AioContext>()?;

    if kind_of(state.mm) != Some(format::Mm::KIND)
        || state.max_reqs == 0
        || !sys::page::is_aligned(state.size)
        || tail.len() != state.len as usize
        || u64::from(state.len) > state.size
        || state.id > bindings::CHECKPOINT_AIO_MAX
    {
        return Err(EINVAL.into());
    }
    Ok(state.mm)
}

/// Whether a mapping can be that of a ring.
pub(super) fn is_ring(vma: &Vma) -> bool {
    vma.object.is_none()
        && vma.pgoff == 0
        && vma.name == 0
        && vma.flags & !format::VMA_MAYEXEC == FLAGS
}

/// Makes room for the contexts of the running task's address space, before there are any.
pub(super) fn prepare(restart: &Restart, mm: ObjRef) -> Result {
    let mut last = None;

    for record in restart.belonging::<AioContext>(mm) {
        last = last.max(Some(record.parse::<AioContext>()?.0.id));
    }
    if let Some(last) = last {
        aio::reserve(last)?;
    }
    Ok(())
}

/// Makes the context whose ring is mapped there, in the running task's address space.
pub(super) fn restore(restart: &Restart, record: Option<RawRecord<'_>>, vma: &Vma) -> Result {
    let (state, bytes) = record.ok_or(EINVAL)?.parse::<AioContext>()?;
    let AioContext {
        mm,
        max_reqs,
        address,
        size,
        tail,
        completed,
        len: _,
        id,
    } = state;

    if address != vma.start || vma.end.checked_sub(vma.start) != Some(size) {
        return Err(EINVAL.into());
    }
    let mut ring = KVVec::new();

    ring.extend_from_slice(bytes, GFP_KERNEL)?;
    let context = aio::Context {
        address,
        size,
        id,
        max_reqs,
        tail,
        completed,
    };

    aio::make(&context, &mut ring).map_err(|errno| {
        let why = if errno == EOPNOTSUPP {
            "its ring has another size on this machine"
        } else if errno == EAGAIN {
            "there are too many requests (/proc/sys/fs/aio-max-nr)"
        } else {
            "it cannot be made"
        };

        restart.log.error(
            errno,
            fmt!("object {}: asynchronous I/O (io_setup(2)): {why}", mm.0),
        )
    })
}
