// SPDX-License-Identifier: GPL-2.0

//! Records of `format/task.rs`.

use super::check_bits;
use super::check_one_of;
use super::check_text;
use super::list;
use super::may;
use super::must;
use super::no_object;
use super::object;
use super::Fields;
use super::Kind;
use super::Reference;
use super::Result;
use super::Tail;
use crate::format::file::Files;
use crate::format::file::Fs;
use crate::format::file::Pty;
use crate::format::memory::Mm;
use crate::format::namespace::Namespaces;
use crate::format::namespace::PidNs;
use crate::format::namespace::UserNs;
use crate::format::task;
use crate::format::task::Attributes;
use crate::format::task::Cgroup;
use crate::format::task::Creds;
use crate::format::task::IntervalTimers;
use crate::format::task::Peaks;
use crate::format::task::Pids;
use crate::format::task::PosixTimer;
use crate::format::task::PosixTimers;
use crate::format::task::Process;
use crate::format::task::ProcessUsage;
use crate::format::task::Ptrace;
use crate::format::task::Regset;
use crate::format::task::RestartBlock;
use crate::format::task::SeccompFilter;
use crate::format::task::SigAction;
use crate::format::task::SigQueue;
use crate::format::task::Sighand;
use crate::format::task::Task;
use crate::format::task::TaskPolicy;
use crate::format::task::TaskUsage;
use crate::format::Record;
use crate::format::Value;

/// The most signals that any architecture has.
const SIGNALS_MAX: u32 = 128;

impl Kind for Creds {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![may("user_ns", self.user_ns, &[UserNs::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        Ok(vec![(
            "groups",
            list(tail.list::<u32>(self.groups, "groups")?),
        )])
    }

    fn check(&self) -> Result<()> {
        match self.keyring {
            task::KEYRING_RESTARTER | task::KEYRING_USER_SESSION => Ok(()),
            keyring => Err(format!("there is no kind {keyring} of keyrings")),
        }
    }
}

impl Kind for Sighand {
    object!();

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let actions = tail.list::<SigAction>(self.signals, "signal actions")?;
        Ok(vec![("actions", list(actions))])
    }

    fn check(&self) -> Result<()> {
        match self.signals {
            1..=SIGNALS_MAX => Ok(()),
            signals => Err(format!("{signals} signals are impossible")),
        }
    }
}

impl Kind for Process {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![may("tty", self.tty, &[Pty::KIND])]
    }

    fn check(&self) -> Result<()> {
        if self.tgid <= 0 || self.pgid < 0 || self.sid < 0 || self.parent < 0 {
            return Err("a process id is impossible".into());
        }
        if self.ptracer < -1 {
            return Err(format!("the tracer {} is impossible", self.ptracer));
        }
        let known = task::PROCESS_SUBREAPER
            | task::PROCESS_EXECED
            | task::PROCESS_STOPPED
            | task::PROCESS_CONTINUED;
        check_bits("flags", self.flags, known)?;
        let stopped = self.flags & task::PROCESS_STOPPED != 0;
        if stopped != (self.stop_signal != 0) || (!stopped && self.stop_code != 0) {
            return Err("it is stopped without a signal, or the other way round".into());
        }
        Ok(())
    }
}

impl Kind for Task {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        let zombie = self.flags & task::TASK_ZOMBIE != 0;
        let live = if zombie { may } else { must };
        vec![
            must("process", self.process, &[Process::KIND]),
            must("creds", self.creds, &[Creds::KIND]),
            live("namespaces", self.namespaces, &[Namespaces::KIND]),
            live("mm", self.mm, &[Mm::KIND]),
            live("files", self.files, &[Files::KIND]),
            live("fs", self.fs, &[Fs::KIND]),
            live("sighand", self.sighand, &[Sighand::KIND]),
        ]
    }

    fn check(&self) -> Result<()> {
        if self.tid <= 0 {
            return Err(format!("thread id {} is impossible", self.tid));
        }
        let known = task::TASK_RESTORE_SIGMASK
            | task::TASK_NO_NEW_PRIVS
            | task::TASK_ZOMBIE
            | task::TASK_SELF
            | task::TASK_VFORK
            | task::TASK_RSEQ_SLICE;
        check_bits("flags", self.flags, known)?;
        let objects = [self.namespaces, self.mm, self.files, self.fs, self.sighand];
        let dead = self.flags & task::TASK_ZOMBIE != 0;
        if dead && objects.iter().any(|object| !object.is_none()) {
            return Err("a zombie has more than credentials".into());
        }
        check_text("comm", &self.comm)
    }
}

