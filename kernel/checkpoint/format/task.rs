// SPDX-License-Identifier: GPL-2.0

//! Processes and threads.

use super::ObjRef;

record! {
    /// Credentials: `struct cred`. The tail is `groups` ids of supplementary groups (`u32`).
    pub struct Creds: kind 0x20, version 1, size 88 {
        /// Real, effective, saved and file-system user id; all ids are those of the namespace of
        /// whoever saves.
        pub uid: [u32; 4],
        /// Real, effective, saved and file-system group id.
        pub gid: [u32; 4],
        /// Inheritable, permitted, effective, bounding and ambient capabilities.
        pub caps: [u64; 5],
        /// `SECBIT_*`.
        pub securebits: u32,
        /// How many ids the tail holds.
        pub groups: u32,
        /// `KEYRING_*`: the session keyring.
        pub keyring: u32,
        /// The [`super::namespace::UserNs`] that they are in, or none.
        pub user_ns: ObjRef,
    }
}

/// The session keyring is that of whoever restarts.
pub const KEYRING_RESTARTER: u32 = 0;
/// The session keyring is the one that the kernel keeps for the user.
pub const KEYRING_USER_SESSION: u32 = 1;

plain! {
    /// What a signal does: `struct sigaction`.
    pub struct SigAction: size 32 {
        /// SIG_DFL, SIG_IGN or the address of a handler.
        pub handler: u64,
        /// `SA_*`.
        pub flags: u64,
        /// Where a handler returns to.
        pub restorer: u64,
        /// Signals blocked during the handler.
        pub mask: u64,
    }
}

record! {
    /// Signal handlers: `struct sighand_struct`. The tail is a [`SigAction`] per signal, from 1.
    pub struct Sighand: kind 0x21, version 1, size 8 {
        /// How many signals there are.
        pub signals: u32,
        /// Zero.
        pub reserved: u32,
    }
}

/// [`Process::flags`]: prctl(PR_SET_CHILD_SUBREAPER).
pub const PROCESS_SUBREAPER: u32 = 1;
/// [`Process::flags`]: has called execve() since fork(); setpgid(2) depends on it.
pub const PROCESS_EXECED: u32 = 2;
/// [`Process::flags`]: stopped by a signal, which is `stop_signal`.
pub const PROCESS_STOPPED: u32 = 4;
/// [`Process::flags`]: runs again after a stop, and the parent has not waited for that
/// (WCONTINUED).
pub const PROCESS_CONTINUED: u32 = 8;

record! {
    /// A process: what its threads share (`struct signal_struct`).
    pub struct Process: kind 0x22, version 1, size 312 {
        /// Process id, in the pid namespace of the root.
        pub tgid: i32,
        /// Process group.
        pub pgid: i32,
        /// Session.
        pub sid: i32,
        /// The thread that gets the exit signal (its tid); 0 for the root.
        pub parent: i32,
        /// What the parent is sent when the process ends.
        pub exit_signal: i32,
        /// `PROCESS_*`.
        pub flags: u32,
        /// The signal of a group stop.
        pub stop_signal: i32,
        /// `/proc/PID/oom_score_adj`.
        pub oom_score_adj: i16,
        /// Minimum of the above that an unprivileged writer may choose.
        pub oom_score_adj_min: i16,
        /// The controlling terminal (a [`super::file::Pty`]), or none.
        pub tty: ObjRef,
        /// The signal that the parent can wait for (WUNTRACED); 0 if it has, or nothing is stopped.
        pub stop_code: u32,
        /// Soft and hard limit of each `RLIMIT_*`.
        pub rlimits: [[u64; 2]; 16],
        /// Thread group id of the first process that has the same autogroup; 0 for that of whoever
        /// restarts.
        pub autogroup: i32,
        /// Its nice value.
        pub autogroup_nice: i32,
        /// prctl(PR_SET_PTRACER): the task that may trace the process (its tid), -1 for any, or 0.
        pub ptracer: i32,
        /// Zero.
        pub reserved2: u32,
    }
}

