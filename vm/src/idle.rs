//! `vm idle`: what the subsystem costs those who do not use it.

use crate::disk;
use crate::kernel_log;
use crate::layout::Layout;
use crate::layout::Variant;
use crate::machine::Boot;
use crate::machine::Hardware;
use crate::machine::Machine;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use bench::idle::table;
use bench::idle::Costs;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;
use vm::Command;
use vm::Event;

/// The longest time in which nothing is heard.
const PATIENCE: Duration = Duration::from_secs(600);

/// Do the same ordinary work in two machines, whose clocks count instructions.
pub fn perform(layout: &Layout, hardware: &Hardware) -> Result<ExitCode> {
    let hardware = hardware.repeatable();
    let without = measure(&layout.with(Variant::Without), &hardware)?;
    let with = measure(&layout.with(Variant::Plain), &hardware)?;
    let path = layout.bench()?.join("idle.json");
    let both = serde_json::json!({ "with": with, "without": without });
    fs::write(&path, serde_json::to_string_pretty(&both)?)?;
    print!("{}", table(&with, &without)?);
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}

fn measure(layout: &Layout, hardware: &Hardware) -> Result<Costs> {
    let scratch = layout.scratch()?;
    let disks = [disk::tools(layout, scratch.path(), &[])?];
    let mut machine = Machine::boot(layout, hardware, Boot::Quiet, &disks, scratch.path())?;
    let (mut output, mut log) = (Vec::new(), Vec::new());
    // Where a program lies decides how many page tables it has.
    let command = Command::new("sysctl -q kernel.randomize_va_space=0 && idle");
    let status = machine.run(command, PATIENCE, |event| match event {
        Event::Stdout(data) => output.extend(data),
        Event::Stderr(data) => eprint!("{}", String::from_utf8_lossy(&data)),
        Event::KernelLog(lines) => log.extend(lines),
        Event::Ready | Event::Exit(_) => {}
    });
    match status {
        Ok(status) => ensure!(status == 0, "idle: status {status}"),
        Err(gone) => bail!("the machine gives no answer{}", machine.obituary(&gone)),
    }
    machine.power_off()?;
    if let Some(lines) = kernel_log::complaint(&log) {
        bail!("the kernel complains:\n{}", lines.join("\n"));
    }
    serde_json::from_slice(&output).context("what idle says")
}
