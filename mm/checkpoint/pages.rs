// SPDX-License-Identifier: GPL-2.0

//! The content of memory: which pages the image has, and moving them.
//!
//! All pages are written behind the metadata in the order of the page maps, from where they are
//! to the file and from the file to where they belong, without a copy in between.

use crate::error::Result;
use crate::format::file::Unnamed;
use crate::format::header;
use crate::format::header::CHUNK_PAGES;
use crate::format::memory as format;
use crate::format::memory::PageMap;
use crate::format::memory::PageRun;
use crate::format::ObjRef;
use crate::format::Record;
use crate::format::Trailer;
use crate::image;
use crate::image::RawRecord;
use crate::image::Writer;
use crate::plan::KindOf;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::mm::Mm;
use crate::sys::page::Pinned;
use crate::sys::page::SHIFT;
use crate::sys::stream::InStream;
use crate::sys::stream::OutStream;
use crate::sys::unnamed;
use kernel::prelude::*;
use kernel::sync::Arc;

/// How many pages are moved at once.
const BATCH: u64 = 256;

/// Pages that follow each other, by the number of the first.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    start: u64,
    pages: u32,
}

impl Run {
    /// The pages from one address (or offset) up to another.
    pub(crate) fn of_bytes(start: u64, end: u64) -> Result<Self> {
        let end = end
            .checked_next_multiple_of(sys::page::SIZE as u64)
            .ok_or(EINVAL)?;
        let pages = end.checked_sub(start).ok_or(EINVAL)? >> SHIFT;

        Ok(Self {
            start: start >> SHIFT,
            pages: u32::try_from(pages).map_err(|_| EOVERFLOW)?,
        })
    }
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
    fn hold(&self, start: u64, max: u64, write: bool) -> Result<Pinned<'_>> {
        let max = usize::try_from(max.min(BATCH)).map_err(|_| EINVAL)?;
        let address = start.checked_mul(sys::page::SIZE as u64).ok_or(EINVAL)?;

        Ok(match self {
            Owner::Mm(mm) => mm.hold(address, max, write)?,
            Owner::NewMm(mm) => mm.hold(address, max, write)?,
            Owner::Shmem(file) => sys::mm::shmem::pages(file, start, max, write)?,
            Owner::File(file) => unnamed::pages(file, start, max)?,
            Owner::NewFile(_) => unnamed::new_pages(max)?,
        })
    }

    /// Brings the content of pages that were held to where it belongs, if that is elsewhere.
    fn store(&self, start: u64, pages: &Pinned<'_>) -> Result {
        if let Owner::NewFile(writer) = self {
            writer.write(start, pages)?;
        }
        Ok(())
    }
}

/// CRCs of the chunks of page data that have passed by.
struct Crcs {
    done: KVVec<u32>,
    crc: u32,
    pages: u32,
}

impl Crcs {
    fn new() -> Self {
        Self {
            done: KVVec::new(),
            crc: 0,
            pages: 0,
        }
    }

    /// Takes in pages, in the order of the data.
    fn add(&mut self, pages: &Pinned<'_>) -> Result {
        for index in 0..pages.len() {
            self.crc = pages.crc(index, self.crc);
            self.pages = self.pages.saturating_add(1);
            if self.pages == CHUNK_PAGES {
                self.finish_chunk()?;
            }
        }
        Ok(())
    }

    fn finish_chunk(&mut self) -> Result {
        if self.pages != 0 {
            self.done.push(self.crc, GFP_KERNEL)?;
        }
        self.crc = 0;
        self.pages = 0;
        Ok(())
    }
}

/// The pages that an image will have.
pub(crate) struct Pages {
    owners: KVVec<(ObjRef, Owner, KVVec<Run>)>,
    count: u64,
}

