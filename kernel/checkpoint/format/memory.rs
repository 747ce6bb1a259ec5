// SPDX-License-Identifier: GPL-2.0

//! Address spaces and shared memory.

use super::ObjRef;

/// How many addresses [`Mm::layout`] holds.
pub const MM_LAYOUT: usize = 11;

record! {
    /// An address space: `struct mm_struct`. The tail is the auxiliary vector (`u64` words).
    pub struct Mm: kind 0x40, version 1, size 216 {
        /// start_code, end_code, start_data, end_data, start_brk, brk, start_stack, arg_start,
        /// arg_end, env_start, env_end: the order of `struct prctl_mm_map`.
        pub layout: [u64; 11],
        /// Where new mappings are looked for (`mmap_base`).
        pub mmap_base: u64,
        /// `mmap_legacy_base`, or 0.
        pub mmap_legacy_base: u64,
        /// `mm->flags` bits that user space can set (`MMF_*`), by their number.
        pub flags: u64,
        /// mlockall(MCL_FUTURE): [`Vma::flags`] of new mappings.
        pub def_flags: u64,
        /// Address of the vdso, or 0.
        pub vdso: u64,
        /// CRC32 of the vdso's code: user registers may point into it.
        pub vdso_crc: u32,
        /// `/proc/PID/exe` (a [`super::file::PathFile`] or a [`super::file::UnnamedFile`]).
        pub exe: ObjRef,
        /// prctl(PR_SET_DUMPABLE).
        pub dumpable: u32,
        /// Words of auxiliary vector in the tail.
        pub auxv: u32,
        /// Architecture state; meaning by [`super::Header::machine`]. x86: which protection keys are
        /// allocated (0: the machine has none), one more than the key of memory that can only be
        /// executed or 0, `X86_*`, where system calls for 32-bit code look for new mappings and its
        /// legacy variant, the first address behind those that the process could have, 0, and 0.
        pub arch: [u64; 8],
        /// The format of the executable, `BINFMT_*`: core dumps have it, too.
        pub binfmt: u32,
        /// The [`super::namespace::UserNs`] in which the program was started, or none.
        pub user_ns: ObjRef,
    }
}

/// [`Mm::binfmt`]: none is known, so that there are no core dumps.
pub const BINFMT_NONE: u32 = 0;
/// [`Mm::binfmt`]: ELF of the machine.
pub const BINFMT_ELF: u32 = 1;
/// [`Mm::binfmt`]: ELF of the smaller width that the machine has as well.
pub const BINFMT_COMPAT_ELF: u32 = 2;

/// [`Mm::arch`] of x86: has the vsyscall page.
pub const X86_VSYSCALL: u64 = 1;
/// [`Mm::arch`] of x86: uprobes find 32-bit code there.
pub const X86_UPROBE32: u64 = 2;
/// [`Mm::arch`] of x86: the vdso is that for 32-bit code.
pub const X86_VDSO32: u64 = 4;

/// [`Vma::kind`]: private, without a file.
pub const VMA_ANON: u32 = 1;
/// [`Vma::kind`]: of a file (a [`super::file::PathFile`] or a [`super::file::UnnamedFile`]).
pub const VMA_FILE: u32 = 2;
/// [`Vma::kind`]: of shared memory without a name (a [`Shmem`]).
pub const VMA_SHMEM: u32 = 3;
/// [`Vma::kind`]: mapped by the kernel into every process, like the vdso; the tail is its name.
pub const VMA_SPECIAL: u32 = 4;
/// [`Vma::kind`]: a segment of SysV shared memory, shmat(2).
pub const VMA_SYSV: u32 = 5;
/// [`Vma::kind`]: the ring of an [`AioContext`], io_setup(2).
pub const VMA_AIO: u32 = 6;

