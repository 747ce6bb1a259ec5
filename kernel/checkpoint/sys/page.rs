// SPDX-License-Identifier: GPL-2.0

//! Pages that are held in memory while they are written or read.
//!
//! C functions: `get_user_pages_remote()`, `iov_iter_bvec()`

use core::marker::PhantomData;
use core::num::NonZeroU64;
use core::ptr;
use kernel::bindings;
use kernel::prelude::*;

/// Bytes of a page.
pub(crate) const SIZE: usize = kernel::page::PAGE_SIZE;

/// Log2 of [`SIZE`].
pub(crate) const SHIFT: u32 = kernel::page::PAGE_SHIFT as u32;

/// Whether an address or a length is one of whole pages.
pub(crate) fn is_aligned(bytes: u64) -> bool {
    const MASK: u64 = SIZE as u64 - 1;

    bytes & MASK == 0
}

/// A page that is held, and so stays the one that has its number.
///
/// # Invariants
///
/// Owns a reference to the page with that number.
pub(crate) struct Frame(NonZeroU64);

impl Frame {
    /// Takes over a page that is held, by its number.
    ///
    /// # Safety
    ///
    /// The caller must own a reference to that page, and gives it up.
    pub(super) unsafe fn new(number: u64) -> Option<Self> {
        // INVARIANT: By the safety requirements.
        NonZeroU64::new(number).map(Self)
    }
}

/// Copies of pages, made one by one.
///
/// # Invariants
///
/// `used` is at most the number of pages.
pub(crate) struct Copies {
    pages: Pinned<'static>,
    used: usize,
}

impl Copies {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            pages: Pinned::none(),
            used: 0,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Copies one more.
    pub(crate) fn push(&mut self, from: &Frame) -> Result {
        /// How many pages are made at once.
        const STEP: usize = 8;

        if self.used == self.pages.len() {
            self.pages.append(Pinned::new_pages(STEP)?)?;
        }
        let to = self.pages.pages.get(self.used).ok_or(EINVAL)?;

        // SAFETY: Both pages are held.
        unsafe { bindings::checkpoint_copy_frame(to.bv_page, from.0.get()) };
        self.used = self.used.saturating_add(1);
        Ok(())
    }

    /// The copies, and nothing more.
    pub(crate) fn finish(self) -> Pinned<'static> {
        let mut pages = self.pages;

        pages.truncate(self.used);
        pages
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::checkpoint_put_frame(self.0.get()) };
    }
}

/// How a page is let go again.
#[derive(Clone, Copy)]
pub(super) enum Hold {
    /// By a reference, to read it.
    Read,
    /// By a reference, to write to it.
    Write,
    /// By a reference; it is to be mapped when it has its content.
    New,
}

/// Whole pages in the order of their addresses, held until this is dropped.
///
/// # Invariants
///
/// Every `bv_page` is held in the way that `hold` says, and describes a whole page.
pub(crate) struct Pinned<'a> {
    pages: KVec<bindings::bio_vec>,
    hold: Hold,
    lender: PhantomData<&'a ()>,
}

// SAFETY: Any task may use a page that is held, and let it go.
unsafe impl Send for Pinned<'_> {}
// SAFETY: As above; what a shared reference allows does not change the list.
unsafe impl Sync for Pinned<'_> {}

impl Pinned<'static> {
    /// Makes `count` pages that belong to nobody.
    pub(crate) fn new_pages(count: usize) -> Result<Self> {
        let mut pages = KVec::from_elem(ptr::null_mut(), count, GFP_KERNEL)?;
        // SAFETY: There is room for so many pages, and none is there yet.
        let got = unsafe { bindings::checkpoint_new_pages(pages.as_mut_ptr(), count as _) };

        pages.truncate(got as usize);
        // SAFETY: The function gives pages with a reference each.
        let pinned = unsafe { Self::new(&pages, Hold::Read)? };

        if pinned.len() < count {
            return Err(ENOMEM);
        }
        Ok(pinned)
    }
}

