// SPDX-License-Identifier: GPL-2.0

//! How people read the numbers of the format.

use crate::format::file;
use crate::format::header;
use crate::format::memory;
use crate::format::socket;
use crate::format::task;
use crate::format::x86;
use crate::format::Value;

/// Bits and their names.
pub(crate) type Bits = &'static [(u64, &'static str)];

/// `Vma::flags`.
pub(crate) const VMA_FLAGS: Bits = &[
    (memory::VMA_UNRESERVED, "unreserved"),
    (memory::VMA_READ, "read"),
    (memory::VMA_WRITE, "write"),
    (memory::VMA_EXEC, "exec"),
    (memory::VMA_SHARED, "shared"),
    (memory::VMA_MAYREAD, "mayread"),
    (memory::VMA_MAYWRITE, "maywrite"),
    (memory::VMA_MAYEXEC, "mayexec"),
    (memory::VMA_GROWSDOWN, "growsdown"),
    (memory::VMA_LOCKED, "locked"),
    (memory::VMA_LOCKONFAULT, "lockonfault"),
    (memory::VMA_SEQ_READ, "sequential"),
    (memory::VMA_RAND_READ, "random"),
    (memory::VMA_DONTCOPY, "dontfork"),
    (memory::VMA_NORESERVE, "noreserve"),
    (memory::VMA_ACCOUNT, "account"),
    (memory::VMA_WIPEONFORK, "wipeonfork"),
    (memory::VMA_DONTDUMP, "dontdump"),
    (memory::VMA_HUGEPAGE, "hugepage"),
    (memory::VMA_NOHUGEPAGE, "nohugepage"),
    (memory::VMA_MAYSHARE, "mayshare"),
    (memory::VMA_SEALED, "sealed"),
    (memory::VMA_DROPPABLE, "droppable"),
    (memory::VMA_MERGEABLE, "mergeable"),
    (memory::VMA_PKEY0, "pkey0"),
    (memory::VMA_PKEY1, "pkey1"),
    (memory::VMA_PKEY2, "pkey2"),
    (memory::VMA_PKEY3, "pkey3"),
    (memory::VMA_MAYBE_GUARD, "guards"),
    (memory::VMA_SHADOW_STACK, "shadow_stack"),
];

/// `ShadowStack::features`.
const SHADOW_STACK_FEATURES: Bits = &[
    (x86::SHADOW_STACK as u64, "enabled"),
    (x86::SHADOW_STACK_WRITABLE as u64, "writable"),
];

/// `Process::flags`.
const PROCESS_FLAGS: Bits = &[
    (task::PROCESS_SUBREAPER as u64, "subreaper"),
    (task::PROCESS_EXECED as u64, "execed"),
    (task::PROCESS_STOPPED as u64, "stopped"),
    (task::PROCESS_CONTINUED as u64, "continued"),
];

/// `Task::flags`.
const TASK_FLAGS: Bits = &[
    (task::TASK_RESTORE_SIGMASK as u64, "restore_sigmask"),
    (task::TASK_NO_NEW_PRIVS as u64, "no_new_privs"),
    (task::TASK_ZOMBIE as u64, "zombie"),
    (task::TASK_SELF as u64, "self"),
    (task::TASK_VFORK as u64, "vfork"),
    (task::TASK_RSEQ_SLICE as u64, "rseq_slice"),
];

/// `PidFile::flags`.
pub(crate) const PID_FLAGS: Bits = &[
    (file::PID_THREAD as u64, "thread"),
    (file::PID_EXITED as u64, "exited"),
    (file::PID_DUMPED as u64, "dumped"),
];

/// `SocketFile::flags`.
pub(crate) const SOCKET_FLAGS: Bits = &[
    (socket::SOCKET_BOUND as u64, "bound"),
    (socket::SOCKET_PORT as u64, "port"),
    (socket::SOCKET_LISTENS as u64, "listens"),
];

