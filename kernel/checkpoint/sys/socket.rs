// SPDX-License-Identifier: GPL-2.0

//! Sockets.
//!
//! C headers: [`include/linux/net.h`](srctree/include/linux/net.h),
//! [`include/net/sock.h`](srctree/include/net/sock.h)

use super::file;
use super::file::FileRef;
use super::file::Path;
use super::ns::PidNs;
use kernel::bindings;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::str::CString;
use kernel::task::Task;

/// Bytes of the longest value of an option.
pub(crate) const VALUE: usize = bindings::CHECKPOINT_SOCKET_VALUE as usize;

/// Bytes of the longest address.
pub(crate) const ADDRESS: usize = size_of::<bindings::__kernel_sockaddr_storage>();

/// What a socket is, apart from its options.
#[derive(Clone, Copy)]
pub(crate) struct State {
    /// What of it cannot be saved. Then only the next three are there.
    pub(crate) refused: Option<&'static CStr>,
    /// `AF_*`.
    pub(crate) family: u32,
    /// `SOCK_*`.
    pub(crate) kind: u32,
    /// `IPPROTO_*`.
    pub(crate) protocol: u32,
    /// `SOCKET_*` of the format.
    pub(crate) flags: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Of listen(2).
    pub(crate) backlog: u32,
    /// Packets that were dropped.
    pub(crate) drops: u32,
    /// When the last one was received.
    pub(crate) stamp: i64,
    /// The address, padded with zeros.
    pub(crate) address: [u8; ADDRESS],
    /// Bytes of the address.
    pub(crate) address_len: u32,
    /// The process that has called listen(2) or socketpair(2), for AF_UNIX.
    pub(crate) creator: i32,
    /// Permissions, owner and group of the file that it is bound to.
    pub(crate) path_mode: [u32; 3],
    /// The identity of what two sockets have in common that are connected to each other; 0 for others.
    pub(crate) pair: usize,
    /// Which of the two it is: 0 or 1.
    pub(crate) side: u32,
}

impl State {
    fn raw(&self) -> bindings::checkpoint_socket {
        bindings::checkpoint_socket {
            refused: core::ptr::null(),
            family: self.family,
            type_: self.kind,
            protocol: self.protocol,
            flags: self.flags,
            uid: self.uid,
            gid: self.gid,
            backlog: self.backlog,
            drops: self.drops,
            stamp: self.stamp,
            // SAFETY: An address is plain bytes, of this size.
            address: unsafe { core::mem::transmute_copy(&self.address) },
            address_len: self.address_len,
            creator: self.creator,
            path_mode: self.path_mode[0],
            path_uid: self.path_mode[1],
            path_gid: self.path_mode[2],
            pair: self.pair,
            side: self.side,
        }
    }

    /// The address for people.
    pub(crate) fn name(&self) -> Result<CString> {
        let mut name = [0u8; 128];
        let raw = self.raw();

        // SAFETY: The state is valid, and the buffer has the length that is told.
        unsafe {
            bindings::checkpoint_socket_name(&raw const raw, name.as_mut_ptr().cast(), name.len());
        }
        let name = CStr::from_bytes_until_nul(&name).map_err(|_| EINVAL)?;

        Ok(CString::try_from(name)?)
    }
}

/// Whether the file is a socket.
pub(crate) fn is_socket(file: &File) -> bool {
    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_is_socket(file.as_ptr()) }
}

