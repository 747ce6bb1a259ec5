// SPDX-License-Identifier: GPL-2.0

//! The one binary of all tools: see [`cr::cmd`].

#![deny(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    cr::cmd::main(std::env::args_os().collect())
}