/// `TimerFile::flags`.
pub(crate) const TIMER_FLAGS: Bits = &[
    (file::TIMER_ABSOLUTE as u64, "absolute"),
    (file::TIMER_ARMED as u64, "armed"),
    (file::TIMER_EXPIRED as u64, "expired"),
    (file::TIMER_CANCELABLE as u64, "cancelable"),
];

/// `Attributes::flags`.
const ATTRIBUTE_FLAGS: Bits = &[
    (task::ATTRIBUTE_RESET_ON_FORK as u64, "reset_on_fork"),
    (task::ATTRIBUTE_SLICE as u64, "slice"),
    (task::ATTRIBUTE_RECLAIM as u64, "reclaim"),
    (task::ATTRIBUTE_OVERRUN as u64, "overrun"),
    (task::ATTRIBUTE_MCE_PROCESS as u64, "mce_process"),
    (task::ATTRIBUTE_MCE_EARLY as u64, "mce_early"),
    (task::ATTRIBUTE_IO_FLUSHER as u64, "io_flusher"),
    (task::ATTRIBUTE_NO_TSC as u64, "no_tsc"),
    (task::ATTRIBUTE_DISPATCH as u64, "dispatch"),
    (task::ATTRIBUTE_STRICT as u64, "strict"),
    (task::ATTRIBUTE_FUTEX_SLOTS as u64, "futex_slots"),
    (task::ATTRIBUTE_UTIL_MIN as u64, "util_min"),
    (task::ATTRIBUTE_UTIL_MAX as u64, "util_max"),
];

/// `Ptrace::flags`.
const PTRACE_FLAGS: Bits = &[
    (task::PTRACE_SEIZED as u64, "seized"),
    (task::PTRACE_CAPABLE as u64, "capable"),
    (task::PTRACE_SIGINFO as u64, "siginfo"),
    (task::PTRACE_SYSCALLS as u64, "syscalls"),
    (task::PTRACE_EMULATES as u64, "emulates"),
    (task::PTRACE_STEPS as u64, "steps"),
    (task::PTRACE_DEQUEUED as u64, "dequeued"),
    (task::PTRACE_JOINS as u64, "joins"),
    (task::PTRACE_INTERRUPTED as u64, "interrupted"),
    (task::PTRACE_NOTIFIES as u64, "notifies"),
    (task::PTRACE_LISTENS as u64, "listens"),
];

/// `Pty::flags`.
pub(crate) const PTY_FLAGS: Bits = &[
    (file::PTY_LOCKED as u64, "locked"),
    (file::PTY_PACKET as u64, "packet"),
    (file::PTY_EXCLUSIVE as u64, "exclusive"),
    (file::PTY_OPENED as u64, "opened"),
];

/// `TtyQueue::flags`.
pub(crate) const TTY_QUEUE_FLAGS: Bits = &[
    (file::TTY_QUEUE_LNEXT as u64, "lnext"),
    (file::TTY_QUEUE_ERASING as u64, "erasing"),
    (file::TTY_QUEUE_PUSH as u64, "push"),
    (file::TTY_QUEUE_STOPPED as u64, "stopped"),
    (file::TTY_QUEUE_TCO_STOPPED as u64, "tco_stopped"),
];

/// Every bit of a set.
pub(crate) fn known(bits: Bits) -> u64 {
    bits.iter().fold(0, |all, (bit, _)| all | bit)
}

/// Bits by name; unknown ones as a number.
fn bits(value: u64, bits: Bits) -> String {
    let mut names: Vec<String> = bits
        .iter()
        .filter(|(bit, _)| value & bit != 0)
        .map(|(_, name)| (*name).into())
        .collect();
    let rest = value & !known(bits);
    if rest != 0 || names.is_empty() {
        names.push(format!("{rest:#x}"));
    }
    names.join("|")
}

/// A number by name.
fn one_of(value: u64, names: &[(u32, &str)]) -> String {
    names
        .iter()
        .find(|(number, _)| u64::from(*number) == value)
        .map_or_else(|| value.to_string(), |(_, name)| (*name).into())
}