impl Kind for Regset {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("task", self.task, &[Task::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        match tail.rest() {
            [] => Err("it has no registers".into()),
            registers => Ok(vec![("registers", Value::Bytes(registers))]),
        }
    }
}

impl Kind for SigQueue {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("owner", self.owner, &[Task::KIND, Process::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let queue = tail.list::<[u8; task::SIGINFO_SIZE]>(self.signals, "signals")?;
        Ok(vec![("siginfo", list(queue))])
    }
}

impl Kind for RestartBlock {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("task", self.task, &[Task::KIND])]
    }

    fn check(&self) -> Result<()> {
        let known = [
            task::RESTART_NANOSLEEP,
            task::RESTART_POLL,
            task::RESTART_FUTEX,
            task::RESTART_ALARM,
            task::RESTART_CPU,
        ];
        check_one_of("call", self.call, &known)
    }
}

impl Kind for IntervalTimers {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("process", self.process, &[Process::KIND])]
    }

    fn check(&self) -> Result<()> {
        let [real, others @ ..] = &self.left;
        let negative = others.iter().chain(&self.interval).any(|time| *time < 0);
        if negative || *real < self.interval[0].saturating_neg() {
            return Err("a time is negative".into());
        }
        Ok(())
    }
}

impl Kind for PosixTimers {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("process", self.process, &[Process::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let timers = tail.list::<PosixTimer>(self.timers, "timers")?;
        for timer in timers {
            check_timer(timer).map_err(|what| format!("timer {}: {what}", timer.id))?;
        }
        Ok(vec![("timers", list(timers))])
    }

    fn check(&self) -> Result<()> {
        check_one_of("restore_ids", self.restore_ids, &[0, 1])
    }
}

/// `SIGEV_SIGNAL`, `SIGEV_NONE`, `SIGEV_THREAD` and `SIGEV_THREAD_ID`.
const NOTIFY: [u32; 4] = [0, 1, 2, SIGEV_THREAD_ID];
const SIGEV_THREAD_ID: u32 = 4;

fn check_timer(timer: &PosixTimer) -> Result<()> {
    check_one_of("notify", timer.notify, &NOTIFY)?;
    let known = (task::POSIX_TIMER_PERIODIC << 1) - 1;
    check_bits("flags", timer.flags, known)?;
    if timer.id < 0 || timer.interval < 0 {
        return Err("its number or its interval is negative".into());
    }
    if (timer.clock < 0) != (timer.cpu > 0) {
        return Err("a CPU clock is that of a task, and no other clock is".into());
    }
    if (timer.notify == SIGEV_THREAD_ID) != (timer.thread > 0) {
        return Err("a thread is told with SIGEV_THREAD_ID, and only then".into());
    }
    let state = task::POSIX_TIMER_ARMED | task::POSIX_TIMER_FIRED;
    if timer.flags & state == state {
        return Err("it runs, and has expired".into());
    }
    Ok(())
}

impl Kind for Ptrace {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("task", self.task, &[Task::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let infos = u32::from(self.flags & task::PTRACE_SIGINFO != 0);
        let info = tail.list::<[u8; task::SIGINFO_SIZE]>(infos, "siginfo")?;
        Ok(vec![("siginfo", list(info))])
    }

    fn check(&self) -> Result<()> {
        check_bits("flags", self.flags, (task::PTRACE_LISTENS << 1) - 1)?;
        if self.tracer <= 0 {
            return Err(format!("tracer {} is impossible", self.tracer));
        }
        if self.stop > task::STOP_SECCOMP {
            return Err(format!("stop {} is not known", self.stop));
        }
        if self.stop == task::STOP_NONE && (self.exit_code != 0 || self.message != 0) {
            return Err("it is not stopped, and there is something to wait for".into());
        }
        let clones = [task::STOP_CLONE, task::STOP_VFORK].contains(&self.stop);
        if self.child < 0 || (self.child > 0) != clones {
            return Err(format!("child {} does not fit to the stop", self.child));
        }
        Ok(())
    }
}

/// The most that a number of usage may be.
const USAGE_MAX: u64 = (i64::MAX / 2) as u64;

impl Kind for TaskUsage {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("task", self.task, &[Task::KIND])]
    }

