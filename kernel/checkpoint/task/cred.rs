// SPDX-License-Identifier: GPL-2.0

//! Credentials.
//!
//! Kept: all ids, supplementary groups, the five capability sets, securebits, user namespaces (see
//! [`user_ns`](super::user_ns)).
//! Not kept, and refused: ids that mean nothing to the caller; keyrings other than the one
//! that the kernel keeps for the user, and a session keyring from outside of the tree, which becomes
//! the restarter's.
//!
//! A restart gives no credentials that the restarter could not give itself: see [`refused_ids`]
//! and [`refused_rights`].

use crate::error::Result;
use crate::format::namespace::UserNs;
use crate::format::task::Creds;
use crate::format::task::KEYRING_RESTARTER;
use crate::format::task::KEYRING_USER_SESSION;
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
use crate::sys::cred::Plain;
use crate::sys::freeze::Frozen;
use crate::sys::user_ns::NewUserNs;
use crate::task::user_ns;
use kernel::bindings;
use kernel::prelude::*;

/// Saves the credentials of a task.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen) -> Result<ObjRef> {
    let cred = Cred::of(task)?;

    if let Some(number) = saver.objects.refer(Class::Cred, cred.key()) {
        return Ok(number);
    }
    let plain = cred.plain();
    let groups = cred.groups()?;

    saver.check_ids(&plain.uid)?;
    saver.check_ids(&plain.gid)?;
    saver.check_ids(&groups)?;
    if plain.has_keyrings {
        return Err(saver.refuse(fmt!("has a keyring (keyctl(2))")));
    }
    let root = saver.tree.tasks().first().ok_or(ESRCH)?.task();

    let keyring = if cred.has_user_session_keyring() {
        KEYRING_USER_SESSION
    } else if cred.inherits_session_keyring(&root) {
        KEYRING_RESTARTER
    } else {
        return Err(saver.refuse(fmt!(
            "has a session keyring of its own (KEYCTL_JOIN_SESSION_KEYRING)"
        )));
    };
    let user_ns = user_ns::save(saver, cred.user_ns()?)?;
    let state = Creds {
        uid: plain.uid,
        gid: plain.gid,
        caps: plain.caps,
        securebits: plain.securebits,
        groups: u32::try_from(groups.len()).map_err(|_| E2BIG)?,
        keyring,
        user_ns,
    };
    let number = saver.out.object(&state, &[groups.as_slice().as_bytes()])?;

    // The task keeps its credentials, and with them their address, while it is parked.
    saver.objects.insert(Class::Cred, cred.key(), number)?;
    Ok(number)
}

/// Checks the record.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result {
    let (state, tail) = record.parse::<Creds>()?;
    let is_ns = state.user_ns.is_none() || kind_of(state.user_ns) == Some(UserNs::KIND);

    if state.groups > bindings::NGROUPS_MAX || state.keyring > KEYRING_USER_SESSION || !is_ns {
        return Err(EINVAL.into());
    }
    image::all::<u32>(tail, state.groups)?;
    Ok(())
}

/// Gives the running task its credentials.
pub(super) fn restore(restart: &Restart, number: ObjRef) -> Result {
    let (state, tail) = restart.record::<Creds>(number)?;
    let Creds {
        uid,
        gid,
        caps,
        securebits,
        groups,
        keyring,
        user_ns,
    } = state;
    let groups = image::all::<u32>(tail, groups)?;
    let own = Cred::of(&Frozen::current())?;
    let old = own.plain();
    let new = Plain {
        uid,
        gid,
        caps,
        securebits,
        has_keyrings: false,
    };
    let other_groups = (own.groups()?.as_slice() != groups.as_slice()).then_some(&*groups);
    let user_ns = restart.user_ns(user_ns)?;
    let refused = match &user_ns {
        None => refused_ids(&old, &new, other_groups, None)
            .or_else(|| refused_rights(&old, &new, || sys::cred::capable(bindings::CAP_SETPCAP))),
        Some(ns) => {
            // Whoever comes into the namespace has all rights there.
            let old_rights = Plain {
                caps: [0, CAPS_ALL, CAPS_ALL, CAPS_ALL, 0],
                securebits: 0,
                ..old
            };

            refused_ids(&old, &new, other_groups, Some(ns))
                .or_else(|| refused_rights(&old_rights, &new, || true))
        }
    };

    if let Some(what) = refused {
        return Err(restart
            .log
            .error(EPERM, fmt!("object {}: you may not set {what}", number.0)));
    }
    sys::cred::commit(&new, &groups, user_ns.as_deref())?;
    if keyring == KEYRING_USER_SESSION {
        sys::cred::join_user_session_keyring()?;
    }
    Ok(())
}

