// SPDX-License-Identifier: GPL-2.0

//! What can be told of each record from those before it, and which tasks they make.

use super::KindOf;
use super::TaskPlan;
use crate::error::Result;
use crate::format::file;
use crate::format::header;
use crate::format::memory;
use crate::format::namespace;
use crate::format::task;
use crate::format::x86;
use crate::format::End;
use crate::format::Failure;
use crate::format::Header;
use crate::format::ObjRef;
use crate::format::Record;
use crate::fs;
use crate::image::RawRecord;
use crate::ipc;
use crate::mm;
use kernel::prelude::*;
use kernel::rbtree::RBTree;

/// What has to be remembered from one record to the next.
pub(super) struct Checker {
    mode: u32,
    data: u64,
    ended: Option<End>,
    process: Option<(ObjRef, task::Process)>,
    leader: Option<(u32, task::Task)>,
    pub(super) tids: RBTree<i32, u32>,
    /// Who waits in vfork(2).
    vforks: RBTree<u32, ()>,
    owned: RBTree<ObjRef, ()>,
    /// Who makes each address space.
    makers: RBTree<ObjRef, u32>,
    /// The address space of those who have the same signal handlers.
    sighands: RBTree<ObjRef, ObjRef>,
    last_vma: Option<(ObjRef, u64)>,
    mapped: RBTree<ObjRef, ()>,
}

impl Checker {
    pub(super) fn new(mode: u32) -> Self {
        Self {
            mode,
            data: 0,
            ended: None,
            process: None,
            leader: None,
            tids: RBTree::new(),
            vforks: RBTree::new(),
            owned: RBTree::new(),
            makers: RBTree::new(),
            sighands: RBTree::new(),
            last_vma: None,
            mapped: RBTree::new(),
        }
    }

