// SPDX-License-Identifier: GPL-2.0

//! Sockets of TCP and UDP, over IPv4 and IPv6, and of AF_UNIX.
//!
//! Kept: sockets that are not connected, bound or not; those that listen, when nobody waits to be
//! accepted; address and port, also one that the kernel has chosen; every option of
//! [`OPTIONS`](crate::format::socket::OPTIONS); the owner; both sockets of socketpair(2), with what one has
//! sent and the other has not received; whom SO_PEERCRED shows to those who connect to a socket of
//! AF_UNIX, or are connected by it.
//! Not kept, and refused: other connections; what is in another queue, or has descriptors or
//! credentials with it; an error that nobody has read; filters, multicast groups, options that go into
//! each packet, keys, protocols above TCP; sockets that have been connected; those of other families.
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
use crate::format::socket::SocketPair;
use crate::format::ObjRef;
use crate::format::Record;
use crate::fs;
use crate::fs::FileKind;
use crate::image;
use crate::image::RawRecord;
use crate::object::Class;
use crate::plan::KindOf;
use crate::plan::Plan;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::file::FileRef;
use crate::sys::file::Path;
use crate::sys::kept::Kept;
use crate::sys::ns::PidNs;
use crate::sys::socket::Sent;
use crate::sys::socket::State;
use kernel::fs::file::flags;
use kernel::prelude::*;
use kernel::sync::Arc;
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
    if socket.creator != 0 && !is_inside(saver, socket.creator) {
        return Err(saver.refuse(fmt!(
            "{}: a socket of AF_UNIX that has listen(2) or socketpair(2) from a process outside of \
             the tree",
            &*saver.name_of(file)
        )));
    }
    let [_, path_uid, path_gid] = socket.path_mode;

    saver.check_ids(&[socket.uid, socket.gid, path_uid, path_gid])?;
    let options = read_options(file)?;
    let (pair, sent) = save_sent(saver, file, &socket)?;
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
        creator,
        path_mode,
        pair: _,
        side,
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
        creator,
        path: u32::try_from(path.len()).map_err(|_| EOVERFLOW)?,
        path_mode,
        pair,
        side,
        messages: u32::try_from(sent.lens.len()).map_err(|_| EOVERFLOW)?,
        consumed: sent.consumed,
        reserved: 0,
    };
    let (lens, bytes) = (sent.lens.as_bytes(), sent.bytes.as_slice());

    saver
        .out
        .object(&state, &[options.as_bytes(), path, lens, bytes])
}

/// Saves what a socket has in common with the one that it is connected to, unless that has been saved
/// with the other one; and reads what it has sent.
fn save_sent(saver: &mut Saver<'_>, file: &FileRef, socket: &State) -> Result<(ObjRef, Sent)> {
    if socket.pair == 0 {
        let nothing = Sent {
            lens: KVVec::new(),
            bytes: KVVec::new(),
            consumed: 0,
        };

        return Ok((ObjRef::NONE, nothing));
    }
    let pair = match saver.objects.refer(Class::SocketPair, socket.pair) {
        Some(pair) => pair,
        None => {
            let state = SocketPair {
                kind: socket.kind,
                reserved: 0,
            };
            let pair = saver.out.object(&state, &[])?;

            saver.objects.insert(Class::SocketPair, socket.pair, pair)?;
            pair
        }
    };

    Ok((pair, sys::socket::sent(file)?))
}

