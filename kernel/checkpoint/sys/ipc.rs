// SPDX-License-Identifier: GPL-2.0

//! SysV objects, and the IPC namespaces that hold them.
//!
//! C sources: `ipc/shm.c`, `ipc/sem.c`, `ipc/msg.c`, `ipc/util.c`

use super::file;
use super::file::FileRef;
use super::freeze::Frozen;
use super::ns::PidNs;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::task::Task;

/// A reference to an IPC namespace.
pub(crate) struct IpcNs(NonNull<bindings::ipc_namespace>);

// SAFETY: Namespaces are shared by tasks and have their own locks.
unsafe impl Send for IpcNs {}
// SAFETY: As above.
unsafe impl Sync for IpcNs {}

impl Drop for IpcNs {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::checkpoint_put_ipc_ns(self.0.as_ptr()) };
    }
}

/// What all SysV objects have.
pub(crate) type Perm = bindings::checkpoint_ipc_perm;
/// A set of semaphores, ...
pub(crate) type Sem = bindings::checkpoint_sem;
/// ... and one of them.
pub(crate) type SemValue = bindings::checkpoint_sem_value;
/// A message queue, ...
pub(crate) type Msg = bindings::checkpoint_msg;
/// ... and what a message in it is.
pub(crate) type MsgHead = bindings::checkpoint_msg_head;
/// Settings of a namespace, and from where on it looks for new identifiers.
pub(crate) type Limits = bindings::checkpoint_ipc_limits;

/// A segment of shared memory.
pub(crate) struct Shm {
    pub(crate) state: bindings::checkpoint_shm,
    /// Its memory.
    pub(crate) file: FileRef,
}

/// What a namespace holds.
#[derive(Clone, Copy)]
pub(crate) enum Class {
    Sem = 0,
    Msg = 1,
    Shm = 2,
}

impl IpcNs {
    /// The namespace of a task. `ESRCH`: it has ended.
    pub(crate) fn of(task: &Task) -> Result<Self> {
        // SAFETY: The task is referenced; the helper gives a reference or null.
        NonNull::new(unsafe { bindings::checkpoint_get_ipc_ns(task.as_ptr()) })
            .map(Self)
            .ok_or(ESRCH)
    }

    /// Reads the settings.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::default();

