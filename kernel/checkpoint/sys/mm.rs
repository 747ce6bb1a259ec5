// SPDX-License-Identifier: GPL-2.0

//! Address spaces.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h)

use super::file;
use super::file::FileRef;
use super::freeze::Frozen;
use super::mempolicy::Policy;
use super::page::Frame;
use super::page::Hold;
use super::page::Pinned;
use super::user_ns::NewUserNs;
use core::ffi::c_void;
use core::ptr;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::str::CString;
use kernel::task::Task;

/// A reference to an address space that keeps its contents (`mm_users`).
pub(crate) struct Mm(NonNull<bindings::mm_struct>);

// SAFETY: Address spaces are shared by threads and have their own locks.
unsafe impl Send for Mm {}
// SAFETY: As above.
unsafe impl Sync for Mm {}

impl Drop for Mm {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::checkpoint_put_mm(self.0.as_ptr()) };
    }
}

/// How many words of auxiliary vector there are room for.
pub(crate) const AUXV_WORDS: usize = 56;

/// How many words [`State::arch`] has.
pub(crate) const MM_ARCH: usize = 8;

/// The addresses that [`Mm::layout`] gives, in the order of `struct prctl_mm_map`.
pub(crate) type Layout = [u64; 11];

/// What an address space has apart from mappings.
pub(crate) struct State {
    pub(crate) layout: Layout,
    pub(crate) mmap_base: u64,
    pub(crate) mmap_legacy_base: u64,
    pub(crate) flags: u64,
    pub(crate) def_flags: u64,
    pub(crate) vdso: u64,
    pub(crate) auxv: [u64; AUXV_WORDS],
    /// What only the architecture knows, see `arch_checkpoint_mm_get()`.
    pub(crate) arch: [u64; MM_ARCH],
    /// The format of the executable, or more than any that the image knows; see [`set_binfmt`].
    pub(crate) binfmt: u32,
}

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
    /// The address space of a parked task. `ESRCH`: the task has been killed.
    pub(crate) fn of(task: &Frozen) -> Result<Self> {
        // SAFETY: The task is referenced; the function gives a reference or null.
        NonNull::new(unsafe { bindings::get_task_mm(task.as_ptr()) })
            .map(Self)
            .ok_or(ESRCH)
    }

    /// An empty address space.
    pub(crate) fn new_empty() -> Result<Self> {
        // SAFETY: The function gives a reference or null.
        NonNull::new(unsafe { bindings::mm_alloc() })
            .map(Self)
            .ok_or(ENOMEM)
    }

    /// Makes this the address space of the running task, which shares the reference, as if a
    /// program had been started in a user namespace, or in that of the running task.
    pub(crate) fn install(&self, user_ns: Option<&NewUserNs>) -> Result {
        // SAFETY: The address space is referenced; on success the function takes over the
        // reference that is taken for it here. The namespace is referenced, too; the function
        // takes a reference of its own.
        unsafe {
            bindings::mmget(self.0.as_ptr());
            to_result(bindings::checkpoint_exec_mmap(
                self.0.as_ptr(),
                NewUserNs::raw_or_current(user_ns),
            ))
            .inspect_err(|_| bindings::mmput(self.0.as_ptr()))
        }
    }

    /// Makes this the address space of the running task, which shares it with the other task that
    /// has it, as if it had been made with CLONE_VM. `ESRCH`: the other one has lost it.
    pub(crate) fn join(&self, other: &Task) -> Result {
        // SAFETY: The address space and the task are referenced. The helper looks whether the one
        // belongs to the other, and takes references of its own.
        to_result(unsafe { bindings::checkpoint_share_mm(self.0.as_ptr(), other.as_ptr()) })
    }

    /// A duplicate whose pages are shared copy-on-write (`dup_mm`). Whoever runs in the address
    /// space must be parked.
    pub(crate) fn duplicate(&self) -> Result<Self> {
        // SAFETY: The address space is referenced; the function gives a reference or null.
        NonNull::new(unsafe { bindings::checkpoint_dup_mm(self.0.as_ptr()) })
            .map(Self)
            .ok_or(ENOMEM)
    }

    /// Whether it has no more than so many pages of its own, and none in swap.
    pub(crate) fn is_small(&self, max: u64) -> bool {
        // SAFETY: The address space is referenced; the helper reads counters.
        unsafe { bindings::checkpoint_is_small(self.0.as_ptr(), max) }
    }

    /// Whether memory was so short that a duplicate has lost its pages. They were there when they
    /// were read if it has not by then.
    pub(crate) fn is_emptied(&self) -> bool {
        // SAFETY: The address space is referenced; the helper reads a flag.
        unsafe { bindings::checkpoint_is_emptied(self.0.as_ptr()) }
    }

    /// Maps pages of another address space here too, copy-on-write, as fork(2) does: from `start`
    /// on, at the same addresses, where there must be none yet. Gives how far it got, up to `end`,
    /// and whether the pages up to there are shared; some cannot be. `EFAULT`: nothing is mapped.
    pub(crate) fn share(&self, from: &Self, start: u64, end: u64) -> Result<(u64, bool)> {
        let mut end = usize::try_from(end)?;

        // SAFETY: Both address spaces are referenced, and nobody runs in them; the function takes
        // their locks and checks what is mapped.
        let shared = unsafe {
            bindings::checkpoint_share_pages(
                self.0.as_ptr(),
                from.0.as_ptr(),
                usize::try_from(start)?,
                &raw mut end,
            )
        };

        to_result(shared.min(0))?;
        Ok((end as u64, shared != 0))
    }

    /// The C structure.
    pub(super) fn as_ptr(&self) -> *mut bindings::mm_struct {
        self.0.as_ptr()
    }

    /// The C structure, which is there.
    pub(super) fn as_non_null(&self) -> NonNull<bindings::mm_struct> {
        self.0
    }

    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// The caller must own a reference (`mm_users`), which it gives up.
    pub(super) unsafe fn from_non_null(mm: NonNull<bindings::mm_struct>) -> Self {
        Self(mm)
    }

    /// The identity of the address space.
    pub(crate) fn key(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// The most pages that were in memory, and that were mapped.
    pub(crate) fn peaks(&self) -> (u64, u64) {
        let (mut rss, mut vm) = (0, 0);

        // SAFETY: The address space is referenced; the helper reads single words.
        unsafe { bindings::checkpoint_get_peaks(self.0.as_ptr(), &raw mut rss, &raw mut vm) };
        (rss, vm)
    }

    /// Sets them. What there is now counts as well.
    pub(crate) fn set_peaks(&self, rss: u64, vm: u64) {
        // SAFETY: The address space is referenced, and who has it waits; the helper writes single
        // words.
        unsafe { bindings::checkpoint_set_peaks(self.0.as_ptr(), &raw const rss, &raw const vm) };
    }

    /// How many mappings it has, if that does not change meanwhile.
    pub(crate) fn mappings(&self) -> usize {
        // SAFETY: The address space is referenced.
        let mappings = unsafe { (*self.0.as_ptr()).__bindgen_anon_1.map_count };

        usize::try_from(mappings).unwrap_or(0)
    }

    /// How many references there are apart from this one.
    pub(crate) fn users(&self) -> u64 {
        // SAFETY: The address space is referenced.
        let users = unsafe { bindings::checkpoint_mm_users(self.0.as_ptr()) };

        (users as u64).saturating_sub(1)
    }

    /// Reads what it has apart from mappings.
    pub(crate) fn state(&self) -> State {
        // SAFETY: The address space is referenced; the addresses are stable under `arg_lock` and
        // `mmap_lock`, or torn word by word at worst.
        unsafe {
            let mm = &raw const (*self.0.as_ptr()).__bindgen_anon_1;

            State {
                layout: [
                    (*mm).start_code,
                    (*mm).end_code,
                    (*mm).start_data,
                    (*mm).end_data,
                    (*mm).start_brk,
                    (*mm).brk,
                    (*mm).start_stack,
                    (*mm).arg_start,
                    (*mm).arg_end,
                    (*mm).env_start,
                    (*mm).env_end,
                ]
                .map(|address| address as u64),
                mmap_base: (*mm).mmap_base as u64,
                mmap_legacy_base: (*mm).mmap_legacy_base as u64,
                flags: bindings::checkpoint_mm_flags(self.0.as_ptr()),
                def_flags: bindings::checkpoint_mm_def_flags(self.0.as_ptr()),
                vdso: bindings::checkpoint_vdso(self.0.as_ptr()),
                auxv: core::array::from_fn(|i| {
                    (*mm).saved_auxv.get(i).map_or(0, |&word| word as u64)
                }),
                arch: {
                    let mut state = [0; MM_ARCH];

                    bindings::checkpoint_arch_mm_get(self.0.as_ptr(), state.as_mut_ptr());
                    state
                },
                binfmt: bindings::checkpoint_get_binfmt(self.0.as_ptr()),
            }
        }
    }

    /// Sets what only the architecture knows, of an address space in which nothing is mapped yet;
    /// and that memory is not merged by itself (PR_SET_MEMORY_MERGE of the restarter).
    /// `EOPNOTSUPP`: the machine has no such thing.
    pub(crate) fn set_arch(&self, state: &[u64; MM_ARCH]) -> Result {
        // SAFETY: The address space is referenced and belongs to the restart alone.
        to_result(unsafe { bindings::checkpoint_arch_mm_set(self.0.as_ptr(), state.as_ptr()) })
    }

    /// Sets what else [`Mm::state`] reads, of an address space that nobody runs in yet.
    pub(crate) fn set_state(&self, state: &State) {
        // SAFETY: The address space is referenced and belongs to the restart alone. The addresses
        // are information for others: the kernel follows none of them but by user access.
        unsafe {
            let mm = &raw mut (*self.0.as_ptr()).__bindgen_anon_1;
            let [start_code, end_code, start_data, end_data, start_brk, brk, start_stack, arg_start, arg_end, env_start, env_end] =
                state.layout.map(|address| address as usize as _);

            (*mm).start_code = start_code;
            (*mm).end_code = end_code;
            (*mm).start_data = start_data;
            (*mm).end_data = end_data;
            (*mm).start_brk = start_brk;
            (*mm).brk = brk;
            (*mm).start_stack = start_stack;
            (*mm).arg_start = arg_start;
            (*mm).arg_end = arg_end;
            (*mm).env_start = env_start;
            (*mm).env_end = env_end;
            (*mm).mmap_base = state.mmap_base as _;
            (*mm).mmap_legacy_base = state.mmap_legacy_base as _;
            for (word, &saved) in (*mm).saved_auxv.iter_mut().zip(&state.auxv) {
                *word = saved as _;
            }
            bindings::checkpoint_set_mm_flags(
                self.0.as_ptr(),
                state.flags,
                state.def_flags,
                state.arch.as_ptr(),
            );
        }
    }

    /// The executable.
    pub(crate) fn exe(&self) -> Option<FileRef> {
        // SAFETY: The address space is referenced; the function gives a reference or null.
        let file = unsafe { bindings::get_mm_exe_file(self.0.as_ptr()) };

        // SAFETY: The reference is ours.
        (!file.is_null()).then(|| unsafe { file::from_raw(file) }.ok())?
    }

    /// Sets the executable of an address space that nobody runs in yet.
    pub(crate) fn set_exe(&self, file: &FileRef) -> Result {
        // SAFETY: Both are referenced, and nobody else uses the address space.
        to_result(unsafe { bindings::set_mm_exe_file(self.0.as_ptr(), file.as_ptr()) })
    }

    /// Locks the mappings for reading. `EINTR`: a fatal signal came first.
    pub(crate) fn read_lock(&self) -> Result<MmReadGuard<'_>> {
        // SAFETY: The address space is referenced.
        match unsafe { bindings::checkpoint_mmap_read_lock(self.0.as_ptr()) } {
            0 => Ok(MmReadGuard(self)),
            _ => Err(EINTR),
        }
    }

    /// Holds up to `max` pages from `address` on; at least one. The pages are made present first,
    /// whatever their protection: written to as copy-on-write demands if `write`.
    ///
    /// `ENOMEM`: the cgroup of the tasks has no room for a page that was swapped out. `EINTR`: a
    /// fatal signal came first.
    pub(crate) fn hold(&self, address: u64, max: usize, write: bool) -> Result<Pinned<'_>> {
        let mut flags = bindings::checkpoint_FOLL_FORCE;
        let own = if write {
            self.own_huge_page(address)?
        } else {
            0
        };
        let max = if own != 0 { max.min(own) } else { max };
        let mut pages = KVec::from_elem(ptr::null_mut(), max, GFP_KERNEL)?;

        if write && own == 0 {
            flags |= bindings::checkpoint_FOLL_WRITE;
        }
        // SAFETY: The address space is referenced; `pages` has room for `max`.
        let got = unsafe {
            bindings::checkpoint_get_pages(
                self.0.as_ptr(),
                address as _,
                max as _,
                flags as _,
                pages.as_mut_ptr(),
            )
        };

        to_result(got.min(0) as i32)?;
        let pages = pages.get(..got as usize).ok_or(EFAULT)?;

        if pages.is_empty() {
            return Err(EFAULT);
        }
        let hold = if write { Hold::Write } else { Hold::Read };
        // SAFETY: The function took a reference to each page.
        let pinned = unsafe { Pinned::new(pages, hold)? };

        if own != 0 && !pinned.are_own_huge_pages() {
            return Err(EFAULT);
        }
        Ok(pinned)
    }

    /// Pages that are overwritten from `address` on, up to `max`; at least one. Where there are none
    /// yet they are new, with any content, and nobody else sees them before [`Mm::map`].
    ///
    /// Errors are those of [`Mm::hold`].
    pub(crate) fn replace(&self, address: u64, max: usize) -> Result<Pinned<'_>> {
        let mut pages = KVec::from_elem(ptr::null_mut(), max, GFP_KERNEL)?;
        let mut count = max;

        // SAFETY: The address space is referenced; `pages` has room for `count`.
        let made = unsafe {
            bindings::checkpoint_make_pages(
                self.0.as_ptr(),
                usize::try_from(address)?,
                &raw mut count,
                pages.as_mut_ptr(),
            )
        };

        to_result(made.min(0) as i32)?;
        if made == 0 {
            return self.hold(address, count, true);
        }
        // SAFETY: The function gives pages with a reference each.
        unsafe { Pinned::new(pages.get(..made as usize).ok_or(EINVAL)?, Hold::New) }
    }

    /// Makes the page tables that pages between two addresses will need, up to `max`, from which
    /// those are taken that were looked at. Best effort: whoever maps a page makes what is missing.
    pub(crate) fn make_tables(&self, start: u64, end: u64, max: &mut usize) -> Result {
        let (start, end) = (usize::try_from(start)?, usize::try_from(end)?);

        // SAFETY: The address space is referenced; the function takes its lock and looks for the
        // mapping.
        unsafe { bindings::checkpoint_make_tables(self.0.as_ptr(), start, end, max) };
        Ok(())
    }

    /// Maps the pages that [`Mm::replace`] has made for `address`, with the content that they have
    /// now.
    pub(crate) fn map(&self, address: u64, pages: &Pinned<'_>) -> Result {
        if !pages.are_new() || pages.len() == 0 {
            return Ok(());
        }
        // SAFETY: The address space and the pages are referenced, of which there is one at least.
        // The function checks the address, that nothing is mapped there, and that the pages are
        // not mapped elsewhere; it takes references of its own.
        let mapped = to_result(unsafe {
            bindings::checkpoint_map_pages(
                self.0.as_ptr(),
                usize::try_from(address)?,
                pages.len(),
                pages.vecs().as_ptr(),
            )
        });

        if mapped == Err(EAGAIN) {
            return self.copy(address, pages);
        }
        mapped
    }

    /// Copies pages to `address`.
    fn copy(&self, address: u64, from: &Pinned<'_>) -> Result {
        let mut done = 0;

        while done < from.len() {
            let address = done
                .checked_mul(super::page::SIZE)
                .and_then(|bytes| address.checked_add(bytes as u64))
                .ok_or(EINVAL)?;
            let to = self.hold(address, from.len().saturating_sub(done), true)?;

            to.copy_from(from, done);
            done = done.saturating_add(to.len());
        }
        Ok(())
    }

    /// Gives a private mapping of huge pages one of its own at `address`. Gives how many small
    /// pages it has from there on, or 0 for other mappings. `ENOMEM`: there is no huge page left.
    fn own_huge_page(&self, address: u64) -> Result<usize> {
        // SAFETY: The address space is referenced; the helper locks it and looks for the mapping.
        let left = unsafe {
            bindings::checkpoint_own_huge_page(self.0.as_ptr(), usize::try_from(address)?)
        };

        to_result(left.min(0) as i32)?;
        Ok(left as usize)
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
        unsafe { bindings::checkpoint_mmap_read_unlock(self.0 .0.as_ptr()) };
    }
}

