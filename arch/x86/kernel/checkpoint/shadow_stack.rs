// SPDX-License-Identifier: GPL-2.0

//! Shadow stacks, which keep the return addresses of a task once more.
//!
//! Kept: whether a task has one and may write to it, what is locked, the memory that goes when the
//! task ends, and the pointer. What is on it is memory, like that of any other mapping.
//!
//! C source: `arch/x86/kernel/shstk.c`

use crate::error::Result;
use crate::format::x86::ShadowStack;
use crate::format::ObjRef;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::shadow_stack;
use kernel::bindings;
use kernel::prelude::*;

/// Saves the shadow stack of a task, if there is something to tell of it.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen, number: ObjRef) -> Result {
    let shadow_stack::ShadowStack {
        features,
        locked,
        base,
        size,
    } = shadow_stack::get(task);

    if features == 0 && locked == 0 {
        return Ok(());
    }
    let features = u32::try_from(features).map_err(|_| EINVAL)?;
    let state = ShadowStack {
        task: number,
        features,
        locked,
        base,
        size,
        pointer: if features == 0 { 0 } else { pointer(task)? },
    };

    if !state.is_possible() {
        return Err(saver.refuse(fmt!("has a shadow stack that nobody can ask for")));
    }
    saver.out.record(&state, &[])
}

/// The shadow stack pointer of a task that has one.
fn pointer(task: &Frozen) -> Result<u64> {
    let regset = sys::regset::all()
        .find(|regset| regset.note() == bindings::NT_X86_SHSTK)
        .ok_or(ENODEV)?;
    let data = regset.get(task)?;

    Ok(u64::from_ne_bytes(*data.first_chunk().ok_or(ENODEV)?))
}

/// Checks the record.
pub(super) fn check(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<ShadowStack>()?;

    if !tail.is_empty() || !state.is_possible() {
        return Err(EINVAL.into());
    }
    Ok(state.task)
}

/// What this CPU lacks, in words. `EINVAL`: it is one of 32-bit code, which can have none; its end
/// could not unmap what is beyond its addresses.
pub(super) fn lacks(
    restart: &Restart,
    number: ObjRef,
    is_32bit: bool,
) -> Result<Option<&'static str>> {
    let Some(record) = restart.belonging::<ShadowStack>(number).next() else {
        return Ok(None);
    };
    let (state, _) = record.parse::<ShadowStack>()?;
    let fits = state.features == 0 || shadow_stack::is_supported();

    if state.features != 0 && is_32bit {
        return Err(EINVAL.into());
    }
    Ok((!fits).then_some("a shadow stack, which this CPU lacks"))
}

/// Gives the running task, which has none, its shadow stack.
pub(super) fn restore(restart: &Restart, number: ObjRef) -> Result {
    let Some(record) = restart.belonging::<ShadowStack>(number).next() else {
        return Ok(());
    };
    let (state, _) = record.parse::<ShadowStack>()?;
    let ShadowStack {
        task: _,
        features,
        locked,
        base,
        size,
        pointer,
    } = state;
    // Who has memory that goes with it must not be the twin of the caller.
    let (base, size) = if restart.is_twin() {
        (0, 0)
    } else {
        (base, size)
    };

    shadow_stack::set(
        &shadow_stack::ShadowStack {
            features: features.into(),
            locked,
            base,
            size,
        },
        pointer,
    )
    .map_err(|errno| {
        let what = fmt!("object {}: it cannot have its shadow stack", number.0);

        restart.log.error(errno, what)
    })
}

#[cfg(CONFIG_CHECKPOINT_KUNIT_TEST)]
#[allow(clippy::arithmetic_side_effects)]
#[kunit_tests(checkpoint_shadow_stack)]
mod tests {
    use super::*;
    use crate::format::x86::SHADOW_STACK as ENABLED;
    use crate::format::x86::SHADOW_STACK_WRITABLE;

    const FEATURES: u32 = ENABLED | SHADOW_STACK_WRITABLE;

    fn state(features: u32, locked: u64, base: u64, size: u64, pointer: u64) -> ShadowStack {
        ShadowStack {
            task: ObjRef(1),
            features,
            locked,
            base,
            size,
            pointer,
        }
    }

    #[test]
    fn what_the_kernel_makes_fits() {
        assert!(state(ENABLED, 0, 0x1_0000_0000, 0x80_0000, 0x1_007f_fff8).is_possible());
        assert!(state(FEATURES, u64::MAX, 0x1_0000_0000, 0x1000, 8).is_possible());
        // A child of vfork(2), which unmaps nothing.
        assert!(state(ENABLED, 0, 0, 0, 0x1_007f_fff8).is_possible());
        // One that may never have any.
        assert!(state(0, 1, 0, 0, 0).is_possible());
    }

    #[test]
    fn nothing_else_fits() {
        let (base, size, pointer) = (0x1_0000_0000, 0x1000, 0x1_0000_0ff8);

        assert!(!state(0, 0, 0, 0, 0).is_possible());
        assert!(!state(0, 1, 0, 0, 8).is_possible());
        assert!(!state(FEATURES & !ENABLED, 0, base, size, pointer).is_possible());
        assert!(!state(4 | ENABLED, 0, base, size, pointer).is_possible());
        assert!(!state(ENABLED, 0, base, 0, pointer).is_possible());
        assert!(!state(ENABLED, 0, 0, size, pointer).is_possible());
        assert!(!state(ENABLED, 0, base + 8, size, pointer).is_possible());
        assert!(!state(ENABLED, 0, base, size + 8, pointer).is_possible());
        assert!(!state(ENABLED, 0, base, 1 << 63, pointer).is_possible());
        assert!(!state(ENABLED, 0, !0xfff, 0x2000, pointer).is_possible());
        assert!(!state(ENABLED, 0, base, size, pointer + 4).is_possible());
        assert!(!state(ENABLED, 0, base, size, 1 << 63).is_possible());
    }
}
