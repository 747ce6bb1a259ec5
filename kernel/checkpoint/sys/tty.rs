// SPDX-License-Identifier: GPL-2.0

//! Terminals.
//!
//! C headers: [`include/linux/tty.h`](srctree/include/linux/tty.h),
//! [`include/linux/tty_buffer.h`](srctree/include/linux/tty_buffer.h)

use super::file;
use super::file::FileRef;
use super::file::Path;
use super::freeze::Frozen;
use super::ns::PidNs;
use core::ptr;
use core::ptr::NonNull;
use kernel::alloc::KVVec;
use kernel::bindings;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;

/// Bytes that the line discipline can hold (`N_TTY_BUF_SIZE`).
pub(crate) const READ_MAX: usize = 4096;

/// Bytes that can wait for the line discipline: the limit of a pseudo-terminal is half of it.
pub(crate) const RAW_MAX: usize = 16384;

/// Entries of `c_cc`.
pub(crate) const NCCS: usize = bindings::NCCS as usize;

/// A reference to a terminal (`struct tty_struct`).
pub(crate) struct Tty(NonNull<bindings::tty_struct>);

// SAFETY: Terminals are shared between tasks and have their own locks.
unsafe impl Send for Tty {}
// SAFETY: As above.
unsafe impl Sync for Tty {}

impl Drop for Tty {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::tty_kref_put(self.0.as_ptr()) };
    }
}

/// Which end of a pair below /dev/pts a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// /dev/ptmx
    Master,
    /// /dev/pts/N
    Slave,
}

/// A size in characters and in pixels.
pub(crate) type Winsize = [u32; 4];

/// `struct ktermios`, field by field.
#[derive(Clone, Copy)]
pub(crate) struct Termios {
    /// c_iflag, c_oflag, c_cflag, c_lflag.
    pub(crate) flags: [u32; 4],
    /// c_line.
    pub(crate) line: u8,
    /// c_cc.
    pub(crate) cc: [u8; NCCS],
    /// c_ispeed, c_ospeed.
    pub(crate) speed: [u32; 2],
}

/// A bit of `tty->flags`.
#[derive(Clone, Copy)]
pub(crate) enum Flag {
    /// TIOCSPTLCK, of the master.
    Locked,
    /// TIOCEXCL.
    Exclusive,
    /// The other end was open and has been closed.
    OtherClosed,
}

impl Flag {
    fn bit(self) -> u32 {
        match self {
            Flag::Locked => bindings::tty_struct_flags_TTY_PTY_LOCK,
            Flag::Exclusive => bindings::tty_struct_flags_TTY_EXCLUSIVE,
            Flag::OtherClosed => bindings::tty_struct_flags_TTY_OTHER_CLOSED,
        }
    }
}

/// Whether the file is one of a terminal, or was before it was hung up.
pub(crate) fn is_tty(file: &File) -> bool {
    Tty::of(file).is_some()
}

/// Whether the terminal was hung up since the file was opened.
pub(crate) fn is_hung_up(file: &File) -> bool {
    // SAFETY: The file is referenced.
    unsafe { bindings::tty_hung_up_p(file.as_ptr()) != 0 }
}

/// Where the slave of a master is, below the /dev/pts that belongs to it.
pub(crate) fn slave_path(master: &File) -> Result<Path> {
    let mut path = bindings::path::default();

    if Tty::of(master).and_then(|tty| tty.end()) != Some(End::Master) {
        return Err(EINVAL);
    }
    // SAFETY: The file is referenced and of a terminal, an open master, whose slave has a name.
    to_result(unsafe { bindings::checkpoint_pts_path(master.as_ptr(), &raw mut path) })?;
    // SAFETY: The helper has taken the references.
    Ok(unsafe { Path::from_raw(path) })
}

/// Takes the controlling terminal away from the running process.
pub(crate) fn clear_ctty() {
    // SAFETY: The running task is valid and has its signal handlers.
    unsafe { bindings::proc_clear_tty(bindings::get_current()) };
}

impl Tty {
    /// Takes over a reference.
    fn from_raw(tty: *mut bindings::tty_struct) -> Option<Self> {
        NonNull::new(tty).map(Self)
    }

    /// The terminal of an open file.
    pub(crate) fn of(file: &File) -> Option<Self> {
        // SAFETY: The file is referenced; the helper checks what it is and takes a reference.
        Self::from_raw(unsafe { bindings::checkpoint_file_tty(file.as_ptr()) })
    }

    /// The controlling terminal of a parked process.
    pub(crate) fn controlling(task: &Frozen) -> Option<Self> {
        // SAFETY: The task is referenced; the helper takes a reference under its lock.
        Self::from_raw(unsafe { bindings::checkpoint_task_tty(task.as_ptr()) })
    }

