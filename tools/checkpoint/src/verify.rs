// SPDX-License-Identifier: GPL-2.0

//! Checks that the records of an image fit together, as the kernel does before a restart.
//!
//! Kept here: numbers of objects, what refers to what, the order of tasks, the order of mappings
//! and pages. What a record may hold by itself is in [`crate::kind`], the framing in
//! [`crate::image`].

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;

use crate::format::file::Unnamed;
use crate::format::header;
use crate::format::memory;
use crate::format::memory::PageMap;
use crate::format::memory::PageRun;
use crate::format::memory::Shmem;
use crate::format::memory::Vma;
use crate::format::namespace::ShmSegment;
use crate::format::task::Process;
use crate::format::task::Regset;
use crate::format::task::Task;
use crate::format::task::TASK_SELF;
use crate::format::task::TASK_ZOMBIE;
use crate::format::End;
use crate::format::Failure;
use crate::format::Header;
use crate::format::ObjRef;
use crate::image::Entry;
use crate::image::Metadata;
use crate::image::Place;
use crate::image::Problem;
use crate::kind;
use crate::kind::Kind;
use crate::kind::Reference;
use crate::kind::Tail;

type Result<T> = std::result::Result<T, Problem>;
type Check = std::result::Result<(), String>;

/// `NT_PRSTATUS`: the general registers, which every live task has.
const NT_PRSTATUS: u32 = 1;

/// What an image holds.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many records there are.
    pub records: usize,
    /// How many objects there are.
    pub objects: usize,
    /// How many tasks there are.
    pub tasks: usize,
    /// Pages whose data is in the image.
    pub data_pages: u64,
    /// Pages that are those of another address space.
    pub shared_pages: u64,
    /// Pages that are in the parent image.
    pub parent_pages: u64,
    /// How many records of each kind there are.
    pub kinds: BTreeMap<&'static str, usize>,
}

/// Checks all records; returns what they are, or the first problem.
pub fn check(header: &Header, metadata: &Metadata) -> Result<Summary> {
    let mut checker = Checker::new(header);
    let mut last = None;
    for entry in metadata.records() {
        let entry = entry?;
        checker
            .entry(&entry)
            .map_err(|message| Problem::of(entry.place, message))?;
        last = Some(entry);
    }
    let Some(last) = last else {
        return Err(Problem {
            offset: size_of::<Header>() as u64,
            record: None,
            message: "there are no records".into(),
        });
    };
    checker.finish(&last)?;
    Ok(checker.summary)
}

/// Checks one record by itself.
pub fn check_alone(entry: &Entry<'_>) -> Check {
    let mut tail = Tail::new(entry.tail);
    let fields = entry.body.tail(&mut tail)?;
    tail.end()?;
    kind::check_reserved(&fields)?;
    kind::check_reserved(&entry.body.describe())?;
    entry.body.check()
}

