//! Who saves and restores, and how long it takes.

use crate::victim::Victim;
use crate::workload::Workload;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use bench::results::nanoseconds;
use bench::results::Measurement;
use bench::results::Tool;
use prost::Message;
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
            Tool::Cr => cr_dump(&victim, &image),
            Tool::Criu => criu_dump(&victim, &image),
            Tool::Copy => anyhow::bail!("a copy has no victim"),
        };
        let dump = dump.context("dump")?;
        victim.kill().context("dump")?;
        let bytes = size(&image)?;
        let restore = match tool {
            Tool::Criu => criu_restore(&image),
            _ => cr_restore(&image, victim.pid(), workload.lazy),
        };
        let restore = restore.context("restore")?;
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

fn cr_dump(victim: &Victim, image: &Path) -> Result<Dump> {
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
    // What CRIU counts: from the first task that stops to the last that goes on.
    let time_of = |key: &str| details.get(key).copied().context(key.to_owned());
    Ok(Dump {
        time,
        frozen_ns: time_of("frozen_ns")?.saturating_add(time_of("freeze_ns")?),
        details,
    })
}

fn cr_restore(image: &Path, pid: i32, lazy: bool) -> Result<Duration> {
    let mut command = Command::new("cr");
    command.args(["restart", "--detach"]);
    if lazy {
        command.arg("--lazy");
    }
    command.arg("--input");
    command.arg(image.join("tree"));
    let (time, output) = run(&mut command, &image.with_extension("log"))?;
    ensure!(
        output.trim() == pid.to_string(),
        "the root is {}, and was {pid}",
        output.trim()
    );
    Ok(time)
}

fn criu_dump(victim: &Victim, image: &Path) -> Result<Dump> {
    let pid = victim.pid().to_string();
    let mut command = Command::new("criu");
    command
        .args(["dump", "--leave-running", "--tree", &pid, "--images-dir"])
        .arg(image);
    let (time, _) = run(&mut command, &image.with_extension("log"))?;
    let stats = fs::read(image.join("stats-dump"))?;
    let details = criu_stats(&stats).context("stats-dump")?;
    let frozen = |key: &str| details.get(key).copied().unwrap_or_default();
    Ok(Dump {
        time,
        frozen_ns: frozen("freezing_us")
            .saturating_add(frozen("frozen_us"))
            .saturating_mul(1000),
        details,
    })
}

fn criu_restore(image: &Path) -> Result<Duration> {
    let mut command = Command::new("criu");
    command.args(["restore", "--restore-detached", "--images-dir"]);
    let (time, _) = run(command.arg(image), &image.with_extension("log"))?;
    Ok(time)
}

/// `criu/images/stats.proto`: a file of two magic numbers, a length and this.
#[derive(prost::Message)]
struct StatsEntry {
    #[prost(message, optional, tag = "1")]
    dump: Option<DumpStatsEntry>,
}

/// Times are in microseconds.
#[derive(prost::Message)]
struct DumpStatsEntry {
    #[prost(uint32, required, tag = "1")]
    freezing_time: u32,
    #[prost(uint32, required, tag = "2")]
    frozen_time: u32,
    #[prost(uint32, required, tag = "3")]
    memdump_time: u32,
    #[prost(uint32, required, tag = "4")]
    memwrite_time: u32,
    #[prost(uint64, required, tag = "7")]
    pages_written: u64,
}

const STATS_HEADER: usize = 3 * size_of::<u32>();

fn criu_stats(file: &[u8]) -> Result<BTreeMap<String, u64>> {
    let entry = StatsEntry::decode(file.get(STATS_HEADER..).context("it is short")?)?;
    let dump = entry.dump.context("it is not of a dump")?;
    let pairs = [
        ("freezing_us", u64::from(dump.freezing_time)),
        ("frozen_us", u64::from(dump.frozen_time)),
        ("memdump_us", u64::from(dump.memdump_time)),
        ("memwrite_us", u64::from(dump.memwrite_time)),
        ("pages_written", dump.pages_written),
    ];
    Ok(pairs.map(|(key, value)| (key.to_owned(), value)).into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stats_of_criu_are_read() {
        let entry = StatsEntry {
            dump: Some(DumpStatsEntry {
                freezing_time: 5,
                frozen_time: 300,
                memdump_time: 200,
                memwrite_time: 100,
                pages_written: 77,
            }),
        };
        let mut file = vec![0; STATS_HEADER];
        entry.encode(&mut file).unwrap();
        let stats = criu_stats(&file).unwrap();
        assert_eq!(stats["frozen_us"], 300);
        assert_eq!(stats["pages_written"], 77);
        assert!(criu_stats(&[0; 3]).is_err());
    }
}
