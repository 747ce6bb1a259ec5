// SPDX-License-Identifier: GPL-2.0

//! The content of memory: which pages the image has, and moving them.
//!
//! All pages are written behind the metadata in the order of the page maps, from where they are
//! to the file and from the file to where they belong, without a copy in between. A page that
//! processes share since fork(2) is written once, and shared again by a restart.

use crate::error::Result;
use crate::format::file::Unnamed;
use crate::format::header;
use crate::format::memory as format;
use crate::format::memory::PageMap;
use crate::format::memory::PageRun;
use crate::format::namespace::ShmSegment;
use crate::format::ObjRef;
use crate::format::Record;
use crate::format::Trailer;
use crate::image;
use crate::image::RawRecord;
use crate::image::Writer;
use crate::log::Log;
use crate::mm::hashes::Hashes;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Name;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::mm::Mm;
use crate::sys::page::Copies;
use crate::sys::page::Frame;
use crate::sys::page::Pinned;
use crate::sys::page::SHIFT;
use crate::sys::stream::OutStream;
use crate::sys::task::TaskRef;
use crate::sys::track;
use crate::sys::track::Origin;
use crate::sys::track::Outline;
use crate::sys::unnamed;
use crate::sys::vma::Found;
use crate::sys::vma::Walk;
use crate::sys::vma::SAME_ID;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::sync::Arc;

/// How many pages are moved at once: as many as a huge page has.
pub(super) const BATCH: u64 = 512;

/// An address space that has no more pages of its own is copied rather than duplicated: that takes
/// less time and hardly more memory.
const SMALL: u64 = 128;

/// So many pages are copied at most.
const COPIES: u64 = 16 * 1024;

/// How many ranges one walk of the page tables can find: as many as fit into a page.
const RANGES: usize = 128;

/// So many page tables are made early at most, for a small process to have all of them.
const TABLES: usize = 16;

/// Where the image has the content of pages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// In the page data.
    Data,
    /// At the same addresses of an address space that stands before, by its index.
    Shared(u32),
    /// As it seems; for [`verify`].
    MaybeShared(u32),
    /// At the same addresses of an address space of the parent image, by its number.
    Parent(u32),
}

/// Pages that follow each other, by the number of the first.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    start: u64,
    pages: u32,
    content: Content,
}

impl Run {
    /// The pages from one address (or offset) up to another, which the page data will have.
    pub(crate) fn of_bytes(start: u64, end: u64) -> Result<Self> {
        let end = end
            .checked_next_multiple_of(sys::page::SIZE as u64)
            .ok_or(EINVAL)?;
        let pages = end.checked_sub(start).ok_or(EINVAL)? >> SHIFT;

        Ok(Self {
            start: start >> SHIFT,
            pages: u32::try_from(pages).map_err(|_| EOVERFLOW)?,
            content: Content::Data,
        })
    }

    /// Number of the first page behind.
    fn end(&self) -> u64 {
        self.start.saturating_add(u64::from(self.pages))
    }
}

/// The address, or the offset in a file, of a page.
pub(super) fn address_of(page: u64) -> Result<u64> {
    Ok(page.checked_mul(sys::page::SIZE as u64).ok_or(EINVAL)?)
}

/// Adds pages to a list, to the last run if they continue it.
fn push_run(runs: &mut KVVec<Run>, run: Run) -> Result {
    if let Some(last) = runs.last_mut() {
        if last.end() == run.start && last.content == run.content {
            if let Some(pages) = last.pages.checked_add(run.pages) {
                last.pages = pages;
                return Ok(());
            }
        }
    }
    Ok(runs.push(run, GFP_KERNEL)?)
}

/// A private mapping, whose pages only the image can bring back.
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Whether pages that hold only zeros need not be saved.
    pub(crate) skip_zeros: bool,
    /// Whether its pages are huge (hugetlb).
    pub(crate) huge: bool,
}