/// [`Vma::flags`].
pub const VMA_READ: u64 = 1 << 0;
/// [`Vma::flags`].
pub const VMA_WRITE: u64 = 1 << 1;
/// [`Vma::flags`].
pub const VMA_EXEC: u64 = 1 << 2;
/// [`Vma::flags`]: MAP_SHARED.
pub const VMA_SHARED: u64 = 1 << 3;
/// [`Vma::flags`]: may be made readable.
pub const VMA_MAYREAD: u64 = 1 << 4;
/// [`Vma::flags`]: may be made writable.
pub const VMA_MAYWRITE: u64 = 1 << 5;
/// [`Vma::flags`]: may be made executable.
pub const VMA_MAYEXEC: u64 = 1 << 6;
/// [`Vma::flags`]: MAP_GROWSDOWN, a stack.
pub const VMA_GROWSDOWN: u64 = 1 << 7;
/// [`Vma::flags`]: mlock(2).
pub const VMA_LOCKED: u64 = 1 << 8;
/// [`Vma::flags`]: mlock2(MLOCK_ONFAULT).
pub const VMA_LOCKONFAULT: u64 = 1 << 9;
/// [`Vma::flags`]: madvise(MADV_SEQUENTIAL).
pub const VMA_SEQ_READ: u64 = 1 << 10;
/// [`Vma::flags`]: madvise(MADV_RANDOM).
pub const VMA_RAND_READ: u64 = 1 << 11;
/// [`Vma::flags`]: madvise(MADV_DONTFORK).
pub const VMA_DONTCOPY: u64 = 1 << 12;
/// [`Vma::flags`]: does not count against overcommit (MAP_NORESERVE).
pub const VMA_NORESERVE: u64 = 1 << 13;
/// [`Vma::flags`]: counts against overcommit.
pub const VMA_ACCOUNT: u64 = 1 << 14;
/// [`Vma::flags`]: madvise(MADV_WIPEONFORK).
pub const VMA_WIPEONFORK: u64 = 1 << 15;
/// [`Vma::flags`]: madvise(MADV_DONTDUMP).
pub const VMA_DONTDUMP: u64 = 1 << 16;
/// [`Vma::flags`]: madvise(MADV_HUGEPAGE).
pub const VMA_HUGEPAGE: u64 = 1 << 17;
/// [`Vma::flags`]: madvise(MADV_NOHUGEPAGE).
pub const VMA_NOHUGEPAGE: u64 = 1 << 18;
/// [`Vma::flags`]: may be shared (the VM_MAYSHARE of a read-only shared mapping).
pub const VMA_MAYSHARE: u64 = 1 << 19;
/// [`Vma::flags`]: cannot be unmapped or changed any more (mseal(2)).
pub const VMA_SEALED: u64 = 1 << 20;

/// [`Vma::flags`]: madvise(MADV_MERGEABLE) or prctl(PR_SET_MEMORY_MERGE).
pub const VMA_MERGEABLE: u64 = 1 << 22;
/// [`Vma::flags`]: the protection key, pkey_mprotect(2), in four bits.
pub const VMA_PKEY0: u64 = 1 << 23;
/// [`Vma::flags`]: see [`VMA_PKEY0`].
pub const VMA_PKEY1: u64 = 1 << 24;
/// [`Vma::flags`]: see [`VMA_PKEY0`].
pub const VMA_PKEY2: u64 = 1 << 25;
/// [`Vma::flags`]: see [`VMA_PKEY0`].
pub const VMA_PKEY3: u64 = 1 << 26;
/// [`Vma::flags`]: has or had guard regions, madvise(MADV_GUARD_INSTALL).
pub const VMA_MAYBE_GUARD: u64 = 1 << 27;
/// [`Vma::flags`]: a private mapping of huge pages that has none reserved, though it counts: a child
/// has inherited it.
pub const VMA_UNRESERVED: u64 = 1 << 28;
/// [`Vma::flags`]: a shadow stack, map_shadow_stack(2).
pub const VMA_SHADOW_STACK: u64 = 1 << 29;

/// [`Vma::flags`]: the kernel may drop its pages at any time (MAP_DROPPABLE); the image has none.
pub const VMA_DROPPABLE: u64 = 1 << 21;

record! {
    /// A mapping: `struct vm_area_struct`. The tail is the name of an anonymous mapping
    /// (prctl(PR_SET_VMA_ANON_NAME)) or of a special one.
    pub struct Vma: kind 0x41, version 1, size 48 {
        /// The [`Mm`] that it belongs to; mappings stand in the order of their addresses.
        pub mm: ObjRef,
        /// `VMA_ANON` and so on.
        pub kind: u32,
        /// First address.
        pub start: u64,
        /// First address behind it.
        pub end: u64,
        /// `VMA_READ` and so on.
        pub flags: u64,
        /// Offset in the file, in pages.
        pub pgoff: u64,
        /// The file or the [`Shmem`] that is mapped, or none.
        pub object: ObjRef,
        /// Bytes of the name in the tail.
        pub name: u32,
    }
}

plain! {
    /// A range of addresses, or of other numbers.
    pub struct Range: size 16 {
        /// The first.
        pub start: u64,
        /// The first behind it.
        pub end: u64,
    }
}

record! {
    /// The guard regions of an address space, madvise(MADV_GUARD_INSTALL). The tail is `count`
    /// [`Range`]s in the order of their addresses.
    pub struct Guards: kind 0x48, version 1, size 8 {
        /// The [`Mm`].
        pub mm: ObjRef,
        /// How many ranges the tail holds.
        pub count: u32,
    }
}

