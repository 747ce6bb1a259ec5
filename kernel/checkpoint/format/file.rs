// SPDX-License-Identifier: GPL-2.0

//! Open files and what is behind them.

use super::ObjRef;

plain! {
    /// A descriptor: a slot of [`Files`].
    pub struct Fd: size 16 {
        /// The number.
        pub fd: u32,
        /// 1: close-on-exec.
        pub cloexec: u32,
        /// The file.
        pub file: ObjRef,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// A table of descriptors: `struct files_struct`. The tail is `count` [`Fd`]s in order.
    pub struct Files: kind 0x60, version 1, size 8 {
        /// How many descriptors the tail holds.
        pub count: u32,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// Where paths start: `struct fs_struct`. The tail is the path of the working directory and
    /// of the root, both as the restarter will resolve them.
    pub struct Fs: kind 0x61, version 1, size 16 {
        /// umask(2).
        pub umask: u32,
        /// Bytes of the working directory's path in the tail.
        pub cwd: u32,
        /// Bytes of the root directory's path, which follows it.
        pub root: u32,
        /// Zero.
        pub reserved: u32,
    }
}

plain! {
    /// What every open file has: `struct file`.
    pub struct OpenFile: size 24 {
        /// `O_*`.
        pub flags: u32,
        /// Zero.
        pub reserved: u32,
        /// File position.
        pub pos: i64,
        /// fcntl(F_SET_RW_HINT) or 0.
        pub hint: u64,
    }
}

record! {
    /// An open file, directory or device that is found by its path, which is the tail.
    pub struct PathFile: kind 0x62, version 1, size 32 {
        /// See [`OpenFile`].
        pub open: OpenFile,
        /// File type and permissions (`st_mode`); the type must be the same at restart.
        pub mode: u32,
        /// Device number of a device (`st_rdev`), which must be the same at restart.
        pub rdev: u32,
    }
}

/// [`Unnamed::kind`]: memfd_create(2).
pub const UNNAMED_MEMFD: u32 = 1;
/// [`Unnamed::kind`]: a file that has been deleted.
pub const UNNAMED_DELETED: u32 = 2;

/// [`Unnamed::kind`]: the memory of mmap(MAP_ANONYMOUS | MAP_HUGETLB).
pub const UNNAMED_HUGE: u32 = 3;

/// [`Unnamed::flags`]: linkat(2) may give it a name (O_TMPFILE without O_EXCL).
pub const UNNAMED_LINKABLE: u32 = 1;

record! {
    /// A regular file without a name; its pages are in the image. The tail is the path of the
    /// directory that it was in (none for memory) and its name (with `memfd:` in front for a memfd).
    pub struct Unnamed: kind 0x70, version 1, size 80 {
        /// `UNNAMED_MEMFD` and so on.
        pub kind: u32,
        /// File type and permissions (`st_mode`).
        pub mode: u32,
        /// Owner.
        pub uid: u32,
        /// Group.
        pub gid: u32,
        /// `F_SEAL_*`.
        pub seals: u32,
        /// `UNNAMED_LINKABLE` or 0.
        pub flags: u32,
        /// Bytes.
        pub size: u64,
        /// Time of access: seconds, nanoseconds.
        pub atime: [i64; 2],
        /// Time of modification: seconds, nanoseconds.
        pub mtime: [i64; 2],
        /// Bytes of the directory's path in the tail.
        pub directory: u32,
        /// Bytes of the name, which follows it.
        pub name: u32,
        /// Log2 of the bytes of its pages if they are huge (hugetlb), or 0.
        pub huge: u32,
        /// Zero.
        pub reserved: u32,
    }
}

/// [`UnnamedFile::flags`]: what memfd_create(2) returned, not what was opened of it later.
pub const UNNAMED_ORIGINAL: u32 = 1;
/// [`UnnamedFile::flags`]: opened with O_TMPFILE.
pub const UNNAMED_TMPFILE: u32 = 2;

record! {
    /// An open file that is [`Unnamed`].
    pub struct UnnamedFile: kind 0x71, version 1, size 32 {
        /// See [`OpenFile`].
        pub open: OpenFile,
        /// The [`Unnamed`].
        pub file: ObjRef,
        /// `UNNAMED_ORIGINAL` and so on.
        pub flags: u32,
    }
}

record! {
    /// An end of a pipe or of a fifo.
    pub struct PipeFile: kind 0x63, version 1, size 32 {
        /// See [`OpenFile`].
        pub open: OpenFile,
        /// The [`Pipe`].
        pub pipe: ObjRef,
        /// 1: reads from a fifo that nobody has opened for writing since: poll(2) does not report
        /// POLLHUP.
        pub unseen: u32,
    }
}

plain! {
    /// Bytes that were written to a pipe at once and may have to be read at once.
    pub struct PipeBuf: size 8 {
        /// Bytes.
        pub len: u32,
        /// 1: a packet (`O_DIRECT`), read by itself.
        pub packet: u32,
    }
}

record! {
    /// A pipe: `struct pipe_inode_info`. The tail is the path of a fifo (`path` bytes, padded to
    /// 8), `bufs` [`PipeBuf`]s, and the bytes in the pipe.
    pub struct Pipe: kind 0x64, version 1, size 16 {
        /// fcntl(F_GETPIPE_SZ), in bytes.
        pub capacity: u32,
        /// Bytes of the path of a fifo; 0 for a pipe.
        pub path: u32,
        /// How many buffers.
        pub bufs: u32,
        /// How many bytes.
        pub bytes: u32,
    }
}

record! {
    /// eventfd(2).
    pub struct EventFile: kind 0x65, version 1, size 40 {
        /// See [`OpenFile`].
        pub open: OpenFile,
        /// The counter.
        pub count: u64,
        /// `EFD_SEMAPHORE` or 0.
        pub flags: u32,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// epoll_create(2).
    pub struct EpollFile: kind 0x66, version 1, size 24 {
        /// See [`OpenFile`].
        pub open: OpenFile,
    }
}

record! {
    /// epoll_ctl(EPOLL_CTL_ADD).
    pub struct EpollItem: kind 0x67, version 1, size 32 {
        /// The [`EpollFile`].
        pub epoll: ObjRef,
        /// The file that is watched.
        pub file: ObjRef,
        /// The number that it was added by.
        pub fd: u32,
        /// `EPOLL*`.
        pub events: u32,
        /// What epoll_wait(2) reports.
        pub data: u64,
        /// 1: reported and not rearmed (EPOLLONESHOT).
        pub disarmed: u32,
        /// For a signalfd: whose signals the set waits for, as the handlers of the process
        /// ([`super::task::Sighand`]). Otherwise none.
        pub sighand: ObjRef,
    }
}

/// [`FileLock::how`]: flock(2); it belongs to the open file.
pub const LOCK_FLOCK: u32 = 1;
/// [`FileLock::how`]: fcntl(F_SETLK); it belongs to the table.
pub const LOCK_POSIX: u32 = 2;
/// [`FileLock::how`]: fcntl(F_OFD_SETLK); it belongs to the open file.
pub const LOCK_OFD: u32 = 3;

record! {
    /// A lock of a file.
    pub struct FileLock: kind 0x76, version 1, size 40 {
        /// The [`Files`] with which it is taken: that it belongs to, or the first that has the file;
        /// none if the file has no descriptor.
        pub table: ObjRef,
        /// The open file.
        pub file: ObjRef,
        /// `LOCK_*`.
        pub how: u32,
        /// 1: exclusive. 0: shared.
        pub write: u32,
        /// The first byte.
        pub start: i64,
        /// The last byte; `i64::MAX` for all that there may be.
        pub end: i64,
        /// The process that has taken it, as the root of the tree sees it; 0 if it sees none.
        pub pid: i32,
        /// Zero.
        pub reserved: u32,
    }
}

/// [`TtyFile::end`]: /dev/ptmx.
pub const TTY_MASTER: u32 = 1;
/// [`TtyFile::end`]: /dev/pts/N.
pub const TTY_SLAVE: u32 = 2;
/// [`TtyFile::end`]: /dev/tty, the controlling terminal of whoever opened it.
pub const TTY_CONTROLLING: u32 = 3;
/// [`TtyFile::end`]: a terminal that was hung up: it gives end of file and takes nothing.
pub const TTY_HUNG_UP: u32 = 4;

record! {
    /// An end of a pseudo-terminal. Other terminals are a [`PathFile`].
    pub struct TtyFile: kind 0x68, version 1, size 32 {
        /// See [`OpenFile`].
        pub open: OpenFile,
        /// The [`Pty`]; none for a terminal that was hung up.
        pub pty: ObjRef,
        /// `TTY_*`.
        pub end: u32,
    }
}

/// [`TtyQueue::flags`]: the next byte is taken literally (VLNEXT).
pub const TTY_QUEUE_LNEXT: u32 = 1;
/// [`TtyQueue::flags`]: in the middle of an erasure that is echoed (ECHOPRT).
pub const TTY_QUEUE_ERASING: u32 = 2;
/// [`TtyQueue::flags`]: the line was ended by a change of ICANON.
pub const TTY_QUEUE_PUSH: u32 = 4;
/// [`TtyQueue::flags`]: output is stopped (VSTOP).
pub const TTY_QUEUE_STOPPED: u32 = 8;
/// [`TtyQueue::flags`]: output is stopped (TCOOFF).
pub const TTY_QUEUE_TCO_STOPPED: u32 = 16;

plain! {
    /// What an end of a pseudo-terminal has received, and where it is. In the tail stand `read`
    /// bytes that can be read, as many bytes that are 1 where a line ends and 0 elsewhere, and
    /// `raw` bytes that the line discipline has not seen.
    pub struct TtyQueue: size 24 {
        /// Bytes in the buffer of the line discipline.
        pub read: u32,
        /// How many of them belong to complete lines (ICANON).
        pub canon: u32,
        /// Bytes that wait for the line discipline.
        pub raw: u32,
        /// Column of the cursor.
        pub column: u32,
        /// Column in which the line that is being typed started.
        pub canon_column: u32,
        /// `TTY_QUEUE_*`.
        pub flags: u32,
    }
}

/// [`Pty::flags`]: TIOCSPTLCK.
pub const PTY_LOCKED: u32 = 1;
/// [`Pty::flags`]: TIOCPKT.
pub const PTY_PACKET: u32 = 2;
/// [`Pty::flags`]: TIOCEXCL of the slave.
pub const PTY_EXCLUSIVE: u32 = 4;
/// [`Pty::flags`]: the slave has been open: if nobody has it open now, the master gets EIO.
pub const PTY_OPENED: u32 = 8;

record! {
    /// A pseudo-terminal, both ends. The tail is the path of the master (`path` bytes), and what
    /// the slave and the master have received, see [`TtyQueue`].
    pub struct Pty: kind 0x69, version 1, size 164 {
        /// N of /dev/pts/N.
        pub index: u32,
        /// `PTY_*`.
        pub flags: u32,
        /// What the master is told next in packet mode (`TIOCPKT_*`).
        pub pktstatus: u32,
        /// `O_*` of the master.
        pub master_flags: u32,
        /// Permissions of /dev/pts/N.
        pub mode: u32,
        /// Owner of /dev/pts/N.
        pub uid: u32,
        /// Group of /dev/pts/N.
        pub gid: u32,
        /// The session whose controlling terminal it is, or 0.
        pub session: i32,
        /// Its foreground process group, or 0.
        pub foreground: i32,
        /// Rows, columns, and both in pixels.
        pub winsize: [u32; 4],
        /// c_iflag, c_oflag, c_cflag, c_lflag.
        pub termios: [u32; 4],
        /// c_line.
        pub line: u32,
        /// c_ispeed and c_ospeed.
        pub speed: [u32; 2],
        /// c_cc, padded with zeros.
        pub cc: [u8; 32],
        /// What the slave has received.
        pub slave: TtyQueue,
        /// What the master has received.
        pub master: TtyQueue,
        /// Bytes of the master's path.
        pub path: u32,
    }
}

/// [`TimerFile::flags`]: `expires` is a moment of CLOCK_REALTIME, in ns; otherwise what is left.
pub const TIMER_ABSOLUTE: u32 = 1;
/// [`TimerFile::flags`]: the timer runs.
pub const TIMER_ARMED: u32 = 2;
/// [`TimerFile::flags`]: the timer has run out, and the next read goes on from `expires`.
pub const TIMER_EXPIRED: u32 = 4;
/// [`TimerFile::flags`]: a read tells when CLOCK_REALTIME was set (TFD_TIMER_CANCEL_ON_SET).
pub const TIMER_CANCELABLE: u32 = 8;

record! {
    /// timerfd_create(2).
    pub struct TimerFile: kind 0x6a, version 1, size 72 {
        /// See [`OpenFile`].
        pub open: OpenFile,
        /// `CLOCK_*`.
        pub clock: u32,
        /// `TFD_*` of the last timerfd_settime(2).
        pub settime_flags: u32,
        /// `TIMER_*`.
        pub flags: u32,
        /// Zero.
        pub reserved: u32,
        /// Expirations that have not been read.
        pub ticks: u64,
        /// When the timer expires, or what was left when the tree was frozen, in ns; negative if
        /// it had run out.
        pub expires: i64,
        /// The interval in ns, or 0.
        pub interval: i64,
        /// See [`TIMER_CANCELABLE`]: what was between CLOCK_MONOTONIC and CLOCK_REALTIME, in ns;
        /// `i64::MAX` if the clock has been set. Otherwise zero.
        pub moffs: i64,
    }
}

record! {
    /// signalfd(2).
    pub struct SignalFile: kind 0x6b, version 1, size 32 {
        /// See [`OpenFile`].
        pub open: OpenFile,
        /// The signals, the first in the lowest bit.
        pub mask: u64,
    }
}

/// [`PidFile::flags`]: PIDFD_THREAD.
pub const PID_THREAD: u32 = 1;
/// [`PidFile::flags`]: the task has been reaped.
pub const PID_EXITED: u32 = 2;
/// [`PidFile::flags`]: the task has dumped core.
pub const PID_DUMPED: u32 = 4;

record! {
    /// pidfd_open(2).
    pub struct PidFile: kind 0x6c, version 1, size 56 {
        /// See [`OpenFile`].
        pub open: OpenFile,
        /// The task, or the process group or session whose leader has been reaped, in the pid
        /// namespace of the root; 0: nothing has the number any more.
        pub pid: i32,
        /// `PID_*`.
        pub flags: u32,
        /// Another [`PidFile`] of the same task, if the number does not tell.
        pub same: ObjRef,
        /// See [`PID_EXITED`]: the wait status.
        pub exit_code: i32,
        /// See [`PID_DUMPED`]: `PIDFD_COREDUMP*`, the signal, and its `si_code`.
        pub coredump: [u32; 3],
        /// Zero.
        pub reserved: u32,
    }
}
