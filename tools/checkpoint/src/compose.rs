// SPDX-License-Identifier: GPL-2.0

//! Writes small images, for tests and fuzzers. Real ones are written by the kernel alone.

use xxhash_rust::xxh64::xxh64;
use zerocopy::FromZeros;
use zerocopy::Immutable;
use zerocopy::IntoBytes;

use crate::format::file::Fd;
use crate::format::file::Files;
use crate::format::file::Fs;
use crate::format::file::PathFile;
use crate::format::file::Pipe;
use crate::format::file::PipeBuf;
use crate::format::file::PipeFile;
use crate::format::header;
use crate::format::memory;
use crate::format::memory::Mm;
use crate::format::memory::PageMap;
use crate::format::memory::PageRun;
use crate::format::memory::Vma;
use crate::format::namespace::Namespaces;
use crate::format::task::Creds;
use crate::format::task::Process;
use crate::format::task::Regset;
use crate::format::task::SigAction;
use crate::format::task::Sighand;
use crate::format::task::Task;
use crate::format::task::TASK_ZOMBIE;
use crate::format::End;
use crate::format::Failure;
use crate::format::Header;
use crate::format::ObjRef;
use crate::format::Record;
use crate::format::RecordHeader;
use crate::format::Trailer;
use crate::format::RECORD_ALIGN;
use crate::image::header_crc;

const PAGE_SHIFT: u32 = 12;

/// An image that is being written.
pub struct Composer {
    /// Everything but lengths and CRCs, which [`Composer::image`] computes.
    pub header: Header,
    meta: Vec<u8>,
    data: Vec<u8>,
    objects: u32,
}

/// The objects of [`Composer::small`] that tests want to name.
#[derive(Clone, Copy)]
pub struct Shared {
    /// The [`Creds`].
    pub creds: ObjRef,
    /// The [`Namespaces`].
    pub namespaces: ObjRef,
    /// The [`Sighand`].
    pub sighand: ObjRef,
    /// The [`Mm`], with a mapping from 0x10000 to 0x14000.
    pub mm: ObjRef,
    /// The [`Files`].
    pub files: ObjRef,
    /// The [`Fs`].
    pub fs: ObjRef,
    /// A [`PathFile`].
    pub file: ObjRef,
}

/// A `T` of zeros.
pub fn zeroed<T: FromZeros>() -> T {
    T::new_zeroed()
}

impl Default for Composer {
    fn default() -> Composer {
        Composer::new()
    }
}

impl Composer {
    /// An image without records.
    pub fn new() -> Composer {
        let mut release = [0; 64];
        release[..3].copy_from_slice(b"7.3");
        Composer {
            header: Header {
                magic: header::MAGIC,
                byte_order: header::BYTE_ORDER,
                format: header::FORMAT,
                machine: 62,
                page_shift: PAGE_SHIFT,
                mode: header::MODE_SUBTREE,
                id: 1,
                realtime: 1_800_000_000_000_000_000,
                release,
                chunk_pages: header::CHUNK_PAGES,
                ..zeroed()
            },
            meta: Vec::new(),
            data: Vec::new(),
            objects: 0,
        }
    }

