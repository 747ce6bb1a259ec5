// SPDX-License-Identifier: GPL-2.0

//! Mappings: those of any address space, and making them in that of the running task.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h)

use super::file;
use super::file::FileRef;
use super::mempolicy::Policy;
use super::mm::Mm;
use super::page::Frame;
use core::ffi::c_void;
use core::ptr;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::str::CString;

/// A mapping.
pub(crate) struct VmaInfo {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// `VM_*` of the kernel.
    pub(crate) flags: u64,
    pub(crate) pgoff: u64,
    pub(crate) file: Option<FileRef>,
    /// Name of a special mapping, like `[vdso]`.
    pub(crate) special: Option<CString>,
    /// Name of an anonymous mapping (PR_SET_VMA_ANON_NAME).
    pub(crate) name: Option<CString>,
    /// Its NUMA policy, if it has one of its own.
    pub(crate) policy: Option<Policy>,
    /// May have pages of its own: a file that nobody has written to has none.
    pub(crate) has_pages: bool,
    /// Is of huge pages, and has none reserved: a child has inherited it.
    pub(crate) unreserved: bool,
    /// Has lost huge pages to the process that made it.
    pub(crate) robbed: bool,
}

impl Mm {
    /// Locks the mappings for reading. `EINTR`: a fatal signal came first.
    pub(crate) fn read_lock(&self) -> Result<MmReadGuard<'_>> {
        // SAFETY: The address space is referenced.
        match unsafe { bindings::checkpoint_mmap_read_lock(self.as_ptr()) } {
            0 => Ok(MmReadGuard(self)),
            _ => Err(EINTR),
        }
    }
}

/// Added to the identity of a page that [`Walk::Anon::before`] has, too.
pub(crate) const SAME_ID: u64 = bindings::CHECKPOINT_SAME_ID as u64;

/// Which pages of a mapping to look for.
#[derive(Clone, Copy)]
pub(crate) enum Walk<'a> {
    /// Anonymous memory.
    Anon {
        /// Leave out pages that hold only zeros.
        skip_zeros: bool,
        /// Hold all small pages that are present.
        hold: bool,
        /// An earlier duplicate, to compare with.
        before: Option<&'a Mm>,
    },
    /// Guard regions.
    Guards,
}

/// A range of pages that [`MmReadGuard::walk`] has found.
pub(crate) struct Found {
    /// The first address.
    pub(crate) start: u64,
    /// The first address behind.
    pub(crate) end: u64,
    /// 0 for pages that nobody else has; else it is the same for two pages that are one, as long as
    /// `frame` holds it, or the page stays in swap. [`SAME_ID`] is added if an earlier duplicate has
    /// it as well.
    pub(crate) id: u64,
    /// The page, if others may have it too and it is not in swap, or if all are to be held.
    pub(crate) frame: Option<Frame>,
}

/// An address space whose mappings do not change.
pub(crate) struct MmReadGuard<'a>(&'a Mm);

impl Drop for MmReadGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: The guard holds the lock.
        unsafe { bindings::checkpoint_mmap_read_unlock(self.0.as_ptr()) };
    }
}

