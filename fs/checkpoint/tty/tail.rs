// SPDX-License-Identifier: GPL-2.0

//! The record of a pseudo-terminal: taking it apart, and checking it.

use super::path_name;
use crate::error::Result;
use crate::format::file::Pty;
use crate::format::file::TtyQueue;
use crate::format::file::PTY_EXCLUSIVE;
use crate::format::file::PTY_LOCKED;
use crate::format::file::PTY_OPENED;
use crate::format::file::PTY_PACKET;
use crate::format::file::TTY_QUEUE_ERASING;
use crate::format::file::TTY_QUEUE_LNEXT;
use crate::format::file::TTY_QUEUE_PUSH;
use crate::format::file::TTY_QUEUE_STOPPED;
use crate::format::file::TTY_QUEUE_TCO_STOPPED;
use crate::image::RawRecord;
use crate::sys::tty::Received;
use crate::sys::tty::NCCS;
use crate::sys::tty::RAW_MAX;
use crate::sys::tty::READ_MAX;
use kernel::alloc::KVVec;
use kernel::prelude::*;

/// Bits of permissions.
const S_IALLUGO: u32 = 0o7777;

/// The parts of the tail of a [`Pty`].
pub(super) struct Tail<'a> {
    pub(super) path: &'a [u8],
    pub(super) slave: QueueTail<'a>,
    pub(super) master: QueueTail<'a>,
}

/// The part of one end.
pub(super) struct QueueTail<'a> {
    read: &'a [u8],
    ends: &'a [u8],
    raw: &'a [u8],
}

/// Takes `len` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], len: u32) -> Result<&'a [u8]> {
    let len = usize::try_from(len).map_err(|_| EINVAL)?;
    let (head, rest) = bytes.split_at_checked(len).ok_or(EINVAL)?;

    *bytes = rest;
    Ok(head)
}

impl<'a> QueueTail<'a> {
    fn split(queue: &TtyQueue, tail: &mut &'a [u8]) -> Result<Self> {
        let parts = Self {
            read: take(tail, queue.read)?,
            ends: take(tail, queue.read)?,
            raw: take(tail, queue.raw)?,
        };
        let known = TTY_QUEUE_LNEXT
            | TTY_QUEUE_ERASING
            | TTY_QUEUE_PUSH
            | TTY_QUEUE_STOPPED
            | TTY_QUEUE_TCO_STOPPED;

        if parts.read.len() > READ_MAX
            || parts.raw.len() > RAW_MAX
            || parts.ends.iter().any(|&end| end > 1)
            || queue.canon > queue.read
            || queue.flags & !known != 0
        {
            return Err(EINVAL.into());
        }
        Ok(parts)
    }

    /// What the terminal receives again.
    pub(super) fn received(&self, queue: &TtyQueue) -> Result<Received> {
        let TtyQueue {
            read: _,
            canon,
            raw: _,
            column,
            canon_column,
            flags,
        } = *queue;

        Ok(Received {
            read: copy(self.read)?,
            ends: copy(self.ends)?,
            canon,
            column,
            canon_column,
            lnext: flags & TTY_QUEUE_LNEXT != 0,
            erasing: flags & TTY_QUEUE_ERASING != 0,
            push: flags & TTY_QUEUE_PUSH != 0,
            raw: copy(self.raw)?,
        })
    }
}

fn copy(bytes: &[u8]) -> Result<KVVec<u8>> {
    let mut copy = KVVec::new();

    copy.extend_from_slice(bytes, GFP_KERNEL)?;
    Ok(copy)
}

impl<'a> Tail<'a> {
    /// Splits a tail. `EINVAL`: it has another length than the record says, or what stands in it
    /// cannot be.
    pub(super) fn split(state: &Pty, mut tail: &'a [u8]) -> Result<Self> {
        let parts = Self {
            path: take(&mut tail, state.path)?,
            slave: QueueTail::split(&state.slave, &mut tail)?,
            master: QueueTail::split(&state.master, &mut tail)?,
        };

        path_name(parts.path)?;
        match tail {
            [] => Ok(parts),
            _ => Err(EINVAL.into()),
        }
    }
}

/// Checks the record before anything is made of it.
pub(super) fn check(record: &RawRecord<'_>) -> Result {
    let (state, tail) = record.parse::<Pty>()?;
    let known = PTY_LOCKED | PTY_PACKET | PTY_EXCLUSIVE | PTY_OPENED;

    if state.flags & !known != 0
        || i32::try_from(state.index).is_err()
        || u8::try_from(state.pktstatus).is_err()
        || u8::try_from(state.line).is_err()
        || state.mode & !S_IALLUGO != 0
        || state.session < 0
        || state.foreground < 0
        || state.winsize.iter().any(|&n| u16::try_from(n).is_err())
        || state.cc.iter().skip(NCCS).any(|&c| c != 0)
        || state.master_flags & !super::FLAGS != 0
    {
        return Err(EINVAL.into());
    }
    Tail::split(&state, tail)?;
    Ok(())
}

#[cfg(CONFIG_CHECKPOINT_KUNIT_TEST)]
#[kunit_tests(checkpoint_tty)]
mod tests {
    use super::*;
    use crate::image::Reader;
    use crate::image::Writer;
    use zerocopy::FromZeros;

    const PATH: &[u8] = b"/dev/ptmx";

    fn is_good(change: impl FnOnce(&mut Pty), tail: &[&[u8]]) -> bool {
        let mut writer = Writer::new();
        let mut state = Pty {
            path: 9,
            slave: TtyQueue {
                read: 3,
                canon: 2,
                raw: 1,
                ..TtyQueue::new_zeroed()
            },
            ..Pty::new_zeroed()
        };

        change(&mut state);
        writer.object(&state, tail).is_ok()
            && matches!(
                Reader::new(writer.bytes()).next_record(),
                Ok(Some(record)) if check(&record).is_ok()
            )
    }

    #[test]
    fn takes_what_it_was_given() {
        assert!(is_good(|_| (), &[PATH, b"a\nb", &[0, 1, 0], b"c"]));
    }

    #[test]
    fn refuses_a_tail_of_another_length() {
        assert!(!is_good(|_| (), &[PATH, b"a\nb", &[0, 1, 0]]));
        assert!(!is_good(|_| (), &[PATH, b"a\nb", &[0, 1, 0], b"cc"]));
        assert!(!is_good(|_| (), &[b"dev/ptmx1", b"a\nb", &[0, 1, 0], b"c"]));
    }

    #[test]
    fn refuses_what_cannot_be() {
        let tail: &[&[u8]] = &[PATH, b"a\nb", &[0, 1, 0], b"c"];
        let bad: [fn(&mut Pty); 9] = [
            |pty| pty.flags = 1 << 31,
            |pty| pty.index = 1 << 31,
            |pty| pty.pktstatus = 256,
            |pty| pty.line = 256,
            |pty| pty.winsize = [1 << 16, 0, 0, 0],
            |pty| pty.cc = [1; 32],
            |pty| pty.session = -1,
            |pty| pty.slave.canon = 4,
            |pty| pty.slave.flags = 1 << 31,
        ];

        for change in bad {
            assert!(!is_good(change, tail));
        }
        assert!(!is_good(|_| (), &[PATH, b"a\nb", &[0, 2, 0], b"c"]));
    }
}
