// SPDX-License-Identifier: GPL-2.0

//! Pipes and fifos.
//!
//! Kept: the capacity, what is in the pipe with the borders of its packets (O_DIRECT), any number
//! of open files for each end, their flags, and whether poll(2) has seen a writer of a fifo. An
//! end that nobody of the tree has open is closed after the restart: readers see the end of the
//! file, writers get EPIPE. What is in a pipe is read without being consumed.
//! Not kept, and refused: notification pipes; fifos that have lost their name.
//!
//! The pipe is made first, with an end of each direction, so that no open(2) of a fifo has to
//! wait for its partner. What of these ends no descriptor took is closed when the [`PipeEnds`]
//! are dropped, which must be before the first task runs.
//!
//! C header: [`include/linux/pipe_fs_i.h`](srctree/include/linux/pipe_fs_i.h)

use super::path::path_name;
use super::FileKind;
use crate::error::Result;
use crate::format::file::Pipe;
use crate::format::file::PipeBuf;
use crate::format::file::PipeFile;
use crate::format::ObjRef;
use crate::format::Record;
use crate::format::RECORD_ALIGN;
use crate::image;
use crate::image::Bytes;
use crate::image::RawRecord;
use crate::object::Class;
use crate::object::ObjectTable;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::file::Path;
use crate::sys::kept::Kept;
use crate::sys::pipe::Locked;
use kernel::alloc::KVVec;
use kernel::fs::file::flags;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::str::CString;
use kernel::sync::new_mutex;
use kernel::sync::Arc;
use kernel::sync::Mutex;

/// The row of the table of kinds.
pub(crate) const KIND: FileKind = FileKind {
    name: "an end of a pipe",
    record: PipeFile::KIND,
    is: is_pipe,
    save,
    restore,
};

/// The flags of an end. O_NOATIME is not among them: who may have it is only asked by open(2).
const FLAGS: u32 = flags::O_ACCMODE
    | flags::O_APPEND
    | flags::O_NONBLOCK
    | flags::O_DIRECT
    | flags::O_SYNC
    | flags::O_LARGEFILE
    | flags::O_NOFOLLOW
    | flags::O_CLOEXEC;

/// Bytes of the largest buffer: more than a page only comes from a splice(2) of a socket.
const BUF_MAX: u32 = 1 << 20;

fn is_pipe(file: &FileRef) -> bool {
    sys::pipe::is_pipe(file)
}

fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let open = super::save_open(saver, file)?;

    if open.flags & !FLAGS != 0 {
        return Err(saver.refuse(fmt!(
            "{}: a pipe with flags that are not supported: {:#o}",
            &*saver.name_of(file),
            open.flags & !FLAGS
        )));
    }
    let state = PipeFile {
        open,
        pipe: save_pipe(saver, file)?,
        unseen: u32::from(sys::pipe::is_unseen(file)),
    };

    saver.out.object(&state, &[])
}

/// Saves the pipe behind an end, unless it is known already, and counts the reference.
fn save_pipe(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let key = sys::pipe::key(file);

    if let Some(number) = saver.objects.refer(Class::Pipe, key) {
        return Ok(number);
    }
    let path = name(saver, file)?;
    let path = path.as_ref().map_or(&[][..], |path| path.to_bytes());
    let Some(contents) = read(file)? else {
        return Err(saver.refuse(fmt!(
            "{}: a pipe for notifications, or with what was spliced into it, is not supported",
            &*saver.name_of(file)
        )));
    };
    let Contents {
        capacity,
        bufs,
        bytes,
    } = contents;
    let state = Pipe {
        capacity,
        path: len(path)?,
        bufs: len(&bufs)?,
        bytes: len(&bytes)?,
    };
    let tail = [path, padding(path.len())?, bufs.as_bytes(), &bytes];
    let number = saver.out.object(&state, &tail)?;

    saver.objects.insert(Class::Pipe, key, number)?;
    Ok(number)
}

/// The path of a fifo; none for a pipe.
fn name(saver: &Saver<'_>, file: &FileRef) -> Result<Option<CString>> {
    if !sys::pipe::is_fifo(file) {
        return Ok(None);
    }
    if sys::file::is_unlinked(file) {
        return Err(saver.refuse(fmt!("{}: the fifo has been deleted", &*saver.name_of(file))));
    }
    Ok(Some(saver.path_name(&Path::of(file))?))
}

/// What a pipe holds.
struct Contents {
    capacity: u32,
    bufs: KVVec<PipeBuf>,
    bytes: Bytes,
}

