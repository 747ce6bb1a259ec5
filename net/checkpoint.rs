// SPDX-License-Identifier: GPL-2.0

//! Sockets of TCP and UDP, over IPv4 and IPv6, and of AF_UNIX.
//!
//! Kept: sockets that are not connected, bound or not; those that listen, when nobody waits to be
//! accepted; address and port, also one that the kernel has chosen; every option of
//! [`OPTIONS`](crate::format::socket::OPTIONS); the owner; whom SO_PEERCRED shows to those who connect
//! to a socket of AF_UNIX, which calls listen(2) again when it has its credentials.
//! Not kept, and refused: connections; what is in a queue, an error that nobody has read; filters,
//! multicast groups, options that go into each packet, keys, protocols above TCP; sockets that have
//! been connected; those of other families.
//!
//! All options are saved with their values, and are set where a new socket has others. When it is
//! done, the new socket is read as the old one was, and must be the same: what depends on the
//! machine and has another value here fails the restart.
//!
//! The file that a socket of AF_UNIX was bound to usually stays when its process is killed. It is bound
//! to again if nobody else has, and if the restarter could remove it and bind to a new one; if it is
//! gone, a new one is made.
//!
//! Who has begun to connect to a socket that listens begins again: a TCP that gets no answer does.
//!
//! C header: [`include/net/sock.h`](srctree/include/net/sock.h)

use crate::error::Result;
use crate::format::socket as format;
use crate::format::socket::SocketFile;
use crate::format::socket::SocketOption;
use crate::format::ObjRef;
use crate::format::Record;
use crate::fs;
use crate::fs::FileKind;
use crate::image;
use crate::image::RawRecord;
use crate::plan::Plan;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::file::Path;
use crate::sys::ns::PidNs;
use crate::sys::socket::State;
use kernel::fs::file::flags;
use kernel::prelude::*;
use zerocopy::IntoBytes;

/// The row of the table of kinds.
pub(crate) const KIND: FileKind = FileKind {
    name: "a socket",
    record: SocketFile::KIND,
    is: is_socket,
    save,
    restore,
};

/// The flags of a socket.
const FLAGS: u32 = flags::O_RDWR | flags::O_NONBLOCK | flags::O_APPEND;

fn is_socket(file: &FileRef) -> bool {
    sys::socket::is_socket(file)
}

/// Where the name starts in an address of AF_UNIX.
const SUN_PATH: usize = 2;

/// What people call such a socket.
fn describe(state: &State) -> &'static str {
    match (state.family, state.protocol) {
        (format::AF_INET, format::IPPROTO_TCP) => "TCP over IPv4",
        (format::AF_INET6, format::IPPROTO_TCP) => "TCP over IPv6",
        (format::AF_INET, format::IPPROTO_UDP) => "UDP over IPv4",
        (format::AF_INET6, format::IPPROTO_UDP) => "UDP over IPv6",
        (format::AF_INET | format::AF_INET6, _) => "another protocol of IP",
        (format::AF_UNIX, _) => "AF_UNIX",
        (16, _) => "AF_NETLINK",
        (17, _) => "AF_PACKET",
        _ => "another family",
    }
}

fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let open = fs::save_open(saver, file)?;
    let (socket, path) = sys::socket::get(file, &saver.ns)?;

    if let Some(what) = socket.refused {
        return Err(saver.refuse(fmt!(
            "{}: a socket of {} that {what}",
            &*saver.name_of(file),
            describe(&socket)
        )));
    }
    if open.flags & !FLAGS != 0 {
        return Err(saver.refuse(fmt!(
            "{}: a socket with flags that are not supported: {:#o}",
            &*saver.name_of(file),
            open.flags & !FLAGS
        )));
    }
    if socket.listener != 0 && !is_inside(saver, socket.listener) {
        return Err(saver.refuse(fmt!(
            "{}: a socket of AF_UNIX that has listen(2) from a process outside of the tree",
            &*saver.name_of(file)
        )));
    }
    let [_, path_uid, path_gid] = socket.path_mode;

    saver.check_ids(&[socket.uid, socket.gid, path_uid, path_gid])?;
    let options = read_options(file)?;
    let path = path.map(|path| saver.path_name(&path)).transpose()?;
    let path = path.as_ref().map_or(&[][..], |path| path.to_bytes());
    let State {
        refused: _,
        family,
        kind,
        protocol,
        flags,
        uid,
        gid,
        backlog,
        drops,
        stamp,
        address,
        address_len,
        listener,
        path_mode,
    } = socket;
    let state = SocketFile {
        open,
        family,
        kind,
        protocol,
        flags,
        uid,
        gid,
        backlog,
        drops,
        stamp,
        address_len,
        options: u32::try_from(options.len()).map_err(|_| EOVERFLOW)?,
        address,
        listener,
        path: u32::try_from(path.len()).map_err(|_| EOVERFLOW)?,
        path_mode,
        reserved: 0,
    };

    saver.out.object(&state, &[options.as_bytes(), path])
}

/// Whether a process of the tree has the number.
fn is_inside(saver: &Saver<'_>, pid: i32) -> bool {
    saver
        .tree
        .tasks()
        .iter()
        .any(|task| sys::task::pid_in(&task.task(), &saver.ns) == pid)
}

/// All options that a socket has.
fn read_options(file: &FileRef) -> Result<KVVec<SocketOption>> {
    let mut options = KVVec::with_capacity(format::OPTIONS.len(), GFP_KERNEL)?;

    for &(level, name, _) in format::OPTIONS {
        if let Some((len, value)) = sys::socket::getsockopt(file, level, name)? {
            let option = SocketOption {
                level,
                name,
                len,
                reserved: 0,
                value,
            };

            options.push(option, GFP_KERNEL)?;
        }
    }
    Ok(options)
}

/// What people call an option.
fn name_of(option: &SocketOption) -> &'static str {
    format::OPTIONS
        .iter()
        .find(|&&(level, name, _)| level == option.level && name == option.name)
        .map_or("?", |&(_, _, name)| name)
}

/// Checks a record before anything is made of it.
pub(crate) fn check(record: &RawRecord<'_>) -> Result {
    let (state, tail) = record.parse::<SocketFile>()?;
    let flags = fs::open_flags(&state.open)?;
    let has = |flag: u32| state.flags & flag != 0;
    let known = format::SOCKET_BOUND | format::SOCKET_PORT | format::SOCKET_LISTENS;
    let is_unix = state.family == format::AF_UNIX;
    let may_listen = match (state.family, state.kind, state.protocol) {
        (format::AF_INET | format::AF_INET6, format::SOCK_STREAM, format::IPPROTO_TCP) => true,
        (format::AF_INET | format::AF_INET6, format::SOCK_DGRAM, format::IPPROTO_UDP) => false,
        (format::AF_UNIX, format::SOCK_STREAM | format::SOCK_SEQPACKET, 0) => true,
        (format::AF_UNIX, format::SOCK_DGRAM, 0) => false,
        _ => return Err(EINVAL.into()),
    };
    let padding = usize::try_from(state.address_len)
        .ok()
        .and_then(|len| state.address.get(len..))
        .ok_or(EINVAL)?;
    let (options, path) = image::split::<SocketOption>(tail, state.options)?;
    let [mode, _, _] = state.path_mode;
    let sun_path = state.address.get(SUN_PATH..).ok_or(EINVAL)?;
    let has_file = is_unix && sun_path.first() != Some(&0);
    let has_name = usize::try_from(state.address_len).is_ok_and(|len| len > SUN_PATH);

    if flags & !FLAGS != 0
        || flags & flags::O_ACCMODE != flags::O_RDWR
        || state.open.pos != 0
        || state.flags & !known != 0
        || (has(format::SOCKET_PORT) && (is_unix || !has(format::SOCKET_BOUND)))
        || (has(format::SOCKET_LISTENS) && !(may_listen && has(format::SOCKET_BOUND)))
        || (!has(format::SOCKET_LISTENS) && !is_unix && state.backlog != 0)
        || has(format::SOCKET_BOUND) == (state.address_len == 0)
        || (state.listener > 0) != (is_unix && has(format::SOCKET_LISTENS))
        || state.listener < 0
        || i32::try_from(state.drops).is_err()
        || padding.iter().any(|&byte| byte != 0)
        || usize::try_from(state.path) != Ok(path.len())
        || has_file == path.is_empty()
        || (is_unix && has(format::SOCKET_BOUND) && !has_name)
        || (path.is_empty() && state.path_mode != [0; 3])
        || mode & !0o7777 != 0
        || state.reserved != 0
    {
        return Err(EINVAL.into());
    }
    if !path.is_empty() {
        fs::path::path_name(path)?;
    }
    check_options(&options)
}