/// What has pages. Shared by reference, since a saver lends it and a restart owns it.
pub(crate) enum Owner {
    /// An address space of a parked task.
    Mm(Mm),
    /// Shared memory, or another file of tmpfs without a name.
    Shmem(FileRef),
    /// A file without a name, of another file system.
    File(FileRef),
    /// A file that is being made, of another file system.
    NewFile(unnamed::Writer),
    /// An address space of a task that is being made.
    NewMm(Arc<Mm>),
}

impl Owner {
    /// A file that is being made.
    pub(crate) fn new_file(file: FileRef) -> Result<Self> {
        if unnamed::is_shmem(&file) {
            return Ok(Owner::Shmem(file));
        }
        Ok(Owner::NewFile(unnamed::Writer::open(&file)?))
    }

    /// Holds up to `max` pages from page number `start` on.
    pub(super) fn hold(&self, start: u64, max: u64, write: bool) -> Result<Pinned<'_>> {
        let max = usize::try_from(max.min(BATCH)).map_err(|_| EINVAL)?;
        let address = address_of(start)?;

        Ok(match self {
            Owner::Mm(mm) => mm.hold(address, max, write)?,
            Owner::NewMm(mm) if write => mm.replace(address, max, true)?,
            Owner::NewMm(mm) => mm.hold(address, max, write)?,
            Owner::Shmem(file) => sys::shmem::pages(file, start, max, write)?,
            Owner::File(file) => unnamed::pages(file, start, max)?,
            Owner::NewFile(_) => Pinned::new_pages(max)?,
        })
    }

    /// Brings the content of pages that were held to where it belongs, if that is elsewhere.
    pub(super) fn store(&self, start: u64, pages: &Pinned<'_>) -> Result {
        match self {
            Owner::NewFile(writer) => Ok(writer.write(start, pages)?),
            Owner::NewMm(mm) => Ok(mm.map(address_of(start)?, pages, true)?),
            _ => Ok(()),
        }
    }
}

/// An address space or shared memory, and which of its pages are saved.
struct Entry {
    number: ObjRef,
    owner: Owner,
    /// Where pages are looked for, if that has not been done yet.
    ranges: KVVec<Range>,
    runs: KVVec<Run>,
    /// A task that has the address space, for the log.
    who: Option<TaskRef>,
    /// Of the address space itself, if the owner is a duplicate, or an earlier image has its past.
    original: Option<Outline>,
    /// Whether the owner is a duplicate, in which nobody runs.
    is_duplicate: bool,
    /// How it was when the parent image was written, and where that has its pages.
    before: Option<(Mm, Origin)>,
    /// What the page data has of it, if that was copied.
    copies: Option<Pinned<'static>>,
}

impl Entry {
    fn address_space(&self) -> Option<&Mm> {
        match &self.owner {
            Owner::Mm(mm) => Some(mm),
            _ => None,
        }
    }

    /// What the log calls it.
    fn name(&self) -> Name {
        Name::of_task(self.who.as_ref())
    }

    fn data_pages(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.content == Content::Data)
    }
}

/// The pages that an image will have.
pub(crate) struct Pages {
    entries: KVVec<Entry>,
}