/// Reads the pipe; none if there is something in it that is not supported.
///
/// Nothing is logged in here: the log may go to this very pipe.
fn read(file: &FileRef) -> Result<Option<Contents>> {
    let pipe = Locked::new(file)?;
    let mut contents = Contents {
        capacity: pipe.capacity().ok_or(EOVERFLOW)?,
        bufs: KVVec::new(),
        bytes: Bytes::new(),
    };
    let mut nr = 0u32;

    if pipe.has_watch_queue() {
        return Ok(None);
    }
    while let Some(buffer) = pipe.buffer(nr)? {
        if !buffer.is_plain() || buffer.len() > BUF_MAX {
            return Ok(None);
        }
        if buffer.len() != 0 {
            let buf = PipeBuf {
                len: buffer.len(),
                packet: u32::from(buffer.is_packet()),
            };

            contents.bufs.push(buf, GFP_KERNEL)?;
            buffer.append_to(&mut contents.bytes)?;
        }
        nr = nr.checked_add(1).ok_or(EOVERFLOW)?;
    }
    Ok(Some(contents))
}

fn len<T>(slice: &[T]) -> Result<u32> {
    Ok(u32::try_from(slice.len()).map_err(|_| EOVERFLOW)?)
}

/// The zeros that align what follows `len` bytes.
fn padding(len: usize) -> Result<&'static [u8]> {
    static ZEROS: [u8; RECORD_ALIGN] = [0; RECORD_ALIGN];
    let padding = len
        .checked_next_multiple_of(RECORD_ALIGN)
        .and_then(|end| end.checked_sub(len))
        .ok_or(EINVAL)?;

    Ok(ZEROS.get(..padding).ok_or(EINVAL)?)
}

/// Whether the pipe of this end has ends that the tree does not refer to: leak detection.
pub(crate) fn is_shared_outside(objects: &ObjectTable, file: &FileRef) -> bool {
    is_pipe(file)
        && objects.references(Class::Pipe, sys::pipe::key(file))
            != u64::from(sys::pipe::files(file))
}

/// The parts of the tail of a [`Pipe`].
struct Tail<'a> {
    path: &'a [u8],
    bufs: KVVec<PipeBuf>,
    bytes: &'a [u8],
}

impl<'a> Tail<'a> {
    /// Splits a tail. `EINVAL`: it has another length than the record says, or what stands in it
    /// cannot be.
    fn split(state: &Pipe, tail: &'a [u8]) -> Result<Self> {
        let path_len = usize::try_from(state.path).map_err(|_| EINVAL)?;
        let (path, tail) = tail.split_at_checked(path_len).ok_or(EINVAL)?;
        let zeros = padding(path_len)?;
        let tail = tail.strip_prefix(zeros).ok_or(EINVAL)?;
        let (bufs, bytes) = image::split::<PipeBuf>(tail, state.bufs)?;
        let sum = bufs.iter().try_fold(0u32, |sum, buf| {
            let good = buf.len != 0 && buf.len <= BUF_MAX && buf.packet <= 1;

            sum.checked_add(buf.len).filter(|_| good)
        });

        if sum != Some(state.bytes) || len(bytes)? != state.bytes {
            return Err(EINVAL.into());
        }
        if !path.is_empty() {
            path_name(path)?;
        }
        Ok(Self { path, bufs, bytes })
    }
}

/// Checks a record of a pipe or of an end before anything is made of it.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: &dyn Fn(ObjRef) -> Option<u16>) -> Result {
    if record.kind == Pipe::KIND {
        check_pipe(record)
    } else {
        check_end(record, kind_of)
    }
}

fn check_pipe(record: &RawRecord<'_>) -> Result {
    let (state, tail) = record.parse::<Pipe>()?;
    let slots = state.capacity >> sys::page::SHIFT;
    let page = u32::try_from(sys::page::SIZE).map_err(|_| EINVAL)?;

    if !state.capacity.is_power_of_two() || state.capacity < page || state.bufs > slots {
        return Err(EINVAL.into());
    }
    Tail::split(&state, tail)?;
    Ok(())
}

