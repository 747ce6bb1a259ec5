// SPDX-License-Identifier: GPL-2.0

//! Records of `format/x86.rs`.

use super::check_bits;
use super::list;
use super::must;
use super::no_object;
use super::Fields;
use super::Kind;
use super::Reference;
use super::Result;
use super::Tail;
use crate::format::task::Task;
use crate::format::x86;
use crate::format::x86::Breakpoints;
use crate::format::x86::IoPermissions;
use crate::format::x86::ShadowStack;
use crate::format::Record;

impl Kind for IoPermissions {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("task", self.task, &[Task::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        Ok(vec![(
            "bitmap",
            list(tail.list::<u64>(self.words, "words of bitmap")?),
        )])
    }

    fn check(&self) -> Result<()> {
        match self.level {
            0..=3 => Ok(()),
            level => Err(format!("there is no I/O privilege level {level}")),
        }
    }
}

impl Kind for Breakpoints {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("task", self.task, &[Task::KIND])]
    }

    fn check(&self) -> Result<()> {
        check_bits("there", self.there, 0xfu32)?;
        match self.is_possible() {
            true => Ok(()),
            false => Err("ptrace(2) makes no such breakpoints".into()),
        }
    }
}

impl Kind for ShadowStack {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("task", self.task, &[Task::KIND])]
    }

    fn check(&self) -> Result<()> {
        let known = x86::SHADOW_STACK | x86::SHADOW_STACK_WRITABLE;
        check_bits("features", self.features, known)?;
        match self.is_possible() {
            true => Ok(()),
            false => Err("no task can have such a shadow stack".into()),
        }
    }
}