    /// The controlling terminal of the running process.
    pub(crate) fn current() -> Option<Self> {
        // SAFETY: The running task is valid; the helper takes a reference under its lock.
        Self::from_raw(unsafe { bindings::checkpoint_task_tty(bindings::get_current()) })
    }

    fn as_ptr(&self) -> *mut bindings::tty_struct {
        self.0.as_ptr()
    }

    /// The identity of the terminal.
    pub(crate) fn key(&self) -> usize {
        self.as_ptr() as usize
    }

    /// Which end of a pair it is, if it is one.
    pub(crate) fn end(&self) -> Option<End> {
        // SAFETY: The terminal is referenced, and so is its driver.
        match unsafe { bindings::checkpoint_pty_end(self.as_ptr()) } {
            bindings::tty_driver_subtype_PTY_TYPE_MASTER => Some(End::Master),
            bindings::tty_driver_subtype_PTY_TYPE_SLAVE => Some(End::Slave),
            _ => None,
        }
    }

    /// The other end of a pair.
    pub(crate) fn other(&self) -> Option<Self> {
        self.end()?;
        // SAFETY: The ends of a pair live until both are released; the helper takes a reference.
        Self::from_raw(unsafe { bindings::checkpoint_tty_get((*self.as_ptr()).link) })
    }

    /// The number below /dev/pts.
    pub(crate) fn index(&self) -> u32 {
        // SAFETY: The terminal is referenced; its number does not change and is not negative.
        unsafe { (*self.as_ptr()).index as u32 }
    }

    /// How often it is open; of a slave one more, by its master.
    pub(crate) fn count(&self) -> u64 {
        // SAFETY: The terminal is referenced; the count is a single word.
        let count = unsafe { ptr::read_volatile(&raw const (*self.as_ptr()).count) };

        u64::try_from(count).unwrap_or(0)
    }

    /// The open file of a master; none if it has been closed.
    pub(crate) fn master_file(&self) -> Option<FileRef> {
        if self.end() != Some(End::Master) {
            return None;
        }
        // SAFETY: The terminal is referenced; the helper takes a reference to the file, which no
        // `fdget_pos` uses: a terminal has no position.
        unsafe {
            let raw = bindings::checkpoint_pty_file(self.as_ptr());

            if raw.is_null() {
                return None;
            }
            file::from_raw(raw).ok()
        }
    }

    /// Tests a flag.
    pub(crate) fn flag(&self, flag: Flag) -> bool {
        // SAFETY: The terminal is referenced; the flags are a single word.
        let flags = unsafe { ptr::read_volatile(&raw const (*self.as_ptr()).flags) };

        flags & (1 << flag.bit()) != 0
    }

    /// Sets or clears a flag that its owner could: any but [`Flag::OtherClosed`].
    pub(crate) fn set_flag(&self, flag: Flag, on: bool) {
        // SAFETY: The terminal is referenced; the helper is atomic.
        unsafe { bindings::checkpoint_tty_set_flag(self.as_ptr(), flag.bit(), on) };
    }

    /// The settings.
    pub(crate) fn termios(&self) -> Termios {
        // SAFETY: The terminal is referenced; the structure is plain data, which may tear if
        // somebody outside of the tree changes it.
        let raw = unsafe { ptr::read_volatile(&raw const (*self.as_ptr()).termios) };

        Termios {
            flags: [raw.c_iflag, raw.c_oflag, raw.c_cflag, raw.c_lflag],
            line: raw.c_line,
            cc: raw.c_cc,
            speed: [raw.c_ispeed, raw.c_ospeed],
        }
    }

    /// Sets the settings (TCSETS). Not for a master, whose settings are fixed.
    pub(crate) fn set_termios(&self, termios: &Termios) -> Result {
        let [c_iflag, c_oflag, c_cflag, c_lflag] = termios.flags;
        let [c_ispeed, c_ospeed] = termios.speed;
        let mut raw = bindings::ktermios {
            c_iflag,
            c_oflag,
            c_cflag,
            c_lflag,
            c_line: termios.line,
            c_cc: termios.cc,
            c_ispeed,
            c_ospeed,
        };

        if self.end() != Some(End::Slave) {
            return Err(EINVAL);
        }
        // SAFETY: The terminal is referenced and no master.
        to_result(unsafe { bindings::tty_set_termios(self.as_ptr(), &raw mut raw) })
    }

    /// Whether some settings are locked against change (TIOCSLCKTRMIOS).
    pub(crate) fn has_locked_termios(&self) -> bool {
        // SAFETY: The terminal is referenced.
        unsafe { bindings::checkpoint_has_locked_termios(self.as_ptr()) }
    }

