// SPDX-License-Identifier: GPL-2.0

//! The plan of a restart: an image that has been read and checked as a whole.
//!
//! Everything that can be told without doing anything is checked here: framing, kinds, versions,
//! lengths, that every reference is to an earlier object of the right kind, that the tasks form a
//! tree. What is left to fail later is what depends on the machine: a file that is gone, a right
//! that the caller lacks, a pid that is taken.

use crate::error::Result;
use crate::format::header;
use crate::format::Header;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image;
use crate::image::Bytes;
use crate::image::RawRecord;
use crate::image::Reader;
use crate::log::Log;
use crate::sys;
use crate::sys::stream::InStream;
use kernel::prelude::*;
use kernel::rbtree::RBTree;

mod checker;
mod namespace;
mod pages;
mod tree;
mod user_ns;

use self::checker::Checker;

/// Tells the kind of record that defines an object which stands before the one being checked.
pub(crate) type KindOf<'a> = &'a dyn Fn(ObjRef) -> Option<u16>;

/// Looks at the image as a whole, when all of its records have been read.
type Check = fn(&mut Plan) -> Result;

/// All checks, and what the log says if one fails.
const CHECKS: [(Check, &str); 10] = [
    (
        |plan| plan.check_groups(),
        "its process groups and sessions cannot be",
    ),
    (
        |plan| plan.check_tracers(),
        "its tasks cannot trace each other like this",
    ),
    (
        |plan| plan.check_sharing(),
        "its tasks cannot share I/O contexts like this",
    ),
    (
        |plan| plan.check_cgroups(),
        "its tasks cannot be in cgroups like this",
    ),
    (
        |plan| plan.check_policies(),
        "its tasks cannot have NUMA policies like this",
    ),
    (
        |plan| plan.check_namespaces(),
        "its tasks cannot be in namespaces like this",
    ),
    (|plan| plan.check_pids(), "its pid namespaces cannot be"),
    (
        |plan| plan.check_user_namespaces(),
        "its user namespaces cannot be",
    ),
    (
        |plan| plan.check_usage(),
        "what its tasks have used cannot be",
    ),
    (
        |plan| plan.check_vmas_cover_pages(),
        "it has pages where no memory is mapped",
    ),
];

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
        for (check, what) in CHECKS {
            check(self).map_err(|error| {
                log.error(error.errno(), fmt!("the image is not valid: {what}"))
            })?;
        }
        Ok(())
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
}
