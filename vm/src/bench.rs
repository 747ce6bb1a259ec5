//! `vm bench`: checkpoint and restart side by side with CRIU, in one machine.

use crate::disk;
use crate::kernel_log;
use crate::layout::Layout;
use crate::machine::Boot;
use crate::machine::Hardware;
use crate::machine::Machine;
use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use bench::chart;
use bench::results::Line;
use bench::results::Results;
use bench::table;
use clap::Args;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;
use std::time::SystemTime;
use vm::Command;
use vm::Event;

#[derive(Args)]
pub struct Bench {
    /// How often everything is measured.
    #[arg(long, env = "ROUNDS", default_value_t = 3)]
    rounds: usize,

    /// A few small workloads only.
    #[arg(long, env = "QUICK", value_parser = clap::builder::BoolishValueParser::new())]
    quick: bool,

    /// Only workloads whose name matches.
    #[arg(long, env = "T", default_value = "*", value_name = "GLOB")]
    only: String,
}

/// The longest time in which nothing is heard: CRIU saves a thousand processes.
const PATIENCE: Duration = Duration::from_secs(900);

impl Bench {
    pub fn perform(self, layout: &Layout, hardware: &Hardware) -> Result<ExitCode> {
        let folder = layout.bench()?;
        let mut run = Run::new(layout, hardware)?;
        let status = run.measure(self.command(), layout, hardware);
        // What was measured before something broke is worth keeping.
        let results = run.finish();
        fs::write(
            folder.join("results.json"),
            serde_json::to_string_pretty(&results)?,
        )?;
        fs::write(folder.join("results.svg"), chart::chart(&results))?;
        print!("{}", table::table(&results));
        println!("{}", folder.join("results.json").display());
        println!("{}", folder.join("results.svg").display());
        let fine = status? == 0 && results.failed.is_empty();
        Ok(match fine {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }

    fn command(&self) -> Command {
        let quick = match self.quick {
            true => "--quick",
            false => "",
        };
        let rounds = self.rounds;
        // The shell of the guest must not expand the pattern.
        let only = self.only.replace('\'', "'\\''");
        Command::new(&format!("bench --rounds {rounds} --only '{only}' {quick}"))
    }
}

/// What is known while it runs.
struct Run {
    results: Results,
    bar: ProgressBar,
    /// The end of what the guest wrote, up to the end of a line.
    unread: Vec<u8>,
    log: Vec<String>,
}

impl Run {
    fn new(layout: &Layout, hardware: &Hardware) -> Result<Run> {
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        let mut results = Results::default();
        results.setting.extend([
            (String::from("date"), now.to_string()),
            (String::from("version"), version()),
            (String::from("machine"), hardware.describe(layout)),
        ]);
        let style = "{bar:24} {pos}/{len}  {elapsed_precise}  {msg}";
        let style = ProgressStyle::with_template(style).context("the style of the bar")?;
        Ok(Run {
            results,
            bar: ProgressBar::new(0).with_style(style),
            unread: Vec::new(),
            log: Vec::new(),
        })
    }

    /// Boot a machine, and measure in it; gives the status of the command.
    fn measure(&mut self, command: Command, layout: &Layout, hardware: &Hardware) -> Result<i32> {
        let scratch = layout.scratch()?;
        let disks = [disk::tools(layout, scratch.path(), &[])?];
        let mut machine = Machine::boot(layout, hardware, Boot::Quiet, &disks, scratch.path())?;
        let status = machine.run(command, PATIENCE, |event| self.hear(event));
        let status = match status {
            Ok(status) => status,
            Err(gone) => {
                let obituary = machine.obituary(&gone);
                self.results
                    .failed
                    .push(String::from("the machine is gone"));
                bail!("the machine gives no answer{obituary}");
            }
        };
        machine.power_off()?;
        if let Some(lines) = kernel_log::complaint(&self.log) {
            bail!("the kernel complains:\n{}", lines.join("\n"));
        }
        Ok(status)
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Stdout(data) => {
                self.unread.extend(data);
                while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.unread.drain(..=end).collect();
                    match serde_json::from_slice(&line) {
                        Ok(line) => self.learn(line),
                        Err(_) => self.tell(&String::from_utf8_lossy(&line)),
                    }
                }
            }
            Event::Stderr(data) => self.tell(&String::from_utf8_lossy(&data)),
            Event::KernelLog(lines) => self.log.extend(lines),
            Event::Ready | Event::Exit(_) => {}
        }
    }

    fn learn(&mut self, line: Line) {
        match &line {
            Line::Plan(steps) => self.bar.set_length(*steps as u64),
            Line::Doing(what) => match self.bar.is_hidden() {
                true => eprintln!("{what}"),
                false => self.bar.set_message(what.clone()),
            },
            Line::Measured(_) => self.bar.inc(1),
            Line::Skipped { workload, why } => self.tell(&format!("{workload}: {why}")),
            Line::Failed { workload, why, .. } => self.tell(&format!("FAILED: {workload}: {why}")),
            Line::Setting(_) | Line::Empty(_) => {}
        }
        self.results.add(line);
    }

    fn tell(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{}", text.trim_end()));
    }

    fn finish(mut self) -> Results {
        self.bar.finish_and_clear();
        self.results.summarize();
        self.results
    }
}

/// What was measured: the commit of this repository.
fn version() -> String {
    std::process::Command::new("git")
        .args(["-c", "safe.directory=*", "describe", "--always", "--dirty"])
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|version| version.trim().to_owned())
        .unwrap_or_default()
}