/// They stand in the order of the table, each once.
fn check_options(options: &[SocketOption]) -> Result {
    let mut table = format::OPTIONS.iter();

    for option in options {
        let in_order = table.any(|&(level, name, _)| level == option.level && name == option.name);
        let padding = usize::try_from(option.len)
            .ok()
            .and_then(|len| option.value.get(len..))
            .ok_or(EINVAL)?;

        if !in_order || option.reserved != 0 || padding.iter().any(|&byte| byte != 0) {
            return Err(EINVAL.into());
        }
    }
    Ok(())
}

fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (state, tail) = restart.record::<SocketFile>(number)?;
    let SocketFile {
        open,
        family,
        kind,
        protocol,
        flags,
        uid,
        gid,
        backlog,
        drops,
        stamp,
        address_len,
        options,
        address,
        listener,
        path: _,
        path_mode,
        reserved: _,
    } = state;
    let (options, path) = image::split::<SocketOption>(tail, options)?;
    let name = path;
    let path = find_path(restart, name)?;

    // A new file is made by the name that the program knows, which must lead there from here.
    if path.is_none() && !name.is_empty() && !is_named(&address, name) {
        return Err(restart.log.error(
            ENOENT,
            fmt!(
                "{}: the socket is gone, and was bound to by another name",
                &*fs::path::path_name(name)?
            ),
        ));
    }
    let socket = State {
        refused: None,
        family,
        kind,
        protocol,
        flags,
        uid,
        gid,
        backlog,
        drops,
        stamp,
        address,
        address_len,
        listener,
        path_mode,
    };
    let file = sys::socket::create(&socket)?;

    set_options(restart, number, &file, &options)?;
    sys::socket::bind(&file, &socket, path.as_ref()).map_err(|errno| match socket.name() {
        Ok(name) => restart.log.error(
            errno,
            fmt!(
                "object {}: cannot bind a socket of {} to {}",
                number.0,
                describe(&socket),
                &*name
            ),
        ),
        Err(error) => error.into(),
    })?;
    // Some change as others are set, or when the socket is bound.
    set_options(restart, number, &file, &options)?;
    compare(restart, number, &file, &socket, &options)?;
    sys::socket::set_flags(&file, fs::open_flags(&open)?);
    if file.flags() != open.flags {
        return Err(EINVAL.into());
    }
    Ok(file)
}

/// Whether an address of AF_UNIX is that path.
fn is_named(address: &[u8], path: &[u8]) -> bool {
    address
        .get(SUN_PATH..)
        .and_then(|name| name.strip_prefix(path))
        .is_some_and(|rest| rest.iter().all(|&byte| byte == 0))
}

