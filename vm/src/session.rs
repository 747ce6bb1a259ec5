//! One command for a person: `vm run` and `vm shell`.

use crate::disk;
use crate::disk::Disk;
use crate::layout::Layout;
use crate::layout::Scratch;
use crate::machine::Boot;
use crate::machine::Hardware;
use crate::machine::Machine;
use anyhow::bail;
use anyhow::Result;
use clap::Args;
use rustix::stdio;
use rustix::termios;
use rustix::termios::OptionalActions;
use rustix::termios::Termios;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use vm::Command;
use vm::Event;
use vm::Request;
use vm::Size;

/// The disks that a person gives to the machine.
#[derive(Args)]
struct Shares {
    /// A folder that the command finds, read-only, at /extra.
    #[arg(long, env = "EXTRA", value_name = "FOLDER")]
    extra: Option<PathBuf>,
}

#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    shares: Shares,

    /// Give up after that many seconds without output (0: never).
    #[arg(long, env = "TIMEOUT", default_value_t = 600)]
    timeout: u64,

    /// The command, for a shell.
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

#[derive(Args)]
pub struct Shell {
    #[command(flatten)]
    shares: Shares,
}

impl Run {
    pub fn perform(self, layout: &Layout, hardware: &Hardware) -> Result<ExitCode> {
        let patience = match self.timeout {
            0 => FOREVER,
            seconds => Duration::from_secs(seconds),
        };
        let command = Command::new(&self.command.join(" "));
        let visit = Visit::begin(layout, hardware, &self.shares)?;
        visit.perform(command, patience)
    }
}

impl Shell {
    pub fn perform(self, layout: &Layout, hardware: &Hardware) -> Result<ExitCode> {
        let Some(size) = terminal_size() else {
            bail!("a shell needs a terminal; for a command use: make vm RUN='command'");
        };
        let visit = Visit::begin(layout, hardware, &self.shares)?;
        println!("This is the test machine. `cr --help` tells what it can do; exit powers it off.");
        let keys = visit.machine.sender()?;
        let _raw = RawTerminal::enter()?;
        thread::spawn(move || forward_keys(keys, size));
        let command = Command {
            line: String::from("exec bash -l"),
            terminal: Some(size),
        };
        visit.perform(command, FOREVER)
    }
}

const FOREVER: Duration = Duration::from_secs(1 << 30);

/// A machine for one command, and its disks.
struct Visit {
    machine: Machine,
    out: (Disk, PathBuf),
    scratch: Scratch,
}

impl Visit {
    fn begin(layout: &Layout, hardware: &Hardware, shares: &Shares) -> Result<Visit> {
        let scratch = layout.scratch()?;
        let folder = layout.vm()?.join("out");
        let mut disks = vec![disk::tools(layout, scratch.path(), &[])?];
        if let Some(extra) = &shares.extra {
            disks.push(disk::extra(extra, scratch.path())?);
        }
        disks.push(disk::out(&folder, scratch.path())?);
        let machine = Machine::boot(layout, hardware, Boot::Quiet, &disks, scratch.path())?;
        let Some(out) = disks.pop() else {
            bail!("the disk at /out is gone");
        };
        Ok(Visit {
            machine,
            out: (out, folder),
            scratch,
        })
    }

    fn perform(mut self, command: Command, patience: Duration) -> Result<ExitCode> {
        let result = self.machine.run(command, patience, |event| match event {
            Event::Stdout(data) => show(&mut std::io::stdout(), &data),
            Event::Stderr(data) => show(&mut std::io::stderr(), &data),
            _ => {}
        });
        let result = result.map_err(|gone| self.machine.obituary(&gone));
        match &result {
            Ok(_) => self.machine.power_off()?,
            Err(_) => drop(self.machine),
        }
        disk::fetch_out(&self.out.0, &self.out.1, self.scratch.path())?;
        match result {
            Ok(status) => Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))),
            Err(obituary) => bail!("the machine gives no answer{obituary}"),
        }
    }
}

fn show(to: &mut impl Write, data: &[u8]) {
    // Whoever closed our output does not want it.
    to.write_all(data).and_then(|()| to.flush()).ok();
}

fn terminal_size() -> Option<Size> {
    let size = termios::tcgetwinsize(stdio::stdin()).ok()?;
    Some(Size {
        columns: size.ws_col,
        rows: size.ws_row,
    })
}

/// Pass on the keys, and the size of the terminal when it has changed. The size
/// is looked at with every key, which is when it matters.
fn forward_keys(mut port: File, mut size: Size) {
    let mut keys = [0; 1024];
    while let Ok(length @ 1..) = std::io::stdin().read(&mut keys) {
        if let Some(now) = terminal_size().filter(|now| *now != size) {
            size = now;
            vm::send(&mut port, &Request::Resize(size)).ok();
        }
        let typed = keys[..length].to_vec();
        if vm::send(&mut port, &Request::Input(typed)).is_err() {
            break;
        }
    }
}

/// The terminal without editing and echo, which the guest's terminal does.
struct RawTerminal(Termios);

impl RawTerminal {
    fn enter() -> Result<RawTerminal> {
        let before = termios::tcgetattr(stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(stdio::stdin(), OptionalActions::Now, &raw)?;
        Ok(RawTerminal(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        termios::tcsetattr(stdio::stdin(), OptionalActions::Now, &self.0).ok();
    }
}