    /// Checks a record. Gives the object that it belongs to, if it is none itself.
    pub(super) fn check(
        &mut self,
        record: &RawRecord<'_>,
        kind_of: KindOf<'_>,
        tasks: &mut KVVec<TaskPlan>,
    ) -> Result<Option<ObjRef>> {
        if self.ended.is_some() {
            return Err(EINVAL.into());
        }
        let is_task = |object: ObjRef| kind_of(object) == Some(task::Task::KIND);
        let owner = match record.kind {
            End::KIND => {
                let (end, tail) = record.parse::<End>()?;

                if !tail.is_empty() {
                    return Err(EINVAL.into());
                }
                self.ended = Some(end);
                ObjRef::NONE
            }
            Failure::KIND => return Err(EINVAL.into()),
            namespace::IpcNs::KIND | namespace::ShmSegment::KIND => {
                ipc::check(record, kind_of)?;
                return object(record);
            }
            namespace::SemSet::KIND | namespace::SemUndo::KIND | namespace::MsgQueue::KIND => {
                ipc::check(record, kind_of)?
            }
            namespace::UtsNs::KIND
            | namespace::PidNs::KIND
            | namespace::TimeNs::KIND
            | namespace::Namespaces::KIND => {
                crate::task::namespace::check(record, kind_of)?;
                return object(record);
            }
            namespace::UserNs::KIND => {
                crate::task::user_ns::check(record, kind_of)?;
                return object(record);
            }
            task::Creds::KIND => {
                crate::task::check_cred(record, kind_of)?;
                return object(record);
            }
            task::SeccompFilter::KIND => {
                crate::task::check_filter(record, kind_of)?;
                return object(record);
            }
            task::Sighand::KIND => {
                crate::task::check_signals(record)?;
                return object(record);
            }
            task::Process::KIND => {
                self.process = Some((record.object, crate::task::process::check(record, kind_of)?));
                return object(record);
            }
            task::Task::KIND => {
                self.check_task(record, kind_of, tasks)?;
                return object(record);
            }
            memory::Mm::KIND => {
                mm::check(record, kind_of)?;
                return object(record);
            }
            memory::Shmem::KIND => {
                mm::shmem::check(record)?;
                return object(record);
            }
            file::Files::KIND => {
                fs::table::check_files(record, kind_of)?;
                return object(record);
            }
            file::Fs::KIND => {
                fs::table::check_fs(record)?;
                return object(record);
            }
            task::Regset::KIND => {
                let owner = crate::task::regs::check_record(record)?;

                is_task(owner).then_some(owner).ok_or(EINVAL)?
            }
            task::Attributes::KIND => {
                let owner = crate::task::check_attributes(record, kind_of)?;

                is_task(owner).then_some(owner).ok_or(EINVAL)?
            }
            task::TaskPolicy::KIND => {
                let owner = mm::mempolicy::check_task(record)?;

                is_task(owner).then_some(owner).ok_or(EINVAL)?
            }
            task::Cgroup::KIND => {
                let owner = crate::task::cgroup::check(record)?;

                is_task(owner).then_some(owner).ok_or(EINVAL)?
            }
            task::Pids::KIND => {
                let owner = crate::task::pids::check(record, kind_of)?;

                is_task(owner).then_some(owner).ok_or(EINVAL)?
            }
            task::RestartBlock::KIND => {
                let owner = crate::task::check_restart_block(record)?;

                is_task(owner).then_some(owner).ok_or(EINVAL)?
            }
            task::Ptrace::KIND => {
                let owner = crate::task::check_ptrace(record)?.task;

                is_task(owner).then_some(owner).ok_or(EINVAL)?
            }
            task::TaskUsage::KIND | task::ProcessUsage::KIND | task::Peaks::KIND => {
                crate::task::usage::check(record, kind_of)?
            }
            task::IntervalTimers::KIND => {
                let owner = crate::task::check_timers(record)?;
                let fits = kind_of(owner) == Some(task::Process::KIND);

                fits.then_some(owner).ok_or(EINVAL)?
            }
            task::PosixTimers::KIND => {
                let owner = crate::task::check_posix_timers(record)?;
                let fits = kind_of(owner) == Some(task::Process::KIND);

                fits.then_some(owner).ok_or(EINVAL)?
            }
            task::SigQueue::KIND => {
                let owner = crate::task::check_signals(record)?;
                let fits = is_task(owner) || kind_of(owner) == Some(task::Process::KIND);

                fits.then_some(owner).ok_or(EINVAL)?
            }
            x86::IoPermissions::KIND
            | x86::Breakpoints::KIND
            | x86::ShadowStack::KIND
            | memory::Ldt::KIND => crate::arch::check_record(record, kind_of)?,
            memory::Vma::KIND => self.check_vma(record, kind_of)?,
            memory::AioContext::KIND => mm::aio::check(record, kind_of)?,
            memory::HugeReserve::KIND => mm::hugetlb::check(record, kind_of)?,
            memory::Policies::KIND => mm::mempolicy::check(record, kind_of)?,
            memory::Guards::KIND => mm::vma::check_guards(record, kind_of)?,
            memory::PageMap::KIND => {
                let is_mapped = |object| self.mapped.get(&object).is_some();
                let (owner, data) = mm::pages::check(record, kind_of, is_mapped, self.data)?;

                // One map for each owner.
                if self.mapped.get(&owner).is_some() {
                    return Err(EINVAL.into());
                }
                self.mapped.try_create_and_insert(owner, (), GFP_KERNEL)?;
                self.data = data;
                owner
            }
            _ => return fs::check(record, kind_of),
        };

        if !record.object.is_none() {
            return Err(EINVAL.into());
        }
        Ok((!owner.is_none()).then_some(owner))
    }

    fn check_vma(&mut self, record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
        let vma = mm::vma::check(record, kind_of)?;
        let free = self
            .last_vma
            .filter(|(mm, _)| *mm == vma.mm)
            .map_or(0, |(_, end)| end);

        if vma.start < free {
            return Err(EINVAL.into());
        }
        self.last_vma = Some((vma.mm, vma.end));
        Ok(vma.mm)
    }