        // SAFETY: The namespace is referenced.
        unsafe { bindings::checkpoint_ipc_limits(self.0.as_ptr(), &raw mut limits) };
        limits
    }

    /// Sets the settings, of a namespace that nobody uses yet.
    pub(crate) fn set_limits(&self, limits: &Limits) {
        // SAFETY: The namespace is referenced, and the values have been checked to be in the range
        // that sysctl(8) allows.
        unsafe { bindings::checkpoint_set_ipc_limits(self.0.as_ptr(), limits) };
    }

    /// Sets from where on it looks for new identifiers, when it has its objects.
    pub(crate) fn set_next(&self, limits: &Limits) {
        // SAFETY: The namespace is referenced; whatever the values, an identifier that is free is
        // found.
        unsafe { bindings::checkpoint_ipc_set_next(self.0.as_ptr(), limits) };
    }

    /// The identifier of the first object from an index on, and the index behind it.
    pub(crate) fn next(&self, class: Class, index: i32) -> Option<(i32, i32)> {
        let mut id = index;
        // SAFETY: The namespace is referenced.
        let found =
            unsafe { bindings::checkpoint_ipc_next(self.0.as_ptr(), class as i32, &raw mut id) };

        (found >= 0).then(|| (id, found.saturating_add(1)))
    }

    /// Whether it has SysV objects.
    pub(crate) fn has_objects(&self) -> bool {
        [Class::Sem, Class::Msg, Class::Shm]
            .into_iter()
            .any(|class| self.next(class, 0).is_some())
    }

    /// How many message queues of POSIX it has.
    pub(crate) fn posix_queues(&self) -> u32 {
        // SAFETY: The namespace is referenced; a racing read gives some recent count.
        unsafe { bindings::checkpoint_posix_queues(self.0.as_ptr()) }
    }

    /// The segment that an open file is an attachment of. `EINVAL`: of none. `EXDEV`: of another
    /// namespace.
    pub(crate) fn segment_of(&self, file: &File) -> Result<i32> {
        // SAFETY: Both are referenced.
        let id = unsafe { bindings::checkpoint_shm_file_id(file.as_ptr(), self.0.as_ptr()) };

        to_result(id.min(0))?;
        Ok(id)
    }

    /// Reads a segment.
    pub(crate) fn shm(&self, id: i32, pid_ns: &PidNs) -> Result<Shm> {
        let mut state = bindings::checkpoint_shm::default();

        // SAFETY: Both namespaces are referenced; on success the function gives a reference to the
        // file.
        unsafe {
            to_result(bindings::checkpoint_shm_get(
                self.0.as_ptr(),
                id,
                pid_ns.as_ptr(),
                &raw mut state,
            ))?;
            let file = file::from_raw(state.file)?;

            Ok(Shm { state, file })
        }
    }

    /// Sets what a segment remembers.
    pub(crate) fn set_shm(&self, pid_ns: &PidNs, state: &bindings::checkpoint_shm) -> Result {
        // SAFETY: Both namespaces are referenced.
        to_result(unsafe { bindings::checkpoint_shm_set(self.0.as_ptr(), pid_ns.as_ptr(), state) })
    }

    /// Reads a set of semaphores.
    pub(crate) fn sem(&self, id: i32, pid_ns: &PidNs) -> Result<(Sem, KVVec<SemValue>)> {
        let mut state = Sem::default();
        let mut values = KVVec::new();

        loop {
            // SAFETY: Both namespaces are referenced, and there is room for as many values as are
            // told.
            match unsafe {
                bindings::checkpoint_sem_get(
                    self.0.as_ptr(),
                    id,
                    pid_ns.as_ptr(),
                    &raw mut state,
                    values.as_mut_ptr(),
                    u32::try_from(values.len())?,
                )
            } {
                // It says how many there are.
                error if error == E2BIG.to_errno() => {
                    values =
                        KVVec::from_elem(SemValue::default(), state.count as usize, GFP_KERNEL)?;
                }
                result => {
                    to_result(result)?;
                    return Ok((state, values));
                }
            }
        }
    }

    /// Sets what a set of semaphores holds.
    pub(crate) fn set_sem(&self, pid_ns: &PidNs, state: &Sem, values: &[SemValue]) -> Result {
        if values.len() != state.count as usize {
            return Err(EINVAL);
        }
        // SAFETY: Both namespaces are referenced; there are as many values as the state says.
        to_result(unsafe {
            bindings::checkpoint_sem_set(self.0.as_ptr(), pid_ns.as_ptr(), state, values.as_ptr())
        })
    }

    /// What a list is to undo of a set of semaphores. `EIDRM`: nothing any more.
    pub(crate) fn undo(&self, list: usize, id: i32) -> Result<KVVec<i16>> {
        let mut adjustments = KVVec::new();

        loop {
            // SAFETY: The namespace is referenced, and there is room for as many as are told. The
            // list is only compared.
            let count = unsafe {
                bindings::checkpoint_semundo_get(
                    self.0.as_ptr(),
                    list,
                    id,
                    adjustments.as_mut_ptr(),
                    u32::try_from(adjustments.len())?,
                )
            };

            to_result(count.min(0))?;
            let count = usize::try_from(count)?;

            if count == adjustments.len() {
                return Ok(adjustments);
            }
            adjustments = KVVec::from_elem(0, count, GFP_KERNEL)?;
        }
    }

    /// Appends to the list of a task, which waits, what is to be undone of a set of semaphores.
    /// `EINVAL`: there is no such set, or it has not as many semaphores. `EEXIST`: the list has
    /// some of it. `ESRCH`: the task has no list.
    pub(crate) fn add_undo(&self, task: &Task, id: i32, adjustments: &[i16]) -> Result {
        // SAFETY: The task and the namespace are referenced; there are as many as are told.
        to_result(unsafe {
            bindings::checkpoint_semundo_add(
                task.as_ptr(),
                self.0.as_ptr(),
                id,
                adjustments.as_ptr(),
                u32::try_from(adjustments.len())?,
            )
        })
    }

    /// Reads a message queue.
    pub(crate) fn msg(&self, id: i32, pid_ns: &PidNs) -> Result<Msg> {
        let mut state = Msg::default();

        // SAFETY: Both namespaces are referenced.
        to_result(unsafe {
            bindings::checkpoint_msg_get(self.0.as_ptr(), id, pid_ns.as_ptr(), &raw mut state)
        })?;
        Ok(state)
    }

    /// Reads the messages in a queue: fills both slices. `EAGAIN`: there are others than there was
    /// room for.
    pub(crate) fn messages(&self, id: i32, heads: &mut [MsgHead], data: &mut [u8]) -> Result {
        // SAFETY: The namespace is referenced; both slices are valid for their lengths.
        let count = unsafe {
            bindings::checkpoint_msg_read(
                self.0.as_ptr(),
                id,
                heads.as_mut_ptr(),
                u32::try_from(heads.len())?,
                data.as_mut_ptr().cast(),
                data.len(),
            )
        };

        to_result(count.min(0))?;
        if usize::try_from(count) != Ok(heads.len()) {
            return Err(EAGAIN);
        }
        Ok(())
    }

    /// Sets what a message queue remembers. `EPERM`: it is larger than the caller may make it.
    pub(crate) fn set_msg(&self, pid_ns: &PidNs, state: &Msg) -> Result {
        // SAFETY: Both namespaces are referenced.
        to_result(unsafe { bindings::checkpoint_msg_set(self.0.as_ptr(), pid_ns.as_ptr(), state) })
    }
}

