// SPDX-License-Identifier: GPL-2.0

//! What checkpoint/restart knows of x86.
//!
//! Kept: general registers with the segments and the bases of fs and gs, the whole extended state of
//! the FPU; 32-bit code in 32-bit and in 64-bit programs; set_thread_area(2), modify_ldt(2),
//! ioperm(2) and iopl(2); hardware breakpoints of ptrace(2); shadow stacks.
//! Not kept, and refused: linear address masking, ARCH_SET_CPUID, the permission for AMX.

#[path = "checkpoint/breakpoint.rs"]
mod breakpoint;
#[path = "checkpoint/ioport.rs"]
mod ioport;
#[path = "checkpoint/ldt.rs"]
mod ldt;
#[path = "checkpoint/shadow_stack.rs"]
mod shadow_stack;
#[path = "checkpoint/xstate.rs"]
mod xstate;

pub(crate) use self::ldt::restore as restore_mm;
pub(crate) use self::ldt::save as save_mm;

use crate::error::Result;
use crate::format::memory;
use crate::format::task;
use crate::format::x86;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::mm::MM_ARCH;
use crate::sys::task::TASK_ARCH;
use crate::task::regs::Registers;
use kernel::bindings;
use kernel::prelude::*;

/// The ELF machine of the tasks.
pub(crate) const MACHINE: u32 = bindings::EM_X86_64;

/// The register sets that are saved, by ELF note type.
pub(crate) const SAVED: [u32; 3] = [
    bindings::NT_PRSTATUS,
    bindings::NT_X86_XSTATE,
    bindings::NT_386_TLS,
];

/// Those of them that a task may not have.
pub(crate) const SPARSE: [u32; 1] = [bindings::NT_386_TLS];

/// The register sets that are parts of others, or have a record of their own.
pub(crate) const DERIVED: [u32; 4] = [
    bindings::NT_PRFPREG,
    bindings::NT_PRXFPREG,
    bindings::NT_386_IOPERM,
    bindings::NT_X86_SHSTK,
];

/// The names of the mappings that come with the vdso.
pub(crate) const SPECIAL: [&[u8]; 3] = [b"[vdso]", b"[vvar]", b"[vvar_vclock]"];

/// How many protection keys the page tables have room for.
const PKEYS: u32 = 16;

/// The first address that only 64-bit code can have.
const TOP32: u64 = 1 << 32;

/// Checks what the image has of an address space for this architecture.
pub(crate) fn check_mm(state: &[u64; MM_ARCH]) -> Result {
    let [allocated, execute_only, flags, base, legacy_base, task_size, reserved @ ..] = *state;
    // The key of executable memory, if there is one, is allocated; so is the default key, if the
    // machine has keys.
    let needed = match u32::try_from(execute_only) {
        Ok(0) if allocated == 0 => 0,
        Ok(0) => 1,
        Ok(key @ 1..=PKEYS) => 1 | 1 << key.saturating_sub(1),
        _ => u64::MAX,
    };
    let known = memory::X86_VSYSCALL | memory::X86_UPROBE32 | memory::X86_VDSO32;
    let is_base = |base: &u64| *base < TOP32 && crate::sys::page::is_aligned(*base);

    if allocated >> PKEYS != 0
        || needed & !allocated != 0
        || flags & !known != 0
        || ![base, legacy_base].iter().all(is_base)
        || task_size == 0
        || !crate::sys::page::is_aligned(task_size)
        || reserved != [0; 2]
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Checks what the image has of a task for this architecture.
pub(crate) fn check_task(state: &[u64; TASK_ARCH]) -> Result {
    let [_number, _error, _address, _debug, flags, reserved] = *state;
    let known = x86::ADDR32 | x86::CALL32 | x86::POKED32 | x86::RESTART32;

    if flags & !known != 0 || reserved != 0 {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Saves what a task has that only this architecture knows.
pub(crate) fn save_task(saver: &mut Saver<'_>, task: &Frozen, number: ObjRef) -> Result {
    ioport::save(saver, task, number)?;
    breakpoint::save(saver, task, number)?;
    shadow_stack::save(saver, task, number)
}

/// What the CPU or the kernel lacks of what a task uses besides its registers, in words.
pub(crate) fn task_lacks(restart: &Restart, number: ObjRef) -> Result<Option<&'static str>> {
    let (state, _) = restart.record::<task::Task>(number)?;

    match sys::process::arch_lacks(&state.arch) {
        None => shadow_stack::lacks(restart, number, is_32bit(&state.arch)),
        what => Ok(what),
    }
}

/// Whether a task has addresses of 32 bits.
fn is_32bit(state: &[u64; TASK_ARCH]) -> bool {
    let [_number, _error, _address, _debug, flags, _reserved] = *state;

    flags & x86::ADDR32 != 0
}

/// Gives it to the running task.
pub(crate) fn restore_task(restart: &Restart, number: ObjRef) -> Result {
    ioport::restore(restart, number)?;
    breakpoint::restore(restart, number)?;
    shadow_stack::restore(restart, number)
}

/// Checks a record that only this architecture has; gives the object that it belongs to.
pub(crate) fn check_record(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
    let (owner, kind) = match record.kind {
        x86::IoPermissions::KIND => (ioport::check(record)?, task::Task::KIND),
        x86::Breakpoints::KIND => (breakpoint::check(record)?, task::Task::KIND),
        x86::ShadowStack::KIND => (shadow_stack::check(record)?, task::Task::KIND),
        memory::Ldt::KIND => (ldt::check(record)?, memory::Mm::KIND),
        _ => return Err(EINVAL.into()),
    };

    if kind_of(owner) != Some(kind) {
        return Err(EINVAL.into());
    }
    Ok(owner)
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

/// What the image has of a register set that a task has.
pub(crate) fn pack(note: u32, data: KVVec<u8>) -> Result<KVVec<u8>> {
    match note {
        bindings::NT_X86_XSTATE => xstate::pack(&data),
        _ => Ok(data),
    }
}

/// The register set of `size` bytes of this CPU from what the image has of it, which
/// [`check`] and [`lacks`] have seen.
pub(crate) fn unpack<'a>(note: u32, data: &'a [u8], size: usize) -> Result<Registers<'a>> {
    match note {
        bindings::NT_X86_XSTATE => Ok(Registers::Made(xstate::unpack(data, size)?)),
        _ => Ok(Registers::Image(data)),
    }
}

/// What this CPU lacks of what an image has, in words.
pub(crate) fn lacks(note: u32, data: &[u8]) -> Result<Option<&'static str>> {
    match note {
        bindings::NT_X86_XSTATE => xstate::lacks(data),
        _ => Ok(None),
    }
}

/// Checks what the image has of a register set.
pub(crate) fn check(note: u32, data: &[u8]) -> Result {
    let fits = match note {
        bindings::NT_PRSTATUS => data.len() == size_of::<bindings::user_regs_struct>(),
        bindings::NT_386_TLS => {
            data.len()
                == size_of::<[bindings::user_desc; bindings::GDT_ENTRY_TLS_ENTRIES as usize]>()
        }
        bindings::NT_X86_XSTATE => return xstate::check(data),
        _ => false,
    };

    if fits {
        Ok(())
    } else {
        Err(EINVAL.into())
    }
}
