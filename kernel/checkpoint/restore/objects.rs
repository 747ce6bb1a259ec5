// SPDX-License-Identifier: GPL-2.0

//! The objects of a restart: whoever needs one first makes it, and the others wait.

use super::Restart;
use crate::error::Error;
use crate::error::Result;
use crate::format::ObjRef;
use crate::fs;
use crate::fs::pipe::PipeEnds;
use crate::fs::tty::PtyEnds;
use crate::ipc;
use crate::mm;
#[cfg(CONFIG_INET)]
use crate::net::PairEnds;
use crate::sys::fdtable::Files;
use crate::sys::file::FileRef;
use crate::sys::fs_struct::Fs;
use crate::sys::mm::Mm;
use crate::sys::seccomp::Filter;
use crate::sys::sync::Gate;
use crate::sys::task::TaskRef;
use crate::sys::user_ns::NewUserNs;
use crate::task;
use kernel::prelude::*;
use kernel::sync::new_mutex;
use kernel::sync::Arc;
use kernel::sync::Mutex;

/// An object that has been made.
#[derive(Clone)]
pub(super) enum Built {
    File(FileRef),
    Pipe(Arc<PipeEnds>),
    Pty(Arc<PtyEnds>),
    #[cfg(CONFIG_INET)]
    SocketPair(Arc<PairEnds>),
    Mm(Arc<Mm>),
    Files(Arc<Files>),
    Fs(Arc<Fs>),
    Seccomp(Arc<Filter>),
    /// Signal handlers, which this task has.
    Sighand(TaskRef),
    /// A UTS namespace, which this task is in.
    Uts(TaskRef),
    UserNs(Arc<NewUserNs>),
}

/// How far an object is.
enum State {
    Missing,
    InWork,
    Ready(Built),
}

/// The place of an object: whoever comes first makes it, the others wait.
#[pin_data]
pub(super) struct Slot {
    #[pin]
    state: Mutex<State>,
    #[pin]
    done: Gate,
    /// Opened when its content can be read.
    #[pin]
    empty: Gate,
}

impl Slot {
    /// A place for an object that nobody has made yet.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_mutex!(State::Missing),
            done <- Gate::new(),
            empty <- Gate::new(),
        })
    }

    /// Nobody waits for the object any more.
    pub(super) fn give_up(&self) {
        self.done.open();
        self.empty.open();
    }
}

impl Restart {
    fn slot(&self, number: ObjRef) -> Result<&Slot> {
        Ok(number
            .0
            .checked_sub(1)
            .and_then(|index| self.slots.get(index as usize))
            .ok_or(EINVAL)?)
    }

    /// An object, made by `make` unless somebody has made it.
    pub(super) fn obtain(
        &self,
        number: ObjRef,
        make: impl FnOnce() -> Result<Built>,
    ) -> Result<Built> {
        let slot = self.slot(number)?;
        let first = {
            let mut state = slot.state.lock();

            match &*state {
                State::Ready(built) => return Ok(built.clone()),
                State::InWork => false,
                State::Missing => {
                    *state = State::InWork;
                    true
                }
            }
        };

        if first {
            let built = make()?;

            *slot.state.lock() = State::Ready(built.clone());
            slot.done.open();
            return Ok(built);
        }
        self.pass(&slot.done)?;
        match &*slot.state.lock() {
            State::Ready(built) => Ok(built.clone()),
            _ => Err(Error::told(ECANCELED)),
        }
    }

    /// An object that has been made.
    pub(super) fn made(&self, number: ObjRef) -> Result<Built> {
        self.obtain(number, || Err(EINVAL.into()))
    }

    /// Tells that an object is complete but for its content; or that nobody will make it any more.
    pub(super) fn set_empty(&self, number: ObjRef) -> Result {
        self.slot(number)?.empty.open();
        Ok(())
    }

    /// An object that is complete but for its content; waits until it is.
    pub(super) fn empty(&self, number: ObjRef) -> Result<Built> {
        self.pass(&self.slot(number)?.empty)?;
        self.made(number)
    }

    /// An open file.
    pub(crate) fn file(&self, number: ObjRef) -> Result<FileRef> {
        match self.obtain(number, || Ok(Built::File(fs::restore(self, number)?)))? {
            Built::File(file) => Ok(file),
            _ => Err(EINVAL.into()),
        }
    }

