// SPDX-License-Identifier: GPL-2.0

//! SysV shared memory, semaphores and message queues of a container.
//!
//! Kept: identifiers, keys, owners, permissions, times, and which processes have used an object
//! last; the content of segments, also of those that nobody has attached, or
//! that are to be destroyed (IPC_RMID) or locked (SHM_LOCK), and who has made it
//! (kernel.shm_rmid_forced); values of semaphores; messages; the limits of the namespace, and which
//! identifiers it gives out next.
//! Not kept, and refused: message queues of POSIX; and in a subtree, attached segments of the
//! caller's namespace. For what tasks are to undo, see [`sem_undo`].
//!
//! Objects are made empty by the root of the tree, before anybody can attach one. What they
//! remember of users is set when all are there.
//!
//! C sources: `ipc/shm.c`, `ipc/sem.c`, `ipc/msg.c`

#[path = "checkpoint/sem_undo.rs"]
pub(crate) mod sem_undo;

use crate::error::Result;
use crate::format::header::MODE_CONTAINER;
use crate::format::namespace::IpcNs;
use crate::format::namespace::IpcPerm;
use crate::format::namespace::Message;
use crate::format::namespace::MsgQueue;
use crate::format::namespace::SemSet;
use crate::format::namespace::SemUndo;
use crate::format::namespace::Semaphore;
use crate::format::namespace::ShmSegment;
use crate::format::namespace::UserNs as UserNsState;
use crate::format::namespace::SHM_NORESERVE;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image;
use crate::image::RawRecord;
use crate::mm;
use crate::mm::pages::Owner;
use crate::mm::pages::Run;
use crate::object::Class;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::freeze::Frozen;
use crate::sys::ipc;
use crate::sys::ns::DeadPid;
use crate::sys::ns::PidNs;
use crate::sys::user_ns::UserNs;
use crate::task::user_ns;
use kernel::bindings;
use kernel::prelude::*;

/// Permissions; that a segment is to be destroyed when nobody has it attached any more; that it is
/// locked (SHM_LOCK).
const MODE: u32 = 0o777;
const SHM_DEST: u32 = 0o1000;
const SHM_LOCKED: u32 = 0o2000;

/// What a segment can have of these.
const SHM_MODE: u32 = MODE | SHM_DEST | SHM_LOCKED;

/// How many objects of a class there can be at most (`IPCMNI_EXTEND`).
const IDS_MAX: u64 = 1 << 24;

/// The largest values of the settings, in the order of the record; see `ipc/ipc_sysctl.c` and
/// `ipc/mq_sysctl.c`. Some may be any int.
const LIMITS: [u64; 16] = [
    ANY,
    ANY,
    ANY,
    IDS_MAX,
    INT_MAX,
    INT_MAX,
    IDS_MAX,
    IDS_MAX,
    1,
    usize::MAX as u64,
    usize::MAX as u64,
    ANY,
    HARD_MSGMAX,
    HARD_MSGSIZEMAX,
    HARD_MSGMAX,
    HARD_MSGSIZEMAX,
];
const ANY: u64 = u32::MAX as u64;
const INT_MAX: u64 = i32::MAX as u64;

/// `include/linux/ipc_namespace.h`
const HARD_MSGMAX: u64 = 65536;
const HARD_MSGSIZEMAX: u64 = 16 * 1024 * 1024;

/// Settings under which everything can be made that was made under others.
const WIDE: [u64; 16] = [
    INT_MAX,
    INT_MAX,
    INT_MAX,
    IDS_MAX,
    INT_MAX,
    INT_MAX,
    IDS_MAX,
    IDS_MAX,
    0,
    usize::MAX as u64,
    usize::MAX as u64,
    INT_MAX,
    HARD_MSGMAX,
    HARD_MSGSIZEMAX,
    HARD_MSGMAX,
    HARD_MSGSIZEMAX,
];

/// A semaphore has at most this value (`SEMVMX`).
const VALUE_MAX: u32 = 32767;

/// An IPC namespace that has been saved.
pub(crate) struct Saved {
    ns: ipc::IpcNs,
    number: ObjRef,
    /// Identifiers of its segments, and how many mappings each has.
    segments: KVVec<(i32, u64)>,
}

impl Saved {
    /// Whether there is an object in it.
    pub(crate) fn has_objects(&self) -> bool {
        self.ns.has_objects()
    }
}