    fn check(&self) -> Result<()> {
        let times = self.time.iter().chain(&self.shown);
        let starts = [
            self.start.unsigned_abs(),
            self.start_boottime.unsigned_abs(),
        ];
        match times.chain(&starts).all(|time| *time <= USAGE_MAX) {
            true => Ok(()),
            false => Err("a time is impossible".into()),
        }
    }
}

impl Kind for ProcessUsage {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("process", self.process, &[Process::KIND])]
    }

    fn check(&self) -> Result<()> {
        let times = self.time.iter().chain(&self.shown);
        match times.chain(&self.child_time).all(|time| *time <= USAGE_MAX) {
            true => Ok(()),
            false => Err("a time is impossible".into()),
        }
    }
}

impl Kind for Peaks {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("mm", self.mm, &[Mm::KIND])]
    }

    fn check(&self) -> Result<()> {
        match self.rss.max(self.vm) <= USAGE_MAX {
            true => Ok(()),
            false => Err("so many pages are impossible".into()),
        }
    }
}

impl Kind for Cgroup {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("task", self.task, &[Task::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let path = tail.text(self.len, "path")?;
        match path {
            Value::Bytes([]) => (),
            Value::Bytes(bytes) if bytes.split(|byte| *byte == b'/').all(is_name) => (),
            _ => return Err("the path has an impossible name".into()),
        }
        Ok(vec![("path", path)])
    }

    fn check(&self) -> Result<()> {
        match (self.up, self.len) {
            (0, 0) => Err("it is the cgroup of the root".into()),
            _ => Ok(()),
        }
    }
}

impl Kind for Pids {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![
            must("task", self.task, &[Task::KIND]),
            may("ns", self.ns, &[PidNs::KIND]),
            may("children", self.children, &[PidNs::KIND]),
        ]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let pids = tail.list::<i32>(self.count, "pids")?;
        match pids.iter().find(|pid| **pid <= 0) {
            Some(pid) => Err(format!("pid {pid} is impossible")),
            None => Ok(vec![("pids", list(pids))]),
        }
    }

    fn check(&self) -> Result<()> {
        if self.ns.is_none() != (self.count == 0) {
            return Err("it has no pids in its namespace, or some in none".into());
        }
        Ok(())
    }
}

/// Whether a cgroup can have the name.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
}

impl Kind for Attributes {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![
            must("task", self.task, &[Task::KIND]),
            may("filter", self.filter, &[SeccompFilter::KIND]),
        ]
    }

    fn check(&self) -> Result<()> {
        if let Some(tid) = [self.io, self.sem_undo].iter().find(|tid| **tid < 0) {
            return Err(format!("task {tid} is impossible"));
        }
        if self.util_min > 1024 || self.util_max > 1024 {
            return Err("a utilization clamp is beyond 1024".into());
        }
        check_bits("flags", self.flags, (task::ATTRIBUTE_UTIL_MAX << 1) - 1)
    }
}

impl Kind for TaskPolicy {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("task", self.task, &[Task::KIND])]
    }

    fn check(&self) -> Result<()> {
        match (self.last, self.left) {
            (0..1024, 0..=255) => Ok(()),
            (last, left) => Err(format!("{left} pages more of node {last} are impossible")),
        }
    }
}

impl Kind for SeccompFilter {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![may("older", self.older, &[SeccompFilter::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        Ok(vec![(
            "program",
            list(tail.list::<u64>(self.insns, "instructions")?),
        )])
    }

    fn check(&self) -> Result<()> {
        check_bits("flags", self.flags, task::SECCOMP_LOG)
    }
}
