// SPDX-License-Identifier: GPL-2.0

//! Reading the content of memory from an image.
//!
//! A stream is read in the order of the page data, while other processors hash what has come. Of an
//! image that is a regular file, what is in memory already (the page cache) is read by all processors,
//! each its part; what must come from a disk first is read in order.

use crate::error::Error;
use crate::error::Result;
use crate::format::header;
use crate::format::header::CHUNK_PAGES;
use crate::format::memory as format;
use crate::format::memory::PageMap;
use crate::format::memory::PageRun;
use crate::format::ObjRef;
use crate::format::Trailer;
use crate::image;
use crate::image::RawRecord;
use crate::mm::crew::Crew;
use crate::mm::crew::Job;
use crate::mm::hashes::WAITING;
use crate::mm::pages::address_of;
use crate::mm::pages::source;
use crate::mm::pages::Owner;
use crate::mm::pages::BATCH;
use crate::restore::Restart;
use crate::sys;
use crate::sys::hash::Xxh64;
use crate::sys::lazy;
use crate::sys::mm::Mm;
use crate::sys::page::Pinned;
use crate::sys::page::SHIFT;
use crate::sys::stream::ImageFile;
use crate::sys::stream::InStream;
use core::mem;
use core::ops::Range;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::sync::new_mutex;
use kernel::sync::Arc;
use kernel::sync::Mutex;
use zerocopy::FromBytes;
use zerocopy::IntoBytes;

/// So many pages are worth to be read by another processor.
const JOB: u64 = 64;

/// So many jobs wait at most to be done by others.
const JOBS: usize = 64;

/// Pages that follow each other, and have their number in the page data.
struct Part {
    data: u64,
    pages: Arc<Pinned<'static>>,
    range: Range<usize>,
}

/// A chunk of which not all pages have come.
struct Chunk {
    parts: KVec<Part>,
    pages: u64,
}

impl Chunk {
    /// Hashes all pages, in the order of the data, and lets them go.
    fn hash(mut self) -> u64 {
        let mut hash = Xxh64::new();

        self.parts.sort_unstable_by_key(|part| part.data);
        for part in self.parts.drain_all() {
            for index in part.range {
                hash.add(&part.pages, index);
            }
        }
        hash.get()
    }
}

struct State {
    /// By the number of the chunk; 0 as long as it is not known.
    hashes: KVVec<u64>,
    /// Chunks that are not complete, by their numbers.
    open: RBTree<u64, Chunk>,
    /// The first that could not be read, and why.
    error: Option<(kernel::error::Error, ObjRef)>,
}

/// The page data that has come, which may do so in any order.
#[pin_data]
struct Arrivals {
    /// The image, if several can read it at once, ...
    file: Option<ImageFile>,
    /// ... and where its page data starts.
    start: u64,
    /// How many pages there are.
    pages: u64,
    #[pin]
    state: Mutex<State>,
}

impl Arrivals {
    /// Takes in pages that nobody writes to as long as this is there; `data` is the number of the
    /// first. Gives the chunks that are complete now, with their numbers.
    fn add(&self, data: u64, pages: Pinned<'static>) -> Result<KVec<(u64, Chunk)>> {
        const CHUNK: u64 = CHUNK_PAGES as u64;
        let pages = Arc::new(pages, GFP_KERNEL)?;
        let mut complete = KVec::new();
        let state = &mut *self.state.lock();
        let mut start = 0;

        while start < pages.len() {
            let data = data.saturating_add(start as u64);
            let number = data / CHUNK;
            let room = CHUNK.saturating_sub(data % CHUNK);
            let end = pages.len().min(start.saturating_add(room as usize));
            let size = CHUNK.min(self.pages.saturating_sub(number.saturating_mul(CHUNK)));

            if state.open.get(&number).is_none() {
                let chunk = Chunk {
                    parts: KVec::new(),
                    pages: 0,
                };

                state
                    .open
                    .try_create_and_insert(number, chunk, GFP_KERNEL)?;
            }
            let chunk = state.open.get_mut(&number).ok_or(EINVAL)?;
            let part = Part {
                data,
                pages: pages.clone(),
                range: start..end,
            };

            chunk.parts.push(part, GFP_KERNEL)?;
            chunk.pages = chunk.pages.saturating_add(end.saturating_sub(start) as u64);
            if chunk.pages == size {
                let chunk = state.open.remove(&number).ok_or(EINVAL)?;

                complete.push((number, chunk), GFP_KERNEL)?;
            }
            start = end;
        }
        Ok(complete)
    }

    /// Hashes a chunk.
    fn hash(&self, number: u64, chunk: Chunk) -> Result {
        let index = usize::try_from(number).map_err(|_| EINVAL)?;
        let hash = chunk.hash();
        let hashes = &mut self.state.lock().hashes;

        if index >= hashes.len() {
            hashes.resize(index.saturating_add(1), 0, GFP_KERNEL)?;
        }
        *hashes.get_mut(index).ok_or(EINVAL)? = hash;
        Ok(())
    }

