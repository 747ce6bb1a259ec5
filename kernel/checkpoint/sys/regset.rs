// SPDX-License-Identifier: GPL-2.0

//! Registers, as ptrace(2) and core dumps see them.
//!
//! C header: [`include/linux/regset.h`](srctree/include/linux/regset.h)

use super::freeze::Frozen;
use core::ptr;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;

/// A kind of registers that a task has.
#[derive(Clone, Copy)]
pub(crate) struct Regset(&'static bindings::user_regset);

/// A table of the architecture, by number; empty if there is none.
fn view(number: u32) -> &'static [bindings::user_regset] {
    // SAFETY: The views and their tables are static.
    unsafe {
        let view = bindings::checkpoint_regset_view(number);

        if view.is_null() {
            return &[];
        }
        core::slice::from_raw_parts((*view).regsets, (*view).n as usize)
    }
}

/// All kinds of registers that a task can have. They do not depend on the code that it runs: those of
/// a 32-bit program are the lower halves of the same registers.
pub(crate) fn all() -> impl Iterator<Item = Regset> {
    let is_new = |regset: &&bindings::user_regset| {
        view(0)
            .iter()
            .all(|other| other.core_note_type != regset.core_note_type)
    };

    Iterator::chain(view(0).iter(), view(1).iter().filter(is_new)).map(Regset)
}

impl Regset {
    /// ELF note type (`NT_*`).
    pub(crate) fn note(&self) -> u32 {
        self.0.core_note_type
    }

    /// Whether the task has used them.
    pub(crate) fn is_active(&self, task: &Frozen) -> bool {
        match self.0.active {
            None => true,
            // SAFETY: The task is parked, and the function belongs to this kind.
            Some(active) => unsafe { active(task.as_ptr(), self.0) > 0 },
        }
    }

    /// How many bytes they have.
    pub(crate) fn bytes(&self) -> usize {
        (self.0.n as usize).saturating_mul(self.0.size as usize)
    }

    /// Reads them (`regset_get`).
    pub(crate) fn get(&self, task: &Frozen) -> Result<KVVec<u8>> {
        let mut data = KVVec::from_elem(0u8, self.bytes(), GFP_KERNEL)?;
        // SAFETY: The task is parked; `data` has the length that is said.
        let len = unsafe {
            bindings::regset_get(
                task.as_ptr(),
                self.0,
                u32::try_from(data.len())?,
                data.as_mut_ptr().cast(),
            )
        };

        data.truncate(usize::try_from(len).map_err(|_| Error::from_errno(len))?);
        Ok(data)
    }

    /// Sets them, with the checks of ptrace(PTRACE_SETREGSET).
    pub(crate) fn set(&self, task: &Frozen, data: &[u8]) -> Result {
        let set = self.0.set.ok_or(EOPNOTSUPP)?;

        if data.len() > self.bytes() || data.len().checked_rem(self.0.size as usize) != Some(0) {
            return Err(EINVAL);
        }
        // SAFETY: The task is parked; `data` is valid for its length, which is not more than the
        // registers have, in whole registers.
        to_result(unsafe {
            set(
                task.as_ptr(),
                self.0,
                0,
                u32::try_from(data.len())?,
                data.as_ptr().cast(),
                ptr::null(),
            )
        })
    }
}
