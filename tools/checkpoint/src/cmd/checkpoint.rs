// SPDX-License-Identifier: GPL-2.0

//! `cr checkpoint`: saves a tree of processes.

use std::fs;
use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Seek;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::anyhow;
use anyhow::Context;
use clap::Parser;
use indicatif::HumanBytes;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde::Serialize;

use crate::chain;
use crate::exit::Error;
use crate::exit::Result;
use crate::format::header;
use crate::format::Header;
use crate::image::Reader;
use crate::kernel;
use crate::kernel::Failed;
use crate::kernel::Log;
use crate::kernel::Stats;
use crate::output::Compression;
use crate::output::Output;
use crate::source;
use crate::store::LogTo;
use crate::store::Sink;
use crate::store::Target;
use crate::wait::Signals;

/// How often the progress is shown.
const PROGRESS: Duration = Duration::from_millis(300);

/// How often memory is saved while the tree runs, at most.
const MAX_ROUNDS: usize = 8;

/// So few pages are saved while the tree stands still.
const FEW_PAGES: u64 = 1024;

const EXAMPLES: &str = "\
Examples:
  Save a job and let it go on:
      cr checkpoint -o job.cr $(pidof job)
  Save it together with a snapshot of its files: freeze, save, snapshot, thaw:
      cr checkpoint --leave-frozen -o job.cr 1234 && snapshot && cr thaw 1234
  Save everything once, and then only what has changed since:
      cr checkpoint --track -o 0.cr 1234
      cr checkpoint --track --parent 0.cr -o 1.cr 1234
      cr restart -i 1.cr
  Move it to another machine while it works, and stop it only for what is left:
      cr checkpoint --pre-copy --kill --compress 1234 | ssh other cr restart --detach
  How long does it stand still?
      cr checkpoint --stats -o /dev/null 1234

The image is written beside FILE and gets its name when it is complete and on the disk, so that a
FILE that is there is whole.";

/// Save a process with all its descendants to an image
///
/// The tree is frozen, saved, and goes on, unless --kill or --leave-frozen says otherwise. Whatever
/// could not be brought back exactly is refused by name, and then nothing is saved.
#[derive(Debug, Parser)]
#[command(bin_name = "cr checkpoint", after_help = EXAMPLES)]
pub struct Args {
    /// The root of the tree
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pid: i32,

    /// Write the image to FILE; "-" or nothing is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Overwrite FILE if it exists
    #[arg(short, long)]
    force: bool,

    /// End the tree once it is saved
    #[arg(long, conflicts_with = "leave_frozen")]
    kill: bool,

    /// Leave the tree frozen once it is saved, for `cr thaw`
    #[arg(long)]
    leave_frozen: bool,

    /// Keep the tree frozen until its memory is written
    ///
    /// Otherwise a tree that goes on does so at once, and its memory is written from a
    /// copy-on-write duplicate, as fork(2) makes it: that costs memory for what the tree writes to
    /// meanwhile.
    #[arg(long)]
    no_cow: bool,

    /// Let the next checkpoint know what changes from now on, for --parent
    ///
    /// Until then the kernel keeps the old content of what the tree writes to, as fork(2) does.
    #[arg(long, conflicts_with = "kill")]
    track: bool,

    /// Save only what has changed since FILE was written with --track
    ///
    /// To bring the tree back, both are needed; see `cr merge`.
    #[arg(long, value_name = "FILE", conflicts_with = "pre_copy")]
    parent: Option<PathBuf>,

    /// Save the memory while the tree runs, then what has changed meanwhile, again and again, and
    /// stop the tree only for the last bit
    ///
    /// The images follow each other in one stream, which `cr restart` and `cr merge` read.
    #[arg(long, conflicts_with = "track")]
    pre_copy: bool,

