// SPDX-License-Identifier: GPL-2.0

//! `restart`, as in Linux-CR.

use std::ffi::c_int;
use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

use crate::cmd;
use crate::exit::Codes;
use crate::exit::Result;
use crate::kernel;
use crate::revive::Ending;
use crate::revive::Request;
use crate::revive::Surroundings;
use crate::source::Source;
use crate::store::LogTo;
use crate::sys;

const NOTES: &str = "\
Pids are kept with or without --pids: the kernel cannot choose others yet. A
container brings its own pid namespace, so that --pidns is only needed for a subtree whose pids may
be in use; `restart` is then the init of the new namespace.

Exit code 0: it worked, with --copy-status that of the root. 1: it failed; 2: the command line is
wrong; 3: the kernel refused; 4: the image is damaged.";

/// Bring the processes of an image back, with the options of Linux-CR; see also `cr restart`
#[derive(Debug, Parser)]
#[command(name = "restart", version, after_help = NOTES)]
pub struct Args {
    /// Restart in a new pid namespace
    #[arg(short, long)]
    pidns: bool,

    /// Restart in the pid namespace that we are in
    #[arg(short = 'P', long, conflicts_with = "pidns")]
    no_pidns: bool,

    /// Keep the pids, which is the default
    #[arg(long)]
    pids: bool,

    /// Become the one saved task
    #[arg(long = "self")]
    itself: bool,

    /// Use DIR as the root directory
    #[arg(short, long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// Restart in a new mount namespace
    #[arg(long)]
    mntns: bool,

    /// Mount new pseudo-terminals on /dev/pts, in a new mount namespace
    #[arg(long)]
    mount_pty: bool,

    /// Send this signal to the root on SIGINT, rather than SIGINT
    #[arg(long, value_name = "SIG", value_parser = cmd::restart::signal)]
    signal: Option<c_int>,

    /// Wait for the root to end, which is the default
    #[arg(short, long, overrides_with = "no_wait")]
    wait: bool,

    /// Do not wait for the root to end
    #[arg(short = 'W', long)]
    no_wait: bool,

    /// Say how the root ended
    #[arg(long)]
    show_status: bool,

    /// End as the root does
    #[arg(long)]
    copy_status: bool,

    /// Recreate the saved security labels
    #[arg(short, long)]
    keeplsm: bool,

    /// Leave the processes frozen in this cgroup (version 2), which is made if it does not exist
    #[arg(short = 'F', long, value_name = "CGROUP")]
    freezer: Option<PathBuf>,

    /// Read the image from FILE rather than from standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Read the image from a descriptor
    #[arg(long, value_name = "N", conflicts_with = "input")]
    input_fd: Option<i32>,

    /// Write the log to FILE
    #[arg(short, long, value_name = "FILE")]
    logfile: Option<PathBuf>,

    /// Write the log to a descriptor
    #[arg(long, value_name = "N", conflicts_with = "logfile")]
    logfile_fd: Option<i32>,

    /// Look for a recorded error in the image first, which is always done with a file
    #[arg(long)]
    inspect: bool,

    /// Print the kernel's log, and the pid of the root
    #[arg(short, long)]
    verbose: bool,

    /// The same as --verbose
    #[arg(short, long)]
    debug: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result {
    let image = match args.input_fd {
        Some(fd) => {
            let fd = sys::inherited(fd).with_context(|| format!("cannot read descriptor {fd}"))?;
            File::from(fd)
        }
        None => cmd::open_image(args.input.as_deref())?,
    };
    let verbose = args.verbose || args.debug;
    let flag = |set, flag| if set { flag } else { 0 };
    Request {
        flags: flag(args.itself, kernel::RESTART_TASKSELF)
            | flag(args.keeplsm, kernel::RESTART_KEEP_LSM),
        ending: match (args.no_wait, args.copy_status) {
            (true, _) => Ending::Detach,
            (false, true) => Ending::Imitate,
            (false, false) => Ending::Wait,
        },
        print_pid: verbose,
        interrupt: args.signal,
        verbose,
        show_status: args.show_status,
        surroundings: Surroundings {
            pids: args.pidns,
            mounts: args.mntns,
            ptys: args.mount_pty,
            root: args.root,
        },
        freezer: args.freezer,
        log: LogTo {
            path: args.logfile,
            fd: args.logfile_fd,
        },
        codes: Codes::Own,
        ..Request::new(Source::open(image, args.input.as_deref(), &[])?)
    }
    .run()
}