/// `Header::mode`.
pub(crate) fn mode(mode: u32) -> String {
    let names = [
        (header::MODE_CONTAINER, "container"),
        (header::MODE_SUBTREE, "subtree"),
        (header::MODE_SELF, "self"),
    ];
    one_of(mode.into(), &names)
}

/// `Header::machine`: the architecture as the kernel calls it.
pub(crate) fn machine(machine: u32) -> String {
    let names = [
        (3, "i386"),
        (8, "mips"),
        (20, "ppc"),
        (21, "ppc64"),
        (22, "s390"),
        (40, "arm"),
        (62, "x86_64"),
        (183, "aarch64"),
        (243, "riscv"),
        (258, "loongarch"),
    ];
    one_of(machine.into(), &names)
}

/// Signals of a set, by number.
fn signals(set: u64) -> String {
    let numbers: Vec<String> = (0..64)
        .filter(|bit| set >> bit & 1 != 0)
        .map(|bit| (bit + 1).to_string())
        .collect();
    format!("{{{}}}", numbers.join(","))
}

/// The permissions as /proc/PID/maps has them, then what else there is.
fn mapping(flags: u64) -> String {
    let letter = |bit, set, clear| if flags & bit != 0 { set } else { clear };
    let usual = memory::VMA_READ
        | memory::VMA_WRITE
        | memory::VMA_EXEC
        | memory::VMA_SHARED
        | memory::VMA_MAYREAD
        | memory::VMA_MAYWRITE
        | memory::VMA_MAYEXEC
        | memory::VMA_ACCOUNT;
    let mut text: String = [
        letter(memory::VMA_READ, 'r', '-'),
        letter(memory::VMA_WRITE, 'w', '-'),
        letter(memory::VMA_EXEC, 'x', '-'),
        letter(memory::VMA_SHARED, 's', 'p'),
    ]
    .iter()
    .collect();
    if flags & !usual != 0 {
        text.push('|');
        text.push_str(&bits(flags & !usual, VMA_FLAGS));
    }
    text
}