/// Saves an IPC namespace with all that is in it.
pub(crate) fn save(saver: &mut Saver<'_>, task: &Frozen) -> Result<ObjRef> {
    let ns = ipc::IpcNs::of(task)?;
    let limits = ns.limits();

    if ns.posix_queues() != 0 {
        return Err(saver.refuse(fmt!(
            "its IPC namespace has message queues of POSIX, which are not supported"
        )));
    }
    if saver.mode != MODE_CONTAINER && ns.has_objects() {
        return Err(saver.refuse(fmt!(
            "its IPC namespace has SysV objects, which are supported in a container only"
        )));
    }
    let user_ns = user_ns::save(saver, UserNs::of_ipc(task)?)?;
    let number = saver.out.object(
        &IpcNs {
            limits: limits.limits,
            next: limits.next,
            user_ns,
        },
        &[],
    )?;

    let mut segments = KVVec::new();

    each(&ns, ipc::Class::Shm, |id| {
        let attached = save_shm(saver, &ns, number, id)?;

        Ok(segments.push((id, attached), GFP_KERNEL)?)
    })?;
    each(&ns, ipc::Class::Sem, |id| save_sem(saver, &ns, number, id))?;
    each(&ns, ipc::Class::Msg, |id| save_msg(saver, &ns, number, id))?;
    saver.ipc = Some(Saved {
        ns,
        number,
        segments,
    });
    Ok(number)
}

fn each(ns: &ipc::IpcNs, class: ipc::Class, mut save: impl FnMut(i32) -> Result) -> Result {
    let mut from = 0;

    while let Some((id, next)) = ns.next(class, from) {
        save(id)?;
        from = next;
    }
    Ok(())
}

fn save_perm(saver: &Saver<'_>, perm: &ipc::Perm) -> Result<IpcPerm> {
    let ipc::Perm {
        id,
        key,
        uid,
        gid,
        cuid,
        cgid,
        mode,
    } = *perm;

    saver.check_ids(&[uid, gid, cuid, cgid])?;
    Ok(IpcPerm {
        id,
        key,
        uid,
        gid,
        cuid,
        cgid,
        mode,
        reserved: 0,
    })
}

fn restore_perm(perm: &IpcPerm) -> ipc::Perm {
    let IpcPerm {
        id,
        key,
        uid,
        gid,
        cuid,
        cgid,
        mode,
        reserved: _,
    } = *perm;

    ipc::Perm {
        id,
        key,
        uid,
        gid,
        cuid,
        cgid,
        mode,
    }
}

fn save_shm(saver: &mut Saver<'_>, ns: &ipc::IpcNs, ipc: ObjRef, id: i32) -> Result<u64> {
    let ipc::Shm { state, file } = ns.shm(id, &saver.ns)?;

    if state.perm.mode & !SHM_MODE != 0 {
        return Err(saver.refuse(fmt!(
            "shared memory segment {id}: has flags that are not supported"
        )));
    }
    let number = saver.out.object(
        &ShmSegment {
            ipc,
            flags: if state.noreserve { SHM_NORESERVE } else { 0 },
            perm: save_perm(saver, &state.perm)?,
            size: state.size,
            times: [state.atime, state.dtime, state.ctime],
            pids: [state.cpid, state.lpid],
            creator: state.creator,
            attached: state.nattch,
            name: state.name,
            huge: sys::hugetlb::shift(&file),
        },
        &[],
    )?;
    let mut runs = KVVec::new();
    let mut from = 0;

    mm::hugetlb::save(saver, &file, number)?;
    mm::mempolicy::save_shared(saver, &file, number)?;
    // This file is the segment's own, its position is nobody's.
    while let Some((start, end)) = sys::shmem::next_data(&file, from)? {
        runs.push(Run::of_bytes(start, end)?, GFP_KERNEL)?;
        from = end;
    }
    saver.objects.insert(
        Class::ShmSegment,
        usize::try_from(id).map_err(|_| EINVAL)?,
        number,
    )?;
    saver.pages.add(number, Owner::Shmem(file), runs)?;
    Ok(u64::from(state.nattch))
}

/// The segment that a mapping of shmat(2) has.
pub(crate) fn save_attachment(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let id = match &saver.ipc {
        Some(saved) => saved.ns.segment_of(file).ok(),
        None => None,
    };

    id.and_then(|id| usize::try_from(id).ok())
        .and_then(|id| saver.objects.refer(Class::ShmSegment, id))
        .ok_or_else(|| {
            saver.refuse(fmt!(
                "{}: a segment of SysV shared memory that is not in an IPC namespace of the tree",
                &*saver.name_of(file)
            ))
        })
}