record! {
    /// Which huge pages of a file are there or reserved for it (hugetlb). The tail is `count`
    /// [`Range`]s of huge pages in their order.
    pub struct HugeReserve: kind 0x44, version 1, size 8 {
        /// A [`super::file::Unnamed`] or [`super::namespace::ShmSegment`] with huge pages.
        pub owner: ObjRef,
        /// How many ranges the tail holds.
        pub count: u32,
    }
}

plain! {
    /// The NUMA policy of a range: mbind(2), set_mempolicy_home_node(2).
    pub struct Policy: size 160 {
        /// First address, or number of the first page of shared memory.
        pub start: u64,
        /// The first behind it.
        pub end: u64,
        /// `MPOL_*`.
        pub mode: u32,
        /// `MPOL_F_*` that mbind(2) takes.
        pub flags: u32,
        /// The home node, or -1.
        pub home: i32,
        /// Zero.
        pub reserved: u32,
        /// A bit for each node.
        pub nodes: [u64; 16],
    }
}

record! {
    /// The NUMA policies of an address space or of shared memory. The tail is `count` [`Policy`]s
    /// in the order of what they are for.
    pub struct Policies: kind 0x45, version 1, size 8 {
        /// An [`Mm`], a [`Shmem`], a [`super::file::Unnamed`] or a
        /// [`super::namespace::ShmSegment`].
        pub owner: ObjRef,
        /// How many there are.
        pub count: u32,
    }
}

record! {
    /// The local descriptor table of an address space, modify_ldt(2) (x86). The tail is `entries`
    /// descriptors (`u64`) as the processor has them; 0 is an empty one.
    pub struct Ldt: kind 0x49, version 1, size 8 {
        /// The [`Mm`].
        pub mm: ObjRef,
        /// How many entries the table has.
        pub entries: u32,
    }
}

record! {
    /// A context of asynchronous I/O, io_setup(2). The tail is the beginning of its ring, `len` bytes;
    /// zeros follow. Those of an address space stand in the order of their addresses.
    pub struct AioContext: kind 0x4a, version 1, size 40 {
        /// The [`Mm`].
        pub mm: ObjRef,
        /// How many requests were asked for.
        pub max_reqs: u32,
        /// Where the ring is mapped.
        pub address: u64,
        /// Bytes of the ring.
        pub size: u64,
        /// Number of the slot in which the next event is going to be.
        pub tail: u32,
        /// Slots whose events nobody is known to have taken.
        pub completed: u32,
        /// Bytes in the tail.
        pub len: u32,
        /// The number by which the ring leads to the context.
        pub id: u32,
    }
}

record! {
    /// Shared anonymous memory: a tmpfs file that has no name.
    pub struct Shmem: kind 0x42, version 1, size 16 {
        /// Bytes.
        pub size: u64,
        /// `VMA_NORESERVE` or 0.
        pub flags: u64,
    }
}

/// [`PageRun::kind`]: the pages stand in the page data, from number `data`.
pub const RUN_DATA: u32 = 1;
/// [`PageRun::kind`]: the pages are those that the [`Mm`] with the number `data`, whose page map
/// stands before, has at the same addresses; the processes share them copy-on-write.
pub const RUN_SHARED: u32 = 2;
/// [`PageRun::kind`]: the pages are those that the [`Mm`] with the number `data` has at the same
/// addresses in the parent image; nobody has written to them since. Where the page map of that one
/// has none, they hold zeros.
pub const RUN_PARENT: u32 = 3;

plain! {
    /// Pages that follow each other and are of one kind.
    pub struct PageRun: size 24 {
        /// The first page: address of the page in an [`Mm`] or offset in a [`Shmem`] or in a
        /// [`super::file::Unnamed`], in pages.
        pub start: u64,
        /// How many pages.
        pub pages: u32,
        /// `RUN_*`.
        pub kind: u32,
        /// Where the first of them stands in the page data, in pages ([`RUN_DATA`]), or whose they
        /// are ([`RUN_SHARED`], [`RUN_PARENT`]).
        pub data: u64,
    }
}

record! {
    /// Which pages of an address space or of shared memory the image has. The tail is `runs`
    /// [`PageRun`]s in the order of their addresses. What no run names was never touched, or holds
    /// zeros where untouched memory does.
    pub struct PageMap: kind 0x43, version 1, size 8 {
        /// An [`Mm`], a [`Shmem`] or a [`super::file::Unnamed`].
        pub owner: ObjRef,
        /// How many runs the tail holds.
        pub runs: u32,
    }
}