    /// Shared memory without a name.
    pub(crate) fn shmem(&self, number: ObjRef) -> Result<FileRef> {
        match self.obtain(number, || {
            Ok(Built::File(mm::shmem::restore(self, number)?))
        })? {
            Built::File(file) => Ok(file),
            _ => Err(EINVAL.into()),
        }
    }

    /// A file without a name, apart from who has it open.
    pub(crate) fn unnamed(&self, number: ObjRef) -> Result<FileRef> {
        match self.obtain(number, || {
            Ok(Built::File(fs::unnamed::restore_object(self, number)?))
        })? {
            Built::File(file) => Ok(file),
            _ => Err(EINVAL.into()),
        }
    }

    /// An address space, which has been made.
    pub(crate) fn address_space(&self, number: ObjRef) -> Result<Arc<Mm>> {
        match self.made(number)? {
            Built::Mm(mm) => Ok(mm),
            _ => Err(EINVAL.into()),
        }
    }

    /// A segment of SysV shared memory, which the root of the tree makes before all else.
    pub(crate) fn segment(&self, number: ObjRef) -> Result<FileRef> {
        match self.obtain(number, || Err(EINVAL.into()))? {
            Built::File(file) => Ok(file),
            _ => Err(EINVAL.into()),
        }
    }

    /// Makes a segment of SysV shared memory.
    pub(crate) fn make_segment(&self, number: ObjRef) -> Result {
        self.obtain(number, || {
            Ok(Built::File(ipc::restore_segment(self, number)?))
        })?;
        Ok(())
    }

    /// A pipe.
    pub(crate) fn pipe(&self, number: ObjRef) -> Result<Arc<PipeEnds>> {
        match self.obtain(number, || {
            Ok(Built::Pipe(fs::pipe::restore_pipe(self, number)?))
        })? {
            Built::Pipe(pipe) => Ok(pipe),
            _ => Err(EINVAL.into()),
        }
    }

    /// A pseudo-terminal.
    pub(crate) fn pty(&self, number: ObjRef) -> Result<Arc<PtyEnds>> {
        match self.obtain(number, || {
            Ok(Built::Pty(fs::tty::restore_pty(self, number)?))
        })? {
            Built::Pty(pty) => Ok(pty),
            _ => Err(EINVAL.into()),
        }
    }

    /// Two sockets that are connected to each other.
    #[cfg(CONFIG_INET)]
    pub(crate) fn socket_pair(&self, number: ObjRef) -> Result<Arc<PairEnds>> {
        match self.obtain(number, || {
            Ok(Built::SocketPair(crate::net::restore_pair(self, number)?))
        })? {
            Built::SocketPair(pair) => Ok(pair),
            _ => Err(EINVAL.into()),
        }
    }

    /// A filter of seccomp(2). Who makes it is confined by it then, and must be by all that it
    /// stands on.
    pub(crate) fn seccomp(&self, number: ObjRef) -> Result<Arc<Filter>> {
        match self.obtain(number, || {
            let filter = task::restore_filter(self, number)?;

            Ok(Built::Seccomp(Arc::new(filter, GFP_KERNEL)?))
        })? {
            Built::Seccomp(filter) => Ok(filter),
            _ => Err(EINVAL.into()),
        }
    }

    /// A user namespace; none is that of the caller. All are made before anything else.
    pub(crate) fn user_ns(&self, number: ObjRef) -> Result<Option<Arc<NewUserNs>>> {
        if number.is_none() {
            return Ok(None);
        }
        match self.made(number)? {
            Built::UserNs(ns) => Ok(Some(ns)),
            _ => Err(EINVAL.into()),
        }
    }

    /// Makes a user namespace.
    pub(crate) fn make_user_ns(&self, number: ObjRef) -> Result {
        self.obtain(number, || {
            let ns = task::user_ns::restore(self, number)?;

            Ok(Built::UserNs(Arc::new(ns, GFP_KERNEL)?))
        })?;
        Ok(())
    }

    /// An object that its owner makes; the others wait for it.
    pub(super) fn shared(
        &self,
        number: ObjRef,
        owner: bool,
        make: impl FnOnce() -> Result<Built>,
    ) -> Result<Built> {
        if owner {
            return self.obtain(number, make);
        }
        self.pass(&self.slot(number)?.done)?;
        self.made(number)
    }

    /// Lets go of all objects: from now on only the tasks have them.
    pub(super) fn release(&self) {
        for slot in &self.slots {
            let state = core::mem::replace(&mut *slot.state.lock(), State::Missing);

            drop(state);
        }
    }
}
