// SPDX-License-Identifier: GPL-2.0

//! Application checkpoint/restart.
//!
//! Two system calls save a running tree of unmodified processes into a stream ([`save`]) and
//! bring it back ([`restore`]). What there is to know about the design stands in
//! `Documentation/checkpoint/`.
//!
//! The layers, from below: [`format`](mod@format) declares the image and [`image`] frames it;
//! [`sys`] is the only unsafe code, and wraps what C offers; next to each subsystem stands the
//! policy of saving and restoring its state; [`tree`], [`save`], [`plan`] and [`restore`] are the
//! life of a checkpoint.
//!
//! C header: [`kernel/checkpoint/checkpoint.h`](srctree/kernel/checkpoint/checkpoint.h)

#![deny(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

const __LOG_PREFIX: &[u8] = b"checkpoint\0";

#[cfg_attr(CONFIG_X86, path = "../../arch/x86/kernel/checkpoint.rs")]
mod arch;
mod error;
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the tools share it, and use the rest"
)]
mod format;
#[path = "../../fs/checkpoint.rs"]
mod fs;
mod image;
#[path = "../../ipc/checkpoint.rs"]
mod ipc;
mod log;
#[path = "../../mm/checkpoint.rs"]
mod mm;
#[cfg(CONFIG_INET)]
#[path = "../../net/checkpoint.rs"]
mod net;
mod object;
mod plan;
mod restore;
mod save;
#[expect(unsafe_code, reason = "the fence")]
#[allow(
    clippy::as_underscore,
    clippy::unnecessary_cast,
    reason = "the integers of C differ between architectures"
)]
mod sys;
mod task;
mod tree;