/// `EBUSY`: somebody outside of the container has one of its segments attached.
pub(crate) fn check_leaks(saver: &Saver<'_>) -> Result {
    let Some(saved) = &saver.ipc else {
        return Ok(());
    };

    for &(id, attached) in &saved.segments {
        // The first reference is that of the namespace.
        let ours = saver
            .objects
            .references(Class::ShmSegment, usize::try_from(id).map_err(|_| EINVAL)?)
            .saturating_sub(1);

        if ours != attached {
            return Err(saver.log.error(
                EBUSY,
                fmt!(
                    "shared memory segment {id}: the container has it attached {ours} times, but \
                     there are {attached} attachments"
                ),
            ));
        }
    }
    Ok(())
}

fn save_sem(saver: &mut Saver<'_>, ns: &ipc::IpcNs, ipc: ObjRef, id: i32) -> Result {
    let (state, values) = ns.sem(id, &saver.ns)?;
    let mut semaphores = KVVec::with_capacity(values.len(), GFP_KERNEL)?;

    for value in &values {
        semaphores.push(
            Semaphore {
                value: value.value,
                pid: value.pid,
            },
            GFP_KERNEL,
        )?;
    }
    saver.out.record(
        &SemSet {
            ipc,
            count: state.count,
            perm: save_perm(saver, &state.perm)?,
            times: [state.otime, state.ctime],
        },
        &[semaphores.as_slice().as_bytes()],
    )
}

fn save_msg(saver: &mut Saver<'_>, ns: &ipc::IpcNs, ipc: ObjRef, id: i32) -> Result {
    let state = ns.msg(id, &saver.ns)?;
    let mut heads = KVVec::from_elem(ipc::MsgHead::default(), state.count as usize, GFP_KERNEL)?;
    let mut data = KVVec::from_elem(
        0u8,
        usize::try_from(state.bytes).map_err(|_| EFBIG)?,
        GFP_KERNEL,
    )?;
    let mut messages = KVVec::with_capacity(heads.len(), GFP_KERNEL)?;

    ns.messages(id, &mut heads, &mut data)?;
    for head in &heads {
        messages.push(
            Message {
                kind: head.type_,
                len: head.len,
                reserved: 0,
            },
            GFP_KERNEL,
        )?;
    }
    saver.out.record(
        &MsgQueue {
            ipc,
            count: state.count,
            perm: save_perm(saver, &state.perm)?,
            times: [state.stime, state.rtime, state.ctime],
            pids: [state.lspid, state.lrpid],
            qbytes: state.qbytes,
            bytes: state.bytes,
        },
        &[messages.as_slice().as_bytes(), &data],
    )
}