/// [`Task::flags`]: `saved_sigmask` is the mask to go back to (TIF_RESTORE_SIGMASK).
pub const TASK_RESTORE_SIGMASK: u32 = 1;
/// [`Task::flags`]: prctl(PR_SET_NO_NEW_PRIVS).
pub const TASK_NO_NEW_PRIVS: u32 = 2;
/// [`Task::flags`]: has ended and waits for its parent; it has no state but its exit code.
pub const TASK_ZOMBIE: u32 = 4;
/// [`Task::flags`]: in a system call (the task that checkpoints itself), which returns 0.
pub const TASK_SELF: u32 = 8;
/// [`Task::flags`]: its parent waits in vfork(2) until it calls execve(2) or ends.
pub const TASK_VFORK: u32 = 16;
/// [`Task::flags`]: asks for longer time slices (PR_RSEQ_SLICE_EXTENSION).
pub const TASK_RSEQ_SLICE: u32 = 32;

record! {
    /// A thread: `struct task_struct`. The tail is the CPUs that it is bound to, as a set of `u64`
    /// words, or empty. Threads of a process follow each other, the leader first,
    /// and a parent stands before its children.
    pub struct Task: kind 0x23, version 1, size 224 {
        /// Thread id, in the pid namespace of the root.
        pub tid: i32,
        /// `TASK_*`.
        pub flags: u32,
        /// The [`Process`] that it belongs to.
        pub process: ObjRef,
        /// [`Creds`].
        pub creds: ObjRef,
        /// [`Namespaces`].
        pub namespaces: ObjRef,
        /// [`super::memory::Mm`]; none for a zombie.
        pub mm: ObjRef,
        /// [`super::file::Files`]; none for a zombie.
        pub files: ObjRef,
        /// [`super::file::Fs`]; none for a zombie.
        pub fs: ObjRef,
        /// [`Sighand`].
        pub sighand: ObjRef,
        /// The wait status of a zombie.
        pub exit_code: i32,
        /// Name, padded with zeros.
        pub comm: [u8; 16],
        /// Blocked signals.
        pub blocked: u64,
        /// See [`TASK_RESTORE_SIGMASK`].
        pub saved_sigmask: u64,
        /// sigaltstack(2): address.
        pub altstack: u64,
        /// sigaltstack(2): bytes.
        pub altstack_size: u64,
        /// sigaltstack(2): `SS_*`.
        pub altstack_flags: u32,
        /// prctl(PR_SET_PDEATHSIG).
        pub pdeath_signal: i32,
        /// set_robust_list(2).
        pub robust_list: u64,
        /// set_robust_list(2) of a 32-bit task.
        pub compat_robust_list: u64,
        /// set_tid_address(2).
        pub clear_child_tid: u64,
        /// rseq(2): address, or 0.
        pub rseq: u64,
        /// rseq(2): bytes.
        pub rseq_len: u32,
        /// rseq(2): signature.
        pub rseq_sig: u32,
        /// personality(2).
        pub personality: u32,
        /// sched_setscheduler(2).
        pub sched_policy: u32,
        /// setpriority(2).
        pub nice: i32,
        /// Priority of SCHED_FIFO and SCHED_RR.
        pub rt_priority: u32,
        /// prctl(PR_SET_TIMERSLACK), in ns.
        pub timer_slack: u64,
        /// Its default, which children get.
        pub default_timer_slack: u64,
        /// Architecture state that no register set holds; meaning by [`super::Header::machine`]. x86:
        /// what the last exception has left (number, error code, address, debug status), flags of
        /// [`super::x86`], and 0.
        pub arch: [u64; 6],
        /// Thread id of the first task that belongs to the same login (`/proc/PID/sessionid`); 0 for
        /// that of the root, which becomes that of whoever restarts.
        pub login: i32,
        /// Who has logged in (`/proc/PID/loginuid`), or `u32::MAX` for nobody; 0 for that of the root.
        pub login_uid: u32,
    }
}

