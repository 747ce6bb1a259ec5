// SPDX-License-Identifier: GPL-2.0

//! Address spaces.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h)

use super::file;
use super::file::FileRef;
use super::freeze::Frozen;
use super::page::Hold;
use super::page::Pinned;
use super::user_ns::NewUserNs;
use core::ptr;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
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
    /// Errors are those of [`Mm::hold`]. `EAGAIN`: it takes a fault, which may wait for anything.
    pub(crate) fn replace(&self, address: u64, max: usize, may_wait: bool) -> Result<Pinned<'_>> {
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
            return match may_wait {
                true => self.hold(address, count, true),
                false => Err(EAGAIN),
            };
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
    /// now. `EAGAIN`: some of them take a fault, which may wait for anything.
    pub(crate) fn map(&self, address: u64, pages: &Pinned<'_>, may_wait: bool) -> Result {
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

        match mapped {
            Err(EAGAIN) if may_wait => self.copy(address, pages),
            mapped => mapped,
        }
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
