//! Who saves and restores, and how long it takes.
//!
//! - `cr`: this project.
//! - `criu`: its peer.

mod cr;
mod criu;

pub use criu::serve;

use crate::victim::Victim;
use crate::workload::Workload;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use bench::results::nanoseconds;
use bench::results::Measurement;
use bench::results::Tool;
use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

/// Where victims and images are: a tmpfs.
pub struct Place(pub PathBuf);

impl Place {
    fn victim(&self) -> PathBuf {
        self.0.join("victim")
    }

    fn image(&self) -> PathBuf {
        self.0.join("image")
    }

    /// Save a workload, end it, restore it, and see whether it has all that it had.
    pub fn measure(&self, workload: &Workload, tool: Tool, round: usize) -> Result<Measurement> {
        let image = self.image();
        fs::remove_dir_all(&image).ok();
        fs::create_dir_all(&image)?;
        let mut victim = Victim::start(workload, &self.victim())?;
        let dump = match tool {
            Tool::Cr if workload.by_calls => cr::call_dump(&victim, &image),
            Tool::Cr => cr::dump(&victim, &image),
            Tool::Criu if workload.by_calls => criu::call_dump(&victim, &image),
            Tool::Criu => criu::dump(&victim, &image),
            Tool::Copy => anyhow::bail!("a copy has no victim"),
        };
        let dump = dump.context("dump")?;
        victim.kill().context("dump")?;
        let bytes = size(&image)?;
        let restore = match tool {
            Tool::Criu if workload.by_calls => criu::call_restore(&image),
            Tool::Criu => criu::restore(&image),
            _ if workload.by_calls => cr::call_restore(&image),
            _ => cr::restore(&image, workload.lazy),
        };
        let (restore, pid) = restore.context("restore")?;
        ensure!(
            pid == victim.pid(),
            "the root is {pid}, and was {}",
            victim.pid()
        );
        victim.check().context("after the restore")?;
        victim.kill()?;
        fs::remove_dir_all(&image)?;
        Ok(Measurement {
            workload: workload.name.to_owned(),
            tool,
            round,
            frozen_ns: Some(dump.frozen_ns),
            dump_ns: nanoseconds(dump.time),
            restore_ns: nanoseconds(restore),
            bytes,
            details: dump.details,
        })
    }

    /// Write so many bytes from memory to a file, and read them into new memory.
    pub fn copy(&self, workload: &Workload, bytes: u64, round: usize) -> Result<Measurement> {
        let image = self.image();
        fs::remove_dir_all(&image).ok();
        fs::create_dir_all(&image)?;
        let length = usize::try_from(bytes)?;
        let path = image.join("copy");
        let memory = vec![1u8; length];
        let started = Instant::now();
        File::create(&path)?.write_all(&memory)?;
        let dump = started.elapsed();
        drop(memory);
        let started = Instant::now();
        let mut memory = Vec::with_capacity(length);
        File::open(&path)?.take(bytes).read_to_end(&mut memory)?;
        let restore = started.elapsed();
        ensure!(memory.len() == length, "the copy is short");
        fs::remove_dir_all(&image)?;
        Ok(Measurement {
            workload: workload.name.to_owned(),
            tool: Tool::Copy,
            round,
            frozen_ns: None,
            dump_ns: nanoseconds(dump),
            restore_ns: nanoseconds(restore),
            bytes,
            details: BTreeMap::new(),
        })
    }
}

/// A tree that was saved, and goes on.
struct Dump {
    time: Duration,
    frozen_ns: u64,
    details: BTreeMap<String, u64>,
}

/// Run a command to its end; gives the time that it took and what it wrote.
fn run(command: &mut Command, log: &Path) -> Result<(Duration, String)> {
    // Not a pipe, which somebody would have to read meanwhile.
    let output = File::create(log)?;
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let started = Instant::now();
    let status = command.status();
    let time = started.elapsed();
    let name = command.get_program().to_string_lossy().into_owned();
    let status = status.with_context(|| name.clone())?;
    let said = fs::read(log)?;
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(status.success(), "{name}: {status}\n{}", said.trim());
    Ok((time, said))
}

/// Bytes in the files of a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        sum += entry?.metadata()?.len();
    }
    Ok(sum)
}