impl Pages {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            entries: KVVec::new(),
        }
    }

    /// How many the page data has.
    pub(crate) fn count(&self) -> u64 {
        self.count_of(|content| content == Content::Data)
    }

    fn count_of(&self, which: impl Fn(Content) -> bool) -> u64 {
        self.entries
            .iter()
            .flat_map(|entry| &entry.runs)
            .filter(|run| which(run.content))
            .fold(0, |count, run| count.saturating_add(u64::from(run.pages)))
    }

    /// How many are stored once for several address spaces.
    pub(crate) fn shared(&self) -> u64 {
        self.count_of(|content| matches!(content, Content::Shared(_)))
    }

    /// How many are those of the parent image.
    pub(crate) fn unchanged(&self) -> u64 {
        self.count_of(|content| matches!(content, Content::Parent(_)))
    }

    /// The address spaces.
    pub(crate) fn address_spaces(&self) -> impl Iterator<Item = &Mm> {
        self.entries.iter().filter_map(Entry::address_space)
    }

    /// Shared memory without a name.
    pub(crate) fn shared_memory(&self) -> impl Iterator<Item = &FileRef> {
        self.entries.iter().filter_map(|entry| match &entry.owner {
            Owner::Shmem(file) if sys::shmem::is_anonymous(file) => Some(file),
            _ => None,
        })
    }

    /// Adds the pages of shared memory. Gives its number back.
    pub(crate) fn add(&mut self, number: ObjRef, owner: Owner, runs: KVVec<Run>) -> Result<ObjRef> {
        let entry = Entry {
            number,
            owner,
            ranges: KVVec::new(),
            runs,
            who: None,
            original: None,
            is_duplicate: false,
            before: None,
            copies: None,
        };

        self.entries.push(entry, GFP_KERNEL)?;
        Ok(number)
    }

    /// Adds an address space of a task. Gives its number back.
    pub(crate) fn add_mm(
        &mut self,
        number: ObjRef,
        mm: Mm,
        ranges: KVVec<Range>,
        who: TaskRef,
    ) -> Result<ObjRef> {
        let entry = Entry {
            number,
            owner: Owner::Mm(mm),
            ranges,
            runs: KVVec::new(),
            who: Some(who),
            original: None,
            is_duplicate: false,
            before: None,
            copies: None,
        };

        self.entries.push(entry, GFP_KERNEL)?;
        Ok(number)
    }

    /// Whether private memory has huge pages (hugetlb). A duplicate of it would take one more when
    /// the task writes to it, which need not be there: then the task would be killed.
    pub(crate) fn has_huge_pages(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.ranges.iter().any(|range| range.huge))
    }

    /// Puts copy-on-write duplicates in the place of all address spaces, so that the tasks may run
    /// on while their memory is saved.
    pub(crate) fn duplicate(&mut self) -> Result {
        for entry in &mut self.entries {
            if let Owner::Mm(mm) = &entry.owner {
                entry.original = Some(Outline::of(mm));
                entry.owner = Owner::Mm(mm.duplicate()?);
                entry.is_duplicate = true;
            }
        }
        Ok(())
    }

    /// Copies what the page data will have of all address spaces, so that the tasks may run on
    /// while it is written; if they are small. Gives whether they are.
    pub(crate) fn copy(&mut self, log: &Log) -> Result<bool> {
        if self.address_spaces().any(|mm| !mm.is_small(SMALL)) {
            return Ok(false);
        }
        self.look(log, true)
    }

    /// Fails if pages have been taken from a duplicate, since memory was short where the tasks
    /// run: what has been read of it does not count then.
    pub(crate) fn check_duplicates(&self, log: &Log) -> Result {
        let mut duplicates = self.entries.iter().filter(|entry| entry.original.is_some());

        match duplicates.find(|entry| entry.address_space().is_some_and(Mm::is_emptied)) {
            None => Ok(()),
            Some(entry) => Err(log.error(
                ENOMEM,
                fmt!(
                    "{}: its cgroup or the machine has too little memory for a copy-on-write \
                     duplicate (without CHECKPOINT_COW there is none)",
                    &*entry.name()
                ),
            )),
        }
    }

    /// Looks for how the address spaces were when an earlier image was written, so that only what
    /// has changed since need be saved. That image, the parent, is that of the first which has
    /// such a past; another image than that does not count.
    pub(crate) fn look_back(&mut self) {
        let mut parent = None;

        for entry in &mut self.entries {
            let Owner::Mm(mm) = &entry.owner else {
                continue;
            };

            entry.original = Some(Outline::of(mm));
            entry.before = track::get(mm).filter(|(_, origin)| {
                *parent.get_or_insert((origin.id, origin.realtime)) == (origin.id, origin.realtime)
            });
        }
    }

    /// The parent image, if there are pages in it: its number, and when it was written.
    pub(crate) fn parent(&self) -> Option<(u64, i64)> {
        self.entries
            .iter()
            .filter(|entry| {
                entry
                    .runs
                    .iter()
                    .any(|run| matches!(run.content, Content::Parent(_)))
            })
            .find_map(|entry| entry.before.as_ref())
            .map(|(_, origin)| (origin.id, origin.realtime))
    }

    /// Keeps the duplicates, as what the address spaces were when this image was written; or lets
    /// go of what was kept before.
    pub(crate) fn track(self, image: Option<(u64, i64)>) -> Result {
        for entry in self.entries {
            let (Owner::Mm(mm), Some(original)) = (entry.owner, entry.original) else {
                continue;
            };
            match image {
                Some((id, realtime)) => track::set(
                    &original,
                    mm,
                    Origin {
                        id,
                        realtime,
                        object: entry.number.0,
                    },
                )?,
                None => track::end(&original),
            }
        }
        Ok(())
    }

    /// Whether there is memory that cannot be duplicated.
    pub(crate) fn has_shared_memory(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.address_space().is_none() && !entry.runs.is_empty())
    }

    /// Finds the pages of all address spaces that only the image can bring back, unless that has
    /// been done.
    pub(crate) fn find(&mut self, log: &Log) -> Result {
        self.look(log, false).map(drop)
    }

    /// As [`Pages::find`]; copies the pages on the way if `copy`. Gives whether it could: whether
    /// they are in memory, and few.
    fn look(&mut self, log: &Log, copy: bool) -> Result<bool> {
        let mut copying = copy;
        let mut left = COPIES;
        let mut buffer = found_buffer()?;
        let several = self.address_spaces().nth(1).is_some();
        let mut known = RBTree::<u64, Known>::new();

        for index in 0..self.entries.len() {
            let (before, rest) = self.entries.split_at_mut(index);
            let Some(entry) = rest.first_mut() else {
                continue;
            };
            let Owner::Mm(mm) = &entry.owner else {
                continue;
            };
            if entry.ranges.is_empty() {
                continue;
            }
            let mut runs = KVVec::new();
            let mut copies = Copies::new();

            for range in &entry.ranges {
                let what = Walk::Anon {
                    skip_zeros: range.skip_zeros,
                    hold: copying,
                    before: entry.before.as_ref().map(|(before, _)| before),
                };

                find_in(mm, what, range.start, range.end, &mut buffer, |found| {
                    let mut run = Run::of_bytes(found.start, found.end)?;
                    let same = found.id & SAME_ID != 0;
                    let may_be_known = found.id != 0 && several;
                    let seen = may_be_known
                        .then(|| seen(&known, &found, index, run.start))
                        .flatten();

                    run.content = seen.unwrap_or(Content::Data);
                    if copying
                        && run.content == Content::Data
                        && !copy_page(&found, &mut copies, &mut left)
                    {
                        // All, or none: they are to be duplicated.
                        copying = false;
                        copies = Copies::new();
                        before.iter_mut().for_each(|entry| entry.copies = None);
                    }
                    if may_be_known && seen.is_none() {
                        remember(&mut known, found, index, run.start)?;
                    }
                    if let (true, Content::Data, Some((_, origin))) =
                        (same, run.content, &entry.before)
                    {
                        run.content = Content::Parent(origin.object);
                    }
                    push_run(&mut runs, run)
                })
                .map_err(|error| {
                    if error.errno() != EOPNOTSUPP {
                        return error;
                    }
                    log.error(
                        EOPNOTSUPP,
                        fmt!(
                            "{}: mapping at {:#x}: has pages that are not supported (userfaultfd, \
                             poison or device memory)",
                            &*entry.name(),
                            range.start
                        ),
                    )
                })?;
            }
            entry.runs = verify(mm, before, &runs)?;
            entry.ranges = KVVec::new();
            entry.copies = copying.then(|| copies.finish());
        }
        Ok(copying)
    }

    /// Shared memory first, which is saved while the tasks do not run.
    fn in_order(&self) -> impl Iterator<Item = &Entry> {
        let those = |is_mm: bool| {
            self.entries
                .iter()
                .filter(move |entry| entry.address_space().is_some() == is_mm)
        };

        Iterator::chain(those(false), those(true))
    }

    /// Saves which pages they are.
    pub(crate) fn save_maps(&self, out: &mut Writer) -> Result {
        let mut data = 0u64;

        for entry in self.in_order() {
            let mut map = KVVec::with_capacity(entry.runs.len(), GFP_KERNEL)?;

            for run in &entry.runs {
                let (kind, at) = match run.content {
                    Content::Data => (format::RUN_DATA, data),
                    Content::Shared(index) => {
                        let owner = self.entries.get(index as usize).ok_or(EINVAL)?;

                        (format::RUN_SHARED, u64::from(owner.number.0))
                    }
                    Content::Parent(number) => (format::RUN_PARENT, u64::from(number)),
                    Content::MaybeShared(_) => return Err(EINVAL.into()),
                };

                map.push(
                    PageRun {
                        start: run.start,
                        pages: run.pages,
                        kind,
                        data: at,
                    },
                    GFP_KERNEL,
                )?;
                if run.content == Content::Data {
                    data = data.checked_add(u64::from(run.pages)).ok_or(EOVERFLOW)?;
                }
            }
            out.record(
                &PageMap {
                    owner: entry.number,
                    runs: u32::try_from(map.len()).map_err(|_| E2BIG)?,
                },
                &[map.as_slice().as_bytes()],
            )?;
        }
        Ok(())
    }
}