    /// Compress the image with zstd, by all CPUs; the level is 1 (fast) to 19 (small)
    #[arg(
        long,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        value_parser = clap::value_parser!(i32).range(1..=19)
    )]
    compress: Option<i32>,

    /// Write the memory past the page cache, straight to the disk (O_DIRECT)
    #[arg(long, conflicts_with_all = ["compress", "pre_copy"])]
    direct: bool,

    /// Save the tree whatever it shares with processes outside
    ///
    /// The default unless PID is the init of a pid namespace.
    #[arg(long)]
    subtree: bool,

    /// Save a container: refuse if it shares anything with processes outside
    ///
    /// PID must be the init of a pid namespace; the default if it is.
    #[arg(long, conflicts_with = "subtree")]
    container: bool,

    /// Save network namespaces too
    #[arg(short = 'N', long)]
    netns: bool,

    /// Print times and sizes
    #[arg(long)]
    stats: bool,

    /// Print the result as JSON, with times and sizes
    #[arg(long)]
    json: bool,

    /// Say what is done, and print the kernel's log
    #[arg(short, long)]
    verbose: bool,
}

/// Whether what is shared with processes outside is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    Auto,
    Container,
    Subtree,
}

/// A checkpoint to be made.
#[derive(Debug)]
pub(super) struct Request {
    pub pid: i32,
    pub target: Target,
    pub force: bool,
    pub mode: Mode,
    pub flags: u32,
    pub parent: Option<PathBuf>,
    pub pre_copy: bool,
    pub compression: Option<Compression>,
    pub direct: bool,
    pub log: LogTo,
    pub verbose: bool,
    pub stats: bool,
    pub json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result {
    let flag = |set, flag| if set { flag } else { 0 };
    let cow = !(args.no_cow || args.kill || args.leave_frozen);
    let stdout = args.output.as_deref() == Some("-".as_ref());
    Request {
        pid: args.pid,
        target: match args.output {
            Some(path) if !stdout => Target::Path(path),
            _ => Target::Stdout,
        },
        force: args.force,
        mode: match (args.container, args.subtree) {
            (true, _) => Mode::Container,
            (_, true) => Mode::Subtree,
            _ => Mode::Auto,
        },
        flags: flag(args.kill, kernel::CHECKPOINT_KILL)
            | flag(args.leave_frozen, kernel::CHECKPOINT_LEAVE_FROZEN)
            | flag(cow, kernel::CHECKPOINT_COW)
            | flag(args.netns, kernel::CHECKPOINT_NETNS)
            | flag(args.track, kernel::CHECKPOINT_TRACK)
            | flag(args.parent.is_some(), kernel::CHECKPOINT_INCREMENTAL)
            | flag(args.stats || args.json, kernel::CHECKPOINT_STATS),
        parent: args.parent,
        pre_copy: args.pre_copy,
        compression: args.compress.map(|level| Compression { level }),
        direct: args.direct,
        log: LogTo::default(),
        verbose: args.verbose,
        stats: args.stats,
        json: args.json,
    }
    .run()
}

/// A call that failed: why, and all that the kernel said.
fn apart(failed: Failed) -> (Error, Log) {
    (failed.error, failed.log)
}

/// The result as JSON.
#[derive(Serialize)]
struct Report<'a> {
    pid: i32,
    id: u64,
    mode: &'static str,
    stats: Option<&'a Stats>,
    log: &'a [String],
}

