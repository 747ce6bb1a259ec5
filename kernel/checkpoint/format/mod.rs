// SPDX-License-Identifier: GPL-2.0

//! The records of an image, declared once for the kernel and for the tools.
//!
//! An image is a forward-only stream:
//!
//! ```text
//! +--------+---------------------------------+---------+------------+---------+
//! | Header | metadata: records, each aligned | padding | page data, | Trailer |
//! |        | to 8 bytes, the last one is End | to page | raw pages  | + CRCs  |
//! +--------+---------------------------------+---------+------------+---------+
//! ```
//!
//! The header holds the length and the CRC of the metadata, so that a reader checks all of it
//! before any of it has an effect. Each record is a [`RecordHeader`], the fixed part of its kind
//! (a struct of this module) and a tail whose meaning the kind defines. Objects are numbered from
//! 1 in the order of their records ([`ObjRef`]); a record refers only to objects that stand before
//! it, so that an image has no cycles; what is cyclic in life (an epoll set that watches another)
//! is a record of its own after both.
//!
//! Everything is plain data in the byte order and the page size of the machine that wrote it; both
//! are in the header. Kinds are numbered explicitly and never reused, a change of a layout takes a
//! new version of its record, and a reader refuses what it does not know.
//!
//! This module uses `core` and `zerocopy` alone and has no unsafe code: the same files are built
//! into the kernel and into the user-space tools.

#[macro_use]
mod record;
pub mod file;
pub mod header;
pub mod memory;
pub mod namespace;
pub mod socket;
pub mod task;
pub mod x86;

pub use self::header::Header;
pub use self::header::Trailer;
pub use self::record::ObjRef;
pub use self::record::Record;
pub use self::record::RecordHeader;
pub use self::record::RECORD_ALIGN;

#[cfg(not(CONFIG_CHECKPOINT))]
pub use self::record::{Describe, Field, Value};

record! {
    /// Why there is no image: the only record of a failed checkpoint. The tail is the log.
    pub struct Failure: kind 1, version 1, size 8 {
        /// The errno that the system call returned, positive.
        pub errno: u32,
        /// The task that it is about, in the pid namespace of the caller; 0 if none.
        pub pid: i32,
    }
}

record! {
    /// The last record of the metadata.
    pub struct End: kind 2, version 1, size 8 {
        /// How many objects the image has: object numbers are `1..=objects`.
        pub objects: u32,
        /// How many tasks the image has.
        pub tasks: u32,
    }
}

/// Calls `$then!` with every kind of record, for tables over all of them.
#[macro_export]
macro_rules! for_each_record {
    ($then:ident) => {
        $then! {
            Failure, End,
            namespace::UtsNs, namespace::IpcNs, namespace::PidNs, namespace::TimeNs,
            namespace::Namespaces, namespace::UserNs,
            namespace::ShmSegment, namespace::SemSet, namespace::SemUndo,
            namespace::MsgQueue,
            task::Creds, task::Sighand, task::Process, task::Task, task::Regset,
            task::SigQueue, task::RestartBlock, task::IntervalTimers, task::PosixTimers,
            task::Ptrace, task::TaskUsage, task::ProcessUsage, task::Peaks,
            x86::IoPermissions, x86::Breakpoints, x86::ShadowStack, task::Cgroup, task::Pids,
            task::Attributes, task::SeccompFilter, task::TaskPolicy,
            memory::Mm, memory::Vma, memory::Shmem, memory::PageMap, memory::Guards,
            memory::HugeReserve, memory::Policies, memory::Ldt, memory::AioContext,
            file::Files, file::Fs, file::PathFile, file::PipeFile, file::Pipe,
            file::EventFile, file::EpollFile, file::EpollItem, file::TtyFile, file::Pty,
            file::TimerFile, file::SignalFile, file::PidFile,
            file::Unnamed, file::UnnamedFile, file::FileLock,
            socket::SocketFile, socket::SocketPair,
        }
    };
}
