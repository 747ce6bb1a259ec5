// SPDX-License-Identifier: GPL-2.0

//! The command line: one file for each command.
//!
//! The binary is also `checkpoint`, `restart`, `ckptinfo` and `nsexec`, by the name that it is
//! called by, with the options that these programs of Linux-CR had.

pub mod checkpoint;
pub mod compat;
pub mod info;
pub mod merge;
pub mod nsexec;
pub mod restart;
pub mod show;
pub mod thaw;
pub mod verify;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use clap::Subcommand;

use crate::exit::Class;
use crate::exit::Codes;
use crate::exit::Error;
use crate::exit::Result;

const EXAMPLES: &str = "\
Examples:
  Save process 1234 and its descendants, and end them:
      cr checkpoint --kill -o job.cr 1234
  Bring them back, in the foreground, with the pids that they had:
      cr restart -i job.cr
  Look into the image:
      cr show --tree job.cr
      cr show --json job.cr | jq '.records[] | select(.kind == \"PathFile\") | .fields.path'
  Move a tree to another machine, without a file:
      cr checkpoint --kill 1234 | ssh other cr restart --detach

Exit codes:
  0  it worked
  1  it failed; `verify`: the image is bad
  2  the command line is wrong
  3  the kernel refused: what the processes use cannot be brought back exactly
  4  the image is damaged, or records a failed checkpoint
`cr restart` ends as the restarted root does, and `cr nsexec` as its command. Their own codes are
125 (it failed), 126 (refused; the command cannot be executed) and 127 (the image is bad; there is
no such command).";

/// Save running trees of processes to images, and bring them back.
#[derive(Debug, Parser)]
#[command(name = "cr", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Checkpoint(checkpoint::Args),
    Restart(restart::Args),
    Thaw(thaw::Args),
    Show(show::Args),
    Verify(verify::Args),
    Info(info::Args),
    Merge(merge::Args),
    Nsexec(nsexec::Args),
}

/// Runs the command that the arguments, with the name of the program, ask for.
pub fn main(mut args: Vec<OsString>) -> ExitCode {
    let name = args.first().map(Path::new).and_then(Path::file_name);
    match name.and_then(|name| name.to_str()) {
        Some("checkpoint") => run(args, Codes::Own, compat::checkpoint::run),
        Some("restart") => run(args, Codes::Own, compat::restart::run),
        Some("ckptinfo") => run(args, Codes::Own, info::run),
        Some("nsexec") => run(args, Codes::Passed, nsexec::run),
        _ => match args.get(1).and_then(|command| command.to_str()) {
            // Processes wait for these, so that they do without the options of all others.
            Some("checkpoint") => run(args.split_off(1), Codes::Own, checkpoint::run),
            Some("restart") => run(args.split_off(1), Codes::Passed, restart::run),
            Some("nsexec") => run(args, Codes::Passed, Cli::run),
            _ => run(args, Codes::Own, Cli::run),
        },
    }
}

impl Cli {
    fn run(self) -> Result {
        match self.command {
            Command::Checkpoint(args) => checkpoint::run(args),
            Command::Restart(args) => restart::run(args),
            Command::Thaw(args) => thaw::run(args),
            Command::Show(args) => show::run(args),
            Command::Verify(args) => verify::run(args),
            Command::Info(args) => info::run(args),
            Command::Merge(args) => merge::run(args),
            Command::Nsexec(args) => nsexec::run(args),
        }
    }
}

fn run<T: Parser>(
    args: Vec<OsString>,
    codes: Codes,
    command: impl FnOnce(T) -> Result,
) -> ExitCode {
    let args = match T::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return match error.use_stderr() {
                true => Class::Usage.code(codes).into(),
                false => ExitCode::SUCCESS,
            };
        }
    };
    match command(args) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            error.print();
            error.class.code(codes).into()
        }
    }
}

/// Whether nobody reads our output any more, as under `| head`.
fn is_broken_pipe(error: &Error) -> bool {
    error
        .cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An image that is read, from a file or, without one or with "-", from standard input.
fn open_image(path: Option<&Path>) -> Result<File> {
    if let Some(path) = path.filter(|path| *path != Path::new("-")) {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(file);
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Error::usage("no image: name a file, or use a pipe"));
    }
    Ok(stdin.as_fd().try_clone_to_owned()?.into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_lines_are_consistent() {
        Cli::command().debug_assert();
        checkpoint::Args::command().debug_assert();
        restart::Args::command().debug_assert();
        compat::checkpoint::Args::command().debug_assert();
        compat::restart::Args::command().debug_assert();
        info::Args::command().debug_assert();
        nsexec::Args::command().debug_assert();
    }
}
