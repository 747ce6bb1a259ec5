// SPDX-License-Identifier: GPL-2.0

//! Contexts of asynchronous I/O.
//!
//! C source: `fs/aio.c`

use super::mm::Mm;
use kernel::bindings;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;

/// A context, but for the content of its ring.
pub(crate) use bindings::checkpoint_aio as Context;

/// Whether a file is what the rings of contexts are mapped from.
pub(crate) fn is_ring(file: &File) -> bool {
    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_is_aio_ring(file.as_ptr()) }
}

/// Whether requests are under way in an address space. Whoever runs in it must be parked: then this
/// does not become true any more.
pub(crate) fn is_busy(mm: &Mm) -> bool {
    // SAFETY: The address space is referenced.
    unsafe { bindings::checkpoint_aio_busy(mm.as_ptr()) }
}

/// The next context of an address space from number `next` on, which is moved.
pub(crate) fn get(mm: &Mm, next: &mut u32) -> Option<Context> {
    let mut context = Context::default();

    // SAFETY: The address space is referenced.
    to_result(unsafe {
        bindings::checkpoint_aio_get(mm.as_ptr(), &raw mut *next, &raw mut context)
    })
    .ok()
    .map(|()| context)
}

/// Copies the beginning of the ring of a context. `ENOENT`: there is none with that address.
pub(crate) fn read(mm: &Mm, context: &Context, ring: &mut [u8]) -> Result {
    // SAFETY: The address space is referenced; the buffer has as many bytes.
    to_result(unsafe {
        bindings::checkpoint_aio_read(mm.as_ptr(), context.address, ring.as_mut_ptr(), ring.len())
    })
}

/// Makes room for contexts up to a number in the address space of the running task, before there are
/// any (`ioctx_add_table`).
pub(crate) fn reserve(id: u32) -> Result {
    // SAFETY: The function works on the running task.
    to_result(unsafe { bindings::checkpoint_aio_reserve(id) })
}

/// Makes a context in the address space of the running task (`ioctx_alloc`). Its ring begins with
/// the bytes, and zeros follow.
///
/// `EAGAIN`: there are too many requests (/proc/sys/fs/aio-max-nr). `EEXIST`: something else is
/// mapped there. `EINVAL`: it cannot be. `EOPNOTSUPP`: here its ring has another size.
pub(crate) fn make(context: &Context, ring: &mut [u8]) -> Result {
    // SAFETY: The buffer has as many bytes; the function works on the running task.
    to_result(unsafe {
        bindings::checkpoint_aio_make(&raw const *context, ring.as_mut_ptr(), ring.len())
    })
}
