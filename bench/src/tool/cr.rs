//! This project: its command, and its two calls.

use super::run;
use super::Dump;
use crate::victim::Victim;
use anyhow::Context;
use anyhow::Result;
use cr::kernel;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

pub(super) fn dump(victim: &Victim, image: &Path) -> Result<Dump> {
    let pid = victim.pid().to_string();
    let mut command = Command::new("cr");
    command.args(["checkpoint", "--subtree", "--json", "--output"]);
    command.arg(image.join("tree")).arg(pid);
    let (time, output) = run(&mut command, &image.with_extension("log"))?;
    let report: serde_json::Value = serde_json::from_str(&output).context("the report of cr")?;
    let stats = report.get("stats").and_then(|stats| stats.as_object());
    let details: BTreeMap<String, u64> = stats
        .context("cr reports no times")?
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_u64()?)))
        .collect();
    described(time, details)
}

fn described(time: Duration, details: BTreeMap<String, u64>) -> Result<Dump> {
    // What CRIU counts: from the first task that stops to the last that goes on.
    let time_of = |key: &str| details.get(key).copied().context(key.to_owned());
    Ok(Dump {
        time,
        frozen_ns: time_of("frozen_ns")?.saturating_add(time_of("freeze_ns")?),
        details,
    })
}

/// What the command asks of the kernel.
pub(super) fn call_dump(victim: &Victim, image: &Path) -> Result<Dump> {
    let flags = kernel::CHECKPOINT_SUBTREE | kernel::CHECKPOINT_COW | kernel::CHECKPOINT_STATS;
    let started = Instant::now();
    let file = File::create(image.join("tree"))?;
    let result = kernel::checkpoint(victim.pid(), file.as_fd(), flags);
    let time = started.elapsed();
    let (_, log) = result.map_err(|failed| failed.error.cause)?;
    let stats = log.stats.context("no times")?;
    let details = stats.0.iter();
    described(
        time,
        details
            .filter_map(|(key, value)| Some((key.clone(), value.as_u64()?)))
            .collect(),
    )
}

/// Also gives the pid of the root.
pub(super) fn restore(image: &Path, lazy: bool) -> Result<(Duration, i32)> {
    let mut command = Command::new("cr");
    command.args(["restart", "--detach"]);
    if lazy {
        command.arg("--lazy");
    }
    command.arg("--input");
    command.arg(image.join("tree"));
    let (time, output) = run(&mut command, &image.with_extension("log"))?;
    Ok((time, output.trim().parse().context("no pid")?))
}

/// The root is a child of ours then.
pub(super) fn call_restore(image: &Path) -> Result<(Duration, i32)> {
    let started = Instant::now();
    let file = File::open(image.join("tree"))?;
    let result = kernel::restart(file.as_fd(), 0);
    let time = started.elapsed();
    let (pid, _) = result.map_err(|failed| failed.error.cause)?;
    Ok((time, pid))
}
