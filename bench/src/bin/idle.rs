//! Ordinary work, and what it costs in this kernel: a line of JSON.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use bench::idle::Costs;
use fork::Fork;
use nix::sys::signal::raise;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::process;
use std::fs;
use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::Instant;

/// How often a batch is measured; the median counts. There are many small ones, so that the
/// median is one in which no tick of the timer came.
const BATCHES: usize = 201;

fn main() -> Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGUSR1);
    signals.thread_block()?;
    let null = File::open("/dev/null")?;
    let costs = Costs {
        work: vec![
            measure("a system call", 50, || {
                black_box(process::getppid());
                Ok(())
            })?,
            measure("opening and closing a file", 5, || {
                black_box(File::open("/etc/hostname")?);
                Ok(())
            })?,
            measure("stat", 5, || {
                black_box(fs::metadata("/etc/hostname")?);
                Ok(())
            })?,
            measure("poll", 5, || {
                let mut set = [PollFd::new(&null, PollFlags::IN)];
                poll(&mut set, Some(&Timespec::default()))?;
                Ok(())
            })?,
            measure("a signal", 5, || {
                raise(Signal::SIGUSR1)?;
                signals.wait()?;
                Ok(())
            })?,
            measure("64 page faults", 1, || {
                black_box(touched_pages(64));
                Ok(())
            })?,
            measure("fork, exit, wait", 1, fork_and_wait)?,
            measure("fork of 16 MB, exit, wait", 1, {
                let memory = touched_pages(4096);
                move || {
                    black_box(&memory);
                    fork_and_wait()
                }
            })?,
            measure("fork, exec, exit, wait", 1, || {
                let status = Command::new("/bin/true").status()?;
                ensure!(status.success(), "/bin/true: {status}");
                Ok(())
            })?,
            measure("a thread that ends", 1, || {
                thread::spawn(|| ()).join().ok().context("a thread")
            })?,
            measure("50 messages to a process and back", 1, || messages(50))?,
            measure("1000 messages among 20 processes", 1, || crowd(10, 10))?,
        ],
        size: parts_of_the_kernel()?,
    };
    println!("{}", serde_json::to_string(&costs)?);
    Ok(())
}

/// The median of what a kind of work takes.
fn measure(name: &str, times: u32, mut work: impl FnMut() -> Result<()>) -> Result<(String, u64)> {
    let mut batches = Vec::with_capacity(BATCHES);
    work().with_context(|| name.to_owned())?;
    for _ in 0..BATCHES {
        let started = Instant::now();
        for _ in 0..times {
            work().with_context(|| name.to_owned())?;
        }
        batches.push((started.elapsed() / times).as_nanos());
    }
    batches.sort_unstable();
    let median = batches.get(BATCHES / 2).copied().unwrap_or_default();
    Ok((name.to_owned(), u64::try_from(median)?))
}

fn touched_pages(count: usize) -> Vec<u8> {
    let mut memory = vec![0; count * 4096];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    memory
}

fn fork_and_wait() -> Result<()> {
    match fork::fork().context("fork")? {
        Fork::Child => std::process::exit(0),
        Fork::Parent(pid) => wait(pid),
    }
}

fn wait(pid: i32) -> Result<()> {
    let pid = process::Pid::from_raw(pid).context("a pid")?;
    let ended = process::waitpid(Some(pid), process::WaitOptions::empty())?;
    let status = ended.and_then(|(_, status)| status.exit_status());
    ensure!(status == Some(0), "a child: {status:?}");
    Ok(())
}

/// Sends bytes to a child, which sends them back.
fn messages(count: usize) -> Result<()> {
    let (mut ours, mut theirs) = UnixStream::pair()?;
    let mut byte = [0];
    let pid = match fork::fork().context("fork")? {
        Fork::Child => {
            drop(ours);
            while theirs.read_exact(&mut byte).is_ok() && theirs.write_all(&byte).is_ok() {}
            std::process::exit(0)
        }
        Fork::Parent(pid) => pid,
    };
    drop(theirs);
    for _ in 0..count {
        ours.write_all(&byte)?;
        ours.read_exact(&mut byte)?;
    }
    drop(ours);
    wait(pid)
}

/// As hackbench: each of so many senders writes to each of as many receivers.
fn crowd(pairs: usize, count: usize) -> Result<()> {
    const MESSAGE: [u8; 100] = [0; 100];
    let sockets: Vec<_> = (0..pairs)
        .map(|_| UnixStream::pair())
        .collect::<Result<_, _>>()?;
    let mut pids = Vec::new();
    for (receiver, _) in &sockets {
        match fork::fork().context("fork")? {
            Fork::Child => {
                let mut receiver = receiver;
                let mut message = MESSAGE;
                for _ in 0..pairs * count {
                    receiver.read_exact(&mut message)?;
                }
                std::process::exit(0)
            }
            Fork::Parent(pid) => pids.push(pid),
        }
    }
    for _ in 0..pairs {
        match fork::fork().context("fork")? {
            Fork::Child => {
                for _ in 0..count {
                    for (_, sender) in &sockets {
                        let mut sender = sender;
                        sender.write_all(&MESSAGE)?;
                    }
                }
                std::process::exit(0)
            }
            Fork::Parent(pid) => pids.push(pid),
        }
    }
    pids.into_iter().try_for_each(wait)
}

/// Where it is in memory.
fn parts_of_the_kernel() -> Result<Vec<(String, u64)>> {
    let map = fs::read_to_string("/proc/iomem")?;
    let mut parts = Vec::new();
    for line in map.lines() {
        let Some((range, name)) = line.trim().split_once(" : Kernel ") else {
            continue;
        };
        let (start, end) = range.split_once('-').context("a range of /proc/iomem")?;
        let (start, end) = (
            u64::from_str_radix(start, 16)?,
            u64::from_str_radix(end, 16)?,
        );
        parts.push((format!("kernel {name}"), (end - start).saturating_add(1)));
    }
    ensure!(!parts.is_empty(), "/proc/iomem does not tell of the kernel");
    Ok(parts)
}
