// SPDX-License-Identifier: GPL-2.0

//! Who has logged in, for the audit: `/proc/PID/loginuid` and `sessionid`.
//!
//! Kept: who it was, and which tasks belong to one login. The number of a session is the kernel's to
//! choose. What the root of the tree has becomes that of whoever restarts, as when he starts a program.
//!
//! C function: `audit_set_loginuid()`

use crate::error::Error;
use crate::error::Result;
use crate::format::task as format;
use crate::format::ObjRef;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::login::Login;
use kernel::prelude::*;

/// What [`format::Task`] has of the login of a task: the first task of the same one, and the user.
pub(super) fn get(saver: &mut Saver<'_>, task: &Frozen) -> Result<(i32, u32)> {
    let root = saver.tree.tasks().first().ok_or(ESRCH)?.task();
    let login = Login::of(task);

    if login.session == Login::of(&root).session {
        return Ok((0, 0));
    }
    let user = match login.user {
        Some(user) => {
            saver.check_ids(&[user])?;
            user
        }
        None => u32::MAX,
    };
    if let Some(first) = saver.logins.get(&login.session) {
        return Ok((*first, user));
    }
    let first = sys::task::pid_in(task, &saver.ns);

    saver
        .logins
        .try_create_and_insert(login.session, first, GFP_KERNEL)?;
    Ok((first, user))
}

/// Whether a record says something that can be.
pub(super) fn fits(state: &format::Task) -> bool {
    state.login > 0 || (state.login == 0 && state.login_uid == 0)
}

/// Has the running task log in, if it is the first of a login of the tree. What it has made so far
/// does not belong to that.
pub(crate) fn make(restart: &Restart, number: ObjRef) -> Result {
    let (state, _) = restart.record::<format::Task>(number)?;

    if state.login != state.tid {
        return Ok(());
    }
    set(restart, &state, None)
}

/// Has the running task belong to the login of the first one, which has logged in.
pub(super) fn join(restart: &Restart, state: &format::Task) -> Result {
    if state.login == 0 || state.login == state.tid {
        return Ok(());
    }
    let login = Login::of(&*restart.task_of(state.login)?);

    if login.user.unwrap_or(u32::MAX) != state.login_uid {
        return Err(EINVAL.into());
    }
    set(restart, state, login.user.map(|_| login.session))
}

fn set(restart: &Restart, state: &format::Task, session: Option<u32>) -> Result {
    sys::login::set(state.login_uid, session).map_err(|errno| {
        let why = match errno {
            EPERM => "you may not set who has logged in (CAP_AUDIT_CONTROL)",
            EOPNOTSUPP => "this kernel keeps no account of who has logged in (CONFIG_AUDIT)",
            _ => "who has logged in",
        };

        restart.explain(Error::from(errno), fmt!("tid {}: {why}", state.tid))
    })
}
