// SPDX-License-Identifier: GPL-2.0

//! User namespaces.
//!
//! Kept: which tasks, programs and other namespaces are in which one, and how they are nested, up to
//! that of whoever saves; owner, maps of ids, whether setgroups(2) is allowed, `/proc/sys/user`.
//! Not kept, and refused: those that are not below that of whoever saves; owners that have no number
//! there; keys in the keyrings that the kernel keeps for its users. Processes that are not in the tree stay behind in the old namespace.
//! Not kept: what the namespace may use of the resource limits of its owner, which are those of the
//! restarter.
//!
//! A restart makes all of them first, in the order of the image, with the rights of the restarter:
//! it needs what unshare(2) and writing to `/proc/PID/uid_map` need.

use crate::error::Result;
use crate::format::namespace::IdRange;
use crate::format::namespace::UserNs as State;
use crate::format::namespace::USER_NS_SETFCAP;
use crate::format::namespace::USER_NS_SETGROUPS;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image;
use crate::image::RawRecord;
use crate::object::Class;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::cred::Cred;
use crate::sys::freeze::Frozen;
use crate::sys::user_ns::NewUserNs;
use crate::sys::user_ns::Plain;
use crate::sys::user_ns::UserNs;
use kernel::bindings;
use kernel::prelude::*;
use kernel::str::CString;

/// The most ranges that a map has (`UID_GID_MAP_MAX_EXTENTS`).
const RANGES: u32 = 340;

const FLAGS: u32 = USER_NS_SETGROUPS | USER_NS_SETFCAP;
const _: () = assert!(
    USER_NS_SETGROUPS == bindings::CHECKPOINT_USER_NS_SETGROUPS
        && USER_NS_SETFCAP == bindings::CHECKPOINT_USER_NS_SETFCAP
);

/// Saves a namespace, those around it first. None stands for that of the caller.
pub(crate) fn save(saver: &mut Saver<'_>, ns: UserNs) -> Result<ObjRef> {
    let mut missing = KVec::new();
    let mut known = ObjRef::NONE;
    let outside = UserNs::current()?;
    let mut level = ns;

    while !level.is(&outside) {
        if let Some(number) = saver.objects.refer(Class::UserNs, level.key()) {
            known = number;
            break;
        }
        let outer = level.parent().map_err(|_| {
            saver.refuse(fmt!(
                "is in a user namespace, or has another that belongs to one, that is not below \
                 that of the caller"
            ))
        })?;

        missing.push(level, GFP_KERNEL)?;
        level = outer;
    }
    while let Some(level) = missing.pop() {
        known = save_one(saver, &level, known)?;
        saver.objects.insert(Class::UserNs, level.key(), known)?;
    }
    Ok(known)
}

fn save_one(saver: &mut Saver<'_>, ns: &UserNs, parent: ObjRef) -> Result<ObjRef> {
    let plain = ns.plain();
    let Plain {
        flags,
        owner,
        group,
        ranges,
        limits,
    } = plain;
    let mut tail = KVVec::new();

    saver.check_ids(&[owner, group])?;
    if ns.has_keys() {
        return Err(saver.refuse(fmt!(
            "its user namespace has keys that belong to its users (keyctl(2))"
        )));
    }
    for (map, &count) in ranges.iter().enumerate() {
        for index in 0..count {
            let (first, lower, count) = ns.range(&plain, map, index)?;

            tail.push(
                IdRange {
                    first,
                    lower,
                    count,
                    reserved: 0,
                },
                GFP_KERNEL,
            )?;
        }
    }
    saver.out.object(
        &State {
            parent,
            flags,
            owner,
            group,
            ranges,
            limits,
        },
        &[tail.as_slice().as_bytes()],
    )
}

/// Checks the record.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result {
    let (state, tail) = record.parse::<State>()?;
    let has_parent = state.parent.is_none() || kind_of(state.parent) == Some(State::KIND);

    if !has_parent
        || state.flags & !FLAGS != 0
        || state.ranges.iter().any(|&count| count > RANGES)
        || state.limits.iter().any(|&limit| limit > i32::MAX as u32)
    {
        return Err(EINVAL.into());
    }
    let ranges = image::all::<IdRange>(tail, state.ranges.iter().sum())?;

    // The rest is for the function that sets the map.
    if ranges.iter().any(|range| range.reserved != 0) {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Makes all user namespaces of the image, each before those in it.
pub(crate) fn make_all(restart: &Restart) -> Result {
    for record in restart.records::<State>() {
        restart.make_user_ns(record.object)?;
    }
    Ok(())
}

/// Makes one.
pub(crate) fn restore(restart: &Restart, number: ObjRef) -> Result<NewUserNs> {
    let (state, tail) = restart.record::<State>(number)?;
    let State {
        parent,
        flags,
        owner,
        group,
        ranges,
        limits,
    } = state;
    let parent = restart.user_ns(parent)?;

    // In one of our making, whoever has an id there is somebody whom we may be.
    if parent.is_none() && !may_own(owner, group)? {
        return Err(restart.log.error(
            EPERM,
            fmt!(
                "object {}: you may not make a user namespace for user {owner} and group {group} \
                 (CAP_SETUID, CAP_SETGID)",
                number.0
            ),
        ));
    }
    let plain = Plain {
        flags,
        owner,
        group,
        ranges,
        limits,
    };
    let ns = NewUserNs::make(parent.as_deref(), &plain).map_err(|errno| {
        let why = if errno == ENOSPC {
            "there are too many (/proc/sys/user/max_user_namespaces), or they are nested too deep"
        } else if errno == EPERM {
            "you may not"
        } else {
            "it cannot be"
        };

        restart.log.error(
            errno,
            fmt!("object {}: making a user namespace: {why}", number.0),
        )
    })?;
    let mut rest = tail;

    for (map, &count) in ranges.iter().enumerate() {
        let (list, next) = image::split::<IdRange>(rest, count)?;

        rest = next;
        if !list.is_empty() {
            ns.write_map(map, &lines(&list)?).map_err(|errno| {
                restart.log.error(
                    errno,
                    fmt!(
                        "object {}: you may not give a user namespace those ids, as by writing \
                         to /proc/PID/uid_map",
                        number.0
                    ),
                )
            })?;
        }
    }
    Ok(ns)
}

/// Whether the running task may be that user and have that group.
fn may_own(owner: u32, group: u32) -> Result<bool> {
    let own = Cred::of(&Frozen::current())?.plain();

    Ok(
        (own.uid.contains(&owner) || sys::cred::capable(bindings::CAP_SETUID))
            && (own.gid.contains(&group) || sys::cred::capable(bindings::CAP_SETGID)),
    )
}

/// The lines of a map.
fn lines(ranges: &[IdRange]) -> Result<CString> {
    let mut text = KVVec::new();

    for range in ranges {
        let IdRange {
            first,
            lower,
            count,
            reserved: _,
        } = *range;
        let line = CString::try_from_fmt(fmt!("{first} {lower} {count}\n"))?;

        text.extend_from_slice(line.to_bytes(), GFP_KERNEL)?;
    }
    let text = core::str::from_utf8(&text).map_err(|_| EINVAL)?;

    Ok(CString::try_from_fmt(fmt!("{text}"))?)
}
