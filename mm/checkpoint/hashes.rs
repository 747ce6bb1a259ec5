// SPDX-License-Identifier: GPL-2.0

//! Hashes of page data, one for each chunk.
//!
//! Pages that nobody writes to are hashed by other processors while more are written or read: those
//! of a duplicate, copies, and all that a restart has read before the commit.

use crate::error::Result;
use crate::format::header::CHUNK_PAGES;
use crate::sys;
use crate::sys::hash::Xxh64;
use crate::sys::page::Pinned;
use core::mem;
use core::ops::Range;
use kernel::prelude::*;
use kernel::sync::new_condvar;
use kernel::sync::new_mutex;
use kernel::sync::Arc;
use kernel::sync::CondVar;
use kernel::sync::Mutex;

/// So many chunks wait at most to be hashed by others: their pages cannot be swapped out.
const WAITING: usize = 4;

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

/// What those who hash have in common.
struct State {
    /// By the number of the chunk; 0 as long as it is not known.
    hashes: KVVec<u64>,
    waiting: KVec<(usize, Chunk)>,
    /// How many are hashed just now.
    in_work: usize,
}

#[pin_data]
struct Shared {
    #[pin]
    state: Mutex<State>,
    /// Told when nothing is in work.
    #[pin]
    idle: CondVar,
}

impl Shared {
    /// Adds the hash of a chunk.
    fn push_hash(&self, hash: u64) -> Result {
        Ok(self.state.lock().hashes.push(hash, GFP_KERNEL)?)
    }

    /// Lets a chunk wait. Gives how many do.
    fn push(&self, chunk: Chunk) -> Result<usize> {
        let state = &mut *self.state.lock();
        let index = state.hashes.len();

        state.hashes.push(0, GFP_KERNEL)?;
        state.waiting.push((index, chunk), GFP_KERNEL)?;
        Ok(state.waiting.len())
    }

    fn take(&self) -> Option<(usize, Chunk)> {
        let mut state = self.state.lock();
        let next = state.waiting.pop()?;

        state.in_work = state.in_work.saturating_add(1);
        Some(next)
    }

    /// Hashes a chunk, if one waits. Gives whether.
    fn work(&self) -> bool {
        let Some((index, mut chunk)) = self.take() else {
            return false;
        };

        // Its pages are let go before somebody goes on.
        chunk.work();
        let hash = chunk.hash.get();
        let mut state = self.state.lock();

        if let Some(place) = state.hashes.get_mut(index) {
            *place = hash;
        }
        state.in_work = state.in_work.saturating_sub(1);
        if state.in_work == 0 {
            self.idle.notify_all();
        }
        true
    }

    /// Waits until nothing is in work, which takes no longer than to hash a chunk.
    fn wait(&self) {
        let mut state = self.state.lock();

        while state.in_work != 0 {
            self.idle.wait(&mut state);
        }
    }
}

/// Hashes of the chunks of page data that have passed by.
pub(super) struct Hashes {
    shared: Arc<Shared>,
    chunk: Chunk,
}

impl Hashes {
    /// None yet.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            shared: Arc::pin_init(
                pin_init!(Shared {
                    state <- new_mutex!(State {
                        hashes: KVVec::new(),
                        waiting: KVec::new(),
                        in_work: 0,
                    }),
                    idle <- new_condvar!(),
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

        if chunk.parts.is_empty() {
            return self.shared.push_hash(chunk.hash.get());
        }
        let waiting = self.shared.push(chunk)?;
        let shared = self.shared.clone();
        let help = sys::work::anywhere().try_spawn(GFP_KERNEL, move || {
            shared.work();
        });

        // The others are too slow, or there are none.
        if waiting > WAITING || help.is_err() {
            self.shared.work();
        }
        Ok(())
    }

    /// All of them.
    pub(super) fn finish(mut self) -> Result<KVVec<u64>> {
        if self.chunk.pages != 0 {
            self.chunk.work();
            self.finish_chunk()?;
        }
        while self.shared.work() {}
        self.shared.wait();
        Ok(mem::replace(
            &mut self.shared.state.lock().hashes,
            KVVec::new(),
        ))
    }
}

impl Drop for Hashes {
    fn drop(&mut self) {
        let waiting = mem::take(&mut self.shared.state.lock().waiting);

        // Nobody has pages of what has failed.
        drop(waiting);
        self.shared.wait();
    }
}
