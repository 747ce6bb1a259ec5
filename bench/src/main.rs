//! Measures checkpoint and restart in the guest, and says what it finds on
//! standard output, a line of JSON for each event.

mod tool;
mod victim;
mod workload;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use bench::results::median;
use bench::results::Line;
use bench::results::Measurement;
use bench::results::Tool;
use clap::Parser;
use glob::Pattern;
use rustix::mount::MountFlags;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;
use tool::Place;
use workload::Kind;
use workload::Workload;

#[derive(Parser)]
#[command(about = "Measure checkpoint and restart side by side with CRIU")]
struct Arguments {
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// A few small workloads only.
    #[arg(long)]
    quick: bool,

    /// Only workloads whose name matches.
    #[arg(long, default_value = "*", value_name = "GLOB")]
    only: String,
}

/// A workload that takes a tool longer is not measured with it a second time.
const LONG: Duration = Duration::from_secs(60);

/// The argument with which this program does nothing.
const NOTHING: &str = "--nothing";

fn main() -> Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some(NOTHING) {
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    let only = Pattern::new(&arguments.only).context("the pattern")?;
    let workloads: Vec<&Workload> = workload::ALL
        .iter()
        .filter(|one| only.matches(one.name) && (one.quick || !arguments.quick))
        .collect();
    ensure!(!workloads.is_empty(), "no workload has such a name");
    say(&Line::Setting(setting()?))?;
    let place = prepare()?;
    say(&Line::Plan(
        workloads.len() * arguments.rounds * Tool::ALL.len(),
    ))?;

    tool::serve()?;

    // What is used for the first time is read from a disk.
    say(&Line::Doing(String::from("warming up")))?;
    let mut failed = false;
    for tool in [Tool::Cr, Tool::Criu] {
        // If it fails, it does so again where it is counted.
        place.measure(&workload::ALL[0], tool, 0).ok();
    }
    say(&Line::Empty(empty_program()?))?;
    for workload in workloads {
        let free = available()?;
        if workload.needs() > free {
            say(&Line::Skipped {
                workload: workload.name.to_owned(),
                why: format!(
                    "it needs {} MB of memory, and {} MB are free",
                    workload.needs() >> 20,
                    free >> 20
                ),
            })?;
            continue;
        }
        failed |= !measure(&place, workload, arguments.rounds)?;
    }
    Ok(match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// How many nanoseconds it takes to start a program that does nothing and to wait for its end: the
/// least that any command takes. The median of some. The program is this one, which is linked as `cr`
/// is: one with shared libraries takes longer.
fn empty_program() -> Result<u64> {
    let this = std::env::current_exe()?;
    let mut times = Vec::new();
    for _ in 0..15 {
        let started = Instant::now();
        let status = Command::new(&this).arg(NOTHING).status()?;
        times.push(u64::try_from(started.elapsed().as_nanos())?);
        ensure!(status.success(), "{}: {status}", this.display());
    }
    median(times).context("no time")
}

/// All rounds of a workload; tells whether all of it worked.
fn measure(place: &Place, workload: &Workload, rounds: usize) -> Result<bool> {
    let mut tools = match workload.kind {
        // CRIU 4.1.1 asks sockets of TCP for SO_PASSCRED, which Linux 7.3 does not tell.
        Kind::Redis { .. } => vec![Tool::Cr],
        _ => vec![Tool::Cr, Tool::Criu],
    };
    let mut bytes = None;
    let mut fine = true;
    for round in 1..=rounds {
        let started: Vec<Tool> = tools.clone();
        for tool in started {
            let name = format!("{}: {}, round {round}", workload.name, tool.name());
            say(&Line::Doing(name))?;
            let started = Instant::now();
            match place.measure(workload, tool, round) {
                Ok(measurement) => {
                    if tool == Tool::Cr {
                        bytes = Some(measurement.bytes);
                    }
                    say(&Line::Measured(measurement))?;
                }
                Err(error) => {
                    fine = false;
                    tools.retain(|other| *other != tool);
                    say(&failure(workload, tool, round, &error))?;
                }
            }
            if started.elapsed() > LONG {
                tools.retain(|other| *other != tool);
            }
        }
        // Neither is always the first.
        tools.reverse();
        if let Some(bytes) = bytes {
            let copied: Result<Measurement> = place.copy(workload, bytes, round);
            say(&match copied {
                Ok(measurement) => Line::Measured(measurement),
                Err(error) => {
                    fine = false;
                    failure(workload, Tool::Copy, round, &error)
                }
            })?;
        }
    }
    Ok(fine)
}

fn failure(workload: &Workload, tool: Tool, round: usize, error: &anyhow::Error) -> Line {
    Line::Failed {
        workload: workload.name.to_owned(),
        tool,
        round,
        why: format!("{error:#}"),
    }
}

fn say(line: &Line) -> Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    let mut stdout = std::io::stdout();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Check that both can work here, and tell what they are.
fn setting() -> Result<BTreeMap<String, String>> {
    let check = Command::new("criu").arg("check").output();
    let check = check.context("criu check")?;
    ensure!(
        check.status.success(),
        "criu check: {}",
        String::from_utf8_lossy(&check.stderr).trim()
    );
    let version = Command::new("criu").arg("--version").output()?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let version = version.lines().next().unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let memory = field("/proc/meminfo", "MemTotal:")?;
    let processors = std::thread::available_parallelism()?;
    let pairs = [
        ("criu", version.trim_start_matches("Version: ").to_owned()),
        ("kernel", release.trim().to_owned()),
        ("memory_mb", (memory >> 10).to_string()),
        ("processors", processors.to_string()),
    ];
    Ok(pairs
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect())
}

/// Bytes that a workload may use.
fn available() -> Result<u64> {
    Ok(field("/proc/meminfo", "MemAvailable:")? << 10)
}

/// A number of a file of /proc.
fn field(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next());
    Ok(number.with_context(|| format!("{path}: {name}"))?.parse()?)
}

/// Room for victims and images, in memory, so that no disk is measured.
fn prepare() -> Result<Place> {
    let place = PathBuf::from("/run/bench");
    fs::create_dir_all(&place)?;
    rustix::mount::mount("bench", &place, "tmpfs", MountFlags::empty(), c"size=90%")?;
    // A restored process has the pid that it had: let nobody else get it.
    fs::write("/proc/sys/kernel/pid_max", "4194304")?;
    Ok(Place(place))
}
