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

record! {
    /// An end of a pipe or of a fifo.
    pub struct PipeFile: kind 0x63, version 1, size 32 {
        /// See [`OpenFile`].
        pub open: OpenFile,
        /// The [`Pipe`].
        pub pipe: ObjRef,
        /// Zero.
        pub reserved: u32,
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

record! {
    /// An end of a pseudo-terminal.
    pub struct TtyFile: kind 0x68, version 1, size 32 {
        /// See [`OpenFile`].
        pub open: OpenFile,
        /// The [`Pty`].
        pub pty: ObjRef,
        /// `TTY_*`.
        pub end: u32,
    }
}

record! {
    /// A pseudo-terminal, both ends. The tail is what the slave has not read (`input` bytes),
    /// then what the master has not read (`output` bytes).
    pub struct Pty: kind 0x69, version 1, size 120 {
        /// N of /dev/pts/N.
        pub index: u32,
        /// TIOCSPTLCK.
        pub locked: u32,
        /// TIOCPKT.
        pub packet: u32,
        /// TIOCEXCL of the slave.
        pub exclusive: u32,
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
        /// Bytes for the slave in the tail.
        pub input: u32,
        /// Bytes for the master in the tail.
        pub output: u32,
        /// Zero.
        pub reserved: [u32; 3],
    }
}
