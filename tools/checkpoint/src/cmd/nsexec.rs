// SPDX-License-Identifier: GPL-2.0

//! `cr nsexec`, which is also `nsexec`: runs a command in new namespaces.

use std::ffi::c_int;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use clap::Parser;
use rustix::pipe::PipeFlags;

use crate::exit::Class;
use crate::exit::Codes;
use crate::exit::Error;
use crate::exit::Result;
use crate::freezer;
use crate::namespace;
use crate::sys;
use crate::wait::Signals;

/// Where cgroups (version 2) are.
const CGROUPS: &str = "/sys/fs/cgroup";

const EXAMPLES: &str = "\
Examples:
  Run a job as a container that can be checkpointed by itself: nothing of it is shared with us,
  its pid as we see it goes to job.pid:
      cr nsexec -pui --setsid -P job.pid job </dev/null >job.log 2>&1 &
      cr checkpoint -o job.cr $(cat job.pid)
  Look around in a new pid namespace:
      cr nsexec -pm ps -ef

With -p the command is process 1 of the new pid namespace, and cr waits for it; with -m as well it
gets a /proc of its own. Exit codes: that of the command; 125 if cr failed, 126 if the command
cannot be executed, 127 if there is none.";

/// Run a command in new namespaces
#[derive(Debug, Parser)]
#[command(name = "nsexec", after_help = EXAMPLES)]
pub struct Args {
    /// A new mount namespace
    #[arg(short)]
    mount: bool,

    /// A new network namespace
    #[arg(short)]
    net: bool,

    /// A new UTS namespace: host name
    #[arg(short)]
    uts: bool,

    /// A new IPC namespace
    #[arg(short)]
    ipc: bool,

    /// A new user namespace, in which the caller is root
    #[arg(short = 'U')]
    user: bool,

    /// A new pid namespace
    #[arg(short)]
    pid: bool,

    /// New pseudo-terminals on /dev/pts, in a new mount namespace
    #[arg(short = 't')]
    devpts: bool,

    /// Create the namespaces with clone(2) rather than unshare(2): cr waits for the command
    ///
    /// Implied by -p, -z and --setsid.
    #[arg(short)]
    clone: bool,

    /// Move the command into a new cgroup, named after its pid
    #[arg(short = 'g')]
    cgroup: bool,

    /// Give the command this pid, in the pid namespace that it is in
    #[arg(short = 'z', value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    chosen: Option<i32>,

    /// Write the pid of the command, as the caller sees it, to PIDFILE
    #[arg(short = 'P', value_name = "PIDFILE")]
    pidfile: Option<PathBuf>,

    /// Make the command the leader of a new session
    #[arg(long)]
    setsid: bool,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Runs the command.
pub fn run(args: Args) -> Result {
    if args.pid && args.chosen.is_some_and(|pid| pid != 1) {
        return Err(Error::usage(
            "the first process of a pid namespace is 1: -p and -z exclude each other",
        ));
    }
    if args.clone || args.pid || args.chosen.is_some() || args.setsid {
        args.run_in_child()
    } else {
        args.run_here()
    }
}

impl Args {
    fn namespaces(&self) -> c_int {
        let flags = [
            (self.mount || self.devpts, libc::CLONE_NEWNS),
            (self.net, libc::CLONE_NEWNET),
            (self.uts, libc::CLONE_NEWUTS),
            (self.ipc, libc::CLONE_NEWIPC),
            (self.user, libc::CLONE_NEWUSER),
            (self.pid, libc::CLONE_NEWPID),
        ];
        flags
            .iter()
            .filter(|(wanted, _)| *wanted)
            .fold(0, |all, (_, flag)| all | flag)
    }

    /// Becomes the command.
    fn run_here(self) -> Result {
        self.admit(std::process::id() as i32)?;
        let ids = ids();
        let all = self.namespaces();
        sys::unshare(all).with_context(|| format!("cannot make {}", place(all)))?;
        Err(self.execute(ids))
    }