impl MmReadGuard<'_> {
    fn next(&self, address: u64) -> *mut bindings::vm_area_struct {
        // SAFETY: The address space is read-locked.
        unsafe { bindings::checkpoint_next_vma(self.0.as_ptr(), address as _) }
    }

    /// The first mapping that ends behind `address`.
    pub(crate) fn vma_from(&self, address: u64) -> Result<Option<VmaInfo>> {
        let vma = self.next(address);

        if vma.is_null() {
            return Ok(None);
        }
        // SAFETY: The mapping is valid while the address space is locked; the strings that are
        // given live as long, and are copied.
        unsafe {
            let bounds = &(*vma).__bindgen_anon_1.__bindgen_anon_1;
            let string = |name: *const kernel::ffi::c_char| -> Result<Option<CString>> {
                if name.is_null() {
                    return Ok(None);
                }
                Ok(Some(CString::try_from(CStr::from_char_ptr(name))?))
            };

            Ok(Some(VmaInfo {
                start: bounds.vm_start as u64,
                end: bounds.vm_end as u64,
                flags: (*vma).__bindgen_anon_2.vm_flags as u64,
                pgoff: (*vma).vm_pgoff as u64,
                file: (!(*vma).vm_file.is_null()).then(|| file::get((*vma).vm_file)),
                special: string(bindings::checkpoint_special_name(vma))?,
                name: string(bindings::checkpoint_anon_name(vma))?,
                policy: {
                    let mut policy = Policy::default();

                    bindings::checkpoint_vma_policy(vma, &raw mut policy).then_some(policy)
                },
                has_pages: !(*vma).anon_vma.is_null()
                    || (*vma).__bindgen_anon_2.vm_flags as u64 & bits::HUGETLB != 0,
                unreserved: bindings::checkpoint_vma_is_unreserved(vma),
                robbed: bindings::checkpoint_vma_is_robbed(vma),
            }))
        }
    }

    /// Calls `found` with every range of pages of a sort in the mapping at `address`, if there is one,
    /// from there on. It is called in atomic context. `EOPNOTSUPP`: there is a page that is neither
    /// present, nor swapped out, nor a guard.
    pub(crate) fn walk<F>(&self, what: Walk<'_>, address: u64, mut found: F) -> Result
    where
        F: FnMut(Found) -> Result,
    {
        /// Calls the closure that `arg` points to.
        ///
        /// # Safety
        ///
        /// `arg` must point to an `F` that nobody else uses. The page with the number `held`, if it is
        /// not 0, is held for us.
        unsafe extern "C" fn call<F: FnMut(Found) -> Result>(
            arg: *mut c_void,
            start: usize,
            end: usize,
            id: u64,
            held: u64,
        ) -> i32 {
            // SAFETY: By the safety requirement.
            let (found, frame) = unsafe { (&mut *arg.cast::<F>(), Frame::new(held)) };

            found(Found {
                start: start as u64,
                end: end as u64,
                id,
                frame,
            })
            .map_or_else(|error| error.to_errno(), |()| 0)
        }
        let vma = self.next(address);

        if vma.is_null() {
            return Ok(());
        }
        // SAFETY: The mapping is valid while the address space is locked.
        let start = unsafe { (*vma).__bindgen_anon_1.__bindgen_anon_1.vm_start as u64 };

        if start > address {
            return Ok(());
        }
        // SAFETY: The mapping is valid while the address space is locked; `call` gets the closure
        // that it is made for.
        to_result(unsafe {
            let arg = (&raw mut found).cast();

            match what {
                Walk::Anon {
                    skip_zeros,
                    hold,
                    before,
                } => bindings::checkpoint_walk_anon(
                    vma,
                    address as _,
                    skip_zeros,
                    hold,
                    before.map_or(ptr::null_mut(), |before| before.as_ptr()),
                    Some(call::<F>),
                    arg,
                ),
                Walk::Guards => {
                    bindings::checkpoint_walk_guards(vma, address as _, Some(call::<F>), arg)
                }
            }
        })
    }
}

/// `VM_*` bits of the kernel, by their position.
pub(crate) mod bits {
    use kernel::bindings;

    macro_rules! bits {
        ($($name:ident = $bit:ident;)*) => {$(
            #[allow(missing_docs)]
            pub(crate) const $name: u64 = 1 << bindings::$bit;
        )*};
    }
    bits! {
        READ = VMA_READ_BIT;
        WRITE = VMA_WRITE_BIT;
        EXEC = VMA_EXEC_BIT;
        SHARED = VMA_SHARED_BIT;
        MAYREAD = VMA_MAYREAD_BIT;
        MAYWRITE = VMA_MAYWRITE_BIT;
        MAYEXEC = VMA_MAYEXEC_BIT;
        MAYSHARE = VMA_MAYSHARE_BIT;
        GROWSDOWN = VMA_GROWSDOWN_BIT;
        LOCKED = VMA_LOCKED_BIT;
        LOCKONFAULT = VMA_LOCKONFAULT_BIT;
        SEQ_READ = VMA_SEQ_READ_BIT;
        RAND_READ = VMA_RAND_READ_BIT;
        DONTCOPY = VMA_DONTCOPY_BIT;
        NORESERVE = VMA_NORESERVE_BIT;
        ACCOUNT = VMA_ACCOUNT_BIT;
        WIPEONFORK = VMA_WIPEONFORK_BIT;
        DONTDUMP = VMA_DONTDUMP_BIT;
        SOFTDIRTY = VMA_SOFTDIRTY_BIT;
        HUGEPAGE = VMA_HUGEPAGE_BIT;
        NOHUGEPAGE = VMA_NOHUGEPAGE_BIT;
        DROPPABLE = VMA_DROPPABLE_BIT;
        MERGEABLE = VMA_MERGEABLE_BIT;
        SEALED = VMA_SEALED_BIT;
        PKEY0 = VMA_PKEY_BIT0_BIT;
        PKEY1 = VMA_PKEY_BIT1_BIT;
        PKEY2 = VMA_PKEY_BIT2_BIT;
        PKEY3 = VMA_PKEY_BIT3_BIT;
        MAYBE_GUARD = VMA_MAYBE_GUARD_BIT;
        HUGETLB = VMA_HUGETLB_BIT;
        PFNMAP = VMA_PFNMAP_BIT;
        IO = VMA_IO_BIT;
        MIXEDMAP = VMA_MIXEDMAP_BIT;
        DONTEXPAND = VMA_DONTEXPAND_BIT;
        UFFD_MISSING = VMA_UFFD_MISSING_BIT;
        UFFD_WP = VMA_UFFD_WP_BIT;
        UFFD_MINOR = VMA_UFFD_MINOR_BIT;
        UFFD_RWP = VMA_UFFD_RWP_BIT;
    }

