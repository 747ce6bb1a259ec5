//! The emulator, and the conversation with the guest.
//!
//! - `qemu`: the machine of nearly all tests.
//! - `bochs`: a slow one, whose processor has what QEMU's lacks.

mod bochs;
mod qemu;

use crate::console::Console;
use crate::disk::Disk;
use crate::layout::Layout;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Result;
use clap::Args;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use vm::Event;
use vm::Request;

/// What the machine is made of.
#[derive(Args, Clone)]
pub struct Hardware {
    /// Emulate the processor (tcg), use the host's (kvm), or let Bochs emulate another one (bochs).
    #[arg(long, env = "ACCEL", default_value = "tcg")]
    accel: String,

    /// Number of processors.
    #[arg(long, env = "CPUS", default_value_t = 2)]
    cpus: u32,

    /// Megabytes of memory [default: 2048; 4096 for the debug kernel].
    #[arg(long, env = "MEMORY")]
    memory: Option<u32>,

    /// Let the clock of the machine count instructions, so that times repeat.
    #[arg(long, env = "ICOUNT", value_parser = clap::builder::BoolishValueParser::new())]
    icount: bool,

    /// The processor, as QEMU or Bochs names it; max is the one that has most.
    #[arg(long, env = "CPU", default_value = "max")]
    cpu: String,

    /// More of the kernel's command line.
    #[arg(long, env = "APPEND", default_value = "")]
    append: String,
}

impl Hardware {
    /// What matters for a time that was measured in it.
    pub fn describe(&self, layout: &Layout) -> String {
        let Hardware { accel, cpus, .. } = self;
        let memory = self.memory(layout);
        let clock = match self.icount {
            true => ", 1 ns per instruction",
            false => "",
        };
        match self.is_bochs() {
            true => format!("Bochs, 1 CPU, {} MB", memory.min(bochs::MEMORY_MAX)),
            false => format!("QEMU {accel}{clock}, {cpus} CPUs, {memory} MB"),
        }
    }

    /// One processor, and a clock that counts its instructions: what is measured comes out the
    /// same each time.
    pub fn repeatable(&self) -> Hardware {
        Hardware {
            cpus: 1,
            icount: true,
            ..self.clone()
        }
    }

    /// An older processor: without some features of QEMU's, or what came before that of Bochs.
    pub fn older(&self, features: &[&str]) -> Hardware {
        let mut hardware = self.clone();
        if self.is_bochs() {
            hardware.cpu = bochs::OLDER_PROCESSOR.to_owned();
            return hardware;
        }
        for feature in features {
            hardware.cpu += &format!(",-{feature}");
        }
        hardware
    }

    /// Whether it is no machine of QEMU.
    pub fn is_bochs(&self) -> bool {
        self.accel == "bochs"
    }

    /// How many times slower the machine is than QEMU with the ordinary kernel, at most.
    pub fn slowness(&self, layout: &Layout) -> u32 {
        let emulator = match self.is_bochs() {
            true => 5,
            false => 1,
        };
        emulator * layout.variant.slowness()
    }

    fn memory(&self, layout: &Layout) -> u32 {
        self.memory.unwrap_or(layout.variant.memory())
    }
}

/// How much the kernel says on the console, and whether it tests itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    /// Only warnings and worse.
    Quiet,
    /// Run our KUnit suites, and say everything.
    Kunit,
}

impl Boot {
    /// What the kernel's command line has for it.
    fn arguments(self) -> &'static str {
        match self {
            Boot::Quiet => "loglevel=5 kunit.enable=0",
            Boot::Kunit => "loglevel=7 kunit.filter_glob=checkpoint*",
        }
    }
}

/// An emulator that has been started: its ways to the guest.
struct Emulator {
    child: Child,
    /// The conversation.
    port: File,
    console: Box<dyn Read + Send>,
}

/// A machine that is up.
pub struct Machine {
    emulator: Child,
    port: File,
    events: mpsc::Receiver<Event>,
    pub console: Console,
}

/// Why a machine gave no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Gone {
    /// The emulator ended: the kernel panicked, or somebody powered it off.
    Dead,
    /// It said nothing for that long.
    Silent(Duration),
}

/// No boot takes longer, even on a host that is busy with something else.
const BOOT_LIMIT: Duration = Duration::from_secs(180);

