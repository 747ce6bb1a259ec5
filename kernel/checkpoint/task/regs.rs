// SPDX-License-Identifier: GPL-2.0

//! Registers, by the kernel's own register sets.
//!
//! Kept: the sets that the architecture lists as saved. Refused: those that it does not know, if
//! the task has used them. The checks of ptrace(2) apply when they are set.
//!
//! C function: `regset_get()`

use crate::arch;
use crate::error::Result;
use crate::format::task::Regset;
use crate::format::ObjRef;
use crate::image::RawRecord;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use kernel::fmt;
use kernel::prelude::*;

/// Refuses a task with registers that cannot be saved.
pub(super) fn check(saver: &Saver<'_>, task: &Frozen) -> Result {
    for regset in sys::regset::all() {
        let note = regset.note();

        if !arch::SAVED.contains(&note) && !arch::DERIVED.contains(&note) && regset.is_active(task)
        {
            return Err(saver.refuse(fmt!(
                "uses registers that are not supported (ELF note {note:#x})"
            )));
        }
    }
    Ok(())
}

/// Saves the registers of a task. If it is in the middle of a system call, `result` is what that
/// is going to return.
pub(super) fn save(
    saver: &mut Saver<'_>,
    task: &Frozen,
    number: ObjRef,
    result: Option<u64>,
) -> Result {
    let own = task.as_ptr() == sys::task::current().as_ptr();

    for regset in sys::regset::all() {
        let note = regset.note();

        if !arch::SAVED.contains(&note) || (arch::SPARSE.contains(&note) && !regset.is_active(task))
        {
            continue;
        }
        let mut data = regset.get(task)?;

        if own {
            arch::return_from_call(note, &mut data);
        }
        if let Some(result) = result {
            arch::set_result(note, &mut data, result);
        }
        let state = Regset { task: number, note };

        saver.out.record(&state, &[&arch::pack(note, data)?])?;
    }
    Ok(())
}

/// Checks the record.
pub(crate) fn check_record(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<Regset>()?;

    if !arch::SAVED.contains(&state.note) || tail.is_empty() {
        return Err(EINVAL.into());
    }
    arch::check(state.note, tail)?;
    Ok(state.task)
}

/// Registers as the kernel has them: those of the image, or what was made from them.
pub(crate) enum Registers<'a> {
    Image(&'a [u8]),
    Made(KVVec<u8>),
}

impl core::ops::Deref for Registers<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Image(data) => data,
            Self::Made(data) => data,
        }
    }
}

/// Refuses a task that uses what this CPU, or this kernel, does not have.
pub(crate) fn check_cpu(restart: &Restart, number: ObjRef) -> Result {
    let refuse = |what: fmt::Arguments<'_>| {
        let what = fmt!("object {}: it uses {what}", number.0);

        Err(restart.log.error(EOPNOTSUPP, what))
    };

    for record in restart.belonging::<Regset>(number) {
        let (state, data) = record.parse::<Regset>()?;

        if let Some(what) = arch::lacks(state.note, data)? {
            return refuse(fmt!("{what}, which this CPU lacks"));
        }
    }
    match arch::task_lacks(restart, number)? {
        Some(what) => refuse(fmt!("{what}")),
        None => Ok(()),
    }
}

/// Sets the registers of a task that is parked.
pub(crate) fn restore(restart: &Restart, task: &Frozen, number: ObjRef) -> Result {
    for record in restart.belonging::<Regset>(number) {
        let (state, data) = record.parse::<Regset>()?;
        let Regset { task: _, note } = state;
        let regset = sys::regset::all()
            .find(|regset| regset.note() == note)
            .ok_or_else(|| {
                restart.log.error(
                    EOPNOTSUPP,
                    fmt!(
                        "object {}: registers (ELF note {note:#x}): this kernel does not have them",
                        number.0
                    ),
                )
            })?;

        let data = arch::unpack(note, data, regset.bytes())?;

        regset.set(task, &data).map_err(|errno| {
            restart.log.error(
                errno,
                fmt!(
                    "object {}: registers (ELF note {note:#x}): this CPU cannot have them",
                    number.0
                ),
            )
        })?;
    }
    Ok(())
}