/// Refuses a socket that is connected to one which is not in the tree, or has been closed.
pub(crate) fn check_pairs(saver: &Saver<'_>) -> Result {
    for file in saver.files.iter().filter(|file| is_socket(file)) {
        let (socket, _) = sys::socket::get(file, &saver.ns)?;

        if socket.pair != 0 && saver.objects.references(Class::SocketPair, socket.pair) != 2 {
            return Err(saver.log.error(
                EOPNOTSUPP,
                fmt!(
                    "{}: a socket of AF_UNIX that is connected to one which is not in the tree",
                    &*saver.name_of(file)
                ),
            ));
        }
    }
    Ok(())
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
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result {
    if record.kind == SocketPair::KIND {
        return check_pair(record);
    }
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
    let (options, rest) = image::split::<SocketOption>(tail, state.options)?;
    let (path, messages) = split_path(&state, rest)?;
    let is_pair = !state.pair.is_none();
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
        || (state.creator > 0) != (is_unix && (has(format::SOCKET_LISTENS) || is_pair))
        || (is_pair && kind_of(state.pair) != Some(SocketPair::KIND))
        || (is_pair && !(is_unix && state.flags == 0 && path.is_empty()))
        || state.side > u32::from(is_pair)
        || state.creator < 0
        || i32::try_from(state.drops).is_err()
        || padding.iter().any(|&byte| byte != 0)
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
    split_messages(&state, messages)?;
    check_options(&options)
}

fn check_pair(record: &RawRecord<'_>) -> Result {
    let (pair, tail) = record.parse::<SocketPair>()?;
    let kinds = [
        format::SOCK_STREAM,
        format::SOCK_DGRAM,
        format::SOCK_SEQPACKET,
    ];

    if !kinds.contains(&pair.kind) || pair.reserved != 0 || !tail.is_empty() {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Splits what follows the options into the path and the messages.
fn split_path<'a>(state: &SocketFile, rest: &'a [u8]) -> Result<(&'a [u8], &'a [u8])> {
    let len = usize::try_from(state.path).map_err(|_| EINVAL)?;

    Ok(rest.split_at_checked(len).ok_or(EINVAL)?)
}

/// The lengths of the messages, and their bytes. `EINVAL`: that is not what there is.
fn split_messages<'a>(state: &SocketFile, rest: &'a [u8]) -> Result<(KVVec<u32>, &'a [u8])> {
    let (lens, bytes) = image::split::<u32>(rest, state.messages)?;
    let is_stream = state.kind == format::SOCK_STREAM;
    let sum = lens
        .iter()
        .try_fold(0u32, |sum, &len| sum.checked_add(len))
        .ok_or(EINVAL)?;
    let first = lens.first().copied().unwrap_or_default();

    if usize::try_from(sum) != Ok(bytes.len())
        || (state.pair.is_none() && !lens.is_empty())
        || (is_stream && lens.contains(&0))
        || (state.consumed != 0 && !(is_stream && state.consumed < first))
    {
        return Err(EINVAL.into());
    }
    Ok((lens, bytes))
}

/// Two sockets that are connected to each other, until both are somebody's.
pub(crate) struct PairEnds {
    kind: u32,
    ends: [Kept; 2],
}

impl PairEnds {
    /// The one that a record tells of, and the other.
    fn ends(&self, state: &SocketFile) -> Result<(FileRef, &Kept)> {
        match (state.side, &self.ends) {
            _ if state.kind != self.kind => Err(EINVAL.into()),
            (0, [one, other]) | (1, [other, one]) => Ok((one.file(), other)),
            _ => Err(EINVAL.into()),
        }
    }
}

/// Makes two sockets that are connected to each other.
pub(crate) fn restore_pair(restart: &Restart, number: ObjRef) -> Result<Arc<PairEnds>> {
    let (SocketPair { kind, reserved: _ }, _) = restart.record::<SocketPair>(number)?;
    let ends = sys::socket::pair(kind)?.map(Kept::new);

    Ok(Arc::new(PairEnds { kind, ends }, GFP_KERNEL)?)
}

/// Sends again what a socket has sent.
fn send(restart: &Restart, number: ObjRef, state: &SocketFile, messages: &[u8]) -> Result {
    let (lens, mut bytes) = split_messages(state, messages)?;
    let mut consumed = usize::try_from(state.consumed).map_err(|_| EINVAL)?;

    if state.pair.is_none() {
        return Ok(());
    }
    let pair = restart.socket_pair(state.pair)?;
    let (file, other) = pair.ends(state)?;

    for len in lens {
        let len = usize::try_from(len).map_err(|_| EINVAL)?;
        let (message, rest) = bytes.split_at_checked(len).ok_or(EINVAL)?;

        sys::socket::send(&file, other, message, consumed).map_err(|errno| {
            restart.log.error(
                errno,
                fmt!(
                    "object {}: cannot send again what a socket of AF_UNIX has sent",
                    number.0
                ),
            )
        })?;
        consumed = 0;
        bytes = rest;
    }
    Ok(())
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
        creator,
        path: _,
        path_mode,
        pair,
        side,
        messages: _,
        consumed: _,
        reserved: _,
    } = state;
    let (options, rest) = image::split::<SocketOption>(tail, options)?;
    let (name, messages) = split_path(&state, rest)?;
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
        creator,
        path_mode,
        pair: 0,
        side,
    };
    let file = if pair.is_none() {
        sys::socket::create(&socket)?
    } else {
        restart.socket_pair(pair)?.ends(&state)?.0
    };

    sys::socket::chown(&file, &socket)?;
    set_options(restart, number, &file, &options)?;
    send(restart, number, &state, messages)?;
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

/// Checks that the processes are there which have called listen(2) or socketpair(2) for sockets of
/// AF_UNIX, and have not ended.
pub(crate) fn check_creators(plan: &Plan) -> Result {
    for record in plan.records::<SocketFile>() {
        let (state, _) = record.parse::<SocketFile>()?;

        if state.creator == 0 {
            continue;
        }
        let index = plan.index_of(state.creator).ok_or(EINVAL)?;
        let task = plan.tasks.get(index).ok_or(EINVAL)?;

        if !task.is_leader || task.is_zombie {
            return Err(EINVAL.into());
        }
    }
    Ok(())
}

/// Lets sockets of AF_UNIX listen, and has those who connect to one or are connected by it see the
/// process that had called listen(2) or socketpair(2), with the credentials that it has by now.
pub(crate) fn show_creators(restart: &Restart) -> Result {
    for record in restart.records::<SocketFile>() {
        let (state, _) = record.parse::<SocketFile>()?;

        if state.creator == 0 {
            continue;
        }
        let file = restart.file(record.object)?;
        let task = if restart.is_caller() {
            sys::task::current()
        } else {
            restart.task_of(state.creator)?
        };

        if state.pair.is_none() {
            listen(restart, record.object, &file, state.backlog)?;
        }
        sys::socket::set_creator(&file, &task)?;
    }
    Ok(())
}

/// Lets a socket of AF_UNIX listen.
fn listen(restart: &Restart, number: ObjRef, file: &FileRef, backlog: u32) -> Result {
    sys::socket::listen(file, backlog)?;
    let (new, _) = sys::socket::get(file, &PidNs::current()?)?;

    // Somebody may have connected in between.
    if new.refused.is_none() && new.backlog != backlog {
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
    // It does so later.
    let listens = match socket.creator {
        0 => 0,
        _ => socket.flags & format::SOCKET_LISTENS,
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