    fn error(&self) -> Option<(kernel::error::Error, ObjRef)> {
        self.state.lock().error
    }

    /// Whoever reads stops.
    fn fail(&self, error: &Error, number: ObjRef) {
        self.state
            .lock()
            .error
            .get_or_insert((error.errno(), number));
    }
}

/// Pages that are to be read into an address space.
struct Piece {
    number: ObjRef,
    mm: Arc<Mm>,
    /// The number of the first page there, ...
    page: u64,
    pages: u64,
    /// ... and in the page data.
    data: u64,
}

impl Piece {
    /// Brings some of them to their place.
    fn fetch(&self, arrivals: &Arrivals, may_wait: bool) -> Result<Pinned<'static>> {
        let file = arrivals.file.as_ref().ok_or(EINVAL)?;
        let max = usize::try_from(self.pages.min(BATCH)).map_err(|_| EINVAL)?;
        let address = address_of(self.page)?;
        let held = self.mm.replace(address, max, may_wait)?;

        file.read(&held, end_of(arrivals.start, self.data)?, may_wait)?;
        self.mm.map(address, &held, may_wait)?;
        Ok(held.unborrowed())
    }

    /// Reads and hashes them. False: the rest is left to somebody who may wait.
    fn read(&mut self, arrivals: &Arrivals, may_wait: bool) -> Result<bool> {
        while self.pages > 0 && arrivals.error().is_none() {
            let held = match self.fetch(arrivals, may_wait) {
                // What is wrong is found out with the rights of the caller.
                Err(_) if !may_wait => return Ok(false),
                held => held?,
            };
            let got = held.len() as u64;

            for (number, chunk) in arrivals.add(self.data, held)? {
                arrivals.hash(number, chunk)?;
            }
            self.page = self.page.checked_add(got).ok_or(EINVAL)?;
            self.pages = self.pages.checked_sub(got).ok_or(EINVAL)?;
            self.data = self.data.checked_add(got).ok_or(EINVAL)?;
        }
        Ok(true)
    }
}

enum Work {
    Read(KVec<Piece>),
    Hash(u64, Chunk),
}

/// What one processor does.
struct Reading {
    arrivals: Arc<Arrivals>,
    work: Work,
}

impl Job for Reading {
    fn work(self, may_wait: bool) -> Option<Self> {
        let arrivals = self.arrivals;
        let mut pieces = match self.work {
            Work::Read(pieces) => pieces,
            Work::Hash(number, chunk) => {
                if let Err(error) = arrivals.hash(number, chunk) {
                    arrivals.fail(&error, ObjRef::NONE);
                }
                return None;
            }
        };

        for piece in &mut pieces {
            match piece.read(&arrivals, may_wait) {
                Ok(false) => {
                    // Those that are done have no pages left.
                    return Some(Self {
                        arrivals,
                        work: Work::Read(pieces),
                    });
                }
                Err(error) => arrivals.fail(&error, piece.number),
                Ok(true) => (),
            }
        }
        None
    }
}

/// Reads page data into the memory that it belongs to, in the order of the page maps.
pub(crate) struct PageReader<'a> {
    restart: &'a Restart,
    stream: &'a mut InStream,
    crew: Crew<Reading>,
    arrivals: Arc<Arrivals>,
    /// The next job, as far as it is known.
    next: KVec<Piece>,
    /// Address spaces whose pages may not all be there yet.
    unfinished: RBTree<ObjRef, ()>,
    /// Where memory finds its content later, if it is not read now.
    image: Option<lazy::Image>,
}

impl<'a> PageReader<'a> {
    /// The stream stands at the first of that many pages.
    pub(crate) fn new(restart: &'a Restart, stream: &'a mut InStream, pages: u64) -> Result<Self> {
        let start = stream.tell();
        let file = stream.shared();

        Ok(Self {
            restart,
            stream,
            crew: Crew::new(if file.is_some() { JOBS } else { WAITING })?,
            arrivals: Arc::pin_init(
                pin_init!(Arrivals {
                    file,
                    start,
                    pages,
                    state <- new_mutex!(State {
                        hashes: KVVec::new(),
                        open: RBTree::new(),
                        error: None,
                    }),
                }),
                GFP_KERNEL,
            )?,
            next: KVec::new(),
            unfinished: RBTree::new(),
            image: None,
        })
    }