    /// Runs the command in a child, and ends as it does.
    fn run_in_child(self) -> Result {
        let all = self.namespaces();
        let ids = ids();
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        // We stay outside of all of them, so that a container shares none with us.
        let child = sys::fork(all, self.chosen)
            .with_context(|| format!("cannot create a process in {}", place(all)))?;
        if child == 0 {
            drop(write);
            let error = match self.wait_for_parent(read) {
                Ok(()) => self.execute(ids),
                Err(error) => error,
            };
            error.print();
            std::process::exit(error.class.code(Codes::Passed).into());
        }
        drop(read);
        let signals = Signals::collect(None)?;
        let admitted = self.let_in(child, write);
        let end = signals.wait(child)?;
        self.tidy(child);
        admitted?;
        Ok(end.imitate())
    }

    /// Lets the child go on, once it is admitted; it ends if it is not.
    fn let_in(&self, child: i32, write: OwnedFd) -> Result<()> {
        self.admit(child)?;
        File::from(write).write_all(b"1")?;
        self.let_go()
    }

    /// Waits until our parent has written the pid and moved us; fails if it could not.
    fn wait_for_parent(&self, read: OwnedFd) -> Result<()> {
        let mut go = Vec::new();
        File::from(read).read_to_end(&mut go)?;
        match go.is_empty() {
            true => std::process::exit(Class::Failure.code(Codes::Passed).into()),
            false => Ok(()),
        }
    }

    /// What is done about the command from outside: its pid is written, and it is moved.
    fn admit(&self, pid: i32) -> Result<()> {
        if let Some(path) = &self.pidfile {
            fs::write(path, format!("{pid}\n"))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.cgroup {
            freezer::admit(pid, &cgroup(pid))?;
        }
        Ok(())
    }

    /// Lets go of the files that the command was started with, so that the container shares none
    /// of them with a process outside.
    fn let_go(&self) -> Result<()> {
        if !self.pid {
            return Ok(());
        }
        let null = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdin(null.as_fd())?;
        rustix::stdio::dup2_stdout(null.as_fd())?;
        rustix::stdio::dup2_stderr(null.as_fd())?;
        Ok(())
    }

    fn tidy(&self, pid: i32) {
        if self.cgroup {
            // What the command left running keeps it.
            let _ = fs::remove_dir(cgroup(pid));
        }
    }

    /// Prepares the new namespaces, and becomes the command.
    fn execute(&self, ids: (u32, u32)) -> Error {
        if let Err(error) = self.prepare(ids) {
            return error;
        }
        let Some((name, arguments)) = self.command.split_first() else {
            return Error::usage("no command");
        };
        let error = Command::new(name).args(arguments).exec();
        let class = match error.kind() {
            io::ErrorKind::NotFound => Class::NotFound,
            _ => Class::NotExecutable,
        };
        let cause = anyhow::Error::new(error);
        let name = name.to_string_lossy();
        Error::new(class, cause.context(format!("cannot execute {name}")))
    }

    fn prepare(&self, ids: (u32, u32)) -> Result<()> {
        if self.user {
            namespace::map_root(ids.0, ids.1)?;
        }
        if self.setsid {
            rustix::process::setsid().context("cannot start a session")?;
        }
        if self.mount || self.devpts {
            namespace::private_mounts()?;
        }
        if self.mount && self.pid {
            namespace::mount_proc()?;
        }
        if self.devpts {
            namespace::mount_devpts(Path::new("/"))?;
        }
        Ok(())
    }
}

/// User and group that the caller is.
fn ids() -> (u32, u32) {
    let uid = rustix::process::geteuid().as_raw();
    (uid, rustix::process::getegid().as_raw())
}

fn cgroup(pid: i32) -> PathBuf {
    Path::new(CGROUPS).join(pid.to_string())
}

/// New namespaces, for messages.
fn place(flags: c_int) -> String {
    match flags {
        0 => "the namespaces that we are in".into(),
        flags => format!("new namespaces ({})", namespace::names(flags)),
    }
}