/// Whether an open file is an attachment of a segment, of any namespace.
pub(crate) fn is_attachment(file: &File) -> bool {
    // SAFETY: The file is referenced; a null pointer is the namespace of none.
    unsafe {
        bindings::checkpoint_shm_file_id(file.as_ptr(), core::ptr::null_mut()) != EINVAL.to_errno()
    }
}

/// Makes a segment in the running task's namespace; gives its memory.
pub(crate) fn create_shm(state: &bindings::checkpoint_shm) -> Result<FileRef> {
    // SAFETY: The function gives a new reference or an error pointer.
    unsafe { file::from_raw(bindings::checkpoint_shm_create(state)) }
}

/// An attachment of a segment of the running task's namespace, to be mapped.
pub(crate) fn open_shm(id: i32, may_write: bool) -> Result<FileRef> {
    // SAFETY: The function gives a new reference or an error pointer.
    unsafe { file::from_raw(bindings::checkpoint_shm_open(id, may_write)) }
}

/// Makes a set of semaphores in the running task's namespace.
pub(crate) fn create_sem(state: &Sem) -> Result {
    // SAFETY: The state is valid.
    to_result(unsafe { bindings::checkpoint_sem_create(state) })
}

/// A list of what is to be undone of semaphores when the last task that has it ends.
pub(crate) struct UndoList {
    /// Tells it from others.
    pub(crate) key: usize,
    /// How many tasks have it.
    pub(crate) users: u32,
}

/// The list of a task, if it has one.
pub(crate) fn undo_list(task: &Frozen) -> Option<UndoList> {
    let mut users = 0;
    // SAFETY: The task is referenced, and its list is read under its lock.
    let key = unsafe { bindings::checkpoint_semundo(task.as_ptr(), &raw mut users) };

    (key != 0).then_some(UndoList { key, users })
}

/// The sets of semaphores that the list of a task is about.
pub(crate) fn undo_sets(task: &Frozen) -> Result<KVVec<i32>> {
    let mut ids = KVVec::new();

    loop {
        // SAFETY: The task is referenced, and there is room for as many as are told.
        let count = unsafe {
            bindings::checkpoint_semundo_sets(
                task.as_ptr(),
                ids.as_mut_ptr(),
                u32::try_from(ids.len())?,
            )
        };
        let count = usize::try_from(count)?;

        if count <= ids.len() {
            ids.truncate(count);
            return Ok(ids);
        }
        ids = KVVec::from_elem(0, count, GFP_KERNEL)?;
    }
}

/// Gives a task, which waits and has none, an empty list.
pub(crate) fn make_undo_list(task: &Task) -> Result {
    // SAFETY: The task is referenced; the function works under its lock.
    to_result(unsafe { bindings::checkpoint_semundo_make(task.as_ptr()) })
}

/// Gives a task, which waits and has none, the list of another one (CLONE_SYSVSEM). `ESRCH`: that
/// has none.
pub(crate) fn share_undo_list(task: &Task, first: &Task) -> Result {
    // SAFETY: Both tasks are referenced; the function works under their locks.
    to_result(unsafe { bindings::checkpoint_semundo_share(task.as_ptr(), first.as_ptr()) })
}

/// Has the running task undo what it was to undo when it ends.
pub(crate) fn undo_now() {
    let task = super::task::current();

    // SAFETY: It is the running task, as in unshare(CLONE_SYSVSEM).
    unsafe { bindings::exit_sem(task.as_ptr()) };
}

/// Makes a message queue in the running task's namespace.
pub(crate) fn create_msg(state: &Msg) -> Result {
    // SAFETY: The state is valid.
    to_result(unsafe { bindings::checkpoint_msg_create(state) })
}

/// Appends a message to a queue of the running task's namespace.
pub(crate) fn append_msg(id: i32, kind: i64, data: &[u8]) -> Result {
    let head = MsgHead {
        type_: kind,
        len: u32::try_from(data.len())?,
    };

    // SAFETY: The data has the length that the head says.
    to_result(unsafe { bindings::checkpoint_msg_append(id, &raw const head, data.as_ptr().cast()) })
}