/// Reads a socket, and gives the file that it is bound to. Tasks are named as in `ns`.
pub(crate) fn get(file: &File, ns: &PidNs) -> Result<(State, Option<Path>)> {
    if !is_socket(file) {
        return Err(EINVAL);
    }
    let mut raw = bindings::checkpoint_socket::default();

    let mut path = bindings::path::default();

    // SAFETY: The file is referenced and is a socket; the namespace is referenced; the state and the
    // path are valid for writes.
    let ret = unsafe {
        bindings::checkpoint_socket_get(file.as_ptr(), ns.as_ptr(), &raw mut raw, &raw mut path)
    };
    let path = if path.dentry.is_null() {
        None
    } else {
        // SAFETY: The helper took a reference, which is given away.
        Some(unsafe { Path::from_raw(path) })
    };

    to_result(ret)?;
    let refused = if raw.refused.is_null() {
        None
    } else {
        // SAFETY: The sentences are constants.
        Some(unsafe { CStr::from_char_ptr(raw.refused) })
    };

    let state = State {
        refused,
        family: raw.family,
        kind: raw.type_,
        protocol: raw.protocol,
        flags: raw.flags,
        uid: raw.uid,
        gid: raw.gid,
        backlog: raw.backlog,
        drops: raw.drops,
        stamp: raw.stamp,
        // SAFETY: An address is plain bytes, of this size, and all of them were written.
        address: unsafe { core::mem::transmute_copy(&raw.address) },
        address_len: raw.address_len,
        creator: raw.creator,
        path_mode: [raw.path_mode, raw.path_uid, raw.path_gid],
        pair: raw.pair,
        side: raw.side,
    };

    Ok((state, path))
}

/// Reads an option, as [`setsockopt`] takes it: its length and its value. None: this socket has no
/// such option.
pub(crate) fn getsockopt(file: &File, level: u32, name: u32) -> Result<Option<(u32, [u8; VALUE])>> {
    let mut value = [0u64; VALUE / size_of::<u64>()];

    if !is_socket(file) {
        return Err(EINVAL);
    }
    // SAFETY: The file is referenced and is a socket; the buffer is as long as the longest value,
    // and aligned as any of them.
    let len = unsafe {
        bindings::checkpoint_getsockopt(
            file.as_ptr(),
            level as i32,
            name as i32,
            value.as_mut_ptr().cast(),
        )
    };

    if len == ENOPROTOOPT.to_errno() {
        return Ok(None);
    }
    to_result(len.min(0))?;
    // SAFETY: Both are plain bytes, of the same size.
    let value = unsafe { core::mem::transmute::<[u64; 2], [u8; VALUE]>(value) };

    Ok(Some((len as u32, value)))
}

/// Sets an option, with the rights of the running task.
pub(crate) fn setsockopt(
    file: &File,
    level: u32,
    name: u32,
    value: &[u8; VALUE],
    len: u32,
) -> Result {
    if !is_socket(file) || len as usize > VALUE {
        return Err(EINVAL);
    }
    // SAFETY: Both are plain bytes, of the same size.
    let value = unsafe { core::mem::transmute::<[u8; VALUE], [u64; 2]>(*value) };

    // SAFETY: The file is referenced and is a socket; the buffer is as long as the longest value,
    // and aligned as any of them.
    to_result(unsafe {
        bindings::checkpoint_setsockopt(
            file.as_ptr(),
            level as i32,
            name as i32,
            value.as_ptr().cast(),
            len as i32,
        )
    })
}

/// Makes a socket that is not bound.
pub(crate) fn create(state: &State) -> Result<FileRef> {
    let raw = state.raw();

    // SAFETY: The state is valid; the helper gives a new reference or an error pointer.
    unsafe { file::from_raw(bindings::checkpoint_socket_create(&raw const raw)) }
}

/// Gives it to the owner that the state tells, with the rights of the running task.
pub(crate) fn chown(file: &File, state: &State) -> Result {
    let raw = state.raw();

    if !is_socket(file) {
        return Err(EINVAL);
    }
    // SAFETY: The file is referenced and is a socket; the state is valid.
    to_result(unsafe { bindings::checkpoint_socket_chown(file.as_ptr(), &raw const raw) })
}

/// Makes two sockets of AF_UNIX that are connected to each other, as socketpair(2) does.
pub(crate) fn pair(kind: u32) -> Result<[FileRef; 2]> {
    let raw = bindings::checkpoint_socket {
        family: bindings::AF_UNIX,
        type_: kind,
        ..Default::default()
    };
    // SAFETY: The state is valid; the helper gives a new reference or an error pointer.
    let make = || unsafe { file::from_raw(bindings::checkpoint_socket_create(&raw const raw)) };
    let (one, other) = (make()?, make()?);

    // SAFETY: Both are referenced, and have just been made as sockets of AF_UNIX that nobody uses.
    to_result(unsafe { bindings::checkpoint_socket_connect(one.as_ptr(), other.as_ptr()) })?;
    Ok([one, other])
}

