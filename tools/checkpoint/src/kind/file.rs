// SPDX-License-Identifier: GPL-2.0

//! Records of `format/file.rs`.

use super::check_bits;
use super::check_one_of;
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
use crate::format::file;
use crate::format::file::EpollFile;
use crate::format::file::EpollItem;
use crate::format::file::EventFile;
use crate::format::file::Fd;
use crate::format::file::FileLock;
use crate::format::file::Files;
use crate::format::file::Fs;
use crate::format::file::PathFile;
use crate::format::file::PidFile;
use crate::format::file::Pipe;
use crate::format::file::PipeBuf;
use crate::format::file::PipeFile;
use crate::format::file::Pty;
use crate::format::file::SignalFile;
use crate::format::file::TimerFile;
use crate::format::file::TtyFile;
use crate::format::file::Unnamed;
use crate::format::file::UnnamedFile;
use crate::format::socket::SocketFile;
use crate::format::task::Sighand;
use crate::format::Record;
use crate::format::Value;
use crate::format::RECORD_ALIGN;
use crate::names;

/// What a descriptor can stand for: a new kind of open file is a new entry.
const OPEN_FILES: &[u16] = &[
    PathFile::KIND,
    PipeFile::KIND,
    EventFile::KIND,
    EpollFile::KIND,
    TtyFile::KIND,
    TimerFile::KIND,
    SignalFile::KIND,
    PidFile::KIND,
    UnnamedFile::KIND,
    SocketFile::KIND,
];

/// `EFD_SEMAPHORE`.
const EFD_SEMAPHORE: u32 = 1;

/// `TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET`.
const TFD_FLAGS: u32 = 3;

impl Kind for Files {
    object!();

    fn references(&self, tail: &[u8]) -> Vec<Reference> {
        let slots = Tail::new(tail).list::<Fd>(self.count, "descriptors");
        slots
            .unwrap_or_default()
            .iter()
            .map(|slot| must("fd", slot.file, OPEN_FILES))
            .collect()
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let slots = tail.list::<Fd>(self.count, "descriptors")?;
        if let Some(pair) = slots.windows(2).find(|pair| pair[0].fd >= pair[1].fd) {
            return Err(format!("descriptor {} is not in order", pair[1].fd));
        }
        for slot in slots {
            check_one_of("cloexec", slot.cloexec, &[0, 1])?;
        }
        Ok(vec![("fds", list(slots))])
    }
}

impl Kind for Fs {
    object!();

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let cwd = tail.path(self.cwd, "working directory")?;
        let root = tail.path(self.root, "root directory")?;
        Ok(vec![("cwd", cwd), ("root", root)])
    }

    fn check(&self) -> Result<()> {
        check_bits("umask", self.umask, 0o777u32)
    }
}

impl Kind for PathFile {
    object!();

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let bytes = tail.rest();
        let path = Tail::new(bytes).path(bytes.len() as u32, "path")?;
        Ok(vec![("path", path)])
    }
}

impl Kind for Unnamed {
    object!();

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let mut fields = Vec::new();
        if self.kind == file::UNNAMED_DELETED {
            fields.push(("directory", tail.path(self.directory, "directory")?));
        }
        fields.push(("name", tail.text(self.name, "name")?));
        Ok(fields)
    }

    fn check(&self) -> Result<()> {
        check_one_of(
            "kind",
            self.kind,
            &[
                file::UNNAMED_MEMFD,
                file::UNNAMED_DELETED,
                file::UNNAMED_HUGE,
            ],
        )?;
        if self.kind == file::UNNAMED_HUGE && self.huge == 0 {
            return Err("its pages have no size".into());
        }
        check_bits("flags", self.flags, file::UNNAMED_LINKABLE)
    }
}

impl Kind for UnnamedFile {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("file", self.file, &[Unnamed::KIND])]
    }

    fn check(&self) -> Result<()> {
        check_bits(
            "flags",
            self.flags,
            file::UNNAMED_ORIGINAL | file::UNNAMED_TMPFILE,
        )
    }
}

impl Kind for PipeFile {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("pipe", self.pipe, &[Pipe::KIND])]
    }

    fn check(&self) -> Result<()> {
        check_one_of("unseen", self.unseen, &[0, 1])
    }
}