/// A buffer for [`find_in`].
pub(super) fn found_buffer() -> Result<KVec<Found>> {
    Ok(KVec::with_capacity(RANGES, GFP_KERNEL)?)
}

/// Calls `found` with the pages of a sort in a mapping (see [`MmReadGuard::walk`]), without the
/// lock that is held while they are looked for. Until then they are in `ranges`, which is empty
/// before and after, and is not grown.
///
/// [`MmReadGuard::walk`]: sys::vma::MmReadGuard::walk
pub(super) fn find_in(
    mm: &Mm,
    what: Walk<'_>,
    start: u64,
    end: u64,
    ranges: &mut KVec<Found>,
    mut found: impl FnMut(Found) -> Result,
) -> Result {
    let mut from = start;

    loop {
        let walked = mm.read_lock()?.walk(what, from, |next| {
            if let Some(last) = ranges.last_mut() {
                let are_plain = [&*last, &next]
                    .iter()
                    .all(|found| found.id == 0 && found.frame.is_none());

                if last.end == next.start && are_plain {
                    last.end = next.end;
                    return Ok(());
                }
            }
            // The buffer is full: it is emptied, and the walk goes on from here.
            ranges.push_within_capacity(next).map_err(|_| EAGAIN)
        });

        from = ranges.last().map_or(end, |last| last.end);
        for range in ranges.drain_all() {
            found(range)?;
        }
        match walked {
            Err(error) if error == EAGAIN => (),
            walked => return Ok(walked?),
        }
    }
}

