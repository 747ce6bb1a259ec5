// SPDX-License-Identifier: GPL-2.0

//! Records of `format/namespace.rs`.

use super::check_bits;
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
use crate::format::namespace;
use crate::format::namespace::IdRange;
use crate::format::namespace::IpcNs;
use crate::format::namespace::IpcPerm;
use crate::format::namespace::Message;
use crate::format::namespace::MsgQueue;
use crate::format::namespace::Namespaces;
use crate::format::namespace::PidNs;
use crate::format::namespace::SemSet;
use crate::format::namespace::SemUndo;
use crate::format::namespace::Semaphore;
use crate::format::namespace::ShmSegment;
use crate::format::namespace::TimeNs;
use crate::format::namespace::UserNs;
use crate::format::namespace::UtsNs;
use crate::format::namespace::USER_NS_SETFCAP;
use crate::format::namespace::USER_NS_SETGROUPS;
use crate::format::Record;
use crate::format::Value;

/// Permissions, and that a segment is to be destroyed or is locked.
const MODE: u32 = 0o777;
const SHM_DEST: u32 = 0o1000;
const SHM_LOCKED: u32 = 0o2000;

/// The largest value of a semaphore.
const VALUE_MAX: u32 = 32767;

impl Kind for UtsNs {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![may("user_ns", self.user_ns, &[UserNs::KIND])]
    }

    fn check(&self) -> Result<()> {
        check_text("nodename", &self.nodename)?;
        check_text("domainname", &self.domainname)
    }
}

impl Kind for IpcNs {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![may("user_ns", self.user_ns, &[UserNs::KIND])]
    }
}

impl Kind for ShmSegment {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("ipc", self.ipc, &[IpcNs::KIND])]
    }

    fn check(&self) -> Result<()> {
        check_bits("flags", self.flags, namespace::SHM_NORESERVE)?;
        check_perm(&self.perm, MODE | SHM_DEST | SHM_LOCKED)?;
        if self.perm.mode & SHM_DEST != 0 && self.attached == 0 {
            return Err("it is to be destroyed and not attached".into());
        }
        if self.size == 0 {
            return Err("it has no bytes".into());
        }
        Ok(())
    }
}

impl Kind for SemSet {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("ipc", self.ipc, &[IpcNs::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let semaphores = tail.list::<Semaphore>(self.count, "semaphores")?;
        if let Some(semaphore) = semaphores.iter().find(|s| s.value > VALUE_MAX) {
            return Err(format!("the value {} is impossible", semaphore.value));
        }
        Ok(vec![("semaphores", list(semaphores))])
    }

    fn check(&self) -> Result<()> {
        check_perm(&self.perm, MODE)
    }
}

impl Kind for SemUndo {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("ipc", self.ipc, &[IpcNs::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        Ok(vec![(
            "adjustments",
            list(tail.list::<i16>(self.count, "adjustments")?),
        )])
    }

    fn check(&self) -> Result<()> {
        match (self.tid, self.id, self.count) {
            (..=0, _, _) => Err(format!("task {} is impossible", self.tid)),
            (_, ..0, _) => Err(format!("the identifier {} is impossible", self.id)),
            (_, _, 0) => Err("the set has no semaphores".into()),
            _ => Ok(()),
        }
    }
}

impl Kind for MsgQueue {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("ipc", self.ipc, &[IpcNs::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let messages = tail.list::<Message>(self.count, "messages")?;
        if messages.iter().any(|message| message.kind < 1) {
            return Err("a message has an impossible type".into());
        }
        let bytes: u64 = messages.iter().map(|message| u64::from(message.len)).sum();
        let data = tail.rest();
        if bytes != self.bytes || data.len() as u64 != bytes {
            return Err(format!(
                "its messages have {bytes} bytes, not {} or {}",
                self.bytes,
                data.len()
            ));
        }
        Ok(vec![
            ("messages", list(messages)),
            ("data", Value::Bytes(data)),
        ])
    }

    fn check(&self) -> Result<()> {
        check_perm(&self.perm, MODE)
    }
}

fn check_perm(perm: &IpcPerm, known: u32) -> Result<()> {
    check_bits("mode", perm.mode, known)?;
    match perm.id {
        0.. => Ok(()),
        id => Err(format!("the identifier {id} is impossible")),
    }
}

impl Kind for PidNs {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![
            may("parent", self.parent, &[PidNs::KIND]),
            may("user_ns", self.user_ns, &[UserNs::KIND]),
        ]
    }

    fn check(&self) -> Result<()> {
        match self.last_pid {
            0.. => Ok(()),
            pid => Err(format!("last_pid {pid} is impossible")),
        }
    }
}

impl Kind for TimeNs {
    object!();

    fn check(&self) -> Result<()> {
        if self.monotonic < 0 || self.boottime < 0 {
            return Err("a clock is negative".into());
        }
        Ok(())
    }
}

impl Kind for Namespaces {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![
            may("uts", self.uts, &[UtsNs::KIND]),
            may("ipc", self.ipc, &[IpcNs::KIND]),
            may("pid", self.pid, &[PidNs::KIND]),
            may("time", self.time, &[TimeNs::KIND]),
        ]
    }
}

impl Kind for UserNs {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![may("parent", self.parent, &[UserNs::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        ["uid_map", "gid_map", "projid_map"]
            .into_iter()
            .zip(self.ranges)
            .map(|(name, count)| {
                let ranges = tail.list::<IdRange>(count, name)?;
                if ranges.iter().any(is_impossible) {
                    return Err(format!("{name} has an impossible range"));
                }
                Ok((name, list(ranges)))
            })
            .collect()
    }

    fn check(&self) -> Result<()> {
        check_bits("flags", self.flags, USER_NS_SETGROUPS | USER_NS_SETFCAP)?;
        if self
            .limits
            .iter()
            .any(|&limit| i32::try_from(limit).is_err())
        {
            return Err("a limit is impossible".into());
        }
        Ok(())
    }
}

fn is_impossible(range: &IdRange) -> bool {
    let ends = |first: u32| first.checked_add(range.count).is_some();
    range.count == 0 || !ends(range.first) || !ends(range.lower)
}