fn check_end(record: &RawRecord<'_>, kind_of: &dyn Fn(ObjRef) -> Option<u16>) -> Result {
    let (state, tail) = record.parse::<PipeFile>()?;
    let PipeFile { open, pipe, unseen } = state;
    let flags = super::open_flags(&open)?;

    if flags & !FLAGS != 0
        || flags & flags::O_ACCMODE > flags::O_RDWR
        || open.pos != 0
        || kind_of(pipe) != Some(Pipe::KIND)
        || unseen > 1
        || (unseen != 0 && flags & flags::O_ACCMODE != flags::O_RDONLY)
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// What is needed to make ends of a pipe. It keeps both of its directions open.
#[pin_data]
pub(crate) struct PipeEnds {
    path: Path,
    /// Whether the files of `kept` may become somebody's descriptors: those of a fifo may not,
    /// since they were not opened as the saved ones were.
    takeable: bool,
    #[pin]
    kept: Mutex<KVec<Kept>>,
}

impl PipeEnds {
    fn new(kept: KVec<Kept>, takeable: bool) -> Result<Arc<Self>> {
        let path = Path::of(kept.first().ok_or(EINVAL)?);

        Ok(Arc::pin_init(
            pin_init!(Self {
                path,
                takeable,
                kept <- new_mutex!(kept),
            }),
            GFP_KERNEL,
        )?)
    }

    /// An end as pipe(2) makes it, which differs from one that was opened by its name in
    /// O_LARGEFILE and in what preadv2(RWF_NOWAIT) does.
    fn take(&self, wanted: u32) -> Option<FileRef> {
        if !self.takeable || wanted & flags::O_LARGEFILE != 0 {
            return None;
        }
        let mut kept = self.kept.lock();
        let index = kept
            .iter()
            .position(|file| file.flags() & flags::O_ACCMODE == wanted & flags::O_ACCMODE)?;

        kept.remove(index).ok().map(|end| end.file())
    }

    fn open(&self, flags: u32) -> Result<FileRef> {
        let file = match self.take(flags) {
            Some(file) => {
                sys::pipe::set_flags(&file, flags);
                file
            }
            None => sys::pipe::open_here(&self.path, flags)?,
        };

        // An image can ask for a combination that no system call gives.
        if file.flags() != flags {
            return Err(EINVAL.into());
        }
        Ok(file)
    }
}

/// Makes a pipe, or opens a fifo, and puts back what was in it.
pub(crate) fn restore_pipe(restart: &Restart, number: ObjRef) -> Result<Arc<PipeEnds>> {
    let (state, tail) = restart.record::<Pipe>(number)?;
    let Pipe {
        capacity,
        path: _,
        bufs: _,
        bytes: _,
    } = state;
    let Tail { path, bufs, bytes } = Tail::split(&state, tail)?;
    let mut kept = KVec::new();

    if path.is_empty() {
        for end in sys::pipe::create()? {
            kept.push(Kept::new(end), GFP_KERNEL)?;
        }
    } else {
        let fifo = open_fifo(restart, &path_name(path)?, bytes)?;

        kept.push(fifo, GFP_KERNEL)?;
    }
    let end = kept.first().ok_or(EINVAL)?;

    if Locked::new(end)?.capacity() != Some(capacity) {
        sys::pipe::set_capacity(end, capacity).map_err(|errno| {
            restart.log.error(
                errno,
                fmt!(
                    "object {}: cannot make the pipe hold {capacity} bytes",
                    number.0
                ),
            )
        })?;
    }
    fill(&mut Locked::new(end)?, &bufs, bytes)?;
    PipeEnds::new(kept, path.is_empty())
}

/// Opens a fifo for both directions, which never waits.
///
/// Reading and writing must both be allowed, even if the tree only has one end of it: otherwise an
/// image could put bytes where its owner may not write.
fn open_fifo(restart: &Restart, name: &CStr, bytes: &[u8]) -> Result<Kept> {
    let flags = flags::O_RDWR | flags::O_NONBLOCK | flags::O_NOCTTY;
    let file = restart
        .root()
        .open(name, flags)
        .map(Kept::new)
        .map_err(|errno| restart.log.error(errno, fmt!("{name}: cannot open it")))?;

    if !sys::pipe::is_fifo(&file) {
        return Err(restart
            .log
            .error(EINVAL, fmt!("{name}: it is no fifo any more")));
    }
    // What is in it was as much theirs as it was the tree's, and they may have read it.
    if !bytes.is_empty() && sys::pipe::files(&file) != 1 {
        return Err(restart.log.error(
            EBUSY,
            fmt!("{name}: others have it open, so that what was in it cannot be put back"),
        ));
    }
    Ok(file)
}

fn fill(pipe: &mut Locked<'_>, bufs: &[PipeBuf], mut bytes: &[u8]) -> Result {
    for buf in bufs {
        let (data, rest) = bytes
            .split_at_checked(usize::try_from(buf.len).map_err(|_| EINVAL)?)
            .ok_or(EINVAL)?;

        pipe.push(data, buf.packet != 0)?;
        bytes = rest;
    }
    Ok(())
}

fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (state, _) = restart.record::<PipeFile>(number)?;
    let PipeFile { open, pipe, unseen } = state;
    let file = restart.pipe(pipe)?.open(super::open_flags(&open)?)?;

    if unseen != 0 {
        sys::pipe::set_unseen(&file)?;
    }
    Ok(file)
}

