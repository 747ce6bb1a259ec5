// SPDX-License-Identifier: GPL-2.0

//! Which tasks can be in which user namespaces.

use super::Plan;
use crate::error::Result;
use crate::format::memory;
use crate::format::namespace;
use crate::format::task;
use crate::format::ObjRef;
use kernel::prelude::*;
use kernel::rbtree::RBTree;

/// How deep user namespaces are nested at most (`create_user_ns`).
const LEVELS: u32 = 33;

impl Plan {
    /// What clone(2), unshare(2) and setns(2) give nobody: a task that shares its process or its
    /// working directory with another one, but is in another user namespace; or one that is not
    /// where its program was started, nor below.
    pub(super) fn check_user_namespaces(&self) -> Result {
        let mut levels = RBTree::<ObjRef, u32>::new();
        let mut owners = RBTree::<ObjRef, ObjRef>::new();

        for record in self.records::<namespace::UserNs>() {
            let (state, _) = record.parse::<namespace::UserNs>()?;
            let level = levels.get(&state.parent).map_or(0, |level| *level);

            if level >= LEVELS {
                return Err(EINVAL.into());
            }
            levels.try_create_and_insert(
                record.object,
                level.checked_add(1).ok_or(EINVAL)?,
                GFP_KERNEL,
            )?;
        }
        if levels.is_empty() {
            return Ok(());
        }
        for plan in &self.tasks {
            let (state, _) = self.object(plan.number)?.parse::<task::Task>()?;
            let (creds, _) = self.object(state.creds)?.parse::<task::Creds>()?;

            for shared in [state.process, state.fs] {
                let owner = *owners.get(&shared).unwrap_or(&creds.user_ns);

                if owner != creds.user_ns {
                    return Err(EINVAL.into());
                }
                // A zombie has no directories.
                if !shared.is_none() && owners.get(&shared).is_none() {
                    owners.try_create_and_insert(shared, owner, GFP_KERNEL)?;
                }
            }
            if !state.mm.is_none() {
                let (mm, _) = self.object(state.mm)?.parse::<memory::Mm>()?;

                self.check_user_ns_around(mm.user_ns, creds.user_ns)?;
            }
        }
        Ok(())
    }

    /// Refuses a namespace that is neither another one nor around it.
    fn check_user_ns_around(&self, outer: ObjRef, mut inner: ObjRef) -> Result {
        while inner != outer {
            if inner.is_none() {
                return Err(EINVAL.into());
            }
            inner = self.object(inner)?.parse::<namespace::UserNs>()?.0.parent;
        }
        Ok(())
    }
}