/// The file that a socket was bound to; none if there is no such file.
fn find_path(restart: &Restart, path: &[u8]) -> Result<Option<Path>> {
    if path.is_empty() {
        return Ok(None);
    }
    let name = fs::path::path_name(path)?;

    match restart
        .root()
        .open(&name, flags::O_PATH | flags::O_NOFOLLOW)
    {
        Ok(file) => Ok(Some(Path::of(&file))),
        Err(errno) if errno == ENOENT => Ok(None),
        Err(errno) => Err(restart
            .log
            .error(errno, fmt!("{}: cannot find the socket", &*name))),
    }
}

/// The sockets of AF_UNIX that listen, by the process that has called listen(2).
pub(crate) fn listeners(plan: &Plan) -> Result<KVVec<(i32, ObjRef)>> {
    let mut listeners = KVVec::new();

    for record in plan.records::<SocketFile>() {
        let (state, _) = record.parse::<SocketFile>()?;

        if state.listener != 0 {
            listeners.push((state.listener, record.object), GFP_KERNEL)?;
        }
    }
    listeners.sort_unstable();
    Ok(listeners)
}

/// Lets a socket of AF_UNIX listen for which the running process has called listen(2): who connects
/// sees its pid and its credentials, which it has by now.
pub(crate) fn listen(restart: &Restart, number: ObjRef) -> Result {
    let (state, _) = restart.record::<SocketFile>(number)?;
    let file = restart.file(number)?;

    sys::socket::listen(&file, state.backlog)?;
    let (new, _) = sys::socket::get(&file, &PidNs::current()?)?;

    // Somebody may have connected in between.
    if new.refused.is_none() && new.backlog != state.backlog {
        return Err(restart.log.error(
            EINVAL,
            fmt!(
                "object {}: a socket of AF_UNIX cannot listen as it did",
                number.0
            ),
        ));
    }
    Ok(())
}

/// Sets what is not as it was.
fn set_options(
    restart: &Restart,
    number: ObjRef,
    file: &FileRef,
    options: &[SocketOption],
) -> Result {
    for option in options {
        let SocketOption {
            level,
            name,
            len,
            reserved: _,
            value,
        } = *option;

        if sys::socket::getsockopt(file, level, name)? == Some((len, value)) {
            continue;
        }
        sys::socket::setsockopt(file, level, name, &value, len).map_err(|errno| {
            restart.log.error(
                errno,
                fmt!(
                    "object {}: cannot set {} of a socket",
                    number.0,
                    name_of(option)
                ),
            )
        })?;
    }
    Ok(())
}

/// Whether packets that come in may have changed an option meanwhile: SO_INCOMING_CPU.
fn may_change(socket: &State, option: &SocketOption) -> bool {
    socket.protocol == format::IPPROTO_UDP && name_of(option) == "SO_INCOMING_CPU"
}

/// Whether the new socket is as the old one was.
fn compare(
    restart: &Restart,
    number: ObjRef,
    file: &FileRef,
    socket: &State,
    options: &[SocketOption],
) -> Result {
    for option in options {
        let has = sys::socket::getsockopt(file, option.level, option.name)?;

        if has != Some((option.len, option.value)) && !may_change(socket, option) {
            return Err(restart.log.error(
                EINVAL,
                fmt!(
                    "object {}: {} of a socket cannot have the value that it had",
                    number.0,
                    name_of(option)
                ),
            ));
        }
    }
    let (new, _) = sys::socket::get(file, &PidNs::current()?)?;
    // See `listen`.
    let listens = match socket.listener {
        0 => 0,
        _ => format::SOCKET_LISTENS,
    };

    // A packet may have come in between.
    let is_same = new.refused.is_some()
        || (new.flags | listens == socket.flags
            && (new.backlog == socket.backlog || listens != 0)
            && new.address_len == socket.address_len
            && new.address == socket.address);

    if !is_same || (new.uid, new.gid) != (socket.uid, socket.gid) && new.refused.is_none() {
        return Err(restart.log.error(
            EINVAL,
            fmt!(
                "object {}: a socket of {} cannot be bound or listen as it did",
                number.0,
                describe(socket)
            ),
        ));
    }
    Ok(())
}
