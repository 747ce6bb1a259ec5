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
use crate::format::x86::Breakpoints;
use crate::format::ObjRef;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys::breakpoint;
use crate::sys::freeze::Frozen;
use kernel::prelude::*;

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

/// Checks the record.
pub(super) fn check(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<Breakpoints>()?;

    if !tail.is_empty() || !state.is_possible() {
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
    use crate::sys::breakpoint::BREAKPOINTS;

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

        assert!(one(WRITES_4, WRITES_4).is_possible());
        // One for code, one for writes of 8 bytes, which a debugger enables by the other bit.
        assert!(state(3, two, 0x0090_000a, 0x0090_0405).is_possible());
        // An address that was written before DR7.
        assert!(state(8, last, 0x1000_0000, 0).is_possible());
        // A child that has DR7 from its parent, and an address of its own.
        assert!(state(0, [0; 4], 0, u64::MAX).is_possible());
        assert!(one(0x0001_0000, u64::MAX).is_possible());
    }

    #[test]
    fn nothing_else_fits() {
        let odd = [0x1002, 0, 0, 0];

        assert!(!state(1, odd, WRITES_4, WRITES_4).is_possible());
        // There is none, or not this one.
        assert!(!state(0, [0; 4], 0, 0).is_possible());
        assert!(!state(0, [0; 4], WRITES_4, WRITES_4).is_possible());
        assert!(!state(2, odd, 0, 0).is_possible());
        assert!(!state(0x10, [0; 4], 0, 0).is_possible());
        // Nobody has enabled it, or another one.
        assert!(!one(WRITES_4, 0).is_possible());
        assert!(!one(WRITES_4, 0x0001_0002).is_possible());
        // I/O ports, code with a size, and bits that are no breakpoint.
        assert!(!one(0x0002_0002, 0x0002_0002).is_possible());
        assert!(!one(0x0004_0002, 0x0004_0002).is_possible());
        assert!(!one(0x2202, 0x2202).is_possible());
    }
}