    /// Whether this is the first time that somebody refers to the object.
    fn is_first(&mut self, object: ObjRef) -> Result<bool> {
        if object.is_none() || self.owned.get(&object).is_some() {
            return Ok(false);
        }
        self.owned.try_create_and_insert(object, (), GFP_KERNEL)?;
        Ok(true)
    }

    fn check_task(
        &mut self,
        record: &RawRecord<'_>,
        kind_of: KindOf<'_>,
        tasks: &mut KVVec<TaskPlan>,
    ) -> Result {
        let (state, tail) = record.parse::<task::Task>()?;
        let index = u32::try_from(tasks.len()).map_err(|_| EINVAL)?;
        let is_zombie = state.flags & task::TASK_ZOMBIE != 0;
        let is = |object: ObjRef, kind| kind_of(object) == Some(kind);

        crate::task::check(&state, tail, self.mode)?;
        if !is(state.process, task::Process::KIND)
            || !is(state.creds, task::Creds::KIND)
            || (!is_zombie
                && (!is(state.namespaces, namespace::Namespaces::KIND)
                    || !is(state.mm, memory::Mm::KIND)
                    || !is(state.files, file::Files::KIND)
                    || !is(state.fs, file::Fs::KIND)
                    || !is(state.sighand, task::Sighand::KIND)))
            || (self.mode == header::MODE_SELF && index != 0)
        {
            return Err(EINVAL.into());
        }
        let creator = self.creator(&state, index, tasks)?;
        let owns_mm = self.is_first(state.mm)?;
        let is_heir = self.inherit(&state, index, owns_mm, creator, tasks)?;

        if owns_mm && !is_heir {
            self.makers
                .try_create_and_insert(state.mm, index, GFP_KERNEL)?;
        }
        let joins_mm = self.joins(state.mm, index, creator, tasks);
        let is_leader = self.leader.is_some_and(|(leader, _)| leader == index);

        if self.tids.get(&state.tid).is_some() {
            return Err(EINVAL.into());
        }
        self.tids
            .try_create_and_insert(state.tid, index, GFP_KERNEL)?;
        let owns_sighand = self.is_first(state.sighand)?;

        // Only who shares memory can share handlers.
        if owns_sighand {
            self.sighands
                .try_create_and_insert(state.sighand, state.mm, GFP_KERNEL)?;
        } else if !is_zombie && self.sighands.get(&state.sighand) != Some(&state.mm) {
            return Err(EINVAL.into());
        }
        let is_vfork = state.flags & task::TASK_VFORK != 0;

        if is_vfork {
            self.check_vfork(creator.filter(|_| is_leader && !is_zombie))?;
        }
        tasks.push(
            TaskPlan {
                number: record.object,
                process: state.process,
                tid: state.tid,
                creator,
                is_leader,
                is_main: is_heir || (is_leader && !is_zombie),
                is_zombie,
                heir: None,
                is_vfork,
                makes_mm: owns_mm && !is_heir,
                fills_mm: owns_mm,
                joins_mm,
                lends_mm: false,
                owns_sighand,
                mm: state.mm,
                namespaces: state.namespaces,
                uts: None,
                owns_uts: false,
                owns_files: self.is_first(state.files)?,
                owns_fs: self.is_first(state.fs)?,
            },
            GFP_KERNEL,
        )?;
        Ok(())
    }

