//! A running workload.

use crate::workload::Kind;
use crate::workload::Workload;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use rustix::process;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::WaitOptions;
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// No tree takes longer to start, to answer or to end, even in an emulator on a
/// busy host.
const PATIENCE: Duration = Duration::from_secs(300);

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// A tree of processes in a session of its own, with no terminal.
///
/// It is killed with the value.
pub struct Victim {
    root: Pid,
    log: PathBuf,
    /// The processes, as they announced themselves.
    pids: BTreeSet<i32>,
    /// The root, as long as it is a child of ours: a restored one is not.
    child: Option<Child>,
    /// What redis says of all that it has.
    digest: Option<String>,
}

/// Distinct values of a megabyte each, as those of python3; nothing is left of the program.
const FILL: &str = "for number = 0, tonumber(ARGV[1]) - 1 do \
     redis.call('set', number, string.rep(string.format('%08d', number), 131072)) \
     collectgarbage() end";

/// What a redis that listens says; none if it does not answer.
fn redis_cli(arguments: &[&str]) -> Result<Option<String>> {
    let output = Command::new("redis-cli").args(arguments).output()?;
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success().then_some(answer))
}

fn redis_digest() -> Result<String> {
    let digest = redis_cli(&["debug", "digest"])?.context("redis does not answer")?;
    ensure!(
        digest.len() == 40 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "redis says: {digest}"
    );
    // Its end of the connection is closed, too.
    thread::sleep(Duration::from_millis(200));
    Ok(digest)
}

impl Victim {
    /// Start a workload in an empty folder, and wait until it is complete.
    pub fn start(workload: &Workload, folder: &Path) -> Result<Victim> {
        fs::remove_dir_all(folder).ok();
        fs::create_dir_all(folder)?;
        let log = folder.join("log");
        let output = File::options().create(true).append(true).open(&log)?;
        let child = Command::new("setsid")
            .args(workload.command())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("setsid")?;
        let root = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let mut victim = Victim {
            root: root.context("a pid")?,
            log,
            pids: BTreeSet::new(),
            child: Some(child),
            digest: None,
        };
        match workload.kind {
            Kind::Redis { megabytes } => victim.fill_redis(megabytes)?,
            _ => victim.pids = victim.answers("ready", 0, workload.processes())?,
        }
        Ok(victim)
    }

    /// Wait until redis listens, and give it its data.
    fn fill_redis(&mut self, megabytes: usize) -> Result<()> {
        let started = Instant::now();
        while redis_cli(&["ping"])?.is_none() {
            ensure!(started.elapsed() < PATIENCE, "redis does not answer");
            thread::sleep(BETWEEN_LOOKS);
        }
        let answer = redis_cli(&["eval", FILL, "0", &megabytes.to_string()])?;
        ensure!(answer.as_deref() == Some(""), "redis says: {answer:?}");
        redis_cli(&["memory", "purge"])?;
        self.digest = Some(redis_digest()?);
        self.pids.insert(self.pid());
        Ok(())
    }

    pub fn pid(&self) -> i32 {
        self.root.as_raw_nonzero().get()
    }

    /// Wait for the end of a tree that was killed. Its pids are free afterwards.
    fn ended(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        } else {
            // A call that restores makes it a child again.
            process::waitpid(Some(self.root), WaitOptions::empty()).ok();
        }
        let started = Instant::now();
        for pid in &self.pids {
            while Path::new(&format!("/proc/{pid}")).exists() {
                ensure!(started.elapsed() < PATIENCE, "process {pid} does not end");
                thread::sleep(BETWEEN_LOOKS);
            }
        }
        Ok(())
    }

    /// Have every process check all that it has.
    pub fn check(&self) -> Result<()> {
        if let Some(digest) = &self.digest {
            ensure!(
                redis_digest()? == *digest,
                "redis has other data than before"
            );
            return Ok(());
        }
        let from = usize::try_from(fs::metadata(&self.log)?.len())?;
        process::kill_process_group(self.root, Signal::USR1).context("the tree is not there")?;
        let alive = self.answers("alive", from, self.pids.len())?;
        ensure!(alive == self.pids, "other processes than before answer");
        Ok(())
    }

    /// Wait until so many processes have written a word to the log, behind an
    /// offset of it.
    fn answers(&self, word: &str, from: usize, count: usize) -> Result<BTreeSet<i32>> {
        let started = Instant::now();
        loop {
            let log = fs::read(&self.log)?;
            let log = String::from_utf8_lossy(log.get(from..).unwrap_or_default()).into_owned();
            let mut pids = BTreeSet::new();
            for line in log.lines() {
                let answer = line.strip_prefix(word).map(|pid| pid.trim().parse());
                match answer {
                    Some(Ok(pid)) => {
                        pids.insert(pid);
                    }
                    // The last line may not be complete.
                    _ if !log.ends_with('\n') => {}
                    _ => bail!("a process says: {line}"),
                }
            }
            if pids.len() == count {
                return Ok(pids);
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "{} of {count} processes are {word}",
                pids.len()
            );
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// End it, and wait until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        process::kill_process_group(self.root, Signal::KILL).ok();
        self.ended()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill().ok();
    }
}