record! {
    /// The cgroup (version 2) of a task, if it is not that of the root. The tail is its path below
    /// the one that is `up` above that of the root, without "/" at its ends.
    pub struct Cgroup: kind 0x38, version 1, size 16 {
        /// The [`Task`].
        pub task: ObjRef,
        /// How far to go up from the cgroup of the root.
        pub up: u32,
        /// Bytes in the tail.
        pub len: u32,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// The pid namespaces of a task, if one of them is not that of the root. The tail is its `count`
    /// pids (`i32`), from the innermost namespace outwards; that in the namespace of the root is
    /// [`Task::tid`].
    pub struct Pids: kind 0x39, version 1, size 16 {
        /// The [`Task`].
        pub task: ObjRef,
        /// The [`super::namespace::PidNs`] that it is in, or none.
        pub ns: ObjRef,
        /// The [`super::namespace::PidNs`] that its children are going to be in, or none.
        pub children: ObjRef,
        /// How many pids the tail has.
        pub count: u32,
    }
}

record! {
    /// A register set of a task, as ptrace(PTRACE_GETREGSET) gives it; the tail is its bytes. That of
    /// XSAVE (x86) is: the components that are in use, as a `u64` with a bit for each; the first 512
    /// bytes of the area; and for each other component that is in use its number and its bytes, both
    /// `u32`, and what it holds, padded to words of 8 bytes.
    pub struct Regset: kind 0x24, version 1, size 8 {
        /// The [`Task`].
        pub task: ObjRef,
        /// ELF note type (`NT_*`).
        pub note: u32,
    }
}

/// Bytes of a `siginfo_t` in [`SigQueue`].
pub const SIGINFO_SIZE: usize = 128;

record! {
    /// Pending signals, in order. The tail is a `siginfo_t` of [`SIGINFO_SIZE`] bytes for each.
    pub struct SigQueue: kind 0x25, version 1, size 16 {
        /// The [`Task`], or the [`Process`] for what any thread may take.
        pub owner: ObjRef,
        /// How many the tail holds.
        pub signals: u32,
        /// The set of pending signals, some of which may have no siginfo.
        pub pending: u64,
    }
}

/// [`RestartBlock::call`]: nanosleep(2) and clock_nanosleep(2) with a relative time.
pub const RESTART_NANOSLEEP: u32 = 1;
/// [`RestartBlock::call`]: poll(2).
pub const RESTART_POLL: u32 = 2;
/// [`RestartBlock::call`]: futex(2) FUTEX_WAIT with a relative time.
pub const RESTART_FUTEX: u32 = 3;
/// [`RestartBlock::call`]: clock_nanosleep(2) with a relative time on an alarm clock.
pub const RESTART_ALARM: u32 = 4;
/// [`RestartBlock::call`]: clock_nanosleep(2) with a relative time on a CPU clock.
pub const RESTART_CPU: u32 = 5;

record! {
    /// An interrupted system call that goes on with the time that was left
    /// (`struct restart_block`).
    pub struct RestartBlock: kind 0x26, version 1, size 56 {
        /// The [`Task`].
        pub task: ObjRef,
        /// `RESTART_*`.
        pub call: u32,
        /// Clock id (nanosleep; for an alarm clock `enum alarmtimer_type`), number of descriptors (poll) or futex flags.
        pub arg: u32,
        /// Value (futex); whether there is a time at all (poll).
        pub value: u32,
        /// Bitset (futex).
        pub bitset: u32,
        /// Kind of the remaining-time buffer (nanosleep: `enum timespec_type`).
        pub rem_type: u32,
        /// Address of the futex or of the poll array; of the remaining-time buffer (nanosleep).
        pub addr: u64,
        /// Second address of a futex.
        pub addr2: u64,
        /// Time that was left when the tree was frozen, in ns; negative if it had run out.
        pub left: i64,
        /// Zero.
        pub reserved: u64,
    }
}

record! {
    /// The timers of setitimer(2) and alarm(2), by `ITIMER_*`.
    pub struct IntervalTimers: kind 0x27, version 1, size 56 {
        /// The [`Process`].
        pub process: ObjRef,
        /// Zero.
        pub reserved: u32,
        /// Time that was left when the tree was frozen, in ns; 0: the timer does not run. An
        /// ITIMER_REAL that runs again when its signal is taken has -1 - the time since it ran out,
        /// or less by intervals.
        pub left: [i64; 3],
        /// The interval, in ns.
        pub interval: [i64; 3],
    }
}

/// [`PosixTimer::flags`]: runs; `expires` is when it expires.
pub const POSIX_TIMER_ARMED: u32 = 1;
/// [`PosixTimer::flags`]: has expired at `expires`; the intervals since then count when its signal
/// is taken.
pub const POSIX_TIMER_FIRED: u32 = 2;
/// [`PosixTimer::flags`]: `expires` is a moment of its clock, and not what was left.
pub const POSIX_TIMER_ABSOLUTE: u32 = 4;
/// [`PosixTimer::flags`]: its signal is pending.
pub const POSIX_TIMER_QUEUED: u32 = 8;
/// [`PosixTimer::flags`]: its signal is ignored, and becomes pending when that ends.
pub const POSIX_TIMER_IGNORED: u32 = 0x10;
/// [`PosixTimer::flags`]: it was set after its signal was sent, which is not to be taken.
pub const POSIX_TIMER_STALE: u32 = 0x20;
/// [`PosixTimer::flags`]: it had an interval when its signal was sent.
pub const POSIX_TIMER_PERIODIC: u32 = 0x40;

plain! {
    /// A timer of timer_create(2).
    pub struct PosixTimer: size 72 {
        /// Its number.
        pub id: i32,
        /// `CLOCK_*`, or a CPU clock as the kernel encodes it.
        pub clock: i32,
        /// `SIGEV_*`.
        pub notify: u32,
        /// The signal.
        pub signal: i32,
        /// `union sigval`.
        pub value: u64,
        /// The thread that gets the signal (SIGEV_THREAD_ID), or 0.
        pub thread: i32,
        /// The process or thread whose CPU clock it is, or 0.
        pub cpu: i32,
        /// `POSIX_TIMER_*`.
        pub flags: u32,
        /// For [`POSIX_TIMER_QUEUED`]: how many pending signals of the process or the thread stand
        /// before its own.
        pub position: u32,
        /// When it expires or has expired, in ns: what was left when the tree was frozen, or see
        /// [`POSIX_TIMER_ABSOLUTE`].
        pub expires: i64,
        /// The interval, in ns, or 0.
        pub interval: i64,
        /// Expirations since its signal was sent, less one.
        pub overrun: i64,
        /// timer_getoverrun(2).
        pub overrun_last: i64,
    }
}

record! {
    /// The timers of timer_create(2). The tail is a [`PosixTimer`] for each, the last that was made
    /// first.
    pub struct PosixTimers: kind 0x2c, version 1, size 16 {
        /// The [`Process`].
        pub process: ObjRef,
        /// How many the tail holds.
        pub timers: u32,
        /// Where the search for the number of the next timer begins.
        pub next_id: u32,
        /// prctl(PR_TIMER_CREATE_RESTORE_IDS): 1 or 0.
        pub restore_ids: u32,
    }
}

/// [`Ptrace::flags`]: PTRACE_SEIZE was used.
pub const PTRACE_SEIZED: u32 = 1;
/// [`Ptrace::flags`]: the tracer had CAP_SYS_PTRACE when it attached.
pub const PTRACE_CAPABLE: u32 = 2;
/// [`Ptrace::flags`]: the tail is the siginfo of the stop.
pub const PTRACE_SIGINFO: u32 = 4;
/// [`Ptrace::flags`]: system calls are reported (PTRACE_SYSCALL).
pub const PTRACE_SYSCALLS: u32 = 8;
/// [`Ptrace::flags`]: system calls are reported and not made (PTRACE_SYSEMU).
pub const PTRACE_EMULATES: u32 = 0x10;
/// [`Ptrace::flags`]: PTRACE_SINGLESTEP.
pub const PTRACE_STEPS: u32 = 0x20;
/// [`Ptrace::flags`]: a stop signal would stop the process (JOBCTL_STOP_DEQUEUED).
pub const PTRACE_DEQUEUED: u32 = 0x40;
/// [`Ptrace::flags`]: it takes part in a group stop when it goes on (JOBCTL_STOP_PENDING).
pub const PTRACE_JOINS: u32 = 0x80;
/// [`Ptrace::flags`]: it stops when it goes on: PTRACE_INTERRUPT (JOBCTL_TRAP_STOP).
pub const PTRACE_INTERRUPTED: u32 = 0x100;
/// [`Ptrace::flags`]: there is something to tell the tracer (JOBCTL_TRAP_NOTIFY).
pub const PTRACE_NOTIFIES: u32 = 0x200;
/// [`Ptrace::flags`]: PTRACE_LISTEN.
pub const PTRACE_LISTENS: u32 = 0x400;

/// [`Ptrace::stop`]: it runs, or has ended.
pub const STOP_NONE: u32 = 0;
/// [`Ptrace::stop`]: a signal is about to be delivered.
pub const STOP_SIGNAL: u32 = 1;
/// [`Ptrace::stop`]: a group stop, PTRACE_INTERRUPT, or a step into a handler.
pub const STOP_TRAP: u32 = 2;
/// [`Ptrace::stop`]: before a system call.
pub const STOP_ENTRY: u32 = 3;
/// [`Ptrace::stop`]: after a system call.
pub const STOP_EXIT: u32 = 4;
/// [`Ptrace::stop`]: in fork(2), clone(2) or vfork(2), which is going to return `child`.
pub const STOP_CLONE: u32 = 5;
/// [`Ptrace::stop`]: in execve(2), which is going to return 0.
pub const STOP_EXEC: u32 = 6;
/// [`Ptrace::stop`]: in vfork(2), before it waits for `child`.
pub const STOP_VFORK: u32 = 7;
/// [`Ptrace::stop`]: before a system call that a filter of seccomp(2) reports.
pub const STOP_SECCOMP: u32 = 8;

record! {
    /// That a task is traced with ptrace(2), and how it is stopped. The tail is the siginfo of the
    /// stop ([`SIGINFO_SIZE`] bytes), or empty.
    pub struct Ptrace: kind 0x28, version 1, size 40 {
        /// The [`Task`].
        pub task: ObjRef,
        /// The thread that traces it (its tid).
        pub tracer: i32,
        /// `PTRACE_*`
        pub flags: u32,
        /// `PTRACE_O_*`
        pub options: u32,
        /// `STOP_*`
        pub stop: u32,
        /// The signal of the last group stop, or 0.
        pub stop_signal: u32,
        /// The wait status that the tracer can wait for; 0 if it has.
        pub exit_code: u32,
        /// The pid of a child, in the task's pid namespace, or 0.
        pub child: i32,
        /// PTRACE_GETEVENTMSG.
        pub message: u64,
    }
}

record! {
    /// When a task was made, and what it has used. Each has one, also a task that has ended.
    pub struct TaskUsage: kind 0x29, version 1, size 160 {
        /// The [`Task`].
        pub task: ObjRef,
        /// Zero.
        pub reserved: u32,
        /// When it was made, on CLOCK_MONOTONIC as the tree has it.
        pub start: i64,
        /// When it was made, on CLOCK_BOOTTIME as the tree has it.
        pub start_boottime: i64,
        /// CPU time of user, system and guest, and as the scheduler has it, in ns.
        pub time: [u64; 4],
        /// CPU time of user and system as it was told last, in ns.
        pub shown: [u64; 2],
        /// Minor and major faults.
        pub faults: [u64; 2],
        /// Voluntary and other context switches.
        pub switches: [u64; 2],
        /// `/proc/PID/io`, in its order.
        pub io: [u64; 7],
    }
}

record! {
    /// What a process has used, apart from what its threads have (see [`TaskUsage`]). Each has one.
    pub struct ProcessUsage: kind 0x2a, version 1, size 248 {
        /// The [`Process`].
        pub process: ObjRef,
        /// Zero.
        pub reserved: u32,
        /// CPU time of threads that have ended: user, system, guest, and as the scheduler has it, in ns.
        pub time: [u64; 4],
        /// CPU time of user and system of the whole process as it was told last, in ns.
        pub shown: [u64; 2],
        /// Minor and major faults of threads that have ended.
        pub faults: [u64; 2],
        /// Voluntary and other context switches of threads that have ended.
        pub switches: [u64; 2],
        /// `/proc/PID/io` of threads that have ended.
        pub io: [u64; 7],
        /// Blocks read and written by threads that have ended.
        pub blocks: [u64; 2],
        /// CPU time of user, system and guest of children that were waited for, in ns.
        pub child_time: [u64; 3],
        /// Their minor and major faults.
        pub child_faults: [u64; 2],
        /// Their voluntary and other context switches.
        pub child_switches: [u64; 2],
        /// Blocks read and written by them.
        pub child_blocks: [u64; 2],
        /// Most pages in memory, of the process (before its last execve(2)) and of such a child.
        pub maxrss: [u64; 2],
    }
}

record! {
    /// The peaks of an address space.
    pub struct Peaks: kind 0x2b, version 1, size 24 {
        /// The [`super::memory::Mm`].
        pub mm: ObjRef,
        /// Zero.
        pub reserved: u32,
        /// Most pages in memory.
        pub rss: u64,
        /// Most pages mapped.
        pub vm: u64,
    }
}

/// [`Attributes::flags`]: SCHED_FLAG_RESET_ON_FORK.
pub const ATTRIBUTE_RESET_ON_FORK: u32 = 1;
/// [`Attributes::flags`]: `runtime` is the length of slices that sched_setattr(2) has asked for.
pub const ATTRIBUTE_SLICE: u32 = 2;
/// [`Attributes::flags`]: SCHED_FLAG_RECLAIM.
pub const ATTRIBUTE_RECLAIM: u32 = 4;
/// [`Attributes::flags`]: SCHED_FLAG_DL_OVERRUN.
pub const ATTRIBUTE_OVERRUN: u32 = 8;
/// [`Attributes::flags`]: PR_MCE_KILL_SET.
pub const ATTRIBUTE_MCE_PROCESS: u32 = 0x10;
/// [`Attributes::flags`]: PR_MCE_KILL_EARLY.
pub const ATTRIBUTE_MCE_EARLY: u32 = 0x20;
/// [`Attributes::flags`]: prctl(PR_SET_IO_FLUSHER).
pub const ATTRIBUTE_IO_FLUSHER: u32 = 0x40;
/// [`Attributes::flags`]: prctl(PR_SET_TSC, PR_TSC_SIGSEGV).
pub const ATTRIBUTE_NO_TSC: u32 = 0x80;
/// [`Attributes::flags`]: prctl(PR_SET_SYSCALL_USER_DISPATCH).
pub const ATTRIBUTE_DISPATCH: u32 = 0x100;
/// [`Attributes::flags`]: seccomp(SECCOMP_SET_MODE_STRICT).
pub const ATTRIBUTE_STRICT: u32 = 0x200;
/// [`Attributes::flags`]: `futex_slots` were asked for with prctl(PR_FUTEX_HASH).
pub const ATTRIBUTE_FUTEX_SLOTS: u32 = 0x400;
/// [`Attributes::flags`]: `util_min` was asked for with sched_setattr(2).
pub const ATTRIBUTE_UTIL_MIN: u32 = 0x800;
/// [`Attributes::flags`]: `util_max` was asked for with sched_setattr(2).
pub const ATTRIBUTE_UTIL_MAX: u32 = 0x1000;

record! {
    /// What prctl(2), sched_setattr(2) and similar calls have set of a task.
    pub struct Attributes: kind 0x34, version 1, size 104 {
        /// The [`Task`].
        pub task: ObjRef,
        /// `ATTRIBUTE_*`.
        pub flags: u32,
        /// The newest [`SeccompFilter`], or none.
        pub filter: ObjRef,
        /// ioprio_set(2), or 0.
        pub ioprio: u32,
        /// prctl(PR_GET_SPECULATION_CTRL) of `PR_SPEC_STORE_BYPASS`, `PR_SPEC_INDIRECT_BRANCH` and
        /// `PR_SPEC_L1D_FLUSH`: `PR_SPEC_*`, or a negative errno.
        pub speculation: [i32; 3],
        /// membarrier(2): `MEMBARRIER_STATE_*` of the address space.
        pub membarrier: u32,
        /// SCHED_DEADLINE in ns, or see [`ATTRIBUTE_SLICE`].
        pub runtime: u64,
        /// SCHED_DEADLINE, in ns.
        pub deadline: u64,
        /// SCHED_DEADLINE, in ns.
        pub period: u64,
        /// Syscall user dispatch: where calls are not dispatched.
        pub dispatch_offset: u64,
        /// Syscall user dispatch: how many bytes of code from there.
        pub dispatch_len: u64,
        /// Syscall user dispatch: address of the switch, or 0.
        pub dispatch_selector: u64,
        /// prctl(PR_FUTEX_HASH): 0 is the global hash.
        pub futex_slots: u32,
        /// CLONE_IO: thread id of the first task that has the same I/O context; 0 if it is its own.
        pub io: i32,
        /// CLONE_SYSVSEM: thread id of the first task that has the same list of adjustments
        /// ([`SemUndo`]), which may be itself; 0 if it has none.
        ///
        /// [`SemUndo`]: super::namespace::SemUndo
        pub sem_undo: i32,
        /// Zero.
        pub reserved: u32,
        /// Utilization clamps, of 1024; 0 unless the flags say so.
        pub util_min: u32,
        /// See there.
        pub util_max: u32,
    }
}

record! {
    /// The NUMA policy of a task: set_mempolicy(2).
    pub struct TaskPolicy: kind 0x2d, version 1, size 152 {
        /// The [`Task`].
        pub task: ObjRef,
        /// `MPOL_*`.
        pub mode: u32,
        /// `MPOL_F_*` that set_mempolicy(2) takes.
        pub flags: u32,
        /// Interleaving: the node that was used last.
        pub last: u32,
        /// Weighted interleaving: how many pages more that node gives.
        pub left: u32,
        /// Zero.
        pub reserved: u32,
        /// A bit for each node.
        pub nodes: [u64; 16],
    }
}

/// [`SeccompFilter::flags`]: SECCOMP_FILTER_FLAG_LOG.
pub const SECCOMP_LOG: u32 = 1;

record! {
    /// A filter of seccomp(2). The tail is its program: `insns` instructions
    /// (`struct sock_filter`, 8 bytes each).
    pub struct SeccompFilter: kind 0x35, version 1, size 16 {
        /// The one that was there before, or none.
        pub older: ObjRef,
        /// `SECCOMP_*`.
        pub flags: u32,
        /// Instructions in the tail.
        pub insns: u32,
        /// Zero.
        pub reserved: u32,
    }
}
