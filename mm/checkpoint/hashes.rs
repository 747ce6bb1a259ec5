// SPDX-License-Identifier: GPL-2.0

//! Hashes of page data that is written, one for each chunk.
//!
//! Pages that nobody writes to, those of a duplicate and copies, are hashed by other processors while
//! more are written.

use crate::error::Result;
use crate::format::header::CHUNK_PAGES;
use crate::mm::crew::Crew;
use crate::mm::crew::Job;
use crate::sys::hash::Xxh64;
use crate::sys::page::Pinned;
use core::mem;
use core::ops::Range;
use kernel::prelude::*;
use kernel::sync::new_mutex;
use kernel::sync::Arc;
use kernel::sync::Mutex;

/// So many chunks wait at most to be hashed by others: their pages cannot be swapped out.
pub(super) const WAITING: usize = 4;

/// A chunk, or its beginning.
struct Chunk {
    /// Of the first pages.
    hash: Xxh64,
    /// Those that follow, in the order of the data.
    parts: KVec<(Arc<Pinned<'static>>, Range<usize>)>,
    pages: usize,
}

impl Chunk {
    fn new() -> Self {
        Self {
            hash: Xxh64::new(),
            parts: KVec::new(),
            pages: 0,
        }
    }

    /// Hashes all pages, and lets them go.
    fn work(&mut self) {
        for (pages, range) in self.parts.drain_all() {
            for index in range {
                self.hash.add(&pages, index);
            }
        }
    }
}

/// The hashes by the numbers of their chunks; that of the first pages as long as it is not known.
#[pin_data]
struct Table {
    #[pin]
    hashes: Mutex<KVVec<u64>>,
}

/// A chunk to be hashed.
struct Hashing {
    table: Arc<Table>,
    number: usize,
    chunk: Chunk,
}

impl Job for Hashing {
    fn work(mut self, _may_wait: bool) -> Option<Self> {
        self.chunk.work();
        if let Some(place) = self.table.hashes.lock().get_mut(self.number) {
            *place = self.chunk.hash.get();
        }
        None
    }
}

/// Hashes of the chunks of page data that have passed by.
pub(super) struct Hashes {
    crew: Crew<Hashing>,
    table: Arc<Table>,
    chunk: Chunk,
}

impl Hashes {
    /// None yet.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            crew: Crew::new(WAITING)?,
            table: Arc::pin_init(
                pin_init!(Table {
                    hashes <- new_mutex!(KVVec::new()),
                }),
                GFP_KERNEL,
            )?,
            chunk: Chunk::new(),
        })
    }

    /// Hashes pages, in the order of the data.
    pub(super) fn add(&mut self, pages: &Pinned<'_>) -> Result {
        self.chunk.work();
        for index in 0..pages.len() {
            self.chunk.hash.add(pages, index);
            self.chunk.pages = self.chunk.pages.saturating_add(1);
            if self.chunk.pages == CHUNK_PAGES as usize {
                self.finish_chunk()?;
            }
        }
        Ok(())
    }

    /// Takes in pages that nobody writes to as long as this is there.
    pub(super) fn add_later(&mut self, pages: Pinned<'static>) -> Result {
        let pages = Arc::new(pages, GFP_KERNEL)?;
        let mut start = 0;

        while start < pages.len() {
            let room = (CHUNK_PAGES as usize).saturating_sub(self.chunk.pages);
            let end = start.saturating_add(room).min(pages.len());

            self.chunk
                .parts
                .push((pages.clone(), start..end), GFP_KERNEL)?;
            self.chunk.pages = self.chunk.pages.saturating_add(end.saturating_sub(start));
            start = end;
            if self.chunk.pages == CHUNK_PAGES as usize {
                self.finish_chunk()?;
            }
        }
        Ok(())
    }

    /// Lets others hash the chunk.
    fn finish_chunk(&mut self) -> Result {
        let chunk = mem::replace(&mut self.chunk, Chunk::new());
        let number = {
            let mut hashes = self.table.hashes.lock();

            hashes.push(chunk.hash.get(), GFP_KERNEL)?;
            hashes.len().saturating_sub(1)
        };

        if chunk.parts.is_empty() {
            return Ok(());
        }
        self.crew.submit(Hashing {
            table: self.table.clone(),
            number,
            chunk,
        })
    }

    /// All of them.
    pub(super) fn finish(mut self) -> Result<KVVec<u64>> {
        if self.chunk.pages != 0 {
            self.chunk.work();
            self.finish_chunk()?;
        }
        self.crew.finish();
        Ok(mem::replace(&mut *self.table.hashes.lock(), KVVec::new()))
    }
}