fn check_perm(perm: &IpcPerm, mode: u32) -> Result {
    if perm.id < 0 || perm.mode & !mode != 0 || perm.reserved != 0 {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Checks the record of a namespace or of what is in it; gives the namespace that a record belongs
/// to which defines no object.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result<ObjRef> {
    let owner = match record.kind {
        IpcNs::KIND => {
            let (state, tail) = record.parse::<IpcNs>()?;

            if state.limits.iter().zip(&LIMITS).any(|(is, max)| is > max)
                || state.next.iter().any(|&next| next < -1)
                || !(state.user_ns.is_none() || kind_of(state.user_ns) == Some(UserNsState::KIND))
                || !tail.is_empty()
            {
                return Err(EINVAL.into());
            }
            return Ok(ObjRef::NONE);
        }
        ShmSegment::KIND => {
            let (state, tail) = record.parse::<ShmSegment>()?;

            check_perm(&state.perm, SHM_MODE)?;
            if state.flags & !SHM_NORESERVE != 0
                || state.size == 0
                || i64::try_from(state.size).is_err()
                || (state.perm.mode & SHM_DEST != 0 && state.attached == 0)
                || state.creator < 0
                || (state.huge != 0
                    && (!mm::hugetlb::is_shift(state.huge) || state.perm.mode & SHM_LOCKED != 0))
                || state.perm.key
                    != if state.perm.mode & SHM_DEST != 0 {
                        0
                    } else {
                        state.name
                    }
                || state.pids.iter().any(|&pid| pid < 0)
                || !tail.is_empty()
            {
                return Err(EINVAL.into());
            }
            state.ipc
        }
        SemSet::KIND => {
            let (state, tail) = record.parse::<SemSet>()?;

            check_perm(&state.perm, MODE)?;
            for semaphore in &image::all::<Semaphore>(tail, state.count)? {
                if semaphore.value > VALUE_MAX || semaphore.pid < 0 {
                    return Err(EINVAL.into());
                }
            }
            if state.count == 0 {
                return Err(EINVAL.into());
            }
            state.ipc
        }
        SemUndo::KIND => return sem_undo::check(record, kind_of),
        _ => check_msg(record)?,
    };

    if kind_of(owner) != Some(IpcNs::KIND) {
        return Err(EINVAL.into());
    }
    Ok(owner)
}

fn check_msg(record: &RawRecord<'_>) -> Result<ObjRef> {
    let (state, tail) = record.parse::<MsgQueue>()?;
    let (messages, data) = image::split::<Message>(tail, state.count)?;
    let mut bytes = 0u64;

    check_perm(&state.perm, MODE)?;
    for message in &messages {
        bytes = bytes.checked_add(u64::from(message.len)).ok_or(EINVAL)?;
        if message.kind < 1 || message.reserved != 0 {
            return Err(EINVAL.into());
        }
    }
    // A queue may hold more than its limit, which may have been lowered since.
    if bytes != state.bytes
        || data.len() as u64 != bytes
        || state.qbytes > INT_MAX
        || state.pids.iter().any(|&pid| pid < 0)
    {
        return Err(EINVAL.into());
    }
    Ok(state.ipc)
}

fn shm_state(record: &ShmSegment) -> bindings::checkpoint_shm {
    let ShmSegment {
        ipc: _,
        flags,
        perm,
        size,
        times: [atime, dtime, ctime],
        pids: [cpid, lpid],
        creator,
        attached,
        name,
        huge,
    } = *record;

    bindings::checkpoint_shm {
        perm: restore_perm(&perm),
        name,
        size,
        atime,
        dtime,
        ctime,
        cpid,
        lpid,
        creator,
        nattch: attached,
        huge,
        noreserve: flags & SHM_NORESERVE != 0,
        file: core::ptr::null_mut(),
    }
}

fn sem_state(record: &SemSet) -> ipc::Sem {
    let SemSet {
        ipc: _,
        count,
        perm,
        times: [otime, ctime],
    } = *record;

    ipc::Sem {
        perm: restore_perm(&perm),
        otime,
        ctime,
        count,
    }
}

fn msg_state(record: &MsgQueue) -> ipc::Msg {
    let MsgQueue {
        ipc: _,
        count,
        perm,
        times: [stime, rtime, ctime],
        pids: [lspid, lrpid],
        qbytes,
        bytes,
    } = *record;

    ipc::Msg {
        perm: restore_perm(&perm),
        stime,
        rtime,
        ctime,
        lspid,
        lrpid,
        qbytes,
        bytes,
        count,
    }
}

/// Makes what is in the running task's namespace, which is new.
pub(crate) fn restore(restart: &Restart, number: ObjRef) -> Result {
    let ns = ipc::IpcNs::of(&sys::task::current())?;
    let explain = |errno: Error, what: &str, id: i32| {
        restart
            .log
            .error(errno, fmt!("object {}: {what} {id}", number.0))
    };

    // What there is may be beyond limits that were lowered since.
    ns.set_limits(&ipc::Limits {
        limits: WIDE,
        ..ns.limits()
    });
    // Those that are to be destroyed have no key any more, which others may have taken since.
    for destroyed in [true, false] {
        for record in restart.records::<ShmSegment>() {
            let (state, _) = record.parse::<ShmSegment>()?;

            if state.ipc == number && (state.perm.mode & SHM_DEST != 0) == destroyed {
                restart.make_segment(record.object)?;
            }
        }
    }
    for record in restart.belonging::<SemSet>(number) {
        let (state, _) = record.parse::<SemSet>()?;

        ipc::create_sem(&sem_state(&state))
            .map_err(|errno| explain(errno, "semaphore set", state.perm.id))?;
    }
    for record in restart.belonging::<MsgQueue>(number) {
        let (state, tail) = record.parse::<MsgQueue>()?;
        let (messages, mut data) = image::split::<Message>(tail, state.count)?;

        ipc::create_msg(&msg_state(&state))
            .map_err(|errno| explain(errno, "message queue", state.perm.id))?;
        for message in &messages {
            let (text, rest) = data.split_at_checked(message.len as usize).ok_or(EINVAL)?;

            ipc::append_msg(state.perm.id, message.kind, text)
                .map_err(|errno| explain(errno, "message queue", state.perm.id))?;
            data = rest;
        }
    }
    Ok(())
}

/// Makes a segment in the running task's namespace, without its content.
pub(crate) fn restore_segment(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (state, _) = restart.record::<ShmSegment>(number)?;
    let file = ipc::create_shm(&shm_state(&state)).map_err(|errno| {
        restart.log.error(
            errno,
            fmt!(
                "object {}: shared memory segment {}",
                number.0,
                state.perm.id
            ),
        )
    })?;

    mm::hugetlb::restore(restart, &file, number)?;
    Ok(file)
}

/// Sets what the objects of the root's namespace remember, when all tasks are there and everything
/// is attached.
pub(crate) fn finish(restart: &Restart, root: &kernel::task::Task, number: ObjRef) -> Result {
    let ns = ipc::IpcNs::of(root)?;
    let pid_ns = PidNs::of(root)?;
    let _pids = make_pids(restart, &pid_ns, number)?;

    for record in restart.records::<ShmSegment>() {
        let (state, _) = record.parse::<ShmSegment>()?;

        if state.ipc != number {
            return Err(EINVAL.into());
        }
        ns.set_shm(&pid_ns, &shm_state(&state)).map_err(|errno| {
            restart.log.error(
                errno,
                fmt!(
                    "object {}: shared memory segment {}: it is not attached {} times",
                    record.object.0,
                    state.perm.id,
                    state.attached
                ),
            )
        })?;
    }
    for record in restart.belonging::<SemSet>(number) {
        let (state, tail) = record.parse::<SemSet>()?;
        let mut values = KVVec::new();

        for semaphore in &image::all::<Semaphore>(tail, state.count)? {
            let Semaphore { value, pid } = *semaphore;

            values.push(ipc::SemValue { value, pid }, GFP_KERNEL)?;
        }
        ns.set_sem(&pid_ns, &sem_state(&state), &values)?;
    }
    sem_undo::finish(restart, &ns, number)?;
    for record in restart.belonging::<MsgQueue>(number) {
        let (state, _) = record.parse::<MsgQueue>()?;

        ns.set_msg(&pid_ns, &msg_state(&state)).map_err(|errno| {
            restart.log.error(
                errno,
                fmt!("object {}: message queue {}", number.0, state.perm.id),
            )
        })?;
    }
    let (state, _) = restart.record::<IpcNs>(number)?;
    let IpcNs {
        limits,
        next,
        user_ns: _,
    } = state;
    let limits = ipc::Limits { limits, next };

    ns.set_limits(&limits);
    ns.set_next(&limits);
    Ok(())
}

/// Makes the pids that objects remember of processes which are gone. They are free again when they
/// are dropped; the objects remember them still.
fn make_pids(restart: &Restart, pid_ns: &PidNs, number: ObjRef) -> Result<KVVec<DeadPid>> {
    let mut made = KVVec::new();
    let mut make = |pid: i32| -> Result {
        if pid != 0 {
            let pid = DeadPid::new(pid_ns, pid).map_err(|errno| {
                restart
                    .log
                    .error(errno, fmt!("object {}: pid {pid}", number.0))
            })?;

            if let Some(pid) = pid {
                made.push(pid, GFP_KERNEL)?;
            }
        }
        Ok(())
    };

    for record in restart.records::<ShmSegment>() {
        record
            .parse::<ShmSegment>()?
            .0
            .pids
            .into_iter()
            .try_for_each(&mut make)?;
    }
    for record in restart.belonging::<SemSet>(number) {
        let (state, tail) = record.parse::<SemSet>()?;

        for semaphore in &image::all::<Semaphore>(tail, state.count)? {
            make(semaphore.pid)?;
        }
    }
    for record in restart.belonging::<MsgQueue>(number) {
        record
            .parse::<MsgQueue>()?
            .0
            .pids
            .into_iter()
            .try_for_each(&mut make)?;
    }
    Ok(made)
}

/// An attachment of a segment, to be mapped. Each mapping has one for itself: the kernel does not
/// join them, so that as many are counted as before.
pub(crate) fn restore_attachment(
    restart: &Restart,
    segment: ObjRef,
    may_write: bool,
) -> Result<FileRef> {
    // It is one that this restart has made, in the namespace of the tree.
    restart.segment(segment)?;
    let (state, _) = restart.record::<ShmSegment>(segment)?;

    Ok(ipc::open_shm(state.perm.id, may_write)?)
}
