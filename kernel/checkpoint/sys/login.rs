// SPDX-License-Identifier: GPL-2.0

//! Who has logged in, for the audit.
//!
//! C header: [`include/linux/audit.h`](srctree/include/linux/audit.h)

use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::task::Task;

/// What the audit knows of a task.
pub(crate) struct Login {
    /// Who has logged in, if somebody has: `u32::MAX` if he means nothing to the caller.
    pub(crate) user: Option<u32>,
    /// The number of the login; all tasks of nobody have the same.
    pub(crate) session: u32,
}

impl Login {
    /// That of a task.
    pub(crate) fn of(task: &Task) -> Self {
        let mut session = 0;
        let mut user = 0;
        // SAFETY: The task is referenced; the helper reads single words.
        let is_set = unsafe {
            bindings::checkpoint_get_login(task.as_ptr(), &raw mut user, &raw mut session)
        };

        Self {
            user: is_set.then_some(user),
            session,
        }
    }
}

/// Has the running task be of a login of that user, or of none (`u32::MAX`): of a new one, or of one
/// that there is. `EPERM`: it may not; `EINVAL`: the user means nothing in its user namespace;
/// `EOPNOTSUPP`: the kernel does not know of logins.
pub(crate) fn set(user: u32, session: Option<u32>) -> Result {
    // SAFETY: The helper works on the running task, and checks its rights.
    to_result(unsafe { bindings::checkpoint_set_login(user, session.unwrap_or(u32::MAX)) })
}
