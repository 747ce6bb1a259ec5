// SPDX-License-Identifier: GPL-2.0

//! `checkpoint`, as in Linux-CR.

use std::path::PathBuf;

use clap::Parser;

use crate::cmd::checkpoint::Mode;
use crate::cmd::checkpoint::Request;
use crate::exit::Result;
use crate::kernel;
use crate::store::LogTo;
use crate::store::Target;

/// Save a process with all its descendants, with the options of Linux-CR; see also `cr checkpoint`
#[derive(Debug, Parser)]
#[command(name = "checkpoint", version)]
pub struct Args {
    /// The root of the tree
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pid: i32,

    /// Write the image to FILE rather than to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write the image to a descriptor
    #[arg(long, value_name = "N", conflicts_with = "output")]
    output_fd: Option<i32>,

    /// Write the log to FILE
    #[arg(short, long, value_name = "FILE")]
    logfile: Option<PathBuf>,

    /// Write the log to a descriptor
    #[arg(long, value_name = "N", conflicts_with = "logfile")]
    logfile_fd: Option<i32>,

    /// Overwrite FILE if it exists
    #[arg(short, long)]
    force: bool,

    /// Save a container: PID must be the init of a pid namespace
    #[arg(short, long)]
    container: bool,

    /// Save network namespaces too
    #[arg(short = 'N', long)]
    netns: bool,

    /// Print the kernel's log
    #[arg(short, long)]
    verbose: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result {
    Request {
        pid: args.pid,
        target: match (args.output, args.output_fd) {
            (Some(path), _) => Target::Path(path),
            (None, Some(fd)) => Target::Fd(fd),
            (None, None) => Target::Stdout,
        },
        force: args.force,
        mode: match args.container {
            true => Mode::Container,
            false => Mode::Subtree,
        },
        flags: match args.netns {
            true => kernel::CHECKPOINT_COW | kernel::CHECKPOINT_NETNS,
            false => kernel::CHECKPOINT_COW,
        },
        parent: None,
        pre_copy: false,
        compression: None,
        direct: false,
        log: LogTo {
            path: args.logfile,
            fd: args.logfile_fd,
        },
        verbose: args.verbose,
        stats: false,
        json: false,
    }
    .run()
}
