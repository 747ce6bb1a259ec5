// SPDX-License-Identifier: GPL-2.0

//! The fence: the only unsafe code of checkpoint/restart.
//!
//! Each file wraps one part of the kernel; each function wraps one C call or one locked read, is
//! named after the C function, takes and returns types that stand for what is held, and argues
//! its safety from them. Policy is not here.
//!
//! Two rules hold for all of it. A value that C may change meanwhile is read once. And a 64-bit
//! value or a structure never goes by value between Rust and C, which 32-bit x86 gets wrong
//! without a word: it goes by pointer, or through `rust/helpers/checkpoint*.c`.

pub(crate) mod aio;
pub(crate) mod attributes;
#[cfg(CONFIG_X86)]
pub(crate) mod breakpoint;
pub(crate) mod cgroup;
pub(crate) mod clone;
pub(crate) mod crc;
pub(crate) mod cred;
#[expect(unreachable_pub, reason = "C calls it")]
mod entry;
pub(crate) mod eventfd;
pub(crate) mod eventpoll;
pub(crate) mod fdtable;
pub(crate) mod file;
pub(crate) mod freeze;
pub(crate) mod fs_struct;
pub(crate) mod hash;
pub(crate) mod hugetlb;
#[cfg(CONFIG_X86)]
pub(crate) mod ioport;
pub(crate) mod ipc;
pub(crate) mod kept;
pub(crate) mod lazy;
#[cfg(CONFIG_X86)]
pub(crate) mod ldt;
pub(crate) mod lock;
pub(crate) mod login;
pub(crate) mod mempolicy;
pub(crate) mod mm;
pub(crate) mod ns;
pub(crate) mod page;
pub(crate) mod pidfd;
pub(crate) mod pipe;
pub(crate) mod posix_timer;
pub(crate) mod process;
pub(crate) mod ptrace;
pub(crate) mod regset;
pub(crate) mod seccomp;
#[cfg(CONFIG_X86)]
pub(crate) mod shadow_stack;
pub(crate) mod shmem;
pub(crate) mod signal;
pub(crate) mod signalfd;
#[cfg(CONFIG_INET)]
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod sync;
pub(crate) mod task;
pub(crate) mod time;
pub(crate) mod timer;
pub(crate) mod timerfd;
pub(crate) mod track;
pub(crate) mod tty;
pub(crate) mod unnamed;
pub(crate) mod usage;
pub(crate) mod user_ns;
pub(crate) mod vfork;
pub(crate) mod vma;
pub(crate) mod work;
#[cfg(CONFIG_X86)]
pub(crate) mod xstate;
