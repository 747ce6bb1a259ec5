// SPDX-License-Identifier: GPL-2.0

//! The plan of a restart: an image that has been read and checked as a whole.
//!
//! Everything that can be told without doing anything is checked here: framing, kinds, versions,
//! lengths, that every reference is to an earlier object of the right kind, that the tasks form a
//! tree. What is left to fail later is what depends on the machine: a file that is gone, a right
//! that the caller lacks, a pid that is taken.

use crate::error::Error;
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
use crate::image;
use crate::image::Bytes;
use crate::image::RawRecord;
use crate::image::Reader;
use crate::ipc;
use crate::log::Log;
use crate::mm;
use crate::sys;
use crate::sys::stream::InStream;
use crate::task::namespace as ns;
use crate::task::pids;
use crate::task::pids::Place;
use kernel::prelude::*;
use kernel::rbtree::RBTree;

#[path = "plan/user_ns.rs"]
mod user_ns;

/// Tells the kind of record that defines an object which stands before the one being checked.
pub(crate) type KindOf<'a> = &'a dyn Fn(ObjRef) -> Option<u16>;

/// Where a record is in the metadata.
#[derive(Clone, Copy)]
struct Span {
    kind: u16,
    version: u16,
    object: ObjRef,
    start: u32,
    len: u32,
}

/// A task to be made.
#[derive(Clone, Copy)]
pub(crate) struct TaskPlan {
    /// Its record.
    pub(crate) number: ObjRef,
    /// Its process.
    pub(crate) process: ObjRef,
    /// Its thread id.
    pub(crate) tid: i32,
    /// Who makes it: the leader of a thread, the parent of a process, nobody for the root.
    pub(crate) creator: Option<u32>,
    /// Its address space.
    pub(crate) mm: ObjRef,
    /// Its namespaces, which are those of the root but for that of UTS.
    pub(crate) namespaces: ObjRef,
    /// Its UTS namespace, if that is another one.
    pub(crate) uts: Option<ObjRef>,
    /// Whether it makes that: the first does that refers to it.
    pub(crate) owns_uts: bool,
    /// Whether it is the leader of its process.
    pub(crate) is_leader: bool,
    /// Whether it sets what its process has: the leader, or the first thread that has not ended.
    pub(crate) is_main: bool,
    /// Whether it has ended. If it is a leader that has threads, those have not.
    pub(crate) is_zombie: bool,
    /// The first of the threads of a leader that has ended.
    pub(crate) heir: Option<u32>,
    /// Whether its creator waits in vfork(2) for it.
    pub(crate) is_vfork: bool,
    /// Whether it makes its address space: the first does that refers to it. A leader that has
    /// ended refers to what its threads have.
    pub(crate) makes_mm: bool,
    /// Whether it fills its address space.
    pub(crate) fills_mm: bool,
    /// The task that makes the address space which this one takes over, unless it is made with it.
    pub(crate) joins_mm: Option<u32>,
    /// Whether somebody takes over the address space that it makes.
    pub(crate) lends_mm: bool,
    /// Whether its process is the first to refer to its signal handlers. What it makes others take over.
    pub(crate) owns_sighand: bool,
    /// Whether it is the first to refer to its table of descriptors, ...
    pub(crate) owns_files: bool,
    /// ... and directories: the first makes and fills what others share.
    pub(crate) owns_fs: bool,
}

/// An image that can be restarted, as far as it alone can tell.
pub(crate) struct Plan {
    pub(crate) header: Header,
    pub(crate) tasks: KVVec<TaskPlan>,
    bytes: Bytes,
    spans: KVVec<Span>,
    /// Index of the span of each object, from number 1.
    objects: KVVec<u32>,
    /// Spans that belong to an object without being one, by owner and order.
    belonging: KVVec<(ObjRef, u32)>,
    /// Tasks by who makes them, and order.
    created: KVVec<(u32, u32)>,
    /// Tasks by their thread id.
    tids: RBTree<i32, u32>,
}