    /// The size (TIOCGWINSZ).
    pub(crate) fn winsize(&self) -> Winsize {
        // SAFETY: The terminal is referenced; the structure is plain data.
        let raw = unsafe { ptr::read_volatile(&raw const (*self.as_ptr()).winsize) };

        [raw.ws_row, raw.ws_col, raw.ws_xpixel, raw.ws_ypixel].map(u32::from)
    }

    /// Sets the size of a slave without telling anybody.
    pub(crate) fn set_winsize(&self, size: &Winsize) -> Result {
        let [row, col, xpixel, ypixel] = *size;
        let raw = bindings::winsize {
            ws_row: row.try_into()?,
            ws_col: col.try_into()?,
            ws_xpixel: xpixel.try_into()?,
            ws_ypixel: ypixel.try_into()?,
        };

        if self.end() != Some(End::Slave) {
            return Err(EINVAL);
        }
        // SAFETY: The terminal is referenced and one of a pair.
        unsafe { bindings::checkpoint_tty_set_winsize(self.as_ptr(), &raw const raw) };
        Ok(())
    }

    /// Whether output is stopped: by VSTOP, by TCOOFF.
    pub(crate) fn stopped(&self) -> (bool, bool) {
        // SAFETY: The terminal is referenced; both are single bytes.
        unsafe {
            let flow = &raw const (*self.as_ptr()).flow;

            (
                ptr::read_volatile(&raw const (*flow).stopped),
                ptr::read_volatile(&raw const (*flow).tco_stopped),
            )
        }
    }

    /// The reverse of [`Self::stopped`].
    pub(crate) fn set_stopped(&self, stopped: bool, tco_stopped: bool) {
        // SAFETY: The terminal is referenced.
        unsafe { bindings::checkpoint_tty_set_flow(self.as_ptr(), stopped, tco_stopped) };
    }

    /// Whether a master is in packet mode, and what it is told next.
    pub(crate) fn packet(&self) -> (bool, u8) {
        let Some(slave) = self.other() else {
            return (false, 0);
        };

        // SAFETY: Both are referenced, and both values are single bytes.
        unsafe {
            (
                ptr::read_volatile(&raw const (*self.as_ptr()).ctrl.packet),
                ptr::read_volatile(&raw const (*slave.as_ptr()).ctrl.pktstatus),
            )
        }
    }

    /// The reverse of [`Self::packet`].
    pub(crate) fn set_packet(&self, packet: bool, status: u8) -> Result {
        if self.end() != Some(End::Master) {
            return Err(EINVAL);
        }
        // SAFETY: The terminal is referenced and one of a pair.
        unsafe { bindings::checkpoint_pty_set_packet(self.as_ptr(), packet, status) };
        Ok(())
    }

    /// The session whose controlling terminal it is, and its foreground process group; 0: none.
    pub(crate) fn session_in(&self, ns: &PidNs) -> (i32, i32) {
        let (mut session, mut foreground) = (0, 0);

        // SAFETY: Both are referenced; the helper takes the lock.
        unsafe {
            bindings::checkpoint_tty_session(
                self.as_ptr(),
                ns.as_ptr(),
                &raw mut session,
                &raw mut foreground,
            );
        }
        (session, foreground)
    }

    /// Makes it the controlling terminal of the running process, and of its session if the
    /// process leads it; then the group becomes the foreground, or that of the leader if there is
    /// no such group in the session. `EPERM`: it controls another session.
    pub(crate) fn set_controlling(&self, foreground: i32, ns: &PidNs) -> Result {
        // SAFETY: The terminal and the namespace are referenced; the helper takes the locks.
        to_result(unsafe { bindings::checkpoint_set_ctty(self.as_ptr(), foreground, ns.as_ptr()) })
    }

    /// Permissions, owner and group of the name of a slave whose master is open.
    pub(crate) fn owner(&self) -> Result<[u32; 3]> {
        let [mut mode, mut uid, mut gid] = [0; 3];

        if self.end() != Some(End::Slave) || self.other().and_then(|m| m.master_file()).is_none() {
            return Err(EINVAL);
        }
        // SAFETY: The slave of an open master has a name, and a reference to it.
        unsafe {
            bindings::checkpoint_pts_owner(
                self.as_ptr(),
                &raw mut mode,
                &raw mut uid,
                &raw mut gid,
            );
        }
        Ok([mode, uid, gid])
    }
}

/// Sets permissions, owner and group of an open file's name, as far as they differ from what they
/// are now, with the rights of the running task.
pub(crate) fn set_owner(file: &File, wanted: [u32; 3], now: [u32; 3]) -> Result {
    let [mode, uid, gid] = wanted;
    let [old_mode, old_uid, old_gid] = now;

    // SAFETY: The file is referenced; the functions check the rights.
    unsafe {
        if [uid, gid] != [old_uid, old_gid] {
            to_result(bindings::vfs_fchown(file.as_ptr(), uid, gid))?;
        }
        if mode != old_mode {
            to_result(bindings::vfs_fchmod(file.as_ptr(), mode.try_into()?))?;
        }
    }
    Ok(())
}