#[cfg(CONFIG_CHECKPOINT_KUNIT_TEST)]
#[kunit_tests(checkpoint_pipe)]
mod tests {
    use super::*;
    use crate::image::Reader;
    use crate::image::Writer;
    use zerocopy::FromZeros;

    const PATH: &[u8] = b"/tmp/fifo\0\0\0\0\0\0\0";

    fn buf(len: u32, packet: u32) -> PipeBuf {
        PipeBuf { len, packet }
    }

    /// Checks a record; what it refers to is of the kind `behind`.
    fn is_good<T: Record>(state: &T, tail: &[&[u8]], behind: u16) -> bool {
        let mut writer = Writer::new();

        writer.object(state, tail).is_ok()
            && matches!(
                Reader::new(writer.bytes()).next_record(),
                Ok(Some(record)) if check(&record, &|_| Some(behind)).is_ok()
            )
    }

    fn is_good_pipe(change: impl FnOnce(&mut Pipe), path: &[u8], bufs: &[PipeBuf]) -> bool {
        let mut state = Pipe {
            capacity: 1 << 16,
            path: 9,
            bufs: 2,
            bytes: 5,
        };

        change(&mut state);
        is_good(&state, &[path, bufs.as_bytes(), b"hello"], 0)
    }

    #[test]
    fn takes_what_it_was_given() {
        assert!(is_good_pipe(|_| (), PATH, &[buf(2, 0), buf(3, 1)]));
        assert!(is_good_pipe(|p| p.path = 0, b"", &[buf(2, 0), buf(3, 1)]));
    }

    #[test]
    fn refuses_buffers_that_cannot_be() {
        for bufs in [
            [buf(2, 0), buf(2, 0)],
            [buf(0, 0), buf(5, 0)],
            [buf(2, 0), buf(3, 2)],
            [buf(u32::MAX, 0), buf(6, 0)],
        ] {
            assert!(!is_good_pipe(|_| (), PATH, &bufs));
        }
        assert!(!is_good_pipe(|_| (), PATH, &[buf(5, 0)]));
    }

    #[test]
    fn refuses_a_size_that_cannot_be() {
        for capacity in [0, 1, 3 << 12, u32::MAX] {
            assert!(!is_good_pipe(
                |p| p.capacity = capacity,
                PATH,
                &[buf(2, 0), buf(3, 0)]
            ));
        }
        // A page has one buffer only.
        assert!(!is_good_pipe(
            |p| p.capacity = 1 << sys::page::SHIFT,
            PATH,
            &[buf(2, 0), buf(3, 0)]
        ));
    }

    #[test]
    fn refuses_a_path_that_cannot_be() {
        for path in [
            b"tmp/fifo1\0\0\0\0\0\0\0".as_slice(),
            b"/tmp\0fifo\0\0\0\0\0\0\0",
            b"/tmp/fifo\0\0\0\0\0\0x",
        ] {
            assert!(!is_good_pipe(|_| (), path, &[buf(2, 0), buf(3, 0)]));
        }
    }

    #[test]
    fn checks_an_end() {
        let end = |flags, unseen| PipeFile {
            open: crate::format::file::OpenFile {
                flags,
                ..FromZeros::new_zeroed()
            },
            pipe: ObjRef(1),
            unseen,
        };

        assert!(is_good(&end(flags::O_RDONLY, 1), &[], Pipe::KIND));
        assert!(!is_good(&end(flags::O_RDONLY, 1), &[b"x"], Pipe::KIND));
        assert!(!is_good(&end(flags::O_RDONLY, 1), &[], PipeFile::KIND));
        assert!(!is_good(&end(flags::O_WRONLY, 1), &[], Pipe::KIND));
        assert!(!is_good(&end(flags::O_RDONLY, 2), &[], Pipe::KIND));
        assert!(!is_good(&end(flags::O_ACCMODE, 0), &[], Pipe::KIND));
        assert!(!is_good(&end(flags::O_NOATIME, 0), &[], Pipe::KIND));
    }
}