    /// The stream stands at the first of that many pages, most of which are to be read when
    /// somebody touches them. `ESPIPE`: that takes a regular file. Where it cannot be done for
    /// another reason, all are read.
    pub(crate) fn new_lazy(
        restart: &'a Restart,
        stream: &'a mut InStream,
        pages: u64,
    ) -> Result<Self> {
        let start = stream.tell();
        let end = end_of(start, pages)?;

        stream.seek(end)?;
        let hashes = read_trailer(stream, pages.div_ceil(u64::from(CHUNK_PAGES)))?;
        let image = if sys::page::is_aligned(start) {
            lazy::Image::open(stream, start >> SHIFT, pages, &hashes)
        } else {
            Err(EOPNOTSUPP)
        };

        stream.seek(start)?;
        let reader = Self::new(restart, stream, pages)?;

        match image {
            Ok(image) => Ok(Self {
                image: Some(image),
                ..reader
            }),
            Err(EOPNOTSUPP) => Ok(reader),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the pages of one map, or has them read.
    ///
    /// What is shared comes first: reading may fill neighbouring pages too (huge pages), and
    /// sharing wants to find none.
    pub(crate) fn read(&mut self, record: &RawRecord<'_>, owner: &Owner) -> Result {
        let (map, tail) = record.parse::<PageMap>()?;
        let runs = image::all::<PageRun>(tail, map.runs)?;

        self.read_runs(map.owner, &runs, owner)
            .map_err(|error| self.explain(error, map.owner))
    }

    fn explain(&self, error: Error, number: ObjRef) -> Error {
        // Memory that nobody may write to cannot have been written to.
        let error = match error {
            error if !error.is_told() && error.errno() == EFAULT => EINVAL.into(),
            error => error,
        };

        self.restart
            .explain(error, fmt!("object {}: its pages", number.0))
    }

    fn read_runs(&mut self, number: ObjRef, runs: &[PageRun], owner: &Owner) -> Result {
        let is_lazy = self.image.is_some();

        for run in runs.iter().filter(|run| run.kind == format::RUN_SHARED) {
            let from = source(run)?;

            if self.unfinished.get(&from).is_some() {
                self.settle()?;
            }
            share(owner, &*self.restart.address_space(from)?, run, is_lazy)?;
        }
        for run in runs.iter().filter(|run| run.kind == format::RUN_DATA) {
            match (&mut self.image, owner) {
                (Some(image), _) => read_later(image, owner, run)?,
                (None, Owner::NewMm(mm)) if self.arrivals.file.is_some() => {
                    self.queue(number, mm, run)?;
                }
                (None, _) => self.read_now(owner, run)?,
            }
        }
        Ok(())
    }

    /// Has pages read by whoever has time.
    fn queue(&mut self, number: ObjRef, mm: &Arc<Mm>, run: &PageRun) -> Result {
        let mut page = run.start;
        let mut left = u64::from(run.pages);
        let mut data = run.data;

        if self.unfinished.get(&number).is_none() {
            self.unfinished
                .try_create_and_insert(number, (), GFP_KERNEL)?;
        }
        while left > 0 {
            // Huge pages stay whole.
            let pages = left.min(BATCH.saturating_sub(page % BATCH));
            let piece = Piece {
                number,
                mm: mm.clone(),
                page,
                pages,
                data,
            };

            self.next.push(piece, GFP_KERNEL)?;
            if self
                .next
                .iter()
                .fold(0, |sum, piece| piece.pages.saturating_add(sum))
                >= JOB
            {
                let pieces = mem::replace(&mut self.next, KVec::new());

                self.go_on()?;
                self.submit(Work::Read(pieces))?;
                self.check()?;
            }
            page = page.checked_add(pages).ok_or(EINVAL)?;
            data = data.checked_add(pages).ok_or(EINVAL)?;
            left = left.checked_sub(pages).ok_or(EINVAL)?;
        }
        Ok(())
    }

    fn submit(&self, work: Work) -> Result {
        self.crew.submit(Reading {
            arrivals: self.arrivals.clone(),
            work,
        })
    }

    /// Whether there is a reason to go on: nothing else has failed, and the caller has not been killed.
    fn go_on(&self) -> Result {
        if sys::task::is_dying() {
            return Err(EINTR.into());
        }
        self.restart.check_failed()
    }

    /// Whether something could not be read.
    fn check(&self) -> Result {
        match self.arrivals.error() {
            Some((errno, number)) => Err(self.explain(errno.into(), number)),
            None => Ok(()),
        }
    }

    /// Returns when all that was queued is there.
    fn settle(&mut self) -> Result {
        let pieces = mem::replace(&mut self.next, KVec::new());
        let rest = Reading {
            arrivals: self.arrivals.clone(),
            work: Work::Read(pieces),
        };

        rest.work(true);
        self.crew.finish();
        self.unfinished = RBTree::new();
        self.check()
    }

    /// Reads pages, and has them hashed.
    fn read_now(&mut self, owner: &Owner, run: &PageRun) -> Result {
        let mut page = run.start;
        let mut left = u64::from(run.pages);
        let mut data = run.data;

        while left > 0 {
            self.go_on()?;
            let held = owner.hold(page, left, true)?;
            let got = held.len() as u64;

            match &self.arrivals.file {
                None => self.stream.read_pages(&held)?,
                Some(file) => {
                    let position = end_of(self.arrivals.start, data)?;

                    file.read(&held, position, true)?;
                }
            }
            owner.store(page, &held)?;
            for (number, chunk) in self.arrivals.add(data, held.unborrowed())? {
                self.submit(Work::Hash(number, chunk))?;
            }
            page = page.checked_add(got).ok_or(EINVAL)?;
            data = data.checked_add(got).ok_or(EINVAL)?;
            left = left.checked_sub(got).ok_or(EINVAL)?;
        }
        Ok(())
    }

    /// Reads the trailer, and compares what it says. `EBADMSG`: the data is not what was written.
    /// Gives the image of what is not read yet, each chunk of which is compared when it is.
    pub(crate) fn finish(mut self) -> Result<Option<lazy::Image>> {
        if self.image.is_some() {
            return Ok(self.image);
        }
        self.settle()?;
        if self.arrivals.file.is_some() {
            let end = end_of(self.arrivals.start, self.arrivals.pages)?;

            self.stream.seek(end)?;
        }
        let chunks = self.arrivals.pages.div_ceil(u64::from(CHUNK_PAGES));
        let theirs = read_trailer(self.stream, chunks)?;

        if self.arrivals.state.lock().hashes.as_slice() != theirs.as_slice() {
            return Err(EBADMSG.into());
        }
        Ok(None)
    }
}

/// The position behind `pages` pages from `start` on.
fn end_of(start: u64, pages: u64) -> Result<u64> {
    Ok(start.checked_add(address_of(pages)?).ok_or(EINVAL)?)
}

/// Reads the trailer of that many chunks. Gives their hashes.
fn read_trailer(stream: &mut InStream, chunks: u64) -> Result<KVVec<u64>> {
    let mut raw = [0u8; size_of::<Trailer>()];

    stream.read_exact(&mut raw)?;
    let trailer = Trailer::read_from_bytes(&raw).map_err(|_| EINVAL)?;

    if trailer.magic != header::TRAILER_MAGIC || u64::from(trailer.chunks) != chunks {
        return Err(EBADMSG.into());
    }
    let mut hashes = KVVec::from_elem(0u64, trailer.chunks as usize, GFP_KERNEL)?;

    stream.read_exact(hashes.as_mut_slice().as_mut_bytes())?;
    if sys::crc::crc32(hashes.as_slice().as_bytes()) != trailer.crc {
        return Err(EBADMSG.into());
    }
    Ok(hashes)
}

/// Has private memory read from the image when it is touched. What others can reach by other ways
/// than a page table is read now, and so are huge pages (hugetlb).
fn read_later(image: &mut lazy::Image, owner: &Owner, run: &PageRun) -> Result {
    let mut index = run.data;
    let mut page = run.start;
    let mut left = u64::from(run.pages);

    while left > 0 {
        let mut done = 0;

        if let Owner::NewMm(mm) = owner {
            let start = address_of(page)?;

            done = image.install(mm, start, left, index)?;
        }
        if done == 0 {
            let held = owner.hold(page, left, true)?;

            image.read(index, &held)?;
            owner.store(page, &held)?;
            done = held.len() as u64;
        }
        index = index.checked_add(done).ok_or(EINVAL)?;
        page = page.checked_add(done).ok_or(EINVAL)?;
        left = left.checked_sub(done).ok_or(EINVAL)?;
    }
    Ok(())
}

/// Gives an address space pages of another one: shared as after fork(2) where that can be, copied
/// elsewhere.
fn share(owner: &Owner, from: &Mm, run: &PageRun, is_lazy: bool) -> Result {
    let Owner::NewMm(mm) = owner else {
        return Err(EINVAL.into());
    };
    let size = sys::page::SIZE as u64;
    let mut start = address_of(run.start)?;
    let end = u64::from(run.pages)
        .checked_mul(size)
        .and_then(|len| start.checked_add(len))
        .ok_or(EINVAL)?;

    if is_lazy {
        // What is shared is one page: it cannot be read once for each.
        lazy::pull(from, start, end)?;
    }
    while start < end {
        let (done, shared) = mm.share(from, start, end)?;

        while !shared && start < done {
            let max = usize::try_from((done.saturating_sub(start) >> SHIFT).min(BATCH))
                .map_err(|_| EINVAL)?;
            let ours = mm.hold(start, max, true)?;
            let theirs = from.hold(start, ours.len(), false)?;

            ours.copy_from(&theirs, 0);
            start = start.saturating_add((theirs.len() as u64).saturating_mul(size));
        }
        start = done;
    }
    Ok(())
}
