//! A tree of sleeping processes, to be checkpointed: the pattern of the paper on
//! Linux-CR (Laadan and Hallyn, 2010).
//!
//! Each process writes `ready PID` when it has all that it was asked for. On
//! SIGUSR1 it checks all of that and writes `alive PID`.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use clap::Parser;
use fork::Fork;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::thread::Thread;

#[derive(Parser)]
#[command(about = "A tree of sleeping processes, to be checkpointed")]
struct Arguments {
    /// Processes in the tree.
    #[arg(short = 'n', long, default_value_t = 1)]
    processes: usize,

    /// Megabytes of memory of each.
    #[arg(short, long, default_value_t = 0)]
    megabytes: usize,

    /// Threads of each.
    #[arg(short, long, default_value_t = 1)]
    threads: usize,

    /// Open files of each.
    #[arg(short, long, default_value_t = 0)]
    descriptors: usize,

    /// Never write to the memory.
    #[arg(long)]
    clean: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGUSR1);
    // Threads and children inherit it.
    signals.thread_block()?;
    for _ in 1..arguments.processes {
        if let Fork::Child = fork::fork().context("a child")? {
            break;
        }
    }
    let memory = Memory::new(&arguments);
    let threads = Threads::new(arguments.threads)?;
    let files = Files::new(arguments.descriptors)?;
    say("ready")?;
    loop {
        signals.wait()?;
        memory.check()?;
        threads.check()?;
        files.check()?;
        say("alive")?;
    }
}

fn say(word: &str) -> Result<()> {
    // One write, as others write to the same file.
    let line = format!("{word} {}\n", std::process::id());
    Ok(std::io::stdout().write_all(line.as_bytes())?)
}

const PAGE_WORDS: usize = 4096 / size_of::<u64>();

/// Pages of which no two are equal.
struct Memory {
    words: Vec<u64>,
    dirty: bool,
}

impl Memory {
    fn new(arguments: &Arguments) -> Memory {
        let dirty = !arguments.clean;
        // Zeroed memory comes from the kernel, untouched.
        let mut words = vec![0; (arguments.megabytes << 20) / size_of::<u64>()];
        if dirty {
            for (number, page) in words.chunks_exact_mut(PAGE_WORDS).enumerate() {
                page.fill(Memory::content(number));
            }
        }
        Memory { words, dirty }
    }

    fn content(page: usize) -> u64 {
        let seed = (u64::from(std::process::id()) << 32) ^ page as u64;
        seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn check(&self) -> Result<()> {
        for (number, page) in self.words.chunks_exact(PAGE_WORDS).enumerate() {
            let content = match self.dirty {
                true => Memory::content(number),
                false => 0,
            };
            ensure!(
                page.iter().all(|word| *word == content),
                "page {number} has changed"
            );
        }
        Ok(())
    }
}

/// Threads that sleep, and answer when they are woken.
struct Threads {
    handles: Vec<Thread>,
    answers: Receiver<()>,
}

/// How often the threads were called.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// They need little, and there may be many.
const STACK: usize = 64 << 10;

impl Threads {
    /// As many as make `total` with the main thread.
    fn new(total: usize) -> Result<Threads> {
        let (sender, answers) = mpsc::channel();
        let mut handles = Vec::new();
        for _ in 1..total {
            let sender = sender.clone();
            let thread = thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || answer(&sender))?;
            handles.push(thread.thread().clone());
        }
        Ok(Threads { handles, answers })
    }

    fn check(&self) -> Result<()> {
        CALLS.fetch_add(1, Ordering::SeqCst);
        for thread in &self.handles {
            thread.unpark();
        }
        for _ in &self.handles {
            self.answers.recv().context("a thread is gone")?;
        }
        Ok(())
    }
}

fn answer(sender: &Sender<()>) {
    let mut answered = 0;
    loop {
        let calls = CALLS.load(Ordering::SeqCst);
        if calls == answered {
            thread::park();
        } else {
            answered = calls;
            sender.send(()).ok();
        }
    }
}

/// Open files, each another one.
struct Files(Vec<(File, u64)>);

impl Files {
    fn new(count: usize) -> Result<Files> {
        let pid = std::process::id();
        (0..count)
            .map(|number| {
                let file = File::create(format!("file.{pid}.{number}"))?;
                let inode = file.metadata()?.ino();
                Ok((file, inode))
            })
            .collect::<Result<_>>()
            .map(Files)
    }

    fn check(&self) -> Result<()> {
        for (file, inode) in &self.0 {
            ensure!(file.metadata()?.ino() == *inode, "a file is another one");
        }
        Ok(())
    }
}
