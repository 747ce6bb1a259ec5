// SPDX-License-Identifier: GPL-2.0

//! Where C calls Rust: the two system calls.

use kernel::bindings;
use kernel::ffi::c_int;
use kernel::ffi::c_long;
use kernel::ffi::c_ulong;
use kernel::prelude::*;

/// What the system call returns. It is never restarted by itself: half of the stream is gone.
fn result(result: Result<i64>) -> c_long {
    let restarted = [
        ERESTARTSYS,
        ERESTARTNOINTR,
        ERESTARTNOHAND,
        ERESTART_RESTARTBLOCK,
    ];

    match result {
        Ok(n) => n as c_long,
        Err(error) if restarted.contains(&error) => EINTR.to_errno() as c_long,
        Err(error) => error.to_errno() as c_long,
    }
}

/// checkpoint(2)
///
/// # Safety
///
/// To be called from the system call only; any arguments will do.
#[export]
pub unsafe extern "C" fn checkpoint_do_checkpoint(
    pid: bindings::pid_t,
    fd: c_int,
    flags: c_ulong,
    logfd: c_int,
) -> c_long {
    result(crate::save::checkpoint(pid, fd, flags as u64, logfd))
}

/// restart(2)
///
/// # Safety
///
/// To be called from the system call only; any arguments will do.
#[export]
pub unsafe extern "C" fn checkpoint_do_restart(
    pid: bindings::pid_t,
    fd: c_int,
    flags: c_ulong,
    logfd: c_int,
) -> c_long {
    result(crate::restore::restart(pid, fd, flags as u64, logfd))
}
