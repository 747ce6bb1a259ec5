//! `vm demo`: real programs survive the reboot of their machine.
//!
//! A python3 with threads and a child, and an sqlite3 that has its data in memory
//! alone, are checkpointed to a disk and killed. The machine is switched off. A
//! new one has nothing of the first but the disk; in it they go on.

use crate::disk;
use crate::disk::Disk;
use crate::kernel_log;
use crate::layout::Layout;
use crate::layout::Scratch;
use crate::machine::Boot;
use crate::machine::Hardware;
use crate::machine::Machine;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use clap::Args;
use serde_json::Value;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use std::time::Instant;

#[derive(Args)]
pub struct Demo {}

/// How many primes python3 shall find, and with how many it is interrupted.
const PRIMES: usize = 2000;
const INTERRUPTED_AT: usize = 300;
const ROWS: usize = 20_000;

/// What the table of sqlite3 has in it: one line, the same as long as it does.
const QUESTION: &str = "select count(*), sum(id * length(word)) from t;";

impl Demo {
    pub fn perform(self, layout: &Layout, hardware: &Hardware) -> Result<ExitCode> {
        println!("Two programs survive the reboot of their machine.\n");
        let started = Instant::now();
        let persist = disk::persistent(layout.vm()?.join("persist.ext4"))?;
        let mut stage = Stage::new(layout, hardware, persist)?;
        let before = stage.first_half()?;
        stage.reboot()?;
        stage.second_half(&before)?;
        stage.close()?;
        let seconds = started.elapsed().as_secs();
        println!(
            "\nIt worked: both went on where they were, with all that they had. ({seconds} s)"
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// What is known of the programs when the first machine ends.
struct Before {
    python: Program,
    sqlite: Program,
    noted: usize,
    answer: String,
}

/// A program that runs in the machine.
struct Program {
    name: &'static str,
    pid: String,
    tasks: usize,
}

/// The machine and what it has on its disks, and the number of the step.
struct Stage<'a> {
    layout: &'a Layout,
    hardware: &'a Hardware,
    scratch: Scratch,
    disks: Vec<Disk>,
    machine: Machine,
    step: usize,
}

impl<'a> Stage<'a> {
    fn new(layout: &'a Layout, hardware: &'a Hardware, persist: Disk) -> Result<Stage<'a>> {
        let scratch = layout.scratch()?;
        let script = ("share/demo/compute.py", include_str!("../demo/compute.py"));
        let disks = vec![disk::tools(layout, scratch.path(), &[script])?, persist];
        let machine = Machine::boot(layout, hardware, Boot::Quiet, &disks, scratch.path())?;
        Ok(Stage {
            layout,
            hardware,
            scratch,
            disks,
            machine,
            step: 0,
        })
    }

    fn first_half(&mut self) -> Result<Before> {
        let system = self.shell(". /etc/os-release; echo Linux $(uname -r) and $PRETTY_NAME")?;
        self.tell(&format!("A machine with {system} is up."));
        // The programs shall have pids that the next machine has not given to others.
        self.shell("echo 1000 >/proc/sys/kernel/ns_last_pid")?;

        let python = self.start(
            "python3",
            &format!("python3 /usr/local/share/demo/compute.py primes {PRIMES} </dev/null"),
        )?;
        self.wait_for(INTERRUPTED_AT, Stage::noted)?;
        let python = self.look(python)?;
        self.tell(&format!(
            "python3 computes primes in {} tasks, threads and a child behind a pipe. Pid {}.",
            python.tasks, python.pid
        ));

        self.shell("mkfifo sql")?;
        let sqlite = self.start("sqlite3", "sqlite3 -batch :memory: <>sql")?;
        let fill = format!(
            "create table t(id, word); with recursive n(i) as (select 1 union all select i + 1 \
             from n where i < {ROWS}) insert into t select i, hex(i * i) from n;"
        );
        self.shell(&format!("echo '{fill}' >sql"))?;
        let answer = self.ask(QUESTION)?;
        let sqlite = self.look(sqlite)?;
        self.tell(&format!(
            "sqlite3 has {ROWS} rows in memory, on no disk. Pid {}.",
            sqlite.pid
        ));

        self.checkpoint(&python)?;
        self.checkpoint(&sqlite)?;
        let noted = self.noted()?;
        self.tell(&format!(
            "Both are killed. python3 had noted {noted} of {PRIMES} primes."
        ));
        Ok(Before {
            python,
            sqlite,
            noted,
            answer,
        })
    }

    fn second_half(&mut self, before: &Before) -> Result<()> {
        ensure!(
            self.noted()? == before.noted,
            "the file of primes has changed meanwhile"
        );
        self.restart(&before.python)?;
        self.restart(&before.sqlite)?;

        let answer = self.ask(QUESTION)?;
        ensure!(
            answer == before.answer,
            "sqlite3 says {answer}, and said {}",
            before.answer
        );
        self.tell(&format!(
            "sqlite3 still has its {ROWS} rows, and they are the same."
        ));
        let fresh = format!(
            "insert into t values ({}, hex(0)); select count(*) from t;",
            ROWS + 1
        );
        let count = self.ask(&fresh)?;
        ensure!(
            count == (ROWS + 1).to_string(),
            "sqlite3 takes no new row: {count}"
        );
        self.tell("sqlite3 takes a new row.");

        self.wait_for(before.noted + 1, Stage::noted)?;
        self.tell(&format!(
            "python3 goes on: it notes prime number {}.",
            before.noted + 1
        ));
        self.wait_for(PRIMES, Stage::noted)?;
        self.shell(&format!(
            "python3 /usr/local/share/demo/compute.py --check primes {PRIMES}"
        ))?;
        self.tell(&format!(
            "python3 is done: {PRIMES} primes, none lost, none twice, sums right."
        ));
        let pid = &before.python.pid;
        self.shell(&format!(
            "for i in $(seq 100); do [ -e /proc/{pid} ] || break; sleep 0.1; done"
        ))?;
        let log = self.shell("cat python3.log")?;
        ensure!(log.is_empty(), "python3 complains: {log}");
        Ok(())
    }

    /// Start a program as people start a daemon, in its own session; returns its pid.
    fn start(&mut self, name: &'static str, line: &str) -> Result<(&'static str, String)> {
        // What sqlite3 answers goes to the same file.
        let pid = self.shell(&format!("setsid {line} >{name}.log 2>&1 & echo $!"))?;
        Ok((name, pid))
    }

    /// Count the tasks of a program and of its children.
    fn look(&mut self, (name, pid): (&'static str, String)) -> Result<Program> {
        let tasks = self.tasks(&pid)?;
        Ok(Program { name, pid, tasks })
    }

    fn tasks(&mut self, pid: &str) -> Result<usize> {
        let count = self.shell(&format!("ps -eL -o sid= | grep -cw {pid}"))?;
        count.parse().context(count)
    }

    fn noted(&mut self) -> Result<usize> {
        let count = self.shell("cat primes 2>/dev/null | wc -l")?;
        count.parse().context(count)
    }

    /// Have sqlite3 do something, and return the last line that it answers.
    fn ask(&mut self, question: &str) -> Result<String> {
        let lines = |stage: &mut Stage<'_>| -> Result<usize> {
            let count = stage.shell("wc -l <sqlite3.log")?;
            count.parse().context(count)
        };
        let before = lines(self)?;
        self.shell(&format!("timeout 30 sh -c \"echo '{question}' >sql\""))?;
        self.wait_for(before + 1, lines)?;
        self.shell("tail -n1 sqlite3.log")
    }

    fn checkpoint(&mut self, program: &Program) -> Result<()> {
        let Program { name, pid, tasks } = program;
        let report = self.shell(&format!("cr checkpoint --json --kill -o {name}.img {pid}"))?;
        let report: Value = serde_json::from_str(&report).context("the report of cr")?;
        let frozen = match report["stats"]["frozen_ns"].as_f64() {
            Some(time) => format!(", frozen for {:.1} ms", time / 1e6),
            None => String::new(),
        };
        let size: f64 = self.shell(&format!("stat -c %s {name}.img"))?.parse()?;
        let size = size / f64::from(1 << 20);
        self.tell(&format!(
            "{name} is checkpointed: {tasks} tasks, {size:.1} MB{frozen}."
        ));
        self.shell(&format!("sync; ! [ -e /proc/{pid} ]"))
            .context("it is still there")?;
        Ok(())
    }

    fn restart(&mut self, program: &Program) -> Result<()> {
        let Program { name, pid, tasks } = program;
        let started = Instant::now();
        let root = self.shell(&format!("cr restart --detach -i {name}.img"))?;
        let time = started.elapsed().as_millis();
        ensure!(root == *pid, "{name} has pid {root} now, and had {pid}");
        let now = self.tasks(pid)?;
        ensure!(now == *tasks, "{name} has {now} tasks now, and had {tasks}");
        self.tell(&format!(
            "{name} is restarted in {time} ms: pid {pid}, {tasks} tasks, as before."
        ));
        Ok(())
    }

    fn reboot(&mut self) -> Result<()> {
        let boot = "cat /proc/sys/kernel/random/boot_id";
        let before = self.shell(boot)?;
        self.check_kernel_log()?;
        let path = self.scratch.path();
        // The old machine must have put its disk away before the new one takes it.
        self.machine.power_off()?;
        self.machine = Machine::boot(self.layout, self.hardware, Boot::Quiet, &self.disks, path)?;
        ensure!(self.shell(boot)? != before, "this is the same machine");
        let up = self.shell("cut -d' ' -f1 /proc/uptime")?;
        self.tell(&format!(
            "The machine is switched off. A new one is up since {up} s."
        ));
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.check_kernel_log()?;
        self.machine.power_off()
    }

    fn check_kernel_log(&mut self) -> Result<()> {
        let log: Vec<String> = self.shell("dmesg")?.lines().map(str::to_owned).collect();
        match kernel_log::complaint(&log) {
            Some(lines) => bail!("the kernel complains:\n{}", lines.join("\n")),
            None => Ok(()),
        }
    }

    fn tell(&mut self, text: &str) {
        self.step += 1;
        println!("{:3}. {text}", self.step);
    }

    fn wait_for(
        &mut self,
        wanted: usize,
        measure: impl Fn(&mut Stage<'a>) -> Result<usize>,
    ) -> Result<()> {
        let mut progress = (0, Instant::now());
        loop {
            let now = measure(self)?;
            if now >= wanted {
                return Ok(());
            }
            if now != progress.0 {
                progress = (now, Instant::now());
            }
            ensure!(
                progress.1.elapsed() < STANDSTILL,
                "nothing moves: {now}, not {wanted}"
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Run a command on the disk that survives. It must work; returns what it printed.
    fn shell(&mut self, line: &str) -> Result<String> {
        self.machine.shell(line, STANDSTILL)
    }
}

const STANDSTILL: Duration = Duration::from_secs(60);