/// The records that came so far.
struct Checker<'a> {
    header: &'a Header,
    summary: Summary,
    /// Every object, by its number less one.
    objects: Vec<Entry<'a>>,
    /// The [`End`], once it came.
    ended: bool,
    /// The process of every thread.
    threads: BTreeMap<i32, ObjRef>,
    /// The process that the last task belongs to.
    current: ObjRef,
    /// Processes whose leader came.
    led: BTreeSet<ObjRef>,
    /// The address space of those who have the same signal handlers.
    sighands: BTreeMap<ObjRef, ObjRef>,
    /// Processes, and live tasks that have no registers yet.
    incomplete: BTreeMap<ObjRef, (Place, &'static str)>,
    /// The register sets that each task has.
    regsets: BTreeSet<(ObjRef, u32)>,
    /// First and last address of each mapping, by its address space.
    mappings: BTreeMap<ObjRef, Vec<(u64, u64)>>,
    /// The page behind the last one of each page map.
    mapped: BTreeMap<ObjRef, u64>,
    /// The page of data behind the last that a run has.
    data: u64,
    /// Page maps, whose mappings may come later.
    page_maps: Vec<(Place, ObjRef, &'a [PageRun])>,
}

impl<'a> Checker<'a> {
    fn new(header: &'a Header) -> Checker<'a> {
        Checker {
            header,
            summary: Summary::default(),
            objects: Vec::new(),
            ended: false,
            threads: BTreeMap::new(),
            current: ObjRef::NONE,
            led: BTreeSet::new(),
            sighands: BTreeMap::new(),
            incomplete: BTreeMap::new(),
            regsets: BTreeSet::new(),
            mappings: BTreeMap::new(),
            mapped: BTreeMap::new(),
            data: 0,
            page_maps: Vec::new(),
        }
    }

    fn entry(&mut self, entry: &Entry<'a>) -> Check {
        self.summary.records += 1;
        *self.summary.kinds.entry(entry.place.name).or_default() += 1;
        if self.ended {
            return Err("it stands after the End".into());
        }
        let failed = self.header.flags & header::FLAG_FAILED != 0;
        if failed != entry.body.as_any().is::<Failure>() {
            return Err("a failed image has one Failure, and no other image has one".into());
        }
        check_alone(entry)?;
        for reference in entry.body.references(entry.tail) {
            self.reference(&reference)?;
        }
        self.number(entry)?;
        self.meaning(entry)
    }

    /// Objects are numbered in the order of their records.
    fn number(&mut self, entry: &Entry<'a>) -> Check {
        let number = entry.head.object;
        if !entry.body.defines_object() {
            return match number {
                ObjRef::NONE => Ok(()),
                ObjRef(number) => Err(format!("it has object number {number}, but is no object")),
            };
        }
        self.objects.push(*entry);
        self.summary.objects = self.objects.len();
        if number.0 as usize != self.objects.len() {
            return Err(format!(
                "it has object number {}, not {}",
                number.0,
                self.objects.len()
            ));
        }
        Ok(())
    }

    /// The object that a number stands for.
    fn object(&self, number: ObjRef) -> Option<&Entry<'a>> {
        self.objects.get((number.0 as usize).checked_sub(1)?)
    }

    fn get<T: Kind>(&self, number: ObjRef) -> std::result::Result<&'a T, String> {
        self.object(number)
            .and_then(|entry| entry.body.as_any().downcast_ref())
            .ok_or_else(|| format!("object {} is missing", number.0))
    }

    fn reference(&self, reference: &Reference) -> Check {
        let Reference {
            field,
            to,
            kinds,
            required,
        } = *reference;
        if to.is_none() {
            return match required {
                true => Err(format!("{field}: there must be an object")),
                false => Ok(()),
            };
        }
        let Some(object) = self.object(to) else {
            return Err(format!("{field}: object {} does not stand before it", to.0));
        };
        if !kinds.contains(&object.head.kind) {
            let names: Vec<_> = kinds.iter().map(|kind| kind::name(*kind)).collect();
            let expected = match names.as_slice() {
                [] => "none may be there".into(),
                names => format!("not a {}", names.join(" or a ")),
            };
            return Err(format!(
                "{field}: object {} is a {}, {expected}",
                to.0, object.place.name
            ));
        }
        Ok(())
    }

    /// The rules of those kinds that depend on other records.
    fn meaning(&mut self, entry: &Entry<'a>) -> Check {
        let any = entry.body.as_any();
        if let Some(process) = any.downcast_ref() {
            self.process(entry, process)
        } else if let Some(task) = any.downcast_ref() {
            self.task(entry, task)
        } else if let Some(regset) = any.downcast_ref() {
            self.regset(regset)
        } else if let Some(vma) = any.downcast_ref() {
            self.vma(vma)
        } else if let Some(map) = any.downcast_ref() {
            self.page_map(entry, map)
        } else if let Some(end) = any.downcast_ref() {
            self.end(end)
        } else {
            Ok(())
        }
    }

    fn process(&mut self, entry: &Entry<'a>, _process: &Process) -> Check {
        let missing = (entry.place, "it has no task");
        self.incomplete.insert(entry.head.object, missing);
        Ok(())
    }

    /// Threads follow each other, the leader first, and a parent stands before its children.
    fn task(&mut self, entry: &Entry<'a>, task: &Task) -> Check {
        let process: &Process = self.get(task.process)?;
        let leads = task.tid == process.tgid;
        if task.flags & TASK_SELF != 0 && self.header.mode != header::MODE_SELF {
            return Err("it saved itself, but the image was saved from outside".into());
        }
        if self.threads.insert(task.tid, task.process).is_some() {
            return Err(format!("there are two tasks {}", task.tid));
        }
        if leads {
            self.parent(process)?;
            self.led.insert(task.process);
        } else if !self.led.contains(&task.process) {
            return Err(format!(
                "thread {} stands before its leader {}",
                task.tid, process.tgid
            ));
        } else if self.current != task.process {
            return Err(format!(
                "thread {} does not stand with the others of {}",
                task.tid, process.tgid
            ));
        }
        if !task.sighand.is_none()
            && *self.sighands.entry(task.sighand).or_insert(task.mm) != task.mm
        {
            return Err("it shares signal handlers, but not the memory".into());
        }
        self.current = task.process;
        self.summary.tasks += 1;
        self.incomplete.remove(&task.process);
        if task.flags & TASK_ZOMBIE == 0 {
            let missing = (entry.place, "it has no registers");
            self.incomplete.insert(entry.head.object, missing);
        }
        Ok(())
    }

    fn parent(&self, process: &Process) -> Check {
        if (process.parent == 0) != (self.summary.tasks == 0) {
            return Err(match process.parent {
                0 => format!("process {} is a second root", process.tgid),
                parent => format!("the root has a parent, {parent}"),
            });
        }
        if process.parent == 0 || self.threads.contains_key(&process.parent) {
            return Ok(());
        }
        Err(format!(
            "process {} stands before its parent {}",
            process.tgid, process.parent
        ))
    }

    fn regset(&mut self, regset: &Regset) -> Check {
        if !self.regsets.insert((regset.task, regset.note)) {
            return Err(format!("the task has two register sets {:#x}", regset.note));
        }
        if regset.note == NT_PRSTATUS {
            self.incomplete.remove(&regset.task);
        }
        Ok(())
    }

    fn vma(&mut self, vma: &Vma) -> Check {
        let page = (1u64 << self.header.page_shift) - 1;
        if vma.start & page != 0 || vma.end & page != 0 {
            return Err("its addresses are not those of pages".into());
        }
        let mappings = self.mappings.entry(vma.mm).or_default();
        match mappings.last_mut() {
            Some((_, end)) if *end > vma.start => {
                return Err(format!(
                    "it starts at {:#x}, before the end of the one before, {end:#x}",
                    vma.start
                ))
            }
            // Neighbours are one range for those who ask what is mapped.
            Some((_, end)) if *end == vma.start => *end = vma.end,
            _ => mappings.push((vma.start, vma.end)),
        }
        Ok(())
    }

    fn page_map(&mut self, entry: &Entry<'a>, map: &PageMap) -> Check {
        let runs: &'a [PageRun] = Tail::new(entry.tail).list(map.runs, "page runs")?;
        let last = self.mapped.entry(map.owner).or_default();
        for (index, run) in runs.iter().enumerate() {
            let pages = u64::from(run.pages);
            if run.start < *last {
                return Err(format!(
                    "run {index} starts at page {:#x}, before page {last:#x}",
                    run.start
                ));
            }
            let end = run.start.checked_add(pages);
            *last = end.ok_or_else(|| format!("run {index} is too long"))?;
            if run.kind == memory::RUN_PARENT {
                if self.header.flags & header::FLAG_INCREMENTAL == 0 {
                    return Err(format!("run {index} needs a parent, the image has none"));
                }
                self.summary.parent_pages += pages;
                continue;
            }
            if run.kind != memory::RUN_DATA {
                let source = self
                    .page_maps
                    .iter()
                    .find(|(_, owner, _)| u64::from(owner.0) == run.data && *owner != map.owner);
                if source.is_none() {
                    return Err(format!("run {index} shares pages of no map before it"));
                }
                self.summary.shared_pages += pages;
                continue;
            }
            self.summary.data_pages += pages;
            match run.data.checked_add(pages) {
                Some(end) if end <= self.header.data_pages => self.data = self.data.max(end),
                _ => {
                    return Err(format!(
                        "run {index} has {pages} pages of data from page {} on, but there are {}",
                        run.data, self.header.data_pages
                    ))
                }
            }
        }
        self.page_maps.push((entry.place, map.owner, runs));
        Ok(())
    }

    fn end(&mut self, end: &End) -> Check {
        self.ended = true;
        if end.objects as usize != self.objects.len() {
            return Err(format!(
                "there are {} objects, it says {}",
                self.objects.len(),
                end.objects
            ));
        }
        if end.tasks as usize != self.summary.tasks {
            return Err(format!(
                "there are {} tasks, it says {}",
                self.summary.tasks, end.tasks
            ));
        }
        Ok(())
    }

    /// What only shows when all records are there.
    fn finish(&self, last: &Entry<'a>) -> Result<()> {
        if self.header.flags & header::FLAG_FAILED != 0 {
            return match self.summary.records {
                1 => Ok(()),
                n => Err(Problem::of(
                    last.place,
                    format!("a failed image has {n} records"),
                )),
            };
        }
        if !self.ended {
            return Err(Problem::of(last.place, "there is no End after it"));
        }
        if self.summary.tasks == 0 {
            return Err(Problem::of(last.place, "the image has no task"));
        }
        if let Some((place, message)) = self.incomplete.values().next() {
            return Err(Problem::of(*place, *message));
        }
        if self.header.mode == header::MODE_SELF && self.summary.tasks != 1 {
            let message = "a task that saved itself is not alone";
            return Err(Problem::of(last.place, message));
        }
        if self.data != self.header.data_pages {
            let rest = self.header.data_pages - self.data;
            let message = format!("the last {rest} pages of data belong to nothing");
            return Err(Problem::of(last.place, message));
        }
        for (place, owner, runs) in &self.page_maps {
            for run in *runs {
                self.covered(*owner, run)
                    .map_err(|message| Problem::of(*place, message))?;
            }
        }
        Ok(())
    }

    /// A run lies within the mappings of its address space or within its shared memory.
    fn covered(&self, owner: ObjRef, run: &PageRun) -> Check {
        let outside = || format!("page {:#x} is outside of its object", run.start);
        let end = run
            .start
            .checked_add(run.pages.into())
            .ok_or_else(outside)?;
        if let Ok(shmem) = self.get::<Shmem>(owner) {
            let pages = shmem.size.div_ceil(1 << self.header.page_shift);
            return if end <= pages { Ok(()) } else { Err(outside()) };
        }
        if let Ok(segment) = self.get::<ShmSegment>(owner) {
            let page = 1u64.checked_shl(segment.huge).unwrap_or(1);
            let bytes = segment.size.checked_next_multiple_of(page);
            let pages = bytes
                .ok_or_else(outside)?
                .div_ceil(1 << self.header.page_shift);
            return if end <= pages { Ok(()) } else { Err(outside()) };
        }
        if let Ok(file) = self.get::<Unnamed>(owner) {
            let pages = file.size.div_ceil(1 << self.header.page_shift);
            return if end <= pages { Ok(()) } else { Err(outside()) };
        }
        let mappings = self.mappings.get(&owner).map_or(&[][..], Vec::as_slice);
        let shift = self.header.page_shift;
        let after = mappings.partition_point(|(start, _)| start >> shift <= run.start);
        match after.checked_sub(1).and_then(|index| mappings.get(index)) {
            Some((_, limit)) if end <= limit >> shift => Ok(()),
            _ => Err(format!("pages {:#x} to {end:#x} are not mapped", run.start)),
        }
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;
    use crate::compose::zeroed;
    use crate::compose::Composer;
    use crate::compose::Shared;
    use crate::format::file::Fd;
    use crate::format::file::Files;
    use crate::format::file::Fs;
    use crate::format::file::PathFile;
    use crate::format::file::Pipe;
    use crate::format::file::PipeFile;
    use crate::format::task::Creds;
    use crate::image::Reader;

    fn verify(composer: &Composer) -> Result<Summary> {
        let image = composer.image();
        let mut reader = Reader::new(image.as_slice());
        let header = reader.header().unwrap();
        let metadata = reader.metadata(&header).unwrap();
        metadata.check_crc().unwrap();
        check(&header, &metadata)
    }

    /// Composes an image of one process of one task, and something more; returns the problem.
    fn problem(more: impl FnOnce(&mut Composer, &Shared)) -> String {
        let mut composer = Composer::new();
        let shared = composer.shared();
        let root = composer.process(100, 0);
        composer.task(100, root, &shared);
        more(&mut composer, &shared);
        verify(&composer).unwrap_err().to_string()
    }

    fn assert_problem(expected: &str, more: impl FnOnce(&mut Composer, &Shared)) {
        let found = problem(more);
        assert!(found.contains(expected), "{found}");
    }

    fn run(start: u64, pages: u32, kind: u32, data: u64) -> PageRun {
        PageRun {
            start,
            pages,
            kind,
            data,
        }
    }

    #[test]
    fn a_small_image_is_right() {
        let summary = verify(&Composer::small()).unwrap();
        assert_eq!(summary.tasks, 3);
        assert_eq!((summary.data_pages, summary.shared_pages), (2, 0));
        assert_eq!(summary.kinds["Task"], 3);
    }

    #[test]
    fn a_failed_image_has_one_record() {
        let mut composer = Composer::failed(16, 7, "error: pid 7 (sh): shared\n");
        assert_eq!(verify(&composer).unwrap().records, 1);
        composer.end(0);
        assert!(verify(&composer).is_err());
    }

    #[test]
    fn an_image_has_records() {
        let found = verify(&Composer::new()).unwrap_err().to_string();
        assert!(found.contains("no records"), "{found}");
    }

    #[test]
    fn the_end_is_the_last() {
        assert_problem("no End", |_, _| ());
        assert_problem("after the End", |c, _| {
            c.end(1);
            c.end(1);
        });
        assert_problem("there are 1 tasks, it says 2", |c, _| c.end(2));
        assert_problem("objects, it says", |c, _| {
            let end = End {
                objects: 99,
                tasks: 1,
            };
            c.record(end, &[]);
        });
    }

    #[test]
    fn objects_are_numbered_in_order() {
        let creds: Creds = zeroed();
        assert_problem("it has object number 77, not", |c, _| {
            c.put(creds, &[], ObjRef(77))
        });
        assert_problem("but is no object", |c, _| {
            c.put(zeroed::<End>(), &[], ObjRef(1))
        });
    }

    #[test]
    fn references_are_to_the_right_objects_before() {
        let end = |pipe| PipeFile {
            pipe,
            ..zeroed::<PipeFile>()
        };
        assert_problem("pipe: object 999 does not stand before it", |c, _| {
            c.object(end(ObjRef(999)), &[]);
        });
        assert_problem("pipe: there must be an object", |c, _| {
            c.object(end(ObjRef::NONE), &[]);
        });
        assert_problem("is a Creds, not a Pipe", |c, shared| {
            c.object(end(shared.creds), &[]);
        });
        assert_problem("fd: object 1 is a Creds", |c, shared| {
            let slot = Fd {
                file: shared.creds,
                ..zeroed()
            };
            let files = Files {
                count: 1,
                reserved: 0,
            };
            c.object(files, slot.as_bytes());
        });
        assert_problem("none may be there", |c, shared| {
            let vma = Vma {
                mm: shared.mm,
                kind: memory::VMA_ANON,
                start: 0x20000,
                end: 0x21000,
                object: shared.file,
                ..zeroed()
            };
            c.record(vma, &[]);
        });
    }

    #[test]
    fn tails_have_their_exact_length() {
        let creds = |groups| Creds {
            groups,
            ..zeroed::<Creds>()
        };
        assert_problem("too long", |c, _| {
            c.object(creds(1), &[0; 8]);
        });
        assert_problem("its tail has 8 bytes for 12 bytes of groups", |c, _| {
            c.object(creds(3), &[0; 8]);
        });
        assert_problem("the root directory does not start", |c, _| {
            let fs = Fs {
                cwd: 4,
                root: 1,
                ..zeroed()
            };
            c.object(fs, b"/tmp.");
        });
        assert_problem("zero byte", |c, _| {
            c.object(zeroed::<PathFile>(), b"/a\0b");
        });
        assert_problem("its buffers hold 0 bytes", |c, _| {
            let pipe = Pipe {
                bytes: 3,
                ..zeroed()
            };
            c.object(pipe, b"abc");
        });
    }

    #[test]
    fn tasks_are_in_order() {
        assert_problem("a second root", |c, shared| {
            let process = c.process(200, 0);
            c.task(200, process, shared);
        });
        assert_problem("stands before its parent 300", |c, shared| {
            let process = c.process(200, 300);
            c.task(200, process, shared);
        });
        assert_problem("thread 201 stands before its leader", |c, shared| {
            let process = c.process(200, 100);
            c.task(201, process, shared);
        });
        assert_problem("does not stand with the others of 100", |c, shared| {
            let first = ObjRef(c.last().0 - 1);
            let process = c.process(200, 100);
            c.task(200, process, shared);
            c.task(101, first, shared);
        });
        assert_problem("two tasks 100", |c, shared| {
            let process = c.process(100, 100);
            c.task(100, process, shared);
        });
        assert_problem("(Process): it has no task", |c, _| {
            c.process(200, 100);
            c.end(1);
        });
        assert_problem("(Task): it has no registers", |c, shared| {
            let process = c.process(200, 100);
            let task = Task {
                tid: 200,
                process,
                creds: shared.creds,
                namespaces: shared.namespaces,
                mm: shared.mm,
                files: shared.files,
                fs: shared.fs,
                sighand: shared.sighand,
                ..zeroed()
            };
            c.object(task, &[]);
            c.end(2);
        });
        assert_problem("two register sets 0x1", |c, _| {
            let task = c.last();
            c.record(Regset { task, note: 1 }, &[0; 8]);
            c.record(Regset { task, note: 1 }, &[0; 8]);
        });
    }

    #[test]
    fn a_self_checkpoint_has_one_task() {
        let mut composer = Composer::small();
        composer.header.mode = header::MODE_SELF;
        let found = verify(&composer).unwrap_err().to_string();
        assert!(found.contains("not alone"), "{found}");
    }

    #[test]
    fn mappings_are_in_order() {
        let vma = |shared: &Shared, start, end, flags| Vma {
            mm: shared.mm,
            kind: memory::VMA_ANON,
            start,
            end,
            flags,
            ..zeroed::<Vma>()
        };
        assert_problem("before the end of the one before, 0x14000", |c, shared| {
            c.record(vma(shared, 0x13000, 0x15000, 0), &[])
        });
        assert_problem("not those of pages", |c, shared| {
            c.record(vma(shared, 0x20000, 0x20010, 0), &[])
        });
        assert_problem("ends before it starts", |c, shared| {
            c.record(vma(shared, 0x20000, 0x20000, 0), &[])
        });
        assert_problem("unknown bits 0x8000000000000000", |c, shared| {
            c.record(vma(shared, 0x20000, 0x21000, 1 << 63), &[])
        });
    }

    #[test]
    fn pages_are_in_order_and_mapped_and_there() {
        let data = memory::RUN_DATA;
        assert_problem(
            "run 1 starts at page 0x11, before page 0x12",
            |c, shared| {
                (0..3).for_each(|byte| c.page(byte));
                c.page_map(shared.mm, &[run(0x10, 2, data, 0), run(0x11, 1, data, 2)])
            },
        );
        assert_problem(
            "has 2 pages of data from page 0 on, but there are 1",
            |c, shared| {
                c.page(1);
                c.page_map(shared.mm, &[run(0x10, 2, data, 0)])
            },
        );
        assert_problem("but there are 0", |c, shared| {
            c.page_map(shared.mm, &[run(0x10, 1, data, u64::MAX)])
        });
        assert_problem("run 0 is too long", |c, shared| {
            c.page_map(shared.mm, &[run(u64::MAX, 1, data, 0)])
        });
        assert_problem("pages 0x13 to 0x15 are not mapped", |c, shared| {
            (0..2).for_each(|byte| c.page(byte));
            c.page_map(shared.mm, &[run(0x13, 2, data, 0)]);
            c.end(1);
        });
        assert_problem("outside of its object", |c, _| {
            let shmem = c.object(
                Shmem {
                    size: 4096,
                    flags: 0,
                },
                &[],
            );
            c.page(0);
            c.page_map(shmem, &[run(1, 1, data, 0)]);
            c.end(1);
        });
        assert_problem("the last 2 pages of data belong to nothing", |c, shared| {
            (0..3).for_each(|byte| c.page(byte));
            c.page_map(shared.mm, &[run(0x10, 1, data, 0)]);
            c.end(1);
        });
        assert_problem("a run has no pages", |c, shared| {
            c.page_map(shared.mm, &[run(0x10, 0, data, 0)])
        });
        assert_problem("run 0 shares pages of no map before it", |c, shared| {
            let own = u64::from(shared.mm.0);
            c.page_map(shared.mm, &[run(0x10, 1, memory::RUN_SHARED, own)])
        });
        assert_problem("a run's kind 9 is unknown", |c, shared| {
            c.page_map(shared.mm, &[run(0x10, 1, 9, 0)])
        });
    }
}
