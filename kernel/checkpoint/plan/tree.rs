// SPDX-License-Identifier: GPL-2.0

//! How the tasks of a tree can belong together, and what each of them has one of.

use super::Plan;
use super::TaskPlan;
use crate::error::Result;
use crate::format::memory;
use crate::format::task;
use crate::format::ObjRef;
use crate::format::Record;
use kernel::prelude::*;
use kernel::rbtree::RBTree;

impl Plan {
    /// A process group belongs to one session, and so does the process that has its number, which
    /// none of them can leave. 0 stands for what is outside of the tree.
    pub(super) fn check_groups(&self) -> Result {
        let mut sessions = RBTree::<i32, i32>::new();

        for plan in self.tasks.iter().filter(|plan| plan.is_leader) {
            let (process, _) = self.object(plan.process)?.parse::<task::Process>()?;
            let (group, session) = (process.pgid, process.sid);
            let leads = |number: i32| self.session_of(number).map(|led| led == session);

            if session != 0
                && (group == 0
                    || (session == process.tgid && group != session)
                    || leads(session) == Some(false))
            {
                return Err(EINVAL.into());
            }
            if group == 0 {
                continue;
            }
            if leads(group) == Some(false)
                || sessions.get(&group).is_some_and(|other| *other != session)
            {
                return Err(EINVAL.into());
            }
            if sessions.get(&group).is_none() {
                sessions.try_create_and_insert(group, session, GFP_KERNEL)?;
            }
        }
        Ok(())
    }

    /// The session of the process with a number, if the tree has one; what a thread has is the
    /// session of nobody.
    fn session_of(&self, number: i32) -> Option<i32> {
        let index = *self.tids.get(&number)? as usize;
        let plan = self.tasks.get(index).filter(|plan| plan.is_leader);

        Some(
            plan.and_then(|plan| self.object(plan.process).ok())
                .and_then(|record| record.parse::<task::Process>().ok())
                .map_or(-1, |(process, _)| process.sid),
        )
    }

    /// A tracer is a task of another process that has not ended. Who is stopped for it does nothing
    /// else; who is in a process that is stopped by a signal knows of the signal.
    pub(super) fn check_tracers(&self) -> Result {
        for plan in &self.tasks {
            let mut records = self.belonging::<task::Ptrace>(plan.number);
            let Some(record) = records.next() else {
                continue;
            };
            let (state, _) = record.parse::<task::Ptrace>()?;
            let tracer = self
                .index_of(state.tracer)
                .and_then(|index| self.tasks.get(index))
                .ok_or(EINVAL)?;
            let (process, _) = self.object(plan.process)?.parse::<task::Process>()?;
            let is_stopped = process.flags & task::PROCESS_STOPPED != 0;

            if tracer.is_zombie
                || tracer.process == plan.process
                || records.next().is_some()
                || (plan.is_zombie && state.stop != task::STOP_NONE)
                || (is_stopped && !plan.is_zombie && state.stop_signal == 0)
            {
                return Err(EINVAL.into());
            }
        }
        Ok(())
    }

    /// Who shares the I/O context of another task, or its adjustments of semaphores, was made
    /// later, and the other has its own.
    pub(super) fn check_sharing(&self) -> Result {
        let attributes = |plan: &TaskPlan| self.only::<task::Attributes>(plan.number);
        let firsts = |plan| attributes(plan).map(|state| [state.io, state.sem_undo]);

        for (index, plan) in self.tasks.iter().enumerate() {
            if plan.is_zombie {
                continue;
            }
            for (which, tid) in firsts(plan)?.into_iter().enumerate() {
                if tid == 0 || tid == plan.tid {
                    continue;
                }
                let number = self.index_of(tid).filter(|first| *first < index);
                let first = self.tasks.get(number.ok_or(EINVAL)?).ok_or(EINVAL)?;

                if first.is_zombie || firsts(first)?.get(which) != Some(&first.tid) {
                    return Err(EINVAL.into());
                }
            }
        }
        Ok(())
    }

    /// A task is in one cgroup; the root is in that from which the others are looked for.
    pub(super) fn check_cgroups(&self) -> Result {
        for (index, plan) in self.tasks.iter().enumerate() {
            let mut records = self.belonging::<task::Cgroup>(plan.number);

            if records.next().is_some() && (index == 0 || records.next().is_some()) {
                return Err(EINVAL.into());
            }
        }
        Ok(())
    }

    /// A task has one NUMA policy, and one that has ended has none.
    pub(super) fn check_policies(&self) -> Result {
        for plan in &self.tasks {
            let policies = self.belonging::<task::TaskPolicy>(plan.number).count();

            if policies > usize::from(!plan.is_zombie) {
                return Err(EINVAL.into());
            }
        }
        Ok(())
    }

    /// There is one record of usage for whatever uses something. The kernel adds up the CPU time of
    /// all threads of a process, and divides by the sum.
    pub(super) fn check_usage(&self) -> Result {
        let mut sum = 0u64;

        for record in self.records::<memory::Mm>() {
            self.only::<task::Peaks>(record.object)?;
        }
        for plan in &self.tasks {
            let usage = self.only::<task::TaskUsage>(plan.number)?;

            if plan.is_leader {
                let process = self.only::<task::ProcessUsage>(plan.process)?;

                sum = crate::task::usage::total(&process.time);
            }
            sum = sum.saturating_add(crate::task::usage::total(&usage.time));
            if sum > i64::MAX.cast_unsigned() {
                return Err(EINVAL.into());
            }
        }
        Ok(())
    }

    /// The only record of a kind that belongs to an object.
    fn only<T: Record>(&self, owner: ObjRef) -> Result<T> {
        let mut records = self.belonging::<T>(owner);
        let (first, _) = records.next().ok_or(EINVAL)?.parse::<T>()?;

        records
            .next()
            .is_none()
            .then_some(first)
            .ok_or(EINVAL.into())
    }
}