/// What a socket has sent and the one that it is connected to has not received.
pub(crate) struct Sent {
    /// Bytes of each message.
    pub(crate) lens: KVVec<u32>,
    /// All messages.
    pub(crate) bytes: KVVec<u8>,
    /// How many bytes of the first one have been received.
    pub(crate) consumed: u32,
}

/// Reads what a socket has sent, which goes on being there. `ENOTCONN`: it is not connected to one.
pub(crate) fn sent(file: &File) -> Result<Sent> {
    let (mut max, mut room) = (0, 0);

    if !is_socket(file) {
        return Err(EINVAL);
    }
    loop {
        let mut lens = KVVec::from_elem(0u32, max, GFP_KERNEL)?;
        let mut bytes = KVVec::from_elem(0u8, room, GFP_KERNEL)?;
        let mut raw = bindings::checkpoint_unix_sent {
            lens: lens.as_mut_ptr(),
            max,
            data: bytes.as_mut_ptr(),
            room,
            ..Default::default()
        };

        // SAFETY: The file is referenced and is a socket; the buffers have the lengths that are told.
        to_result(unsafe { bindings::checkpoint_socket_get_sent(file.as_ptr(), &raw mut raw) })?;
        if raw.count <= max && raw.len <= room {
            lens.truncate(raw.count);
            bytes.truncate(raw.len);
            return Ok(Sent {
                lens,
                bytes,
                consumed: raw.consumed,
            });
        }
        (max, room) = (raw.count, raw.len);
    }
}

/// Sends a message from a socket to the other one, to which it is connected, and lets that receive
/// the first bytes of it. `EAGAIN`: there is no room for it.
pub(crate) fn send(file: &File, other: &File, message: &[u8], consumed: usize) -> Result {
    // What is received comes to where it was.
    let mut data = KVVec::with_capacity(message.len(), GFP_KERNEL)?;

    data.extend_from_slice(message, GFP_KERNEL)?;
    if !is_socket(file) || !is_socket(other) || consumed > data.len() {
        return Err(EINVAL);
    }
    // SAFETY: Both are referenced and are sockets; the buffer has the length that is told, and what is
    // received is not longer.
    to_result(unsafe {
        bindings::checkpoint_socket_send(
            file.as_ptr(),
            other.as_ptr(),
            data.as_mut_ptr().cast(),
            data.len(),
            consumed,
        )
    })
}

/// Shows the process of a task to who connects to the socket of AF_UNIX, or has it connected
/// (SO_PEERCRED). `ENOTCONN`: it neither listens nor is connected.
pub(crate) fn set_creator(file: &File, task: &Task) -> Result {
    if !is_socket(file) {
        return Err(EINVAL);
    }
    // SAFETY: The file is referenced and is a socket; the task is referenced.
    to_result(unsafe { bindings::checkpoint_socket_set_creator(file.as_ptr(), task.as_ptr()) })
}

/// Lets it listen, with the rights of the running task.
pub(crate) fn listen(file: &File, backlog: u32) -> Result {
    if !is_socket(file) {
        return Err(EINVAL);
    }
    // SAFETY: The file is referenced and is a socket.
    to_result(unsafe { bindings::checkpoint_socket_listen(file.as_ptr(), backlog) })
}

/// Binds it, to a file that is there or to a new one, with the rights of the running task. A socket of
/// IPv4 or IPv6 listens then.
pub(crate) fn bind(file: &File, state: &State, path: Option<&Path>) -> Result {
    let mut raw = state.raw();

    if !is_socket(file) || state.address_len as usize > ADDRESS {
        return Err(EINVAL);
    }
    // SAFETY: The file is referenced and is a socket; the state is valid; the path is referenced or
    // null.
    to_result(unsafe {
        bindings::checkpoint_socket_bind(
            file.as_ptr(),
            &raw mut raw,
            path.map_or(core::ptr::null(), Path::as_ptr),
        )
    })
}

/// Sets those of the `O_*` flags that fcntl(2) can change.
pub(crate) fn set_flags(file: &File, flags: u32) {
    // SAFETY: The file is referenced.
    unsafe { bindings::checkpoint_set_flags(file.as_ptr(), flags) };
}
