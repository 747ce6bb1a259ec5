// SPDX-License-Identifier: GPL-2.0

//! `cr`: checkpoint and restart trees of processes, and look into their images.
//!
//! - [`format`] is the kernel's own declaration of the records, not a copy of it.
//! - [`image`] reads the framing, [`kind`] knows what each kind of record holds,
//!   [`verify`] how records depend on each other, [`chain`] puts images together.
//! - [`cmd`] has a file for each command; [`kernel`] makes the two system calls and explains
//!   what they answer.
//! - `sys` holds the only unsafe code.

#![deny(unsafe_code)]

// The kernel's rustfmt.toml applies to it.
#[rustfmt::skip]
#[macro_use]
#[path = "../../../kernel/checkpoint/format/mod.rs"]
pub mod format;

pub mod chain;
pub mod cmd;
pub mod compose;
pub mod exit;
mod freezer;
pub mod image;
pub mod kernel;
pub mod kind;
mod names;
mod namespace;
pub mod output;
pub mod print;
mod regs;
mod revive;
pub mod source;
pub mod store;
#[expect(
    unsafe_code,
    reason = "raw system calls and descriptors given by number"
)]
mod sys;
pub mod verify;
mod wait;
