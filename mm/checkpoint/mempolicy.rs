// SPDX-License-Identifier: GPL-2.0

//! NUMA policies: of mappings, of the pages of shared memory, and of tasks.
//!
//! Kept: mode, flags, nodes and home node; where the interleaving of a task is. A machine that has not all of the nodes is refused at
//! restart.
//! Not kept: of which node a page is.
//!
//! C functions: `do_mbind()`, `mpol_set_shared_policy()`, `do_set_mempolicy()`

use crate::error::Result;
use crate::format::file::Unnamed;
use crate::format::memory as format;
use crate::format::memory::Mm;
use crate::format::memory::Policies;
use crate::format::memory::Shmem;
use crate::format::namespace::ShmSegment;
use crate::format::task::TaskPolicy;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image;
use crate::image::RawRecord;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::freeze::Frozen;
use crate::sys::mempolicy;
use crate::sys::mempolicy::Policy;
use kernel::bindings;
use kernel::prelude::*;

/// What mbind(2) and set_mempolicy(2) take besides a mode.
const FLAGS: u32 = bindings::MPOL_F_STATIC_NODES
    | bindings::MPOL_F_RELATIVE_NODES
    | bindings::MPOL_F_NUMA_BALANCING;

/// set_mempolicy_home_node(2) has not been called, and cannot be for a task.
const NO_HOME: i32 = bindings::NUMA_NO_NODE;

/// The most nodes that any configuration has.
const NODES: u64 = 64 * bindings::CHECKPOINT_NODE_WORDS as u64;

fn to_image(policy: &Policy) -> format::Policy {
    let Policy {
        start,
        end,
        mode,
        flags,
        home,
        nodes,
    } = *policy;

    format::Policy {
        start,
        end,
        mode,
        flags,
        home,
        reserved: 0,
        nodes,
    }
}

fn to_kernel(policy: &format::Policy) -> Policy {
    let format::Policy {
        start,
        end,
        mode,
        flags,
        home,
        reserved: _,
        nodes,
    } = *policy;

    Policy {
        start,
        end,
        mode,
        flags,
        home,
        nodes,
    }
}

/// Saves the policies of an address space.
pub(super) fn save(saver: &mut Saver<'_>, owner: ObjRef, policies: &KVVec<Policy>) -> Result {
    let mut list = KVVec::with_capacity(policies.len(), GFP_KERNEL)?;

    if policies.is_empty() {
        return Ok(());
    }
    for policy in policies {
        list.push(to_image(policy), GFP_KERNEL)?;
    }
    saver.out.record(
        &Policies {
            owner,
            count: u32::try_from(list.len()).map_err(|_| E2BIG)?,
        },
        &[list.as_slice().as_bytes()],
    )
}

/// Saves the policies of shared memory.
pub(crate) fn save_shared(saver: &mut Saver<'_>, file: &FileRef, owner: ObjRef) -> Result {
    let mut policies = KVVec::new();
    let mut from = 0;

    while let Some(policy) = mempolicy::of_shared(file, from) {
        from = policy.end;
        policies.push(policy, GFP_KERNEL)?;
    }
    save(saver, owner, &policies)
}

/// Checks the record; gives what the policies are of.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<Policies>()?;
    let (is_mm, limit) = match kind_of(state.owner) {
        Some(Mm::KIND) => (true, u64::MAX),
        Some(Shmem::KIND | Unnamed::KIND | ShmSegment::KIND) => {
            (false, i64::MAX as u64 >> sys::page::SHIFT)
        }
        _ => return Err(EINVAL.into()),
    };
    let mut free = 0;

    for policy in &image::all::<format::Policy>(tail, state.count)? {
        let fits = |at: u64| !is_mm || sys::page::is_aligned(at);

        if policy.start < free
            || policy.start >= policy.end
            || policy.end > limit
            || !fits(policy.start)
            || !fits(policy.end)
            || policy.mode > u32::from(u16::MAX)
            || policy.mode & FLAGS != 0
            || policy.flags & !FLAGS != 0
            || policy.home < -1
            || policy.reserved != 0
        {
            return Err(EINVAL.into());
        }
        free = policy.end;
    }
    Ok(state.owner)
}

fn each(
    restart: &Restart,
    owner: ObjRef,
    set: impl Fn(&Policy) -> kernel::error::Result,
) -> Result {
    for record in restart.belonging::<Policies>(owner) {
        let (Policies { owner: _, count }, tail) = record.parse::<Policies>()?;

        for policy in &image::all::<format::Policy>(tail, count)? {
            set(&to_kernel(policy)).map_err(|errno| {
                restart.log.error(
                    errno,
                    fmt!(
                        "object {}: the NUMA policy at {:#x} (does this machine have the nodes?)",
                        owner.0,
                        policy.start
                    ),
                )
            })?;
        }
    }
    Ok(())
}

/// Sets the policies of the running task's address space.
pub(super) fn restore(restart: &Restart, mm: ObjRef) -> Result {
    each(restart, mm, mempolicy::set)
}

/// Sets the policies of shared memory, when everything is mapped: a policy that is set of a
/// mapping is set of what it shows, too, but somebody else may have changed that since.
pub(crate) fn restore_shared(restart: &Restart, file: &FileRef, owner: ObjRef) -> Result {
    mempolicy::clear_shared(file)?;
    each(restart, owner, |policy| mempolicy::set_shared(file, policy))
}

/// Saves the policy of a task.
pub(crate) fn save_task(saver: &mut Saver<'_>, task: &Frozen, number: ObjRef) -> Result {
    let Some(policy) = mempolicy::of_task(task) else {
        return Ok(());
    };
    let Policy {
        start,
        end,
        mode,
        flags,
        home,
        nodes,
    } = policy;

    if home != NO_HOME {
        return Err(saver.refuse(fmt!("has a NUMA memory policy with a home node")));
    }
    saver.out.record(
        &TaskPolicy {
            task: number,
            mode,
            flags,
            last: u32::try_from(start).map_err(|_| EINVAL)?,
            left: u32::try_from(end).map_err(|_| EINVAL)?,
            reserved: 0,
            nodes,
        },
        &[],
    )
}

/// Checks the policy of a task; gives the task.
pub(crate) fn check_task(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<TaskPolicy>()?;

    if state.mode > u32::from(u16::MAX)
        || state.mode & FLAGS != 0
        || state.flags & !FLAGS != 0
        || u64::from(state.last) >= NODES
        || state.left > u32::from(u8::MAX)
        || state.reserved != 0
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(state.task)
}

/// Sets the policy of the running task, or takes that of the restarter from it.
pub(crate) fn restore_task(restart: &Restart, number: ObjRef) -> Result {
    let Some(record) = restart.belonging::<TaskPolicy>(number).next() else {
        return Ok(mempolicy::set_task(None)?);
    };
    let TaskPolicy {
        task: _,
        mode,
        flags,
        last,
        left,
        reserved: _,
        nodes,
    } = record.parse()?.0;
    let policy = Policy {
        start: u64::from(last),
        end: u64::from(left),
        mode,
        flags,
        home: NO_HOME,
        nodes,
    };

    mempolicy::set_task(Some(&policy)).map_err(|errno| {
        restart.log.error(
            errno,
            fmt!(
                "object {}: its NUMA policy (does this machine have the nodes?)",
                number.0
            ),
        )
    })
}