    /// The first thread of a leader that has ended lends it what threads share, without which the
    /// leader could make none. Gives whether the task is one.
    fn inherit(
        &mut self,
        state: &task::Task,
        index: u32,
        owns_mm: bool,
        creator: Option<u32>,
        tasks: &mut KVVec<TaskPlan>,
    ) -> Result<bool> {
        let Some((number, _)) = self.leader.filter(|(leader, _)| *leader != index) else {
            return Ok(false);
        };
        let leader = tasks.get(number as usize).ok_or(EINVAL)?;

        if !leader.is_zombie || leader.heir.is_some() || creator != Some(number) {
            return Ok(false);
        }
        if owns_mm {
            self.makers
                .try_create_and_insert(state.mm, number, GFP_KERNEL)?;
        }
        let creator = leader.creator;
        let joins_mm = self.joins(state.mm, number, creator, tasks);
        let leader = tasks.get_mut(number as usize).ok_or(EINVAL)?;

        leader.heir = Some(index);
        leader.mm = state.mm;
        leader.makes_mm = owns_mm;
        leader.joins_mm = joins_mm;
        Ok(true)
    }

    /// Who makes the address space that a task is to take over: nobody, if it makes it itself or if
    /// its creator has it, and the task is made with it.
    fn joins(
        &self,
        mm: ObjRef,
        index: u32,
        creator: Option<u32>,
        tasks: &mut [TaskPlan],
    ) -> Option<u32> {
        let creator = creator.and_then(|creator| tasks.get(creator as usize));
        let maker = *self.makers.get(&mm)?;

        if maker == index || creator.is_some_and(|creator| creator.mm == mm) {
            return None;
        }
        if let Some(maker) = tasks.get_mut(maker as usize) {
            maker.lends_mm = true;
        }
        Some(maker)
    }

    /// A task waits in vfork(2) for one child, which is a process of its own.
    fn check_vfork(&mut self, creator: Option<u32>) -> Result {
        let creator = creator.ok_or(EINVAL)?;

        if self.vforks.get(&creator).is_some() {
            return Err(EINVAL.into());
        }
        self.vforks.try_create_and_insert(creator, (), GFP_KERNEL)?;
        Ok(())
    }

    /// Who makes the task; and keeps track of which process is being read.
    fn creator(
        &mut self,
        state: &task::Task,
        index: u32,
        tasks: &[TaskPlan],
    ) -> Result<Option<u32>> {
        if let Some((leader, first)) = &mut self.leader {
            if first.process == state.process {
                let leader = *leader;

                // A leader that has ended has nothing to share: its first thread stands for it.
                if first.flags & task::TASK_ZOMBIE != 0 {
                    *first = *state;
                }
                let shares = state.mm == first.mm
                    && state.sighand == first.sighand
                    && state.flags & task::TASK_ZOMBIE == 0;

                return shares.then_some(Some(leader)).ok_or(EINVAL.into());
            }
        }
        // A new process: its record is the last that was read, and new.
        let (number, process) = self.process.take().ok_or(EINVAL)?;

        if number != state.process || process.tgid != state.tid {
            return Err(EINVAL.into());
        }
        self.leader = Some((index, *state));
        if index == 0 {
            let fits = process.parent == 0 && state.flags & task::TASK_ZOMBIE == 0;

            return fits.then_some(None).ok_or(EINVAL.into());
        }
        let parent = *self.tids.get(&process.parent).ok_or(EINVAL)?;

        if tasks.get(parent as usize).ok_or(EINVAL)?.is_zombie {
            return Err(EINVAL.into());
        }
        Ok(Some(parent))
    }

    pub(super) fn finish(&self, header: &Header, objects: usize, tasks: usize) -> Result {
        let end = self.ended.as_ref().ok_or(EINVAL)?;

        if end.objects as usize != objects
            || end.tasks as usize != tasks
            || tasks == 0
            || header.data_pages != self.data
        {
            return Err(EINVAL.into());
        }
        Ok(())
    }
}

/// A record that defines an object belongs to none.
fn object(record: &RawRecord<'_>) -> Result<Option<ObjRef>> {
    if record.object.is_none() {
        return Err(EINVAL.into());
    }
    Ok(None)
}
