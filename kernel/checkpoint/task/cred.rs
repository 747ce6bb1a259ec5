// SPDX-License-Identifier: GPL-2.0

//! Credentials.
//!
//! Kept: all ids, supplementary groups, the five capability sets, securebits.
//! Not kept, and refused: user namespaces other than the caller's, keyrings other than the one
//! that the kernel keeps for the user, and a session keyring from outside of the tree, which becomes
//! the restarter's.
//!
//! A restart gives no credentials that the restarter could not give itself: see [`refused`].

use crate::error::Result;
use crate::format::task::Creds;
use crate::format::task::KEYRING_RESTARTER;
use crate::format::task::KEYRING_USER_SESSION;
use crate::format::ObjRef;
use crate::image;
use crate::image::RawRecord;
use crate::object::Class;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::cred::Cred;
use crate::sys::cred::Plain;
use crate::sys::freeze::Frozen;
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

    if !plain.same_user_ns {
        return Err(saver.refuse(fmt!("is in another user namespace than the caller")));
    }
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
    let state = Creds {
        uid: plain.uid,
        gid: plain.gid,
        caps: plain.caps,
        securebits: plain.securebits,
        groups: u32::try_from(groups.len()).map_err(|_| E2BIG)?,
        keyring,
        reserved: 0,
    };
    let number = saver.out.object(&state, &[groups.as_slice().as_bytes()])?;

    // The task keeps its credentials, and with them their address, while it is parked.
    saver.objects.insert(Class::Cred, cred.key(), number)?;
    Ok(number)
}

/// Checks the record.
pub(crate) fn check(record: &RawRecord<'_>) -> Result {
    let (state, tail) = record.parse::<Creds>()?;

    if state.groups > bindings::NGROUPS_MAX
        || state.keyring > KEYRING_USER_SESSION
        || state.reserved != 0
    {
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
        reserved: _,
    } = state;
    let groups = image::all::<u32>(tail, groups)?;
    let own = Cred::of(&Frozen::current())?;
    let old = own.plain();
    let new = Plain {
        uid,
        gid,
        caps,
        securebits,
        same_user_ns: true,
        has_keyrings: false,
    };

    if let Some(what) = refused(&old, &new, own.groups()?.as_slice() == groups.as_slice()) {
        return Err(restart
            .log
            .error(EPERM, fmt!("object {}: you may not set {what}", number.0)));
    }
    sys::cred::commit(&new, &groups)?;
    if keyring == KEYRING_USER_SESSION {
        sys::cred::join_user_session_keyring()?;
    }
    Ok(())
}

/// What of the new credentials somebody with the old ones may not take: the rules of setresuid(2),
/// setresgid(2), setgroups(2), capset(2) and prctl(2) together.
fn refused(old: &Plain, new: &Plain, same_groups: bool) -> Option<&'static str> {
    let [inheritable, permitted, effective, bounding, ambient] = new.caps;
    let [old_inheritable, old_permitted, _, old_bounding, old_ambient] = old.caps;
    let one_of = |ids: &[u32; 4], old: &[u32; 4]| ids.iter().all(|id| old.contains(id));

    if !one_of(&new.uid, &old.uid) && !sys::cred::capable(bindings::CAP_SETUID) {
        Some("those user ids (CAP_SETUID)")
    } else if !one_of(&new.gid, &old.gid) && !sys::cred::capable(bindings::CAP_SETGID) {
        Some("those group ids (CAP_SETGID)")
    } else if !same_groups && !sys::cred::capable(bindings::CAP_SETGID) {
        Some("those supplementary groups (CAP_SETGID)")
    } else if permitted & !old_permitted != 0 || effective & !permitted != 0 {
        Some("those capabilities: you do not have them")
    } else if inheritable & !(old_inheritable | old_permitted) != 0
        || inheritable & !(old_inheritable | old_bounding) != 0
    {
        Some("those inheritable capabilities")
    } else if bounding & !old_bounding != 0 {
        Some("that capability bounding set: yours is smaller")
    } else if bounding != old_bounding && !sys::cred::capable(bindings::CAP_SETPCAP) {
        Some("that capability bounding set (CAP_SETPCAP)")
    } else if ambient & !(permitted & inheritable) != 0
        || (ambient & !old_ambient != 0 && old.securebits & NO_CAP_AMBIENT_RAISE != 0)
    {
        Some("those ambient capabilities")
    } else if new.securebits != old.securebits && !sys::cred::capable(bindings::CAP_SETPCAP) {
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

/// The securebits that say something (`include/uapi/linux/securebits.h`).
const SECURE_ALL_BITS: u32 = 0x555;
/// SECBIT_NO_CAP_AMBIENT_RAISE.
const NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;
/// The securebits that lock the bit below them.
const SECURE_ALL_LOCKS: u32 = SECURE_ALL_BITS << 1;