/// What a terminal has received.
pub(crate) struct Received {
    /// What can be read.
    pub(crate) read: KVVec<u8>,
    /// For each byte 1 where a line ends, and 0 elsewhere.
    pub(crate) ends: KVVec<u8>,
    /// How many bytes belong to complete lines.
    pub(crate) canon: u32,
    /// Column of the cursor.
    pub(crate) column: u32,
    /// Column in which the line that is being typed started.
    pub(crate) canon_column: u32,
    /// The next byte is taken literally.
    pub(crate) lnext: bool,
    /// An erasure is being echoed.
    pub(crate) erasing: bool,
    /// The line was ended by a change of ICANON.
    pub(crate) push: bool,
    /// What the line discipline has not seen.
    pub(crate) raw: KVVec<u8>,
}

/// A terminal whose input neither arrives nor is looked at meanwhile; its line discipline is
/// N_TTY.
struct Held<'a> {
    tty: &'a Tty,
    discipline: NonNull<bindings::tty_ldisc>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // SAFETY: The guard holds both.
        unsafe {
            bindings::checkpoint_tty_unhold(self.tty.as_ptr(), self.discipline.as_ptr());
        }
    }
}

impl<'a> Held<'a> {
    /// `EOPNOTSUPP`: its line discipline is another one.
    fn new(tty: &'a Tty) -> Result<Self> {
        // SAFETY: The terminal is referenced.
        let discipline = unsafe { bindings::checkpoint_tty_hold(tty.as_ptr()) };

        NonNull::new(discipline)
            .map(|discipline| Self { tty, discipline })
            .ok_or(EOPNOTSUPP)
    }
}

impl Tty {
    /// Reads what has been received without consuming it. `EOPNOTSUPP`: its line discipline is
    /// not N_TTY. `EBUSY`: what was typed has not been echoed yet, for want of room.
    pub(crate) fn received(&self) -> Result<Received> {
        let held = Held::new(self)?;
        let mut read = KVVec::from_elem(0u8, READ_MAX, GFP_KERNEL)?;
        let mut ends = KVVec::from_elem(0u8, READ_MAX, GFP_KERNEL)?;
        let mut raw = KVVec::from_elem(0u8, RAW_MAX, GFP_KERNEL)?;
        let mut state = bindings::checkpoint_n_tty::default();

        // SAFETY: The terminal is held, and the buffers have the sizes that the functions fill
        // at most.
        let len = unsafe {
            to_result(bindings::checkpoint_n_tty_get(
                held.tty.as_ptr(),
                &raw mut state,
                read.as_mut_ptr(),
                ends.as_mut_ptr(),
            ))?;
            bindings::checkpoint_tty_raw(held.tty.as_ptr(), raw.as_mut_ptr(), RAW_MAX as u32)
        };

        to_result(len.min(0))?;
        raw.truncate(len as usize);
        read.truncate(state.count as usize);
        ends.truncate(state.count as usize);
        Ok(Received {
            read,
            ends,
            canon: state.canon,
            column: state.column,
            canon_column: state.canon_column,
            lnext: state.lnext,
            erasing: state.erasing,
            push: state.push,
            raw,
        })
    }

    /// The reverse of [`Self::received`], for a terminal that has not received anything.
    /// `EINVAL`: it does not fit.
    pub(crate) fn receive(&self, received: &Received) -> Result {
        let count = received.read.len();
        let held = Held::new(self)?;
        let state = bindings::checkpoint_n_tty {
            count: u32::try_from(count)?,
            canon: received.canon,
            column: received.column,
            canon_column: received.canon_column,
            lnext: received.lnext,
            erasing: received.erasing,
            push: received.push,
        };

        if count > READ_MAX || received.ends.len() != count || state.canon > state.count {
            return Err(EINVAL);
        }
        // SAFETY: The terminal is held, and both slices have the length that the state tells,
        // which the line discipline has room for.
        unsafe {
            bindings::checkpoint_n_tty_set(
                held.tty.as_ptr(),
                &raw const state,
                received.read.as_ptr(),
                received.ends.as_ptr(),
            );
        }
        drop(held);
        self.receive_raw(&received.raw)
    }

    fn receive_raw(&self, raw: &[u8]) -> Result {
        let len = u32::try_from(raw.len())?;

        if raw.is_empty() {
            return Ok(());
        }
        // SAFETY: The terminal is referenced, and the slice has the length that is told.
        let taken = unsafe { bindings::checkpoint_tty_receive(self.as_ptr(), raw.as_ptr(), len) };

        if u32::try_from(taken) != Ok(len) {
            return Err(ENOSPC);
        }
        Ok(())
    }
}
