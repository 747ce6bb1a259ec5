// SPDX-License-Identifier: GPL-2.0

//! What only tasks of x86 have.
//!
//! [`Breakpoints::is_possible`] and its like tell whether the kernel can have made what a record says.

use super::ObjRef;

/// [`super::task::Task::arch`]: its addresses have 32 bits (execve(2) of a 32-bit program).
pub const ADDR32: u64 = 1;
/// [`super::task::Task::arch`]: it is in a system call for 32-bit code.
pub const CALL32: u64 = 2;
/// [`super::task::Task::arch`]: a 32-bit tracer has made it be in a system call.
pub const POKED32: u64 = 4;
/// [`super::task::Task::arch`]: its [`super::task::RestartBlock`] is of a system call for 32-bit code.
pub const RESTART32: u64 = 8;

record! {
    /// The I/O ports that a task may use (x86). The tail is the bitmap of ioperm(2), `words` words of
    /// `u64` up to the last that permits a port; a bit that is not set permits it.
    pub struct IoPermissions: kind 0x37, version 1, size 16 {
        /// The [`super::task::Task`].
        pub task: ObjRef,
        /// iopl(2).
        pub level: u32,
        /// Words in the tail.
        pub words: u32,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// The hardware breakpoints that ptrace(2) has set of a task (x86), if there are any, or if
    /// something was written to the register DR7. It may have some that are not enabled, and a child
    /// has what was written to DR7 from its parent. DR6 is in [`super::task::Task::arch`].
    pub struct Breakpoints: kind 0x3a, version 1, size 56 {
        /// The [`super::task::Task`].
        pub task: ObjRef,
        /// Which of the four there are, as a set.
        pub there: u32,
        /// The address of each: DR0 to DR3. 0 for one that is not there.
        pub address: [u64; 4],
        /// What each of them is, as DR7 has it: type, size, and the bit that enables it everywhere.
        pub control: u64,
        /// What was written to DR7 last.
        pub dr7: u64,
    }
}

/// Where DR7 has what each breakpoint is: how far to shift for the two bits that enable it, and for
/// the four of type and size.
const PLACES: [(u32, u32); 4] = [(0, 16), (2, 20), (4, 24), (6, 28)];

/// One of two bits that mean the same.
const ENABLED: u64 = 3;

/// Type and size.
const WHAT: u64 = 0xf;

/// All bits of DR7 that the kernel uses: of those two the upper.
const CONTROL: u64 = 0xffff_00aa;

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

impl Breakpoints {
    /// Whether ptrace(2) can have made them. One is enabled by what is written to DR7 only.
    pub fn is_possible(&self) -> bool {
        let is_possible = |((number, address), (enabled, what)): ((u32, u64), (u32, u32))| {
            let part = |dr7: u64| (dr7 >> enabled & ENABLED, dr7 >> what & WHAT);
            let (is_enabled, what) = part(self.control);

            if self.there >> number & 1 == 0 {
                return (address, is_enabled, what) == (0, 0, 0);
            }
            let (was_enabled, written) = part(self.dr7);

            alignment(what).is_some_and(|bits| address.trailing_zeros() >= bits)
                && (is_enabled == 0 || (was_enabled != 0 && written == what))
        };

        self.control & !CONTROL == 0
            && self.there >> PLACES.len() == 0
            && (self.there != 0 || self.dr7 != 0)
            && Iterator::zip((0u32..).zip(self.address), PLACES).all(is_possible)
    }
}

/// [`ShadowStack::features`]: it has one (ARCH_SHSTK_SHSTK).
pub const SHADOW_STACK: u32 = 1;
/// [`ShadowStack::features`]: it may write there (ARCH_SHSTK_WRSS).
pub const SHADOW_STACK_WRITABLE: u32 = 2;

record! {
    /// The shadow stack of a task (x86), if it has one, or if it may not change something of that any
    /// more. What is on it is memory.
    pub struct ShadowStack: kind 0x3b, version 1, size 40 {
        /// The [`super::task::Task`].
        pub task: ObjRef,
        /// `SHADOW_STACK_*`.
        pub features: u32,
        /// What can be neither enabled nor disabled (ARCH_SHSTK_LOCK), in the same bits.
        pub locked: u64,
        /// The memory that is unmapped when the task ends: address and bytes, or 0.
        pub base: u64,
        /// See `base`.
        pub size: u64,
        /// The shadow stack pointer (SSP).
        pub pointer: u64,
    }
}

/// No address of user space is higher, on any CPU.
const ADDRESS_MAX: u64 = 1 << 56;

/// Pages of x86 have no other size.
const PAGE: u64 = 4096;

impl ShadowStack {
    /// Whether a task can have it: what the CPU would not take as the pointer, ptrace(2) does not
    /// either, and what is unmapped when the task ends is memory.
    pub fn is_possible(&self) -> bool {
        let Self {
            task: _,
            features,
            locked,
            base,
            size,
            pointer,
        } = *self;
        let is_user = |address: u64| address < ADDRESS_MAX;

        if features & SHADOW_STACK == 0 {
            return features == 0 && locked != 0 && (base, size, pointer) == (0, 0, 0);
        }
        features & !(SHADOW_STACK | SHADOW_STACK_WRITABLE) == 0
            && pointer % 8 == 0
            && is_user(pointer)
            && (base == 0) == (size == 0)
            && base % PAGE == 0
            && size % PAGE == 0
            && base.checked_add(size).is_some_and(is_user)
    }
}