/// Where a page was found first.
struct Known {
    /// The address space.
    index: u32,
    /// The number of the page there.
    page: u64,
    /// Keeps its identity from getting to another one, which swap does not.
    frame: Option<Frame>,
}

/// Whether a page was found before: where its content is then.
fn seen(known: &RBTree<u64, Known>, found: &Found, index: usize, page: u64) -> Option<Content> {
    let first = known.get(&(found.id & !SAME_ID))?;

    Some(if first.page != page || first.index as usize == index {
        // Only what has the same address is shared by a restart.
        Content::Data
    } else if first.frame.is_some() {
        Content::Shared(first.index)
    } else {
        Content::MaybeShared(first.index)
    })
}

/// Remembers a page that is found for the first time.
fn remember(known: &mut RBTree<u64, Known>, found: Found, index: usize, page: u64) -> Result {
    let first = Known {
        index: u32::try_from(index).map_err(|_| EOVERFLOW)?,
        page,
        frame: found.frame,
    };

    known.try_create_and_insert(found.id & !SAME_ID, first, GFP_KERNEL)?;
    Ok(())
}

/// Copies a page that is held, if it is in memory, few have been copied, and there is room. Gives
/// whether it has.
fn copy_page(found: &Found, copies: &mut Copies, left: &mut u64) -> bool {
    let (Some(frame), Some(fewer)) = (&found.frame, left.checked_sub(1)) else {
        return false;
    };

    if copies.len() as u64 >= SMALL || copies.push(frame).is_err() {
        return false;
    }
    *left = fewer;
    true
}

