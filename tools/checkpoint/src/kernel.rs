// SPDX-License-Identifier: GPL-2.0

//! The two system calls as the commands use them: with a log, and with reasons.
//!
//! Flags and numbers are those of include/uapi/linux/checkpoint.h.

use std::fmt;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use anyhow::anyhow;
use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use serde::Serialize;
use serde_json::Map;

use crate::exit::Class;
use crate::exit::Error;
use crate::print;
use crate::sys;

/// The root need not be a container's init.
pub const CHECKPOINT_SUBTREE: u32 = 0x1;
/// Save network namespaces too.
pub const CHECKPOINT_NETNS: u32 = 0x2;
/// Kill the tree once it is saved.
pub const CHECKPOINT_KILL: u32 = 0x4;
/// Leave the tree frozen once it is saved.
pub const CHECKPOINT_LEAVE_FROZEN: u32 = 0x8;
/// Only let a tree run that was left frozen.
pub const CHECKPOINT_THAW: u32 = 0x10;
/// Report times and sizes in the log.
pub const CHECKPOINT_STATS: u32 = 0x20;
/// Let the tree run while its memory is written.
pub const CHECKPOINT_COW: u32 = 0x40;
/// Let the next checkpoint know what has changed since.
pub const CHECKPOINT_TRACK: u32 = 0x80;
/// Leave out what has not changed since.
pub const CHECKPOINT_INCREMENTAL: u32 = 0x100;

/// The caller becomes the one saved task.
pub const RESTART_TASKSELF: u32 = 0x1;
/// Leave the restored tasks frozen.
pub const RESTART_FROZEN: u32 = 0x2;
/// Give objects their saved security labels.
pub const RESTART_KEEP_LSM: u32 = 0x8;
/// Established connections come back closed.
pub const RESTART_CONN_RESET: u32 = 0x10;
/// Let the kernel choose the pids.
pub const RESTART_NEW_PIDS: u32 = 0x20;
/// Memory is read when it is touched.
pub const RESTART_LAZY: u32 = 0x40;

/// What a line of the log with times and sizes starts with.
const STATS: &str = "stats ";

/// What a line of the log that explains a failure starts with.
const ERROR: &str = "error:";

/// Which call it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    /// checkpoint(2) of the container whose init is this pid.
    Container(i32),
    /// checkpoint(2) of any tree under this pid.
    Subtree(i32),
    /// checkpoint(2) with CHECKPOINT_THAW of this pid.
    Thaw(i32),
    /// restart(2).
    Restart,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Container(pid) | Call::Subtree(pid) => write!(f, "cannot checkpoint {pid}"),
            Call::Thaw(pid) => write!(f, "cannot thaw {pid}"),
            Call::Restart => f.write_str("cannot restart"),
        }
    }
}

/// What the kernel said.
#[derive(Debug, Default, PartialEq)]
pub struct Log {
    /// A line for each event, except for the next.
    pub lines: Vec<String>,
    /// Times and sizes, if they were asked for.
    pub stats: Option<Stats>,
}

/// Times and sizes of a checkpoint, by their names.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Stats(pub Map<String, serde_json::Value>);

impl Log {
    fn parse(text: &str) -> Log {
        let mut log = Log::default();
        for line in text.lines() {
            match line.strip_prefix(STATS) {
                Some(stats) => log.stats = Some(Stats::parse(stats)),
                None => log.lines.push(print::harmless(line)),
            }
        }
        log
    }

    /// The lines that say why a call failed; all if none does.
    fn reasons(&self) -> Vec<&str> {
        let errors: Vec<&str> = self
            .lines
            .iter()
            .map(String::as_str)
            .filter(|line| line.starts_with(ERROR))
            .collect();
        match errors.is_empty() {
            true => self.lines.iter().map(String::as_str).collect(),
            false => errors,
        }
    }

    /// Prints every line.
    pub fn print(&self) {
        for line in &self.lines {
            eprintln!("cr: {line}");
        }
    }
}

impl Stats {
    fn parse(text: &str) -> Stats {
        let pairs = text.split_whitespace().filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let value = value
                .parse::<u64>()
                .map_or_else(|_| value.into(), serde_json::Value::from);
            Some((key.into(), value))
        });
        Stats(pairs.collect())
    }

    /// One of the numbers.
    pub fn get(&self, key: &str) -> Option<u64> {
        self.0.get(key)?.as_u64()
    }
}

/// Where the kernel writes its log: memory, so that it never waits for a reader.
struct LogFile(File);

impl LogFile {
    fn new() -> Result<LogFile, Error> {
        let fd = rustix::fs::memfd_create("log", MemfdFlags::CLOEXEC)?;
        Ok(LogFile(fd.into()))
    }

    fn read(mut self) -> Log {
        let mut bytes = Vec::new();
        // A log that cannot be read must not hide what the call returned.
        let _ = self.0.rewind();
        let _ = self.0.read_to_end(&mut bytes);
        Log::parse(&String::from_utf8_lossy(&bytes))
    }
}

/// A call with its log; a failure is explained.
fn call<T>(
    what: Call,
    run: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
) -> Result<(T, Log), Failed> {
    let file = LogFile::new().map_err(|error| Failed {
        error,
        log: Log::default(),
    })?;
    let result = run(file.0.as_fd());
    let log = file.read();
    match result {
        Ok(value) => Ok((value, log)),
        Err(error) => Err(Failed {
            error: explain(what, &error, &log),
            log,
        }),
    }
}

/// A call that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: Error,
    /// All that the kernel said.
    pub log: Log,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Error {
        failed.error
    }
}