    /// 0 if this kernel has none.
    #[cfg(CONFIG_ARCH_HAS_USER_SHADOW_STACK)]
    pub(crate) const SHADOW_STACK: u64 = 1 << bindings::VMA_SHADOW_STACK_BIT;
    #[cfg(not(CONFIG_ARCH_HAS_USER_SHADOW_STACK))]
    pub(crate) const SHADOW_STACK: u64 = 0;
}

/// What to map (`do_mmap`).
pub(crate) struct Mapping<'a> {
    pub(crate) start: u64,
    pub(crate) len: u64,
    /// `VM_*` of the kernel.
    pub(crate) flags: u64,
    pub(crate) pgoff: u64,
    pub(crate) file: Option<&'a FileRef>,
    /// See [`VmaInfo::unreserved`].
    pub(crate) unreserved: bool,
}

/// Maps at a fixed place in the address space of the running task, with the checks of mmap(2).
pub(crate) fn map(mapping: &Mapping<'_>) -> Result {
    // SAFETY: The helper works on the running task's address space; the file is referenced.
    // Addresses go by pointer-sized integers.
    to_result(unsafe {
        bindings::checkpoint_mmap(
            mapping.file.map_or(ptr::null_mut(), |file| file.as_ptr()),
            usize::try_from(mapping.start)?,
            usize::try_from(mapping.len)?,
            &raw const mapping.flags,
            usize::try_from(mapping.pgoff)?,
            mapping.unreserved,
        )
    })
}

/// What madvise(2) does to a mapping of the running task.
#[derive(Clone, Copy)]
pub(crate) enum Advice {
    Mergeable,
    Unmergeable,
    GuardInstall,
}

/// madvise(2) of the running task.
pub(crate) fn madvise(start: u64, end: u64, advice: Advice) -> Result {
    let len = usize::try_from(end.checked_sub(start).ok_or(EINVAL)?)?;
    let advice = match advice {
        Advice::Mergeable => bindings::MADV_MERGEABLE,
        Advice::Unmergeable => bindings::MADV_UNMERGEABLE,
        Advice::GuardInstall => bindings::MADV_GUARD_INSTALL,
    };

    // SAFETY: The helper works on the running task's address space and checks the range.
    to_result(unsafe { bindings::checkpoint_madvise(usize::try_from(start)?, len, advice as i32) })
}

/// prctl(PR_SET_VMA_ANON_NAME) of the running task. `EOPNOTSUPP`: the kernel has no names.
pub(crate) fn set_anon_name(start: u64, end: u64, name: &CStr) -> Result {
    let len = usize::try_from(end.checked_sub(start).ok_or(EINVAL)?)?;

    // SAFETY: The helper works on the running task's address space, checks the range and copies
    // the name.
    to_result(unsafe {
        bindings::checkpoint_set_anon_name(usize::try_from(start)?, len, name.as_char_ptr())
    })
}

/// mseal(2) of the running task. `EOPNOTSUPP`: the machine has no seals.
pub(crate) fn mseal(start: u64, end: u64) -> Result {
    // SAFETY: The helper works on the running task's address space and checks the range.
    to_result(unsafe { bindings::checkpoint_mseal(usize::try_from(start)?, usize::try_from(end)?) })
}