/// Looks whether pages in swap that seem to be shared are: one that was brought in meanwhile may have
/// left its identity to another. While both are held, none is moved; and what is shared then stays so,
/// since nobody writes to either address space.
fn verify(mm: &Mm, before: &[Entry], runs: &[Run]) -> Result<KVVec<Run>> {
    let mut verified = KVVec::with_capacity(runs.len(), GFP_KERNEL)?;

    for run in runs {
        let Content::MaybeShared(index) = run.content else {
            push_run(&mut verified, *run)?;
            continue;
        };
        let other = before
            .get(index as usize)
            .and_then(Entry::address_space)
            .ok_or(EINVAL)?;
        let mut start = run.start;

        while start < run.end() {
            let max =
                usize::try_from(run.end().saturating_sub(start).min(BATCH)).map_err(|_| EINVAL)?;
            let address = address_of(start)?;
            let ours = mm.hold(address, max, false)?;
            let theirs = other.hold(address, max, false)?;
            let both = ours.len().min(theirs.len());

            for page in 0..both {
                let content = if ours.is_same(&theirs, page) {
                    Content::Shared(index)
                } else {
                    Content::Data
                };

                push_run(
                    &mut verified,
                    Run {
                        start,
                        pages: 1,
                        content,
                    },
                )?;
                start = start.saturating_add(1);
            }
        }
    }
    Ok(verified)
}

/// Writes page data, in the order of the page maps, and the trailer.
pub(crate) struct PageWriter<'a> {
    pages: &'a Pages,
    shares_memory: bool,
    hashes: Hashes,
}

impl<'a> PageWriter<'a> {
    /// The stream stands where the page data goes. Tells whether somebody outside of the tree may run
    /// in one of its address spaces.
    pub(crate) fn new(pages: &'a Pages, shares_memory: bool) -> Result<Self> {
        Ok(Self {
            pages,
            shares_memory,
            hashes: Hashes::new()?,
        })
    }

    /// Writes the pages of shared memory.
    pub(crate) fn write_shared_memory(&mut self, out: &mut OutStream) -> Result {
        self.write(out, |entry| entry.address_space().is_none())
    }

    /// Writes the pages of address spaces.
    pub(crate) fn write_address_spaces(&mut self, out: &mut OutStream) -> Result {
        self.write(out, |entry| entry.address_space().is_some())
    }

    fn write(&mut self, out: &mut OutStream, which: impl Fn(&Entry) -> bool) -> Result {
        for entry in self.pages.entries.iter().filter(|entry| which(entry)) {
            if let Some(copies) = &entry.copies {
                self.hashes.add(copies)?;
                out.write_pages(copies)?;
                continue;
            }
            for run in entry.data_pages() {
                each_batch(&entry.owner, run.start, run.pages, |pages| {
                    if entry.is_duplicate {
                        out.write_pages(&pages)?;
                        self.hashes.add_later(pages.unborrowed())
                    } else if self.shares_memory || entry.address_space().is_none() {
                        // Somebody outside of the tree may write to it all the time.
                        let copies = pages.copied()?;

                        out.write_pages(&copies)?;
                        self.hashes.add_later(copies)
                    } else {
                        self.hashes.add(&pages)?;
                        Ok(out.write_pages(&pages)?)
                    }
                })?;
            }
        }
        Ok(())
    }

