//! QEMU, and the conversation with the guest.

use crate::console::Console;
use crate::disk::Access;
use crate::disk::Disk;
use crate::layout::Layout;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use clap::Args;
use rustix::io::fcntl_setfd;
use rustix::io::FdFlags;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
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
    /// Emulate the processor (tcg), or use the host's (kvm).
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

    /// The processor, as QEMU names it.
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
        format!("QEMU {accel}{clock}, {cpus} CPUs, {memory} MB")
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

    /// A processor that lacks some features.
    pub fn without(&self, features: &[&str]) -> Hardware {
        let mut hardware = self.clone();
        for feature in features {
            hardware.cpu += &format!(",-{feature}");
        }
        hardware
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

/// A machine that is up.
pub struct Machine {
    qemu: Child,
    port: UnixStream,
    events: mpsc::Receiver<Event>,
    pub console: Console,
}

/// Why a machine gave no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Gone {
    /// QEMU ended: the kernel panicked, or somebody powered it off.
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
        let (port, guest_end) = UnixStream::pair()?;
        fcntl_setfd(&guest_end, FdFlags::empty())?;
        let mut command = qemu(layout, hardware, boot, disks, &guest_end)?;
        // QEMU keeps what the machine writes to its root disk in TMPDIR.
        let mut qemu = command
            .env("TMPDIR", scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{:?}", command.get_program()))?;
        drop(guest_end);
        let serial = qemu.stdout.take().context("stdout of QEMU")?;
        let console = Console::follow(serial, layout.vm()?.join("console.log"))?;
        let events = listen(port.try_clone()?);
        let mut machine = Machine {
            qemu,
            port,
            events,
            console,
        };
        let started = Instant::now();
        let limit = BOOT_LIMIT * layout.variant.slowness();
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
    pub fn sender(&self) -> Result<UnixStream> {
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
        while self.qemu.try_wait()?.is_none() {
            if started.elapsed() > limit {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(true)
    }

    /// Let QEMU end by itself for some time, then end it.
    fn end(&mut self, limit: Duration) {
        if !matches!(self.ends_within(limit), Ok(true)) {
            self.qemu.kill().ok();
            self.qemu.wait().ok();
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
fn listen(mut port: UnixStream) -> mpsc::Receiver<Event> {
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

fn qemu(
    layout: &Layout,
    hardware: &Hardware,
    boot: Boot,
    disks: &[Disk],
    port: &UnixStream,
) -> Result<Command> {
    let (program, board) = match layout.arch.as_str() {
        "x86_64" => ("qemu-system-x86_64", "q35"),
        other => bail!("no machine is known for ARCH={other}"),
    };
    let accel = match (hardware.accel.as_str(), hardware.icount) {
        // Instructions are counted in one order only.
        ("tcg", true) => "tcg,thread=single",
        ("tcg", false) => "tcg,thread=multi",
        (other, true) => bail!("ACCEL={other} counts no instructions"),
        (other, false) => other,
    };
    let mut command = Command::new(program);
    command.args(["-machine", board, "-accel", accel, "-cpu", &hardware.cpu]);
    if hardware.icount {
        command.args(["-icount", "shift=0,sleep=off"]);
    }
    command.args([
        "-smp",
        &hardware.cpus.to_string(),
        "-m",
        &format!("{}M", hardware.memory(layout)),
    ]);
    command.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ]);
    command.args(["-serial", "stdio", "-device", "virtio-rng-pci"]);

    let root = Disk {
        serial: "root",
        path: layout.root_disk()?,
        access: Access::Forget,
    };
    for (index, disk) in std::iter::once(&root).chain(disks).enumerate() {
        add_disk(&mut command, index, disk);
    }

    let port = port.as_raw_fd();
    command
        .arg("-chardev")
        .arg(format!("socket,id=port,fd={port}"));
    command.args(["-device", "virtio-serial-pci"]);
    command
        .arg("-device")
        .arg(format!("virtserialport,chardev=port,name={}", vm::PORT));

    let boot = match boot {
        Boot::Quiet => "loglevel=5 kunit.enable=0",
        Boot::Kunit => "loglevel=7 kunit.filter_glob=checkpoint*",
    };
    command
        .arg("-kernel")
        .arg(layout.kernel()?)
        .arg("-append")
        .arg(format!(
            "console=ttyS0 root=/dev/vda rw panic=-1 log_buf_len=4M {boot} {} {}",
            layout.variant.arguments(),
            hardware.append
        ));
    Ok(command)
}

fn add_disk(command: &mut Command, index: usize, disk: &Disk) {
    let access = match disk.access {
        Access::Read => "read-only=on",
        Access::Write => "cache=unsafe",
        Access::Forget => "snapshot=on",
    };
    // A comma in a path is doubled, as in all of QEMU's options.
    let path = disk.path.display().to_string().replace(',', ",,");
    let drive = format!("if=none,id=disk{index},format=raw,{access},file={path}");
    let device = format!("virtio-blk-pci,drive=disk{index},serial={}", disk.serial);
    command.args(["-drive", &drive, "-device", &device]);
}