impl Request {
    pub(super) fn run(self) -> Result {
        let subtree = self.is_subtree()?;
        let flags = match subtree {
            true => self.flags | kernel::CHECKPOINT_SUBTREE,
            false => self.flags,
        };
        let parent = match &self.parent {
            Some(path) => Some(
                source::header_of(path)
                    .map_err(|error| error.context(format!("{} is no image", path.display())))?,
            ),
            None => None,
        };
        // A file that is not complete must be removed whatever happens.
        let signals = Signals::collect(None)?;
        let out = Output::new(Sink::open(&self.target, self.force)?, self.compression)?;
        if self.direct {
            out.set_direct(true)?;
        }
        let progress = Progress::start(&out)?;
        let result = match self.pre_copy {
            true => self.rounds(flags, &out, &signals),
            false => kernel::checkpoint(self.pid, out.as_fd(), flags).map_err(apart),
        };
        drop(progress);
        if self.direct {
            out.set_direct(false)?;
        }
        let (id, log) = match result {
            Ok(done) => done,
            Err((error, log)) => {
                self.log.write(&log)?;
                return Err(error);
            }
        };
        self.log.write(&log)?;
        let mut sink = out.finish()?;
        if let Some(parent) = parent {
            self.check_parent(&parent, &mut sink)?;
        }
        sink.commit()?;
        if self.verbose {
            log.print();
        }
        self.report(id, subtree, &log)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Saves the tree while it runs, then what has changed meanwhile, until that is little or does
    /// not get less; then what is left, as `flags` say. Gives what the last checkpoint gave.
    fn rounds(
        &self,
        flags: u32,
        out: &Output,
        signals: &Signals,
    ) -> std::result::Result<(u64, Log), (Error, Log)> {
        let unlogged = |error: Error| (error, Log::default());
        let common = flags & !(kernel::CHECKPOINT_KILL | kernel::CHECKPOINT_LEAVE_FROZEN);
        let running =
            common | kernel::CHECKPOINT_COW | kernel::CHECKPOINT_TRACK | kernel::CHECKPOINT_STATS;
        let mut last = None;

        out.write_all(&chain::MAGIC).map_err(unlogged)?;
        for round in 0..MAX_ROUNDS {
            let more = match round {
                0 => 0,
                _ => kernel::CHECKPOINT_INCREMENTAL,
            };
            let (_, log) =
                kernel::checkpoint(self.pid, out.as_fd(), running | more).map_err(apart)?;
            if signals.interrupted() {
                return Err(unlogged(anyhow!("interrupted").into()));
            }
            let pages = log.stats.and_then(|stats| stats.get("data_pages"));
            let pages = pages.unwrap_or_default();
            if self.verbose {
                eprintln!("cr: round {}: {pages} pages", round + 1);
            }
            if pages < FEW_PAGES || last.is_some_and(|last| pages > last / 4 * 3) {
                break;
            }
            last = Some(pages);
        }
        let done = kernel::checkpoint(
            self.pid,
            out.as_fd(),
            flags | kernel::CHECKPOINT_INCREMENTAL,
        )
        .map_err(apart)?;

        out.write_all(&chain::LAST).map_err(unlogged)?;
        Ok(done)
    }

    /// Looks whether the image that was written needs the parent that was named, and no other.
    fn check_parent(&self, parent: &Header, sink: &mut Sink) -> Result<()> {
        let Some(file) = sink.growing() else {
            // Whoever reads the stream finds out.
            return Ok(());
        };
        let name = self.parent.as_deref().unwrap_or(Path::new("-")).display();
        let mut file = file?;
        file.rewind()?;
        let header = Reader::new(source::reader(file)?).header()?;
        if header.flags & header::FLAG_INCREMENTAL == 0 {
            eprintln!("cr: everything was saved: what has changed since {name} is not known");
        } else if !chain::is_parent(parent, &header) {
            let id = header.parent_id;
            let cause = anyhow!(
                "what has changed is known since checkpoint {id} only, which is not {name}"
            );
            return Err(cause.into());
        }
        Ok(())
    }

    /// Whether the root need not be a container's init.
    fn is_subtree(&self) -> Result<bool> {
        let subtree = match self.mode {
            Mode::Container => false,
            Mode::Subtree => true,
            Mode::Auto => !is_namespace_init(self.pid)?,
        };
        if self.verbose && self.mode == Mode::Auto {
            let pid = self.pid;
            match subtree {
                true => eprintln!("cr: subtree mode: {pid} is no init of a pid namespace"),
                false => eprintln!("cr: container mode: {pid} is the init of its pid namespace"),
            }
        }
        Ok(subtree)
    }

    fn report(&self, id: u64, subtree: bool, log: &Log) -> Result<()> {
        let mut out: Box<dyn Write> = match self.target {
            Target::Stdout => Box::new(io::stderr()),
            _ => Box::new(io::stdout()),
        };
        if self.json {
            let report = Report {
                pid: self.pid,
                id,
                mode: if subtree { "subtree" } else { "container" },
                stats: log.stats.as_ref(),
                log: &log.lines,
            };
            let json = serde_json::to_string(&report).map_err(io::Error::from)?;
            writeln!(out, "{json}")?;
        } else if self.stats {
            match &log.stats {
                Some(stats) => print_stats(&mut *out, stats)?,
                None => writeln!(out, "the kernel reported no times and sizes")?,
            }
        }
        Ok(())
    }
}

/// Whether a process is 1 in its own pid namespace.
fn is_namespace_init(pid: i32) -> Result<bool> {
    let path = format!("/proc/{pid}/status");
    let status = match fs::read_to_string(&path) {
        Ok(status) => status,
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::exists("/proc/self")? => {
            return Err(anyhow!("cannot checkpoint {pid}: there is no such process").into())
        }
        Err(error) => {
            let hint = "say --subtree or --container";
            return Err(error).with_context(|| format!("{hint}: cannot read {path}"))?;
        }
    };
    Ok(innermost_pid(&status) == Some(1))
}

/// The last number of the line NSpid of /proc/PID/status: the pid in the innermost namespace.
fn innermost_pid(status: &str) -> Option<i32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

/// Shows on a terminal how an image grows that takes longer, until it is dropped.
struct Progress {
    done: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    fn start(out: &Output) -> Result<Option<Progress>> {
        if !io::stderr().is_terminal() {
            return Ok(None);
        }
        let Some(file) = out.growing() else {
            return Ok(None);
        };
        let file: File = file?;
        let style = ProgressStyle::with_template("{spinner} saved {bytes}, {bytes_per_sec}")
            .context("progress")?;
        let (done, finished) = mpsc::channel();
        let thread = thread::spawn(move || {
            let bar = ProgressBar::new_spinner().with_style(style);
            while finished.recv_timeout(PROGRESS) == Err(RecvTimeoutError::Timeout) {
                bar.set_position(file.metadata().map_or(0, |metadata| metadata.len()));
            }
            bar.finish_and_clear();
        });
        Ok(Some(Progress {
            done: Some(done),
            thread: Some(thread),
        }))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Times and sizes for people: the unit is the end of each name.
fn print_stats(out: &mut dyn Write, stats: &Stats) -> io::Result<()> {
    for key in stats.0.keys() {
        let Some(number) = stats.get(key) else {
            writeln!(out, "{key:<16}{}", stats.0[key])?;
            continue;
        };
        let (name, value) = if let Some(name) = key.strip_suffix("_ns") {
            let time = Duration::from_nanos(number);
            (name.to_string(), format!("{time:.3?}"))
        } else if key == "bytes" {
            (key.clone(), HumanBytes(number).to_string())
        } else if let Some(name) = key.strip_suffix("_bytes") {
            (name.to_string(), HumanBytes(number).to_string())
        } else {
            (key.replace('_', " "), number.to_string())
        };
        writeln!(out, "{name:<16}{value}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_is_1_in_its_namespace() {
        let status = |line| format!("Name:\tsh\nPid:\t77\n{line}\nNSsid:\t9\n");
        assert_eq!(innermost_pid(&status("NSpid:\t77\t5\t1")), Some(1));
        assert_eq!(innermost_pid(&status("NSpid:\t77")), Some(77));
        assert_eq!(innermost_pid(&status("")), None);
    }

    #[test]
    fn stats_have_units() {
        let log = serde_json::from_str(r#"{"frozen_ns":812000,"meta_bytes":2048,"data_pages":7}"#);
        let mut out = Vec::new();
        print_stats(&mut out, &Stats(log.unwrap())).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "frozen          812.000µs\nmeta            2.00 KiB\ndata pages      7\n"
        );
    }
}