impl Pages {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            owners: KVVec::new(),
            count: 0,
        }
    }

    /// How many.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The address spaces.
    pub(crate) fn address_spaces(&self) -> impl Iterator<Item = &Mm> {
        self.owners.iter().filter_map(|(_, owner, _)| match owner {
            Owner::Mm(mm) => Some(mm),
            _ => None,
        })
    }

    /// Adds the pages of an address space or of shared memory. Gives its number back.
    pub(crate) fn add(&mut self, number: ObjRef, owner: Owner, runs: KVVec<Run>) -> Result<ObjRef> {
        for run in &runs {
            self.count = self
                .count
                .checked_add(u64::from(run.pages))
                .ok_or(EOVERFLOW)?;
        }
        self.owners.push((number, owner, runs), GFP_KERNEL)?;
        Ok(number)
    }

    /// Saves which pages they are.
    pub(crate) fn save_maps(&self, out: &mut Writer) -> Result {
        let mut data = 0u64;

        for (owner, _, runs) in &self.owners {
            let mut map = KVVec::with_capacity(runs.len(), GFP_KERNEL)?;

            for run in runs {
                map.push(
                    PageRun {
                        start: run.start,
                        pages: run.pages,
                        kind: format::RUN_DATA,
                        data,
                    },
                    GFP_KERNEL,
                )?;
                data = data.checked_add(u64::from(run.pages)).ok_or(EOVERFLOW)?;
            }
            out.record(
                &PageMap {
                    owner: *owner,
                    runs: u32::try_from(map.len()).map_err(|_| E2BIG)?,
                },
                &[map.as_slice().as_bytes()],
            )?;
        }
        Ok(())
    }

    /// Writes the pages and the trailer.
    pub(crate) fn write(&self, out: &mut OutStream) -> Result {
        let mut crcs = Crcs::new();

        for (_, owner, runs) in &self.owners {
            for run in runs {
                each_batch(owner, run.start, run.pages, false, |pages| {
                    crcs.add(pages)?;
                    Ok(out.write_pages(pages)?)
                })?;
            }
        }
        crcs.finish_chunk()?;
        let trailer = Trailer {
            magic: header::TRAILER_MAGIC,
            chunks: u32::try_from(crcs.done.len()).map_err(|_| E2BIG)?,
            crc: sys::crc::crc32(crcs.done.as_slice().as_bytes()),
        };

        out.write_all(trailer.as_bytes())?;
        Ok(out.write_all(crcs.done.as_slice().as_bytes())?)
    }
}

/// Calls `each` with the pages of a run, as many at a time as can be held.
fn each_batch(
    owner: &Owner,
    start: u64,
    pages: u32,
    write: bool,
    mut each: impl FnMut(&Pinned<'_>) -> Result,
) -> Result {
    let mut start = start;
    let mut left = u64::from(pages);

    while left > 0 {
        let held = owner.hold(start, left, write)?;
        let got = held.len() as u64;

        each(&held)?;
        if write {
            owner.store(start, &held)?;
        }
        start = start.checked_add(got).ok_or(EINVAL)?;
        left = left.checked_sub(got).ok_or(EINVAL)?;
    }
    Ok(())
}

/// Checks a page map: runs in the order of their addresses, data in the order of the runs, from
/// page number `data` on. Gives the owner, and the number behind the last.
pub(crate) fn check(
    record: &RawRecord<'_>,
    kind_of: KindOf<'_>,
    data: u64,
) -> Result<(ObjRef, u64)> {
    let (map, tail) = record.parse::<PageMap>()?;
    let mut free = 0;
    let mut data = data;

    if !matches!(
        kind_of(map.owner),
        Some(format::Mm::KIND | format::Shmem::KIND | Unnamed::KIND)
    ) {
        return Err(EINVAL.into());
    }
    for run in &image::all::<PageRun>(tail, map.runs)? {
        if run.start < free || run.pages == 0 || run.kind != format::RUN_DATA || run.data != data {
            return Err(EINVAL.into());
        }
        free = run.start.checked_add(u64::from(run.pages)).ok_or(EINVAL)?;
        data = data.checked_add(u64::from(run.pages)).ok_or(EINVAL)?;
    }
    if free > u64::MAX >> SHIFT {
        return Err(EINVAL.into());
    }
    Ok((map.owner, data))
}

/// Reads page data into the memory that it belongs to, in the order of the page maps.
pub(crate) struct PageReader<'a> {
    stream: &'a mut InStream,
    crcs: Crcs,
}

impl<'a> PageReader<'a> {
    /// The stream stands at the first page.
    pub(crate) fn new(stream: &'a mut InStream) -> Self {
        Self {
            stream,
            crcs: Crcs::new(),
        }
    }

    /// Reads the pages of one map.
    pub(crate) fn read(&mut self, record: &RawRecord<'_>, owner: &Owner) -> Result {
        let (map, tail) = record.parse::<PageMap>()?;

        for run in &image::all::<PageRun>(tail, map.runs)? {
            each_batch(owner, run.start, run.pages, true, |pages| {
                self.stream.read_pages(pages)?;
                self.crcs.add(pages)
            })?;
        }
        Ok(())
    }

    /// Reads the trailer, and compares what it says. `EBADMSG`: the data is not what was written.
    pub(crate) fn finish(mut self) -> Result {
        let mut raw = [0u8; size_of::<Trailer>()];

        self.crcs.finish_chunk()?;
        self.stream.read_exact(&mut raw)?;
        let trailer = Trailer::read_from_bytes(&raw).map_err(|_| EINVAL)?;
        let ours = self.crcs.done.as_slice();

        if trailer.magic != header::TRAILER_MAGIC || trailer.chunks as usize != ours.len() {
            return Err(EBADMSG.into());
        }
        let mut theirs = KVVec::from_elem(0u32, ours.len(), GFP_KERNEL)?;

        self.stream
            .read_exact(theirs.as_mut_slice().as_mut_bytes())?;
        if ours != theirs.as_slice() || sys::crc::crc32(ours.as_bytes()) != trailer.crc {
            return Err(EBADMSG.into());
        }
        Ok(())
    }
}