impl Pinned<'_> {
    /// Takes over pages that are held.
    ///
    /// # Safety
    ///
    /// Every page must be held in the way that `hold` says, and the caller gives that up.
    pub(super) unsafe fn new(pages: &[*mut bindings::page], hold: Hold) -> Result<Self> {
        let mut pinned = Self {
            // INVARIANT: There is none yet.
            pages: KVec::new(),
            hold,
            lender: PhantomData,
        };

        if let Err(error) = pinned.pages.reserve(pages.len(), GFP_KERNEL) {
            for &page in pages {
                // SAFETY: By the safety requirements of this function.
                unsafe { release(page, hold) };
            }
            return Err(error.into());
        }
        for &bv_page in pages {
            // INVARIANT: By the safety requirements of this function.
            let _ = pinned.pages.push_within_capacity(bindings::bio_vec {
                bv_page,
                bv_len: SIZE as u32,
                bv_offset: 0,
            });
        }
        Ok(pinned)
    }

    /// No pages.
    fn none() -> Self {
        // INVARIANT: There are none.
        Self {
            pages: KVec::new(),
            hold: Hold::Read,
            lender: PhantomData,
        }
    }

    /// The same, held for longer than what they belong to, perhaps.
    pub(crate) fn unborrowed(mut self) -> Pinned<'static> {
        // INVARIANT: They come from here, where none is left.
        Pinned {
            pages: core::mem::take(&mut self.pages),
            hold: self.hold,
            lender: PhantomData,
        }
    }

    /// Copies of them, which nobody else knows.
    pub(crate) fn copied(&self) -> Result<Pinned<'static>> {
        let copies = Pinned::new_pages(self.len())?;

        copies.copy_from(self, 0);
        Ok(copies)
    }

    /// Takes over the pages of another.
    fn append(&mut self, mut other: Self) -> Result {
        self.pages.reserve(other.pages.len(), GFP_KERNEL)?;
        for vec in core::mem::take(&mut other.pages) {
            // INVARIANT: Both are only made to be read.
            let _ = self.pages.push_within_capacity(vec);
        }
        Ok(())
    }

    /// Lets go of all pages but the first `len`.
    fn truncate(&mut self, len: usize) {
        for vec in self.pages.get(len..).unwrap_or_default() {
            // SAFETY: By the type invariants; the pages are forgotten below.
            unsafe { release(vec.bv_page, self.hold) };
        }
        self.pages.truncate(len);
    }

    /// How many pages.
    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether page number `index` is the same page in both.
    pub(crate) fn is_same(&self, other: &Pinned<'_>, index: usize) -> bool {
        match (self.pages.get(index), other.pages.get(index)) {
            (Some(ours), Some(theirs)) => ours.bv_page == theirs.bv_page,
            _ => false,
        }
    }

    /// Whether all are parts of huge pages that one mapping has for itself.
    pub(super) fn are_own_huge_pages(&self) -> bool {
        self.pages
            .iter()
            // SAFETY: The page is held.
            .all(|vec| unsafe { bindings::checkpoint_is_own_huge_page(vec.bv_page) })
    }

    /// Whether they are still to be mapped, see `Mm::map`.
    pub(super) fn are_new(&self) -> bool {
        matches!(self.hold, Hold::New)
    }

    /// How many bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.len().saturating_mul(SIZE)
    }

    /// An iterator over the bytes from `skip` on, for functions that take a `struct iov_iter`.
    pub(super) fn iter(&self, direction: u32, skip: usize) -> bindings::iov_iter {
        let mut iter = bindings::iov_iter::default();

        // SAFETY: The vector is valid for as long as `self`, which the callers outlive.
        unsafe {
            bindings::iov_iter_bvec(
                &raw mut iter,
                direction,
                self.pages.as_ptr(),
                self.pages.len() as _,
                self.bytes(),
            );
            bindings::iov_iter_advance(&raw mut iter, skip);
        }
        iter
    }

    /// The pages, each as a whole.
    pub(super) fn vecs(&self) -> &[bindings::bio_vec] {
        &self.pages
    }

    /// Copies pages, from number `skip` of the others on, as many as both have. These must be held
    /// to be written to.
    pub(crate) fn copy_from(&self, from: &Pinned<'_>, skip: usize) {
        let both = self.pages.iter().zip(from.pages.iter().skip(skip));

        for (to, from) in both.filter(|(to, from)| to.bv_page != from.bv_page) {
            // SAFETY: Both pages are held. What somebody else writes to them meanwhile is copied,
            // or not.
            unsafe { bindings::checkpoint_copy_page(to.bv_page, from.bv_page) };
        }
    }
}

/// Lets a page go.
///
/// # Safety
///
/// The page must be held in the way that `hold` says.
unsafe fn release(page: *mut bindings::page, hold: Hold) {
    // SAFETY: By the safety requirements.
    unsafe {
        match hold {
            Hold::Read | Hold::New => bindings::checkpoint_put_page(page),
            Hold::Write => bindings::checkpoint_put_dirty(page),
        }
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        for vec in &self.pages {
            // SAFETY: By the type invariants.
            unsafe { release(vec.bv_page, self.hold) };
        }
    }
}
