// SPDX-License-Identifier: GPL-2.0

//! Hardware breakpoints that ptrace(2) has set.
//!
//! Kept: address, type and size of each of the four, also of one that is not enabled, and what was
//! written to the register DR7. They stay when the tracer detaches, and are not inherited by fork(2),
//! but what was written to DR7 is. A task sets its own at a restart, with the checks of ptrace(2): so
//! nobody gets one for an address of the kernel.
//! Not kept, and refused: those of perf_event_open(2), with all other events.
//!
//! C source: `arch/x86/kernel/ptrace.c`

use crate::error::Result;
use crate::format::task::Breakpoints;
use crate::format::ObjRef;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys::breakpoint;
use crate::sys::breakpoint::BREAKPOINTS;
use crate::sys::freeze::Frozen;
use kernel::prelude::*;

/// Where DR7 has what each breakpoint is: how far to shift for the two bits that enable it, and for
/// the four of type and size.
const PLACES: [(u32, u32); BREAKPOINTS] = [(0, 16), (2, 20), (4, 24), (6, 28)];

/// One of two bits that mean the same.
const ENABLED: u64 = 3;

/// Type and size.
const WHAT: u64 = 0xf;

/// All bits of DR7 that the kernel uses: of those two the upper.
const CONTROL: u64 = 0xffff_00aa;

/// Saves the breakpoints of a task, if there ever was one.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen, number: ObjRef) -> Result {
    let breakpoint::Breakpoints {
        there,
        address,
        control,
        dr7,
    } = breakpoint::get(task);

    if there == 0 && dr7 == 0 {
        return Ok(());
    }
    saver.out.record(
        &Breakpoints {
            task: number,
            there,
            address,
            control,
            dr7,
        },
        &[],
    )
}

/// How many bits of its address are 0, for a breakpoint of this type and size.
fn alignment(what: u64) -> Option<u32> {
    match (what & 3, what >> 2) {
        // Code, which begins anywhere.
        (0, 0) => Some(0),
        // Writes, or all accesses.
        (1 | 3, 0) => Some(0),
        (1 | 3, 1) => Some(1),
        (1 | 3, 3) => Some(2),
        (1 | 3, 2) => Some(3),
        _ => None,
    }
}

/// Whether ptrace(2) can have made the breakpoints. One is enabled by what is written to DR7 only.
fn fits(state: &Breakpoints) -> bool {
    let is_possible = |((number, address), (enabled, what)): ((u32, u64), (u32, u32))| {
        let part = |dr7: u64| (dr7 >> enabled & ENABLED, dr7 >> what & WHAT);
        let (is_enabled, what) = part(state.control);

        if state.there >> number & 1 == 0 {
            return (address, is_enabled, what) == (0, 0, 0);
        }
        let (was_enabled, written) = part(state.dr7);

        alignment(what).is_some_and(|bits| address.trailing_zeros() >= bits)
            && (is_enabled == 0 || (was_enabled != 0 && written == what))
    };

    state.control & !CONTROL == 0
        && state.there >> BREAKPOINTS == 0
        && (state.there != 0 || state.dr7 != 0)
        && Iterator::zip((0u32..).zip(state.address), PLACES).all(is_possible)
}

/// Checks the record.
pub(super) fn check(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<Breakpoints>()?;

    if !tail.is_empty() || !fits(&state) {
        return Err(EINVAL.into());
    }
    Ok(state.task)
}

/// Sets the breakpoints of the running task, which has none.
pub(super) fn restore(restart: &Restart, number: ObjRef) -> Result {
    let Some(record) = restart.belonging::<Breakpoints>(number).next() else {
        return Ok(());
    };
    let (state, _) = record.parse::<Breakpoints>()?;
    let Breakpoints {
        task: _,
        there,
        address,
        control,
        dr7,
    } = state;

    breakpoint::set(&breakpoint::Breakpoints {
        there,
        address,
        control,
        dr7,
    })
    .map_err(|errno| {
        let why = if errno == ENOSPC {
            "the debug registers of this machine are in use"
        } else {
            "it cannot have its hardware breakpoints"
        };

        restart.log.error(errno, fmt!("object {}: {why}", number.0))
    })
}

#[cfg(CONFIG_CHECKPOINT_KUNIT_TEST)]
#[kunit_tests(checkpoint_breakpoint)]
mod tests {
    use super::*;

    fn state(there: u32, address: [u64; BREAKPOINTS], control: u64, dr7: u64) -> Breakpoints {
        Breakpoints {
            task: ObjRef(1),
            there,
            address,
            control,
            dr7,
        }
    }

    /// One, whose address is a multiple of 4 bytes.
    fn one(control: u64, dr7: u64) -> Breakpoints {
        state(1, [0x1004, 0, 0, 0], control, dr7)
    }

    const WRITES_4: u64 = 0x000d_0002;

    #[test]
    fn what_ptrace_makes_fits() {
        let two = [0x1001, 0x2008, 0, 0];
        let last = [0, 0, 0, 0x1001];

        assert!(fits(&one(WRITES_4, WRITES_4)));
        // One for code, one for writes of 8 bytes, which a debugger enables by the other bit.
        assert!(fits(&state(3, two, 0x0090_000a, 0x0090_0405)));
        // An address that was written before DR7.
        assert!(fits(&state(8, last, 0x1000_0000, 0)));
        // A child that has DR7 from its parent, and an address of its own.
        assert!(fits(&state(0, [0; 4], 0, u64::MAX)));
        assert!(fits(&one(0x0001_0000, u64::MAX)));
    }

    #[test]
    fn nothing_else_fits() {
        let odd = [0x1002, 0, 0, 0];

        assert!(!fits(&state(1, odd, WRITES_4, WRITES_4)));
        // There is none, or not this one.
        assert!(!fits(&state(0, [0; 4], 0, 0)));
        assert!(!fits(&state(0, [0; 4], WRITES_4, WRITES_4)));
        assert!(!fits(&state(2, odd, 0, 0)));
        assert!(!fits(&state(0x10, [0; 4], 0, 0)));
        // Nobody has enabled it, or another one.
        assert!(!fits(&one(WRITES_4, 0)));
        assert!(!fits(&one(WRITES_4, 0x0001_0002)));
        // I/O ports, code with a size, and bits that are no breakpoint.
        assert!(!fits(&one(0x0002_0002, 0x0002_0002)));
        assert!(!fits(&one(0x0004_0002, 0x0004_0002)));
        assert!(!fits(&one(0x2202, 0x2202)));
    }
}