impl Machine {
    /// Start a machine and wait until the guest is ready.
    pub fn boot(
        layout: &Layout,
        hardware: &Hardware,
        boot: Boot,
        disks: &[Disk],
        scratch: &Path,
    ) -> Result<Machine> {
        let start = match hardware.is_bochs() {
            true => bochs::start,
            false => qemu::start,
        };
        let Emulator {
            child,
            port,
            console,
        } = start(layout, hardware, boot, disks, scratch)?;
        let console = Console::follow(console, layout.vm()?.join("console.log"))?;
        let events = listen(port.try_clone()?);
        let mut machine = Machine {
            emulator: child,
            port,
            events,
            console,
        };
        let started = Instant::now();
        let limit = BOOT_LIMIT * hardware.slowness(layout);
        loop {
            match machine.event(limit.saturating_sub(started.elapsed())) {
                Ok(Event::Ready) => return Ok(machine),
                Ok(_) => {}
                Err(gone) => bail!("the machine does not boot{}", machine.obituary(&gone)),
            }
        }
    }

    pub fn send(&mut self, request: &Request) -> Result<()> {
        vm::send(&mut self.port, request)
    }

    /// A second way to send, for another thread.
    pub fn sender(&self) -> Result<File> {
        Ok(self.port.try_clone()?)
    }

    /// What the guest says next.
    pub fn event(&mut self, limit: Duration) -> Result<Event, Gone> {
        self.events
            .recv_timeout(limit)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => Gone::Silent(limit),
                RecvTimeoutError::Disconnected => Gone::Dead,
            })
    }

    /// Run a command and pass on what happens until it ends; returns its status.
    ///
    /// Gives up when nothing happens for that long.
    pub fn run(
        &mut self,
        command: vm::Command,
        patience: Duration,
        mut each: impl FnMut(Event),
    ) -> Result<i32, Gone> {
        // A machine that cannot be written to cannot be read from either.
        self.send(&Request::Run(command)).ok();
        loop {
            match self.event(patience)? {
                Event::Exit(status) => return Ok(status),
                event => each(event),
            }
        }
    }

    /// Run a command on the disk that survives the machine. It must work; returns what it printed.
    pub fn shell(&mut self, line: &str, patience: Duration) -> Result<String> {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let command = vm::Command::new(&format!("cd /persist && {{ {line}\n}}"));
        let status = self.run(command, patience, |event| match event {
            Event::Stdout(data) => output.extend(data),
            Event::Stderr(data) => errors.extend(data),
            _ => {}
        });
        let status = match status {
            Ok(status) => status,
            Err(gone) => bail!(
                "{line}: the machine gives no answer{}",
                self.obituary(&gone)
            ),
        };
        let errors = String::from_utf8_lossy(&errors);
        ensure!(
            status == 0,
            "{line}: exit status {status}\n{}",
            errors.trim()
        );
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    /// What can be said of a machine that gives no answer: its last words.
    pub fn obituary(&mut self, gone: &Gone) -> String {
        if *gone == Gone::Dead {
            self.end(Duration::from_secs(5));
        }
        // Before the state of the tasks fills the console.
        let tail = self.console.tail();
        let cause = match gone {
            Gone::Dead => String::from("the kernel died or powered off"),
            Gone::Silent(time) => {
                let tasks = self.ask_what_hangs();
                format!("nothing was heard for {} s{tasks}", time.as_secs())
            }
        };
        let path = self.console.path.display();
        format!("; {cause}.\nIts console ({path}) ends with:\n\n{tail}\n")
    }

    /// Have the kernel print the state of its tasks; returns where that is.
    fn ask_what_hangs(&mut self) -> String {
        let mut log = Vec::new();
        for letter in ['l', 'w', 't'] {
            if self.send(&Request::Sysrq(letter)).is_err() {
                break;
            }
        }
        // It has said everything when it falls silent.
        while let Ok(Event::KernelLog(lines)) = self.event(Duration::from_secs(3)) {
            log.extend(lines);
        }
        let path = self.console.path.with_file_name("tasks.log");
        if log.is_empty() || fs::write(&path, log.join("\n")).is_err() {
            return String::new();
        }
        format!("; what its tasks do is in {}", path.display())
    }

    /// Put the disks away and power off.
    pub fn power_off(&mut self) -> Result<()> {
        self.send(&Request::PowerOff)?;
        let limit = Duration::from_secs(30);
        match self.ends_within(limit)? {
            true => Ok(()),
            false => bail!(
                "the machine does not power off{}",
                self.obituary(&Gone::Silent(limit))
            ),
        }
    }

    fn ends_within(&mut self, limit: Duration) -> Result<bool> {
        let started = Instant::now();
        while self.emulator.try_wait()?.is_none() {
            if started.elapsed() > limit {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(true)
    }

    /// Let the emulator end by itself for some time, then end it.
    fn end(&mut self, limit: Duration) {
        if !matches!(self.ends_within(limit), Ok(true)) {
            self.emulator.kill().ok();
            self.emulator.wait().ok();
        }
        self.console.finish();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

/// Receive events until the machine ends.
fn listen(mut port: File) -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel();
    thread::spawn(move || {
        while let Ok(event) = vm::receive(&mut port) {
            if sender.send(event).is_err() {
                break;
            }
        }
    });
    events
}