/// A nonzero number that people do not want to read in decimal; `None` for all others. What is in a
/// field with fields of its own goes by the name of that field.
pub(crate) fn field(record: &str, field: &str, value: &Value<'_>) -> Option<String> {
    let number = match value {
        Value::Unsigned(number) => *number,
        _ => return None,
    };
    let text = match (record, field) {
        ("Vma", "flags") => mapping(number),
        ("Vma", "kind") => one_of(
            number,
            &[
                (memory::VMA_ANON, "anon"),
                (memory::VMA_FILE, "file"),
                (memory::VMA_SHMEM, "shmem"),
                (memory::VMA_SPECIAL, "special"),
                (memory::VMA_SYSV, "sysv"),
                (memory::VMA_AIO, "aio"),
            ],
        ),
        ("PageMap", "kind") => one_of(
            number,
            &[
                (memory::RUN_DATA, "data"),
                (memory::RUN_SHARED, "shared"),
                (memory::RUN_PARENT, "parent"),
            ],
        ),
        ("TtyFile", "end") => one_of(
            number,
            &[
                (file::TTY_MASTER, "master"),
                (file::TTY_SLAVE, "slave"),
                (file::TTY_CONTROLLING, "controlling"),
                (file::TTY_HUNG_UP, "hung_up"),
            ],
        ),
        ("Mm", "binfmt") => one_of(
            number,
            &[
                (memory::BINFMT_NONE, "none"),
                (memory::BINFMT_ELF, "elf"),
                (memory::BINFMT_COMPAT_ELF, "compat_elf"),
            ],
        ),
        ("RestartBlock", "call") => one_of(
            number,
            &[
                (task::RESTART_NANOSLEEP, "nanosleep"),
                (task::RESTART_POLL, "poll"),
                (task::RESTART_FUTEX, "futex"),
                (task::RESTART_ALARM, "alarm"),
                (task::RESTART_CPU, "cpu"),
            ],
        ),
        ("Ptrace", "stop") => one_of(
            number,
            &[
                (task::STOP_NONE, "none"),
                (task::STOP_SIGNAL, "signal"),
                (task::STOP_TRAP, "trap"),
                (task::STOP_ENTRY, "entry"),
                (task::STOP_EXIT, "exit"),
                (task::STOP_CLONE, "clone"),
                (task::STOP_EXEC, "exec"),
                (task::STOP_VFORK, "vfork"),
                (task::STOP_SECCOMP, "seccomp"),
            ],
        ),
        ("Ptrace", "flags") => bits(number, PTRACE_FLAGS),
        ("Ptrace", "options" | "exit_code") if number != 0 => format!("{number:#x}"),
        ("Breakpoints", "there" | "address" | "control" | "dr7") if number != 0 => {
            format!("{number:#x}")
        }
        ("ShadowStack", "features") => bits(number, SHADOW_STACK_FEATURES),
        ("ShadowStack", "locked" | "base" | "size" | "pointer") if number != 0 => {
            format!("{number:#x}")
        }
        ("Process", "flags") => bits(number, PROCESS_FLAGS),
        ("Task", "flags") => bits(number, TASK_FLAGS),
        ("Attributes", "flags") => bits(number, ATTRIBUTE_FLAGS),
        ("Pty", "flags") => bits(number, PTY_FLAGS),
        ("PidFile", "flags") => bits(number, PID_FLAGS),
        ("TimerFile", "flags") => bits(number, TIMER_FLAGS),
        ("SocketFile", "flags") => bits(number, SOCKET_FLAGS),
        ("SocketFile", "family") => one_of(
            number,
            &[
                (socket::AF_UNIX, "unix"),
                (socket::AF_INET, "inet"),
                (socket::AF_INET6, "inet6"),
            ],
        ),
        ("SocketFile", "protocol") => one_of(
            number,
            &[(socket::IPPROTO_TCP, "tcp"), (socket::IPPROTO_UDP, "udp")],
        ),
        ("Fs", "umask") | ("PathFile" | "Pty", "mode") | ("open", "flags") => {
            format!("{number:#o}")
        }
        ("Regset", "note") => format!("{number:#x}"),
        (_, "blocked" | "saved_sigmask" | "pending" | "mask") => signals(number),
        (
            _,
            "flags" | "events" | "membarrier" | "program" | "bitmap" | "descriptors" | "def_flags"
            | "config" | "rdev" | "personality" | "vdso_crc" | "rseq_sig" | "header_crc"
            | "meta_crc" | "byte_order",
        ) if number != 0 => format!("{number:#x}"),
        (
            _,
            "start" | "end" | "mmap_base" | "mmap_legacy_base" | "vdso" | "layout" | "caps"
            | "arch" | "altstack" | "robust_list" | "compat_robust_list" | "clear_child_tid"
            | "rseq" | "handler" | "dispatch_offset" | "dispatch_len" | "dispatch_selector"
            | "restorer" | "addr" | "addr2" | "auxv",
        ) if number > 9 => format!("{number:#x}"),
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_names() {
        let text = |record, name, number| field(record, name, &Value::Unsigned(number));
        assert_eq!(text("Vma", "flags", 0b11).unwrap(), "rw-p");
        let shared = memory::VMA_READ | memory::VMA_SHARED | memory::VMA_LOCKED;
        assert_eq!(text("Vma", "flags", shared).unwrap(), "r--s|locked");
        assert_eq!(text("Task", "flags", 4).unwrap(), "zombie");
        assert_eq!(text("Task", "flags", 0).unwrap(), "0x0");
        assert_eq!(text("open", "flags", 0o4002).unwrap(), "0o4002");
        assert_eq!(text("Task", "blocked", 0x4002).unwrap(), "{2,15}");
        assert_eq!(text("Creds", "groups", 4), None);
        assert_eq!(mode(0), "container");
        assert_eq!(machine(62), "x86_64");
        assert_eq!(machine(9999), "9999");
    }
}
