//! Programs that are moved to a machine with another CPU.
//!
//! They are checkpointed to a disk in one machine and killed; a second machine,
//! whose CPU lacks something, gets the disk. What the programs use must be
//! there, and nothing else.

use super::Wanted;
use crate::disk;
use crate::disk::Disk;
use crate::kernel_log;
use crate::layout::Layout;
use crate::layout::Scratch;
use crate::machine::Boot;
use crate::machine::Hardware;
use crate::machine::Machine;
use crate::report::Outcome;
use crate::report::Report;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Result;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// What the CPU of the second machine does not have, in QEMU.
const LACKS: &[&str] = &["pku", "avx", "avx2", "fma", "f16c", "vaes", "vpclmulqdq"];

/// A test: the program's argument, and whether it can be moved.
struct Move {
    name: &'static str,
    argument: &'static str,
    refused: Option<&'static str>,
    /// Whether it needs the processors of Bochs, or those of QEMU.
    bochs: bool,
}

const MOVES: &[Move] = &[
    Move {
        name: "move.unused_registers",
        argument: "",
        refused: None,
        bochs: false,
    },
    Move {
        name: "move.used_registers",
        argument: "avx",
        refused: Some("AVX, which this CPU lacks"),
        bochs: false,
    },
    Move {
        name: "move.shadow_stack",
        argument: "shadow_stack",
        refused: Some("a shadow stack, which this CPU lacks"),
        bochs: true,
    },
];

pub fn test(
    layout: &Layout,
    hardware: &Hardware,
    patience: Duration,
    wanted: &Wanted,
    report: &mut Report,
) -> Result<()> {
    let moves: Vec<&Move> = MOVES
        .iter()
        .filter(|one| one.bochs == hardware.is_bochs() && wanted.has(&["moves", one.name]))
        .collect();
    if moves.is_empty() {
        return Ok(());
    }
    let started = Instant::now();
    let scratch = layout.scratch()?;
    let disks = vec![
        disk::tools(layout, scratch.path(), &[])?,
        disk::persistent(layout.vm()?.join("moves.ext4"))?,
    ];
    let place = Place {
        layout,
        disks,
        scratch,
        patience,
    };
    let saved = place.visit(hardware, |shell| {
        Ok(moves.iter().map(|one| save(shell, one)).collect())
    });
    let mut results: Vec<Result<()>> = match saved {
        Ok(results) => results,
        Err(error) => {
            report.fail("moves: the first machine", &format!("{error:#}"));
            return Ok(());
        }
    };
    let other = hardware.older(LACKS);
    let arrived = place.visit(&other, |shell| {
        for (one, result) in moves.iter().zip(&mut results) {
            if result.is_ok() {
                *result = arrive(shell, one);
            }
        }
        Ok(())
    });
    if let Err(error) = arrived {
        report.fail("moves: the second machine", &format!("{error:#}"));
        return Ok(());
    }
    for (one, result) in moves.iter().zip(results) {
        let (outcome, said) = match result {
            Ok(()) => (Outcome::Passed, vec![]),
            Err(error) => (Outcome::Failed, vec![format!("{error:#}")]),
        };
        let name = format!("moves: {}", one.name);
        report.tell(outcome, &name, started.elapsed(), &said);
    }
    Ok(())
}

/// In the first machine: the program counts, is saved and killed.
fn save(shell: &mut Shell<'_>, one: &Move) -> Result<()> {
    let Move { name, argument, .. } = one;
    // Pids that the next machine has not given to others.
    let pid = shell(&format!(
        "[ $(cat /proc/sys/kernel/ns_last_pid) -gt 3000 ] || \
         echo 3000 >/proc/sys/kernel/ns_last_pid
         setsid {MOVER} {name} {argument} </dev/null >{name}.log 2>&1 & echo $!"
    ))?;
    counts(shell, name)?;
    shell(&format!(
        "cr checkpoint --kill -o {name}.img {pid} && sync && ! [ -e /proc/{pid} ]"
    ))?;
    Ok(())
}

/// In the second machine: the program counts on, or is refused.
fn arrive(shell: &mut Shell<'_>, one: &Move) -> Result<()> {
    let Move { name, refused, .. } = one;
    let Some(sentence) = refused else {
        let pid = shell(&format!("cr restart --detach -i {name}.img"))?;
        counts(shell, name)?;
        shell(&format!("kill -9 {pid}; cat {name}.log"))?;
        return Ok(());
    };
    let said = shell(&format!("! cr restart --detach -i {name}.img 2>&1"))?;
    ensure!(said.contains(sentence), "{said}");
    let left = shell("pgrep -x mover || :")?;
    ensure!(left.is_empty(), "pid {left} is left");
    Ok(())
}

const MOVER: &str = "/usr/local/libexec/selftests/mover";

/// Wait until the program has counted on.
fn counts(shell: &mut Shell<'_>, name: &str) -> Result<()> {
    let count = format!("od -An -tu8 {name} 2>/dev/null || echo 0");
    let before = shell(&count)?;
    for _ in 0..200 {
        let now = shell(&count)?;
        if now != before && now.trim() != "0" {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("it does not count");
}

/// Runs a command in a machine.
type Shell<'a> = dyn FnMut(&str) -> Result<String> + 'a;

/// What both machines have.
struct Place<'a> {
    layout: &'a Layout,
    disks: Vec<Disk>,
    scratch: Scratch,
    patience: Duration,
}

impl Place<'_> {
    /// Do something in a machine, which is switched off then.
    fn visit<T>(
        &self,
        hardware: &Hardware,
        work: impl FnOnce(&mut Shell<'_>) -> Result<T>,
    ) -> Result<T> {
        let path = self.scratch.path();
        let mut machine = Machine::boot(self.layout, hardware, Boot::Quiet, &self.disks, path)?;
        let mut shell = |line: &str| machine.shell(line, self.patience);
        let result = work(&mut shell)?;
        let log: Vec<String> = shell("dmesg")?.lines().map(str::to_owned).collect();
        if let Some(lines) = kernel_log::complaint(&log) {
            bail!("the kernel complains:\n{}", lines.join("\n"));
        }
        machine.power_off()?;
        Ok(result)
    }
}