impl MmReadGuard<'_> {
    fn next(&self, address: u64) -> *mut bindings::vm_area_struct {
        // SAFETY: The address space is read-locked.
        unsafe { bindings::checkpoint_next_vma(self.0 .0.as_ptr(), address as _) }
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
                    before.map_or(ptr::null_mut(), |before| before.0.as_ptr()),
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

/// prctl(PR_SET_MEMORY_MERGE) of the running task, without its check of the capability.
pub(crate) fn merge_any() -> Result {
    // SAFETY: The helper works on the running task's address space.
    to_result(unsafe { bindings::checkpoint_merge_any() })
}

/// Whether the running task may lock memory.
pub(crate) fn may_lock() -> bool {
    // SAFETY: The helper looks at the running task.
    unsafe { bindings::checkpoint_may_lock() }
}

/// Maps the vdso of the running kernel, whose lowest mapping starts at `start`: the one that an
/// address space has whose [`State::arch`] this is.
pub(crate) fn map_vdso(start: u64, arch: &[u64; MM_ARCH]) -> Result {
    // SAFETY: The helper works on the running task's address space, and has all words.
    to_result(unsafe { bindings::checkpoint_map_vdso(usize::try_from(start)?, arch.as_ptr()) })
}

/// CRC32 of the code of the vdso of the running kernel that an address space has whose
/// [`State::arch`] this is.
pub(crate) fn vdso_crc(arch: &[u64; MM_ARCH]) -> u32 {
    // SAFETY: The helper reads constant memory, and has all words.
    unsafe { bindings::checkpoint_vdso_crc(arch.as_ptr()) }
}

/// Whether an address space may have these addresses: the rules of prctl(PR_SET_MM_MAP), and that
/// new mappings are looked for at the start of a page.
pub(crate) fn layout_fits(layout: &Layout, base: u64, legacy_base: u64) -> bool {
    let [start_code, end_code, start_data, end_data, start_brk, brk, _, arg_start, arg_end, env_start, env_end] =
        *layout;
    // SAFETY: The helper gives a constant of the machine.
    let top = unsafe { bindings::checkpoint_task_size() } as u64;

    layout.iter().all(|&address| address < top)
        && start_code <= end_code
        && start_data <= end_data
        && start_brk <= brk
        && arg_start <= arg_end
        && env_start <= env_end
        && [base, legacy_base]
            .iter()
            .all(|&base| super::page::is_aligned(base) && base <= top)
}

/// prctl(PR_GET_DUMPABLE) of any task.
pub(crate) fn dumpable(task: &Task) -> u32 {
    // SAFETY: The task is referenced.
    unsafe { bindings::task_exec_state_get_dumpable(task.as_ptr()) as u32 }
}

/// prctl(PR_SET_DUMPABLE) of the running task.
pub(crate) fn set_dumpable(value: u32) {
    // SAFETY: The value has been checked to be one that prctl(2) knows.
    unsafe { bindings::task_exec_state_set_dumpable(value as _) };
}

/// Sets the format of the executable, in which the running task's address space makes core dumps.
/// `EOPNOTSUPP`: this kernel has not the format.
pub(crate) fn set_binfmt(binfmt: u32) -> Result {
    // SAFETY: The helper checks the value; the running task has an address space.
    to_result(unsafe { bindings::checkpoint_set_binfmt(binfmt) })
}

/// Shared memory without a name, as mmap(2) makes it for MAP_SHARED | MAP_ANONYMOUS.
pub(crate) mod shmem {
    use super::*;

    /// Whether the file is such memory.
    pub(crate) fn is_anonymous(file: &FileRef) -> bool {
        // SAFETY: The file is referenced.
        unsafe { bindings::checkpoint_is_shared_anon(file.as_ptr()) }
    }

    /// The identity of the memory, and how many bytes it has.
    pub(crate) fn key_and_size(file: &FileRef) -> (usize, u64) {
        // SAFETY: The file is referenced, and so is its inode.
        unsafe {
            let inode = (*file.as_ptr()).f_inode;

            (inode as usize, (*inode).i_size as u64)
        }
    }

    /// How often it is mapped, by anybody.
    pub(crate) fn mappings(file: &FileRef) -> u64 {
        // SAFETY: The file is referenced.
        unsafe { bindings::checkpoint_count_mappings(file.as_ptr()) as u64 }
    }

    /// Whether it does not count against overcommit (MAP_NORESERVE).
    pub(crate) fn is_noreserve(file: &FileRef) -> bool {
        // SAFETY: The file is referenced, and one of tmpfs.
        unsafe { bindings::checkpoint_is_noreserve(file.as_ptr()) }
    }

    /// Makes some.
    pub(crate) fn create(size: u64, noreserve: bool) -> Result<FileRef> {
        // SAFETY: The helper gives a new reference or an error pointer.
        unsafe { file::from_raw(bindings::checkpoint_shared_anon(&raw const size, noreserve)) }
    }

    /// The first range of pages from `from` on that have content, as offsets in bytes; none if
    /// there is none (`SEEK_DATA`, `SEEK_HOLE`).
    pub(crate) fn next_data(file: &FileRef, from: u64) -> Result<Option<(u64, u64)>> {
        let (mut start, mut end) = (from, 0);

        // SAFETY: The file is referenced.
        match unsafe { bindings::checkpoint_next_data(file.as_ptr(), &raw mut start, &raw mut end) }
        {
            0 => Ok(Some((start, end))),
            error if error == ENXIO.to_errno() => Ok(None),
            error => Err(Error::from_errno(error)),
        }
    }

    /// Holds `count` pages from page number `index` on, made if they are missing.
    pub(crate) fn pages(
        file: &FileRef,
        index: u64,
        count: usize,
        write: bool,
    ) -> Result<Pinned<'_>> {
        let mut pages = KVec::with_capacity(count, GFP_KERNEL)?;
        let hold = if write { Hold::Write } else { Hold::Read };
        let mut result = Ok(());

        for i in 0..count {
            let index = index.checked_add(i as u64).ok_or(EOVERFLOW)?;
            // SAFETY: The file is referenced; the helper gives a page with a reference or an
            // error pointer.
            let page = from_err_ptr(unsafe {
                bindings::checkpoint_shmem_page(file.as_ptr(), usize::try_from(index)?)
            });

            match page {
                Ok(page) => pages.push(page, GFP_KERNEL)?,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        // SAFETY: Each page has a reference.
        let pinned = unsafe { Pinned::new(&pages, hold)? };

        result.map(|()| pinned)
    }
}