/// checkpoint(2) of the tree under `pid`; returns the number of the checkpoint.
pub fn checkpoint(pid: i32, fd: BorrowedFd<'_>, flags: u32) -> Result<(u64, Log), Failed> {
    let what = match flags & CHECKPOINT_SUBTREE {
        0 => Call::Container(pid),
        _ => Call::Subtree(pid),
    };
    call(what, |log| sys::checkpoint(pid, Some(fd), flags, log))
}

/// Lets the tree under `pid` run, which was left frozen.
pub fn thaw(pid: i32) -> Result<Log, Failed> {
    let thaw = |log: BorrowedFd<'_>| sys::checkpoint(pid, None, CHECKPOINT_THAW, log);
    call(Call::Thaw(pid), thaw).map(|(_, log)| log)
}

/// restart(2) of a whole tree; returns the pid of its root.
pub fn restart(fd: BorrowedFd<'_>, flags: u32) -> Result<(i32, Log), Failed> {
    call(Call::Restart, |log| sys::restart(fd, flags, log))
}

/// Says what failed, why, and what can be done.
fn explain(what: Call, error: &io::Error, log: &Log) -> Error {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
    let mut text: String = log
        .reasons()
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    text.push_str(&format!("{what}: {}", reason(what, errno)));
    if let Some(advice) = advice(what, errno) {
        text.push_str(&format!("\n{advice}"));
    }
    Error::new(class(what, errno), anyhow!(text))
}

fn class(what: Call, errno: Errno) -> Class {
    match (what, errno) {
        (_, Errno::OPNOTSUPP) => Class::Refused,
        (Call::Container(_), Errno::BUSY) => Class::Refused,
        (Call::Restart, Errno::INVAL | Errno::BADMSG | Errno::PIPE) => Class::BadImage,
        _ => Class::Failure,
    }
}

fn reason(what: Call, errno: Errno) -> String {
    match (what, errno) {
        (_, Errno::NOSYS) => {
            "this kernel has no checkpoint/restart: needs CONFIG_CHECKPOINT".into()
        }
        (Call::Container(pid) | Call::Subtree(pid) | Call::Thaw(pid), Errno::SRCH) => {
            format!("no process {pid} runs")
        }
        (Call::Container(_) | Call::Subtree(_), Errno::OPNOTSUPP) => {
            "it uses something that could not be brought back exactly".into()
        }
        (Call::Container(_), Errno::BUSY) => {
            "something of it is shared with processes outside, or does not stop".into()
        }
        (Call::Subtree(_), Errno::BUSY) => "something of it does not stop".into(),
        (Call::Restart, Errno::OPNOTSUPP) => "this kernel does not support what is in it".into(),
        (Call::Restart, Errno::INVAL | Errno::BADMSG) => "the image is damaged".into(),
        (Call::Restart, Errno::PIPE) => "the image is cut off".into(),
        (Call::Restart, Errno::EXIST) => "a process id of the image is in use".into(),
        (Call::Restart, Errno::ADDRINUSE) => "the address of a socket is in use".into(),
        (_, Errno::INTR) => "interrupted".into(),
        (_, errno) => io::Error::from(errno).to_string(),
    }
}

fn advice(what: Call, errno: Errno) -> Option<&'static str> {
    Some(match (what, errno) {
        (Call::Container(_), Errno::BUSY) => {
            "If the process does without what it shares, use --subtree."
        }
        (Call::Container(_), Errno::INVAL) => {
            "A container is saved from outside, by the init of its pid namespace; see --subtree."
        }
        (Call::Restart, Errno::PERM | Errno::ACCESS) => {
            "It takes CAP_CHECKPOINT_RESTORE, and rights to all that the processes had: \
             try as root."
        }
        (Call::Restart, Errno::EXIST) => {
            "End the process that has it, or restart in a new pid namespace."
        }
        (Call::Restart, Errno::ADDRINUSE) => {
            "End the program that has it, which `ss -lnp` names; after a server that closed \
             connections, wait a minute."
        }
        (Call::Restart, Errno::INVAL | Errno::BADMSG) => "`cr verify` says where.",
        (_, Errno::PERM | Errno::ACCESS) => {
            "It takes the right to trace every process of the tree: try as root."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "info: 3 tasks\nerror: pid 12 (sh): file: object 7: shared: -EBUSY\n\
                       stats frozen_ns=1200 data_pages=7 mode=subtree\n";

    #[test]
    fn the_log_is_taken_apart() {
        let log = Log::parse(LOG);
        assert_eq!(log.lines.len(), 2);
        assert_eq!(log.reasons(), [&LOG[14..LOG.find("\nstats").unwrap()]]);
        let stats = log.stats.unwrap();
        assert_eq!(stats.get("frozen_ns"), Some(1200));
        assert_eq!(stats.get("mode"), None);
        assert_eq!(stats.0["mode"], "subtree");
    }

    #[test]
    fn failures_are_explained() {
        let text = |what, errno: Errno| {
            let error = explain(what, &errno.into(), &Log::parse(LOG));
            (error.class, error.cause.to_string())
        };
        let (class, message) = text(Call::Container(12), Errno::BUSY);
        assert_eq!(class, Class::Refused);
        assert!(message.starts_with("error: pid 12 (sh)"), "{message}");
        assert!(message.contains("\ncannot checkpoint 12: something"));
        assert!(message.ends_with("use --subtree."), "{message}");
        let (_, message) = text(Call::Subtree(12), Errno::BUSY);
        assert!(message.ends_with("does not stop"), "{message}");
        let (class, message) = text(Call::Restart, Errno::INVAL);
        assert_eq!(class, Class::BadImage);
        assert!(message.contains("cr verify"));
        let (class, message) = text(Call::Restart, Errno::NOSYS);
        assert_eq!(class, Class::Failure);
        assert!(message.ends_with("needs CONFIG_CHECKPOINT"), "{message}");
    }
}