/// What ids of the new credentials somebody with the old ones may not take: the rules of
/// setresuid(2), setresgid(2) and setgroups(2) together. In a new user namespace, everybody may
/// take the ids that mean something there; and groups, unless it has been told to allow none.
fn refused_ids(
    old: &Plain,
    new: &Plain,
    groups: Option<&[u32]>,
    ns: Option<&NewUserNs>,
) -> Option<&'static str> {
    let is_uid = |id: &u32| old.uid.contains(id) || ns.is_some_and(|ns| ns.has_uid(*id));
    let is_gid = |id: &u32| old.gid.contains(id) || ns.is_some_and(|ns| ns.has_gid(*id));
    let may_set = |groups: &[u32]| {
        ns.is_some_and(|ns| ns.allows_groups() && groups.iter().all(|id| ns.has_gid(*id)))
    };

    if !new.uid.iter().all(is_uid) && !sys::cred::capable(bindings::CAP_SETUID) {
        Some("those user ids (CAP_SETUID)")
    } else if !new.gid.iter().all(is_gid) && !sys::cred::capable(bindings::CAP_SETGID) {
        Some("those group ids (CAP_SETGID)")
    } else if groups.is_some_and(|groups| !may_set(groups))
        && !sys::cred::capable(bindings::CAP_SETGID)
    {
        Some("those supplementary groups (CAP_SETGID)")
    } else {
        None
    }
}

/// What rights of the new credentials somebody with the old ones may not take: the rules of
/// capset(2) and prctl(2) together.
fn refused_rights(
    old: &Plain,
    new: &Plain,
    may_setpcap: impl Fn() -> bool,
) -> Option<&'static str> {
    let [inheritable, permitted, effective, bounding, ambient] = new.caps;
    let [old_inheritable, old_permitted, _, old_bounding, old_ambient] = old.caps;

    if permitted & !old_permitted != 0 || effective & !permitted != 0 {
        Some("those capabilities: you do not have them")
    } else if inheritable & !(old_inheritable | old_permitted) != 0
        || inheritable & !(old_inheritable | old_bounding) != 0
    {
        Some("those inheritable capabilities")
    } else if bounding & !old_bounding != 0 {
        Some("that capability bounding set: yours is smaller")
    } else if bounding != old_bounding && !may_setpcap() {
        Some("that capability bounding set (CAP_SETPCAP)")
    } else if ambient & !(permitted & inheritable) != 0
        || (ambient & !old_ambient != 0 && old.securebits & NO_CAP_AMBIENT_RAISE != 0)
    {
        Some("those ambient capabilities")
    } else if new.securebits != old.securebits && !may_setpcap() {
        Some("those securebits (CAP_SETPCAP)")
    } else if old.securebits & !new.securebits & SECURE_ALL_LOCKS != 0
        || (old.securebits ^ new.securebits) & ((old.securebits & SECURE_ALL_LOCKS) >> 1) != 0
        || new.securebits & !(SECURE_ALL_BITS | SECURE_ALL_LOCKS) != 0
    {
        Some("those securebits: yours are locked")
    } else {
        None
    }
}

/// Every capability that there is (`CAP_VALID_MASK`).
const CAPS_ALL: u64 = (1 << (bindings::CAP_LAST_CAP + 1)) - 1;

/// The securebits that say something (`include/uapi/linux/securebits.h`).
const SECURE_ALL_BITS: u32 = 0x555;
/// SECBIT_NO_CAP_AMBIENT_RAISE.
const NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;
/// The securebits that lock the bit below them.
const SECURE_ALL_LOCKS: u32 = SECURE_ALL_BITS << 1;