impl Plan {
    /// Reads and checks the metadata of an image. The stream stands at the page data then.
    pub(crate) fn read(stream: &mut InStream, log: &Log) -> Result<Self> {
        let (header, bytes) = image::read_metadata(stream).map_err(|error| {
            log.error(
                error.errno(),
                fmt!("the image cannot be read: its header or its metadata is damaged"),
            )
        })?;
        let mut plan = Plan {
            header,
            tasks: KVVec::new(),
            bytes,
            spans: KVVec::new(),
            objects: KVVec::new(),
            belonging: KVVec::new(),
            created: KVVec::new(),
            tids: RBTree::new(),
        };

        if header.flags & header::FLAG_FAILED != 0 {
            return Err(log.error(
                EINVAL,
                fmt!("the image is of a checkpoint that failed; it says why (cr show --error)"),
            ));
        }
        if header.flags & header::FLAG_INCREMENTAL != 0 {
            return Err(log.error(
                EINVAL,
                fmt!(
                    "the image only has what has changed since image {}; restart it with cr, \
                     which puts both together",
                    header.parent_id
                ),
            ));
        }
        plan.parse(log)?;
        plan.skip_padding(stream)?;
        Ok(plan)
    }

    fn skip_padding(&self, stream: &mut InStream) -> Result {
        let len = self
            .header
            .meta_len
            .checked_add(size_of::<Header>() as u64)
            .ok_or(EINVAL)?;
        let mut padding = KVVec::from_elem(0u8, image::padding(len)?, GFP_KERNEL)?;

        stream.read_exact(&mut padding)?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err(EINVAL.into());
        }
        Ok(())
    }

    fn parse(&mut self, log: &Log) -> Result {
        let bytes = core::mem::replace(&mut self.bytes, Bytes::new());
        let mut reader = Reader::new(&bytes);
        let mut checker = Checker::new(self.header.mode);
        let mut position = 0;
        let result = loop {
            match reader.next_record() {
                _ if sys::task::is_dying() => break Err(EINTR.into()),
                Ok(None) => break Ok(()),
                Ok(Some(record)) => {
                    if let Err(error) = self.add(&record, &mut checker) {
                        break Err(error);
                    }
                }
                Err(error) => break Err(error),
            }
            position = reader.position();
        };

        self.bytes = bytes;
        result
            .and_then(|()| checker.finish(&self.header, self.objects.len(), self.tasks.len()))
            .map_err(|error| {
                log.error(
                    error.errno(),
                    fmt!("the image is not valid: record at byte {position} of the metadata"),
                )
            })?;
        self.tids = checker.tids;
        for (index, task) in (0u32..).zip(&self.tasks) {
            if let Some(creator) = task.creator {
                self.created.push((creator, index), GFP_KERNEL)?;
            }
        }
        // The second of each pair rises: records and tasks of one owner keep their order.
        self.created.sort_unstable();
        self.belonging.sort_unstable();
        self.check_groups().map_err(|error| {
            log.error(
                error.errno(),
                fmt!("the image is not valid: its process groups and sessions cannot be"),
            )
        })?;
        self.check_tracers().map_err(|error| {
            log.error(
                error.errno(),
                fmt!("the image is not valid: its tasks cannot trace each other like this"),
            )
        })?;
        self.check_sharing().map_err(|error| {
            log.error(
                error.errno(),
                fmt!("the image is not valid: its tasks cannot share I/O contexts like this"),
            )
        })?;
        self.check_cgroups().map_err(|error| {
            log.error(
                error.errno(),
                fmt!("the image is not valid: its tasks cannot be in cgroups like this"),
            )
        })?;
        self.check_policies().map_err(|error| {
            log.error(
                error.errno(),
                fmt!("the image is not valid: its tasks cannot have NUMA policies like this"),
            )
        })?;
        self.check_namespaces().map_err(|error| {
            log.error(
                error.errno(),
                fmt!("the image is not valid: its tasks cannot be in namespaces like this"),
            )
        })?;
        self.check_pids().map_err(|error| {
            log.error(
                error.errno(),
                fmt!("the image is not valid: its pid namespaces cannot be"),
            )
        })?;
        self.check_user_namespaces().map_err(|error| {
            log.error(
                error.errno(),
                fmt!("the image is not valid: its user namespaces cannot be"),
            )
        })?;
        self.check_usage().map_err(|error| {
            log.error(
                error.errno(),
                fmt!("the image is not valid: what its tasks have used cannot be"),
            )
        })?;
        self.check_vmas_cover_pages().map_err(|error| {
            log.error(
                error.errno(),
                fmt!("the image is not valid: it has pages where no memory is mapped"),
            )
        })
    }

    /// The tasks that a task makes, in their order.
    pub(crate) fn created_by(&self, creator: usize) -> impl Iterator<Item = usize> + '_ {
        let creator = u32::try_from(creator).unwrap_or(u32::MAX);
        let first = self.created.partition_point(|&(other, _)| other < creator);

        self.created
            .get(first..)
            .unwrap_or_default()
            .iter()
            .take_while(move |&&(other, _)| other == creator)
            .map(|&(_, index)| index as usize)
    }

    /// Whether a task of the tree has the thread id.
    pub(crate) fn has_tid(&self, tid: i32) -> bool {
        self.index_of(tid).is_some()
    }

    /// The task with that thread id.
    pub(crate) fn index_of(&self, tid: i32) -> Option<usize> {
        self.tids.get(&tid).map(|&index| index as usize)
    }

    fn add(&mut self, record: &RawRecord<'_>, checker: &mut Checker) -> Result {
        let index = u32::try_from(self.spans.len()).map_err(|_| EINVAL)?;
        let (spans, objects) = (&self.spans, &self.objects);
        let kind_of = |object: ObjRef| -> Option<u16> {
            let index = objects.get(usize::try_from(object.0.checked_sub(1)?).ok()?)?;

            Some(spans.get(usize::try_from(*index).ok()?)?.kind)
        };
        let owner = checker.check(record, &kind_of, &mut self.tasks)?;

        if !record.object.is_none() {
            if record.object.0 as usize != self.objects.len().checked_add(1).ok_or(EINVAL)? {
                return Err(EINVAL.into());
            }
            self.objects.push(index, GFP_KERNEL)?;
        }
        if let Some(owner) = owner {
            self.belonging.push((owner, index), GFP_KERNEL)?;
        }
        let (start, len) = record.span();

        self.spans.push(
            Span {
                kind: record.kind,
                version: record.version,
                object: record.object,
                start: u32::try_from(start).map_err(|_| EINVAL)?,
                len: u32::try_from(len).map_err(|_| EINVAL)?,
            },
            GFP_KERNEL,
        )?;
        Ok(())
    }

    fn raw(&self, index: u32) -> Result<RawRecord<'_>> {
        let span = self.spans.get(index as usize).ok_or(EINVAL)?;

        RawRecord::at(
            &self.bytes,
            span.kind,
            span.version,
            span.object,
            span.start as usize,
            span.len as usize,
        )
    }

    /// The record of an object.
    pub(crate) fn object(&self, number: ObjRef) -> Result<RawRecord<'_>> {
        let index = number
            .0
            .checked_sub(1)
            .and_then(|index| self.objects.get(index as usize))
            .ok_or(EINVAL)?;

        self.raw(*index)
    }

    /// How many objects there are.
    pub(crate) fn objects(&self) -> usize {
        self.objects.len()
    }

    /// The records of a kind that belong to an object, in their order.
    pub(crate) fn belonging<T: Record>(
        &self,
        owner: ObjRef,
    ) -> impl Iterator<Item = RawRecord<'_>> {
        let first = self.belonging.partition_point(|&(other, _)| other < owner);

        self.belonging
            .get(first..)
            .unwrap_or_default()
            .iter()
            .take_while(move |&&(other, _)| other == owner)
            .filter_map(|&(_, index)| self.raw(index).ok())
            .filter(|record| record.kind == T::KIND)
    }

    /// All records of a kind, in their order.
    pub(crate) fn records<T: Record>(&self) -> impl Iterator<Item = RawRecord<'_>> {
        (0u32..)
            .zip(&self.spans)
            .filter(|(_, span)| span.kind == T::KIND)
            .filter_map(|(index, _)| self.raw(index).ok())
    }

    /// A process group belongs to one session, and so does the process that has its number, which
    /// none of them can leave. 0 stands for what is outside of the tree.
    fn check_groups(&self) -> Result {
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

    /// A tracer is a task of another process that has not ended. Who is stopped for it does nothing
    /// else; who is in a process that is stopped by a signal knows of the signal.
    fn check_tracers(&self) -> Result {
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
    fn check_sharing(&self) -> Result {
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
    fn check_cgroups(&self) -> Result {
        for (index, plan) in self.tasks.iter().enumerate() {
            let mut records = self.belonging::<task::Cgroup>(plan.number);

            if records.next().is_some() && (index == 0 || records.next().is_some()) {
                return Err(EINVAL.into());
            }
        }
        Ok(())
    }

    /// A task has one NUMA policy, and one that has ended has none.
    fn check_policies(&self) -> Result {
        for plan in &self.tasks {
            let policies = self.belonging::<task::TaskPolicy>(plan.number).count();

            if policies > usize::from(!plan.is_zombie) {
                return Err(EINVAL.into());
            }
        }
        Ok(())
    }

    /// The namespaces of all tasks are those of the root, but for those of UTS.
    fn check_namespaces(&mut self) -> Result {
        let of = |plan: &TaskPlan| {
            let record = self.object(plan.namespaces)?;

            Ok::<_, Error>(record.parse::<namespace::Namespaces>()?.0)
        };
        let root = of(self.tasks.first().ok_or(EINVAL)?)?;
        let mut owned = RBTree::<ObjRef, ()>::new();
        let mut others = KVVec::<(usize, ObjRef, bool)>::new();

        for (index, plan) in self.tasks.iter().enumerate() {
            if plan.is_zombie {
                continue;
            }
            let own = of(plan)?;

            if !ns::fits(&root, &own) {
                return Err(EINVAL.into());
            }
            if let Some(uts) = ns::own_uts(&root, &own) {
                let is_first = owned.get(&uts).is_none();

                if is_first {
                    owned.try_create_and_insert(uts, (), GFP_KERNEL)?;
                }
                others.push((index, uts, is_first), GFP_KERNEL)?;
            }
        }
        for (index, uts, is_first) in others {
            if let Some(plan) = self.tasks.get_mut(index) {
                plan.uts = Some(uts);
                plan.owns_uts = is_first;
            }
        }
        Ok(())
    }

    /// A pid namespace has one init, which is made together with it, or by the one task that has
    /// made it for its children.
    fn check_pids(&self) -> Result {
        if self.records::<task::Pids>().next().is_none() {
            return Ok(());
        }
        let root = self.tasks.first().ok_or(EINVAL)?;
        let (of_root, _) = self
            .object(root.namespaces)?
            .parse::<namespace::Namespaces>()?;
        let mut places = KVVec::<Place>::new();
        let mut numbers = RBTree::<(ObjRef, i32), ()>::new();
        let mut makers = RBTree::<ObjRef, u32>::new();
        let mut inits = RBTree::<ObjRef, Option<u32>>::new();
        let mut dead = RBTree::<ObjRef, ()>::new();

        for (index, plan) in (0u32..).zip(&self.tasks) {
            let mut records = self.belonging::<task::Pids>(plan.number);
            let place = Place::of(records.next())?;
            let known = |ns: ObjRef| !ns.is_none() && ns == of_root.pid;

            if records.next().is_some()
                || known(place.ns)
                || known(place.children)
                || self.levels(place.ns)? != place.levels
                || (plan.is_zombie && place.children != place.ns)
            {
                return Err(EINVAL.into());
            }
            if !place.ns.is_none() {
                if numbers.get(&(place.ns, place.number)).is_some() {
                    return Err(EINVAL.into());
                }
                numbers.try_create_and_insert((place.ns, place.number), (), GFP_KERNEL)?;
            }
            if place.children != place.ns {
                let fits = !place.children.is_none()
                    && self.outer(place.children)? == place.ns
                    && makers.get(&place.children).is_none();

                if !fits {
                    return Err(EINVAL.into());
                }
                makers.try_create_and_insert(place.children, index, GFP_KERNEL)?;
            }
            let creator = match plan.creator {
                Some(creator) => *places.get(creator as usize).ok_or(EINVAL)?,
                None => Place::default(),
            };

            if place.number == 1 {
                inits.try_create_and_insert(place.ns, plan.creator, GFP_KERNEL)?;
                if plan.is_zombie && plan.heir.is_none() {
                    dead.try_create_and_insert(place.ns, (), GFP_KERNEL)?;
                }
            }
            if place.ns != creator.ns {
                let with_it =
                    !place.ns.is_none() && place.number == 1 && self.outer(place.ns)? == creator.ns;

                if !plan.is_leader || !(creator.is_for_children(&place) || with_it) {
                    return Err(EINVAL.into());
                }
            }
            places.push(place, GFP_KERNEL)?;
        }
        // An init ends when it is the last: it would wait for the others.
        for place in &places {
            let (mut ns, mut is_init) = (place.ns, place.number == 1);

            while !ns.is_none() {
                if dead.get(&ns).is_some() && !is_init {
                    return Err(EINVAL.into());
                }
                is_init = false;
                ns = self.outer(ns)?;
            }
        }
        for (ns, maker) in &makers {
            if inits
                .get(ns)
                .is_some_and(|creator| *creator != Some(*maker))
            {
                return Err(EINVAL.into());
            }
        }
        Ok(())
    }

    /// The pid namespace around another.
    fn outer(&self, ns: ObjRef) -> Result<ObjRef> {
        let (state, _) = self.object(ns)?.parse::<namespace::PidNs>()?;

        Ok(state.parent)
    }

    /// How deep a pid namespace is below that of the root.
    fn levels(&self, mut ns: ObjRef) -> Result<u32> {
        let mut levels = 0u32;

        while !ns.is_none() {
            levels = levels.checked_add(1).ok_or(EINVAL)?;
            if levels > pids::LEVELS {
                return Err(EINVAL.into());
            }
            ns = self.outer(ns)?;
        }
        Ok(levels)
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

    /// There is one record of usage for whatever uses something. The kernel adds up the CPU time of
    /// all threads of a process, and divides by the sum.
    fn check_usage(&self) -> Result {
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

    /// Page data goes only where private memory is mapped: anything else could write to a file.
    fn check_vmas_cover_pages(&self) -> Result {
        for record in self.records::<memory::PageMap>() {
            let (map, tail) = record.parse::<memory::PageMap>()?;
            let owner = self.object(map.owner)?;
            let runs = image::all::<memory::PageRun>(tail, map.runs)?;

            let size = match owner.kind {
                memory::Shmem::KIND => Some(owner.parse::<memory::Shmem>()?.0.size),
                namespace::ShmSegment::KIND => {
                    let (segment, _) = owner.parse::<namespace::ShmSegment>()?;

                    1u64.checked_shl(segment.huge)
                        .and_then(|page| segment.size.checked_next_multiple_of(page))
                }
                file::Unnamed::KIND => Some(owner.parse::<file::Unnamed>()?.0.size),
                _ => None,
            };

            if let Some(size) = size {
                let end = size.div_ceil(crate::sys::page::SIZE as u64);

                if runs.last().is_some_and(|run| run_end(run) > end) {
                    return Err(EINVAL.into());
                }
                continue;
            }
            let mut vmas = self
                .belonging::<memory::Vma>(map.owner)
                .filter_map(|vma| vma.parse::<memory::Vma>().ok())
                .map(|(vma, _)| vma)
                .filter(holds_pages)
                .peekable();

            for run in &runs {
                let (mut start, end) = (run.start, run_end(run));

                // A run may go on in the next mapping.
                while start < end {
                    while vmas
                        .next_if(|vma| vma.end >> crate::sys::page::SHIFT <= start)
                        .is_some()
                    {}
                    let vma = vmas.peek().ok_or(EINVAL)?;

                    if start < vma.start >> crate::sys::page::SHIFT {
                        return Err(EINVAL.into());
                    }
                    start = vma.end >> crate::sys::page::SHIFT;
                }
            }
        }
        Ok(())
    }
}

fn run_end(run: &memory::PageRun) -> u64 {
    run.start.saturating_add(u64::from(run.pages))
}

fn holds_pages(vma: &memory::Vma) -> bool {
    matches!(vma.kind, memory::VMA_ANON | memory::VMA_FILE)
        && vma.flags & (memory::VMA_MAYSHARE | memory::VMA_DROPPABLE) == 0
}

/// What has to be remembered from one record to the next.
struct Checker {
    mode: u32,
    data: u64,
    ended: Option<End>,
    process: Option<(ObjRef, task::Process)>,
    leader: Option<(u32, task::Task)>,
    tids: RBTree<i32, u32>,
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
    fn new(mode: u32) -> Self {
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
    fn check(
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

    fn finish(&self, header: &Header, objects: usize, tasks: usize) -> Result {
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
