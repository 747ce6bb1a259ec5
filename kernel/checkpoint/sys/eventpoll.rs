// SPDX-License-Identifier: GPL-2.0

//! Epoll sets and their items.
//!
//! C header: [`include/linux/eventpoll.h`](srctree/include/linux/eventpoll.h)

use super::fdtable;
use super::file::FileRef;
use kernel::alloc::KVVec;
use kernel::bindings;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;

/// The bits of `events` that name no event (`EP_PRIVATE_BITS`).
const PRIVATE_BITS: u32 = (1 << 31) | (1 << 30) | (1 << 29) | (1 << 28);

/// Items that are asked for first.
const SOME: usize = 64;

/// What an epoll set watches.
#[derive(Clone, Copy)]
pub(crate) struct Item {
    /// The [`key`](super::file::key) of the file. The set has no reference to it.
    pub(crate) file: usize,
    /// The queue that it waits in, or 0.
    pub(crate) queue: usize,
    /// The number that the file was added by.
    pub(crate) fd: i32,
    /// `EPOLL*`.
    pub(crate) events: u32,
    /// What epoll_wait(2) reports.
    pub(crate) data: u64,
}

impl Item {
    /// Whether its event was reported and it waits to be armed again (EPOLLONESHOT).
    pub(crate) fn is_disarmed(&self) -> bool {
        self.events & !PRIVATE_BITS == 0
    }
}

/// Whether the file is an epoll set.
pub(crate) fn is_epoll(file: &File) -> bool {
    // SAFETY: The file is referenced.
    unsafe { bindings::is_file_epoll(file.as_ptr()) }
}

/// All items of a set at one moment. `EOPNOTSUPP`: the set has parameters for busy polling.
pub(crate) fn items(file: &File) -> Result<KVVec<Item>> {
    let mut room = SOME;

    loop {
        let mut raw = KVVec::from_elem(bindings::checkpoint_epitem::default(), room, GFP_KERNEL)?;
        let max = u32::try_from(room)?;
        // SAFETY: The file is referenced, the function checks that it is an epoll set, and there
        // is room for as many items as it is told.
        let n =
            unsafe { bindings::checkpoint_epoll_items(file.as_ptr(), 0, raw.as_mut_ptr(), max) };

        to_result(n.min(0))?;
        raw.truncate(n as usize);
        if raw.len() < room {
            return from_raw(&raw);
        }
        room = room.checked_mul(2).ok_or(EOVERFLOW)?;
    }
}

fn from_raw(raw: &[bindings::checkpoint_epitem]) -> Result<KVVec<Item>> {
    let mut items = KVVec::with_capacity(raw.len(), GFP_KERNEL)?;

    for item in raw {
        let item = Item {
            file: item.file as usize,
            queue: item.queue as usize,
            fd: item.fd,
            events: item.events,
            data: item.data,
        };

        items.push(item, GFP_KERNEL)?;
    }
    Ok(items)
}

/// Makes an empty set, with the `O_*` flags of one.
pub(crate) fn create(flags: u32) -> Result<FileRef> {
    let cloexec = flags & bindings::O_CLOEXEC;
    // SAFETY: The function gives a new descriptor of the running task or an errno.
    let file = fdtable::take(unsafe { bindings::do_epoll_create(cloexec as i32) })?;

    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_set_flags(file.as_ptr(), flags) };
    Ok(file)
}

fn key(file: &File, fd: i32) -> bindings::epoll_key {
    bindings::epoll_key {
        file: file.as_ptr(),
        fd,
    }
}

/// Adds `file` to the set under the number `fd`. Gives the events that the set took: it leaves
/// out EPOLLWAKEUP where the caller or the machine cannot have it.
///
/// `ELOOP`: the sets would watch each other, or too deep a chain. `EPERM`: the file cannot be
/// watched.
pub(crate) fn add(set: &File, file: &File, fd: i32, events: u32, data: u64) -> Result<u32> {
    let mut event = bindings::epoll_event { events, data };
    let mut key = key(file, fd);

    // SAFETY: Both files are referenced; the function checks that the first is an epoll set.
    to_result(unsafe {
        bindings::do_epoll_ctl_file(
            set.as_ptr(),
            bindings::EPOLL_CTL_ADD as i32,
            &raw mut key,
            &raw mut event,
            false,
        )
    })?;
    Ok(event.events)
}

/// Makes an item as if its event had been reported (EPOLLONESHOT).
pub(crate) fn disarm(set: &File, file: &File, fd: i32) -> Result {
    let mut key = key(file, fd);

    // SAFETY: Both files are referenced; the function checks that the first is an epoll set.
    to_result(unsafe { bindings::checkpoint_epoll_disarm(set.as_ptr(), &raw mut key) })
}
