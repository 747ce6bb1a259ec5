// SPDX-License-Identifier: GPL-2.0

//! What checkpoint/restart knows of x86.
//!
//! Kept: general registers with the bases of fs and gs, the whole extended state of the FPU.
//! Not kept, and refused: 32-bit code, I/O permissions, shadow stacks.

use crate::error::Result;
use kernel::bindings;
use kernel::prelude::*;

/// The ELF machine of the tasks.
pub(crate) const MACHINE: u32 = bindings::EM_X86_64;

/// The register sets that are saved, by ELF note type.
pub(crate) const SAVED: [u32; 2] = [bindings::NT_PRSTATUS, bindings::NT_X86_XSTATE];

/// The register sets that are parts of others.
pub(crate) const DERIVED: [u32; 1] = [bindings::NT_PRFPREG];

/// The names of the mappings that come with the vdso.
pub(crate) const SPECIAL: [&[u8]; 3] = [b"[vdso]", b"[vvar]", b"[vvar_vclock]"];

/// How many protection keys the page tables have room for.
const PKEYS: u32 = 16;

/// Checks what the image has of an address space for this architecture.
pub(crate) fn check_mm(state: &[u64; 3]) -> Result {
    let [allocated, execute_only, reserved] = *state;
    // The key of executable memory, if there is one, is allocated; so is the default key, if the
    // machine has keys.
    let needed = match u32::try_from(execute_only) {
        Ok(0) if allocated == 0 => 0,
        Ok(0) => 1,
        Ok(key @ 1..=PKEYS) => 1 | 1 << key.saturating_sub(1),
        _ => u64::MAX,
    };

    if allocated >> PKEYS != 0 || needed & !allocated != 0 || reserved != 0 {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Where `struct user_regs_struct` has what a system call returns, and its number.
const AX: usize = 10;
const ORIG_AX: usize = 15;

/// Makes the general registers those of a task that has returned from a system call with 0.
pub(crate) fn return_from_call(note: u32, data: &mut [u8]) {
    set_result(note, data, 0);
    set(note, data, ORIG_AX, u64::MAX);
}

/// Sets what a system call returns.
pub(crate) fn set_result(note: u32, data: &mut [u8], result: u64) {
    set(note, data, AX, result);
}

fn set(note: u32, data: &mut [u8], index: usize, value: u64) {
    let word = data.chunks_exact_mut(size_of::<u64>()).nth(index);

    if let (bindings::NT_PRSTATUS, Some(word)) = (note, word) {
        word.copy_from_slice(&value.to_ne_bytes());
    }
}

/// Checks the size of a register set.
pub(crate) fn check(note: u32, data: &[u8]) -> Result {
    let fits = match note {
        bindings::NT_PRSTATUS => data.len() == size_of::<bindings::user_regs_struct>(),
        _ => data.as_chunks::<{ size_of::<u64>() }>().1.is_empty() && data.len() <= 1 << 16,
    };

    if fits {
        Ok(())
    } else {
        Err(EINVAL.into())
    }
}
