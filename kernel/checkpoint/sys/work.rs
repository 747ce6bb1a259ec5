// SPDX-License-Identifier: GPL-2.0

//! Work that other processors may do.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use kernel::bindings;
use kernel::workqueue::Queue;

/// The workqueue whose work may run anywhere, and for long (`system_dfl_wq`). What the `kernel` crate
/// has, `system_unbound()`, is one that the kernel warns of.
pub(crate) fn anywhere() -> &'static Queue {
    // SAFETY: It is there from the boot on, and always will be.
    unsafe { Queue::from_raw(bindings::system_dfl_wq) }
}
