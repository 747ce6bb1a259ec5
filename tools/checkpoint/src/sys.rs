// SPDX-License-Identifier: GPL-2.0

//! The system calls that no crate wraps: the only unsafe code of the tools.

use std::ffi::c_int;
use std::ffi::c_long;
use std::ffi::c_ulong;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;

/// The same on every architecture.
const NR_CHECKPOINT: c_long = 473;
const NR_RESTART: c_long = 474;

/// Makes one of the two calls, which take the same arguments.
fn call(
    number: c_long,
    pid: i32,
    fd: Option<BorrowedFd<'_>>,
    flags: u32,
    log: Option<BorrowedFd<'_>>,
) -> io::Result<c_long> {
    let raw = |fd: Option<BorrowedFd<'_>>| fd.map_or(-1, |fd| fd.as_raw_fd());
    // SAFETY: Both calls take numbers only, and the descriptors are open for as long as the call
    // takes. Neither writes to memory of the caller; a restart that replaces the caller's memory
    // (RESTART_TASKSELF) does not return here.
    let result = unsafe {
        libc::syscall(
            number,
            c_long::from(pid),
            c_long::from(raw(fd)),
            c_ulong::from(flags),
            c_long::from(raw(log)),
        )
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// checkpoint(2); returns the number of the checkpoint.
pub(crate) fn checkpoint(
    pid: i32,
    fd: Option<BorrowedFd<'_>>,
    flags: u32,
    log: BorrowedFd<'_>,
) -> io::Result<u64> {
    call(NR_CHECKPOINT, pid, fd, flags, Some(log)).map(|id| id as u64)
}

/// restart(2) of a whole tree; returns the pid of its root.
pub(crate) fn restart(fd: BorrowedFd<'_>, flags: u32, log: BorrowedFd<'_>) -> io::Result<i32> {
    call(NR_RESTART, 0, Some(fd), flags, Some(log)).map(|pid| pid as i32)
}

/// unshare(2) of namespaces.
pub(crate) fn unshare(namespaces: c_int) -> io::Result<()> {
    // SAFETY: Only CLONE_FILES and CLONE_FS would change what other threads may rely on, and
    // there are none of these among the namespaces.
    match unsafe { libc::unshare(namespaces) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `struct clone_args` of include/uapi/linux/sched.h, which libc has on few architectures.
#[derive(Default)]
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// fork(2) into new namespaces and, if there is one, with a chosen pid. Returns the child's pid
/// in the parent, and 0 in the child.
pub(crate) fn fork(namespaces: c_int, pid: Option<i32>) -> io::Result<i32> {
    let args = CloneArgs {
        flags: namespaces as u64,
        exit_signal: libc::SIGCHLD as u64,
        set_tid: pid.as_ref().map_or(0, |pid| std::ptr::from_ref(pid) as u64),
        set_tid_size: u64::from(pid.is_some()),
        ..CloneArgs::default()
    };
    // SAFETY:
    // - `args` is a valid structure of the size that is given, and `pid` outlives the call.
    // - Without CLONE_VM and without a stack this is fork(2): the child goes on with a copy of
    //   this memory.
    // - The commands that fork start no thread, so that no lock can be held by one that the
    //   child does not have.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            std::ptr::from_ref(&args),
            size_of::<CloneArgs>(),
        )
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid as i32),
    }
}

/// A descriptor that this process was started with, given by its number; close-on-exec.
pub(crate) fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: Duplicating a descriptor has no effect on whoever owns it, and a number that is
    // no descriptor is an error.
    let new = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if new < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The descriptor is new, so that nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

/// Whether a signal is ignored, as under nohup(1).
pub(crate) fn is_ignored(signal: c_int) -> bool {
    // SAFETY: `sigaction` is plain data.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: The old action is written to valid memory, and none is set.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), &mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}
