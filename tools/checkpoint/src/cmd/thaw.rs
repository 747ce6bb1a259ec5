// SPDX-License-Identifier: GPL-2.0

//! `cr thaw`: lets a tree run that was left frozen.

use std::process::ExitCode;

use clap::Parser;

use crate::exit::Result;
use crate::kernel;

/// Let a tree run that `cr checkpoint --leave-frozen` or `cr restart --frozen` left frozen
#[derive(Debug, Parser)]
pub struct Args {
    /// The root of the tree
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pid: i32,

    /// Print the kernel's log
    #[arg(short, long)]
    verbose: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result {
    let log = kernel::thaw(args.pid)?;
    if args.verbose {
        log.print();
    }
    Ok(ExitCode::SUCCESS)
}
