// SPDX-License-Identifier: GPL-2.0

//! Local descriptor tables, of x86.
//!
//! C source: `arch/x86/kernel/ldt.c`

use super::mm::Mm;
use core::ptr;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;

/// The entries of an address space, as the processor has them.
pub(crate) fn get(mm: &Mm) -> Result<KVVec<u64>> {
    // SAFETY: The address space is referenced; with room for none nothing is written.
    let count = unsafe { bindings::checkpoint_read_ldt(mm.as_ptr(), ptr::null_mut(), 0) };
    let mut entries = KVVec::from_elem(0u64, count as usize, GFP_KERNEL)?;

    if count != 0 {
        // SAFETY: The address space is referenced, and there is room for so many entries.
        unsafe { bindings::checkpoint_read_ldt(mm.as_ptr(), entries.as_mut_ptr(), count) };
    }
    Ok(entries)
}

/// Gives the running task's address space a table. `EINVAL`: modify_ldt(2) makes no such entries;
/// `EEXIST`: it has a table.
pub(crate) fn set(entries: &[u64]) -> Result {
    // SAFETY: The helper works on the running task's address space, checks the entries and copies
    // them.
    to_result(unsafe {
        bindings::checkpoint_write_ldt(entries.as_ptr(), u32::try_from(entries.len())?)
    })
}