    /// Writes the trailer.
    pub(crate) fn finish(self, out: &mut OutStream) -> Result {
        let hashes = self.hashes.finish()?;
        let trailer = Trailer {
            magic: header::TRAILER_MAGIC,
            chunks: u32::try_from(hashes.len()).map_err(|_| E2BIG)?,
            crc: sys::crc::crc32(hashes.as_bytes()),
        };

        out.write_all(trailer.as_bytes())?;
        Ok(out.write_all(hashes.as_bytes())?)
    }
}

/// Calls `each` with the pages of a run, as many at a time as can be held.
fn each_batch(
    owner: &Owner,
    start: u64,
    pages: u32,
    mut each: impl FnMut(Pinned<'_>) -> Result,
) -> Result {
    let mut start = start;
    let mut left = u64::from(pages);

    while left > 0 {
        let held = owner.hold(start, left, false)?;
        let got = held.len() as u64;

        each(held)?;
        start = start.checked_add(got).ok_or(EINVAL)?;
        left = left.checked_sub(got).ok_or(EINVAL)?;
    }
    Ok(())
}

/// Checks a page map: runs in the order of their addresses, data in the order of the runs, from
/// page number `data` on; `is_mapped` tells whether the page map of an object stands before. Gives
/// the owner, and the number behind the last.
pub(crate) fn check(
    record: &RawRecord<'_>,
    kind_of: KindOf<'_>,
    is_mapped: impl Fn(ObjRef) -> bool,
    data: u64,
) -> Result<(ObjRef, u64)> {
    let (map, tail) = record.parse::<PageMap>()?;
    let is_mm = |object| kind_of(object) == Some(format::Mm::KIND);
    let mut free = 0;
    let mut data = data;

    if !is_mm(map.owner)
        && !matches!(
            kind_of(map.owner),
            Some(format::Shmem::KIND | Unnamed::KIND | ShmSegment::KIND)
        )
    {
        return Err(EINVAL.into());
    }
    for run in &image::all::<PageRun>(tail, map.runs)? {
        if run.start < free || run.pages == 0 {
            return Err(EINVAL.into());
        }
        match run.kind {
            format::RUN_DATA if run.data == data => {
                data = data.checked_add(u64::from(run.pages)).ok_or(EINVAL)?;
            }
            format::RUN_SHARED if is_mm(map.owner) => {
                let owner = source(run)?;

                if owner == map.owner || !is_mm(owner) || !is_mapped(owner) {
                    return Err(EINVAL.into());
                }
            }
            _ => return Err(EINVAL.into()),
        }
        free = run.start.checked_add(u64::from(run.pages)).ok_or(EINVAL)?;
    }
    if free > u64::MAX >> SHIFT {
        return Err(EINVAL.into());
    }
    Ok((map.owner, data))
}

/// Makes page tables that the running task's address space will need, before the coordinator reads
/// or shares its pages: all tasks do so at once.
pub(crate) fn make_tables(restart: &Restart, mm: &Mm, number: ObjRef) -> Result {
    // The page data that an image speaks of need not be there.
    let mut left = TABLES;

    for record in restart.belonging::<PageMap>(number) {
        let (map, tail) = record.parse::<PageMap>()?;

        for run in &image::all::<PageRun>(tail, map.runs)? {
            let end = run.start.saturating_add(u64::from(run.pages));

            if left == 0 {
                return Ok(());
            }
            mm.make_tables(address_of(run.start)?, address_of(end)?, &mut left)?;
        }
    }
    Ok(())
}

/// The address space that has the pages of a [`format::RUN_SHARED`].
pub(super) fn source(run: &PageRun) -> Result<ObjRef> {
    Ok(ObjRef(u32::try_from(run.data).map_err(|_| EINVAL)?))
}
