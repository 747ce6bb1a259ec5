// SPDX-License-Identifier: GPL-2.0

//! Waiting that a fatal signal ends.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use kernel::bindings;
use kernel::prelude::*;
use kernel::types::Opaque;

/// A gate that is closed first and opened once, for everybody and for good: a `struct completion`
/// that is only ever completed with `complete_all`.
#[pin_data]
pub(crate) struct Gate {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: A completion is made to be used from several tasks.
unsafe impl Send for Gate {}
// SAFETY: As above; every operation takes its lock.
unsafe impl Sync for Gate {}

impl Gate {
    /// A closed gate.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `slot` is the memory of a completion that nobody uses yet.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// Opens it. Idempotent.
    pub(crate) fn open(&self) {
        // SAFETY: The completion was initialized in `new` and is pinned.
        unsafe { bindings::complete_all(self.inner.get()) };
    }

    /// Waits until it is open. `EINTR`: a fatal signal came first.
    pub(crate) fn wait_killable(&self) -> Result {
        // SAFETY: The completion was initialized in `new` and is pinned.
        match unsafe { bindings::wait_for_completion_killable(self.inner.get()) } {
            0 => Ok(()),
            _ => Err(EINTR),
        }
    }
}
