// SPDX-License-Identifier: GPL-2.0

//! `cr restart`: brings a tree of processes back.

use std::ffi::c_int;
use std::path::Path;
use std::path::PathBuf;

use clap::Parser;

use crate::exit::Result;
use crate::kernel;
use crate::revive::Ending;
use crate::revive::Request;
use crate::source::Source;

const EXAMPLES: &str = "\
Examples:
  In the foreground: ^C goes to the root, and cr ends as the root does:
      cr restart -i job.cr; echo $?
  In the background: prints the pid of the root:
      pid=$(cr restart --detach -i job.cr)
  From another machine:
      ssh other cat job.cr | cr restart --detach
  From an image that has only what has changed since others, which are in the same folder, or are
  named; from one that is compressed; from several that came one after the other:
      cr restart -i job.2.cr
      cr restart -i job.cr.zst
      ssh other cr checkpoint --pre-copy --kill 1234 | cr restart --detach
  Bring it back, but look at it before it runs:
      pid=$(cr restart --detach --frozen -i job.cr); ls -l /proc/$pid/fd; cr thaw $pid

It is all or nothing: a restart that fails leaves nothing behind.

Exit codes: that of the root; if a signal killed the root, cr kills itself by the same. cr's own
are 125 (it failed, or the command line is wrong), 126 (the kernel does not support what is in the
image) and 127 (the image is damaged, or records a failed checkpoint).";

/// Bring the processes of an image back, with the pids that they had
#[derive(Debug, Parser)]
#[command(bin_name = "cr restart", after_help = EXAMPLES)]
pub struct Args {
    /// Read the image from FILE; "-" or nothing is standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// An image that an incremental one needs, if that is in another folder; may be repeated
    #[arg(long, value_name = "FILE")]
    parent: Vec<PathBuf>,

    /// Read the memory past the page cache, straight from the disk (O_DIRECT)
    #[arg(long)]
    direct: bool,

    /// Do not wait for the root to end, but print its pid
    #[arg(long)]
    detach: bool,

    /// Leave the processes frozen, for `cr thaw`
    #[arg(long)]
    frozen: bool,

    /// Let the processes run before their memory has been read: it is when they touch it, and in
    /// the background. The image must be a file, and be left alone meanwhile
    #[arg(long)]
    lazy: bool,

    /// Send this signal to the root on SIGINT, rather than SIGINT
    #[arg(long, value_name = "SIG", value_parser = signal, conflicts_with = "detach")]
    signal: Option<c_int>,

    /// Let the kernel choose the pids (the kernel refuses this for now)
    #[arg(long)]
    new_pids: bool,

    /// Recreate the saved security labels
    #[arg(long)]
    keep_lsm: bool,

    /// Let established connections come back closed
    #[arg(long)]
    conn_reset: bool,

    /// Print JSON: a line once the root runs, and one when it ends
    #[arg(long)]
    json: bool,

    /// Print the kernel's log
    #[arg(short, long)]
    verbose: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result {
    let path = args.input.as_deref().filter(|path| *path != Path::new("-"));
    let image = Source::open(super::open_image(path)?, path, &args.parent)?;
    let flag = |set, flag| if set { flag } else { 0 };
    Request {
        flags: flag(args.frozen, kernel::RESTART_FROZEN)
            | flag(args.lazy, kernel::RESTART_LAZY)
            | flag(args.keep_lsm, kernel::RESTART_KEEP_LSM)
            | flag(args.conn_reset, kernel::RESTART_CONN_RESET)
            | flag(args.new_pids, kernel::RESTART_NEW_PIDS),
        ending: if args.detach {
            Ending::Detach
        } else {
            Ending::Imitate
        },
        print_pid: args.detach,
        interrupt: args.signal,
        json: args.json,
        verbose: args.verbose,
        direct: args.direct,
        ..Request::new(image)
    }
    .run()
}

/// A signal by its name, with or without SIG, or by its number.
pub(super) fn signal(text: &str) -> std::result::Result<c_int, String> {
    if let Ok(number @ 1..=64) = text.parse() {
        return Ok(number);
    }
    let wanted = text.to_ascii_uppercase();
    let named = |number: &c_int| {
        signal_hook::low_level::signal_name(*number)
            .is_some_and(|name| name == wanted || name.trim_start_matches("SIG") == wanted)
    };
    (1..=64)
        .find(named)
        .ok_or_else(|| format!("there is no signal {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(signal("TERM"), Ok(15));
        assert_eq!(signal("sigterm"), Ok(15));
        assert_eq!(signal("15"), Ok(15));
        assert!(signal("0").is_err());
        assert!(signal("SIGNOTHING").is_err());
    }
}
