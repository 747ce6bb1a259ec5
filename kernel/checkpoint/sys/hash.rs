// SPDX-License-Identifier: GPL-2.0

//! Hashes of page data.
//!
//! C header: [`include/linux/xxhash.h`](srctree/include/linux/xxhash.h)

use super::page::Pinned;
use kernel::bindings;

/// XXH64, with seed 0, of pages that come one after the other. No CPU needs special instructions for it.
pub(crate) struct Xxh64(bindings::xxh64_state);

impl Xxh64 {
    /// Of nothing.
    pub(crate) fn new() -> Self {
        let mut state = bindings::xxh64_state::default();

        // SAFETY: The state is there to be written to.
        unsafe { bindings::xxh64_reset(&raw mut state, 0) };
        Self(state)
    }

    /// Takes in page number `index`.
    pub(crate) fn add(&mut self, pages: &Pinned<'_>, index: usize) {
        if let Some(vec) = pages.vecs().get(index) {
            // SAFETY: The page is held; it is mapped while it is read, and what somebody else
            // writes to it meanwhile shows in the hash as in the data: as either value.
            unsafe { bindings::checkpoint_hash_page(&raw mut self.0, vec.bv_page) };
        }
    }

    /// The hash of all that was taken in.
    pub(crate) fn get(&self) -> u64 {
        // SAFETY: The state was made by `xxh64_reset()`.
        unsafe { bindings::xxh64_digest(&raw const self.0) }
    }
}