impl Kind for Pipe {
    object!();

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let mut fields = Vec::new();
        if self.path != 0 {
            fields.push(("path", tail.path(self.path, "path")?));
            let padded = (self.path as usize).next_multiple_of(RECORD_ALIGN);
            let padding = tail.bytes(padded - self.path as usize, "padding")?;
            if padding.iter().any(|byte| *byte != 0) {
                return Err("the padding of its path is not zero".into());
            }
        }
        let bufs = tail.list::<PipeBuf>(self.bufs, "buffers")?;
        let total: u64 = bufs.iter().map(|buf| u64::from(buf.len)).sum();
        if total != u64::from(self.bytes) {
            return Err(format!(
                "its buffers hold {total} bytes, it says {}",
                self.bytes
            ));
        }
        for buf in bufs {
            check_one_of("packet", buf.packet, &[0, 1])?;
        }
        let data = tail.bytes(self.bytes as usize, "data")?;
        fields.push(("buffers", list(bufs)));
        fields.push(("data", Value::Bytes(data)));
        Ok(fields)
    }
}

impl Kind for EventFile {
    object!();

    fn check(&self) -> Result<()> {
        check_bits("flags", self.flags, EFD_SEMAPHORE)
    }
}

impl Kind for EpollFile {
    object!();
}

impl Kind for EpollItem {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![
            must("epoll", self.epoll, &[EpollFile::KIND]),
            must("file", self.file, OPEN_FILES),
            may("sighand", self.sighand, &[Sighand::KIND]),
        ]
    }

    fn check(&self) -> Result<()> {
        check_one_of("disarmed", self.disarmed, &[0, 1])
    }
}

impl Kind for FileLock {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![
            match self.how {
                file::LOCK_POSIX => must("table", self.table, &[Files::KIND]),
                _ => may("table", self.table, &[Files::KIND]),
            },
            must("file", self.file, OPEN_FILES),
        ]
    }

    fn check(&self) -> Result<()> {
        let known = [file::LOCK_FLOCK, file::LOCK_POSIX, file::LOCK_OFD];
        check_one_of("how", self.how, &known)?;
        check_one_of("write", self.write, &[0, 1])
    }
}

impl Kind for TtyFile {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![match self.end {
            file::TTY_HUNG_UP => may("pty", self.pty, &[]),
            _ => must("pty", self.pty, &[Pty::KIND]),
        }]
    }

    fn check(&self) -> Result<()> {
        let known = [
            file::TTY_MASTER,
            file::TTY_SLAVE,
            file::TTY_CONTROLLING,
            file::TTY_HUNG_UP,
        ];
        check_one_of("end", self.end, &known)
    }
}

impl Kind for Pty {
    object!();

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let mut fields = vec![("path", tail.path(self.path, "path")?)];
        let ends = [
            (&self.slave, "slave_read", "slave_lines", "slave_raw"),
            (&self.master, "master_read", "master_lines", "master_raw"),
        ];

        for (queue, read, lines, raw) in ends {
            for (name, len) in [(read, queue.read), (lines, queue.read), (raw, queue.raw)] {
                fields.push((name, Value::Bytes(tail.bytes(len as usize, name)?)));
            }
        }
        Ok(fields)
    }

    fn check(&self) -> Result<()> {
        check_bits("flags", self.flags, names::known(names::PTY_FLAGS))?;
        for queue in [&self.slave, &self.master] {
            check_bits("flags", queue.flags, names::known(names::TTY_QUEUE_FLAGS))?;
        }
        Ok(())
    }
}

impl Kind for TimerFile {
    object!();

    fn check(&self) -> Result<()> {
        check_bits("flags", self.flags, names::known(names::TIMER_FLAGS))?;
        check_bits("settime_flags", self.settime_flags, TFD_FLAGS)?;
        if self.interval < 0 {
            return Err("the interval is negative".into());
        }
        Ok(())
    }
}

impl Kind for SignalFile {
    object!();
}

impl Kind for PidFile {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![may("same", self.same, &[PidFile::KIND])]
    }

    fn check(&self) -> Result<()> {
        check_bits("flags", self.flags, names::known(names::PID_FLAGS))?;
        match self.pid {
            ..0 => Err("a process id is impossible".into()),
            0 if self.flags & file::PID_EXITED == 0 => Err("it lives and has no pid".into()),
            _ => Ok(()),
        }
    }
}