    /// Appends bytes to the metadata as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.meta.extend_from_slice(bytes);
    }

    /// Appends a record that is not an object.
    pub fn record<T: Record>(&mut self, body: T, tail: &[u8]) {
        self.put(body, tail, ObjRef::NONE);
    }

    /// Appends a record that is an object; returns its number.
    pub fn object<T: Record>(&mut self, body: T, tail: &[u8]) -> ObjRef {
        self.objects += 1;
        self.put(body, tail, ObjRef(self.objects));
        ObjRef(self.objects)
    }

    /// Appends a record with any object number.
    pub fn put<T: Record>(&mut self, body: T, tail: &[u8], object: ObjRef) {
        let head = RecordHeader {
            kind: T::KIND,
            version: T::VERSION,
            len: (size_of::<T>() + tail.len()) as u32,
            object,
            reserved: 0,
        };
        self.raw(head.as_bytes());
        self.raw(body.as_bytes());
        self.raw(tail);
        self.meta
            .resize(self.meta.len().next_multiple_of(RECORD_ALIGN), 0);
    }

    /// The last object.
    pub fn last(&self) -> ObjRef {
        ObjRef(self.objects)
    }

    /// Appends a page of data.
    pub fn page(&mut self, byte: u8) {
        self.data.resize(self.data.len() + (1 << PAGE_SHIFT), byte);
    }

    /// Appends the last record.
    pub fn end(&mut self, tasks: u32) {
        let objects = self.objects;
        self.record(End { objects, tasks }, &[]);
    }

    /// The bytes of the image.
    pub fn image(&self) -> Vec<u8> {
        let page = 1 << self.header.page_shift;
        let mut header = self.header;
        header.meta_crc = crc32fast::hash(&self.meta);
        header.meta_len = self.meta.len() as u64;
        header.data_pages = (self.data.len() / page) as u64;
        header.header_crc = header_crc(&header);

        let mut image = header.as_bytes().to_vec();
        image.extend_from_slice(&self.meta);
        if header.flags & header::FLAG_FAILED != 0 {
            return image;
        }
        image.resize(image.len().next_multiple_of(page), 0);
        image.extend_from_slice(&self.data);
        let hashes: Vec<u64> = self
            .data
            .chunks(header.chunk_pages as usize * page)
            .map(|chunk| xxh64(chunk, 0))
            .collect();
        let trailer = Trailer {
            magic: header::TRAILER_MAGIC,
            chunks: hashes.len() as u32,
            crc: crc32fast::hash(hashes.as_bytes()),
        };
        image.extend_from_slice(trailer.as_bytes());
        image.extend_from_slice(hashes.as_bytes());
        image
    }

    /// The image of a checkpoint that failed.
    pub fn failed(errno: u32, pid: i32, log: &str) -> Composer {
        let mut composer = Composer::new();
        composer.header.flags = header::FLAG_FAILED;
        composer.record(Failure { errno, pid }, log.as_bytes());
        composer
    }

    /// The objects that the tasks of [`Composer::small`] share.
    pub fn shared(&mut self) -> Shared {
        let creds = self.object(
            Creds {
                groups: 2,
                ..zeroed()
            },
            [4u32, 27].as_bytes(),
        );
        let namespaces = self.object(zeroed::<Namespaces>(), &[]);
        let actions: [SigAction; 64] = zeroed();
        let sighand = self.object(
            Sighand {
                signals: 64,
                reserved: 0,
            },
            actions.as_bytes(),
        );
        let file = self.object(
            PathFile {
                mode: 0o100_755,
                ..zeroed()
            },
            b"/usr/bin/victim",
        );
        let mm = self.object(
            Mm {
                exe: file,
                auxv: 2,
                ..zeroed()
            },
            [0u64, 0].as_bytes(),
        );
        self.record(
            Vma {
                mm,
                kind: memory::VMA_ANON,
                start: 0x10000,
                end: 0x14000,
                flags: memory::VMA_READ | memory::VMA_WRITE,
                ..zeroed()
            },
            &[],
        );
        let pipe = self.object(
            Pipe {
                capacity: 65536,
                path: 0,
                bufs: 1,
                bytes: 5,
            },
            &[PipeBuf { len: 5, packet: 0 }.as_bytes(), b"hello"].concat(),
        );
        let end = self.object(PipeFile { pipe, ..zeroed() }, &[]);
        let slots: Vec<Fd> = (0..)
            .zip([file, end])
            .map(|(fd, file)| Fd {
                fd,
                cloexec: 0,
                file,
                reserved: 0,
            })
            .collect();
        let files = self.object(
            Files {
                count: 2,
                reserved: 0,
            },
            slots.as_bytes(),
        );
        let fs = self.object(
            Fs {
                umask: 0o022,
                cwd: 4,
                root: 1,
                reserved: 0,
            },
            b"/tmp/",
        );
        Shared {
            creds,
            namespaces,
            sighand,
            mm,
            files,
            fs,
            file,
        }
    }

    /// Appends a process without its tasks.
    pub fn process(&mut self, tgid: i32, parent: i32) -> ObjRef {
        self.object(
            Process {
                tgid,
                pgid: tgid,
                sid: tgid,
                parent,
                exit_signal: 17,
                ..zeroed()
            },
            &[],
        )
    }

    /// Appends a task with its registers.
    pub fn task(&mut self, tid: i32, process: ObjRef, shared: &Shared) -> ObjRef {
        let mut comm = [0; 16];
        comm[..6].copy_from_slice(b"victim");
        let task = self.object(
            Task {
                tid,
                process,
                creds: shared.creds,
                namespaces: shared.namespaces,
                mm: shared.mm,
                files: shared.files,
                fs: shared.fs,
                sighand: shared.sighand,
                comm,
                ..zeroed()
            },
            &[],
        );
        self.record(Regset { task, note: 1 }, [0u64; 27].as_bytes());
        task
    }

    /// Appends a zombie.
    pub fn zombie(&mut self, tid: i32, process: ObjRef, shared: &Shared) -> ObjRef {
        self.object(
            Task {
                tid,
                flags: TASK_ZOMBIE,
                process,
                creds: shared.creds,
                exit_code: 0x300,
                ..zeroed()
            },
            &[],
        )
    }

    /// Appends a page map.
    pub fn page_map(&mut self, owner: ObjRef, runs: &[PageRun]) {
        let count = runs.len() as u32;
        self.record(PageMap { owner, runs: count }, bytes_of(runs));
    }

    /// A process of two threads and its zombie child.
    pub fn small() -> Composer {
        let mut composer = Composer::new();
        let shared = composer.shared();
        let parent = composer.process(100, 0);
        composer.task(100, parent, &shared);
        composer.task(101, parent, &shared);
        let child = composer.process(102, 100);
        composer.zombie(102, child, &shared);
        let run = |start, kind, data| PageRun {
            start,
            pages: 1,
            kind,
            data,
        };
        composer.page_map(
            shared.mm,
            &[
                run(0x10, memory::RUN_DATA, 0),
                run(0x13, memory::RUN_DATA, 1),
            ],
        );
        composer.page(0xaa);
        composer.page(0xbb);
        composer.end(3);
        composer
    }
}

fn bytes_of<T: IntoBytes + Immutable>(values: &[T]) -> &[u8] {
    values.as_bytes()
}
