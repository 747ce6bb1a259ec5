// SPDX-License-Identifier: GPL-2.0

//! Waits for a process as if this one was it: signals go there, and its end becomes ours.

use std::collections::BTreeSet;
use std::ffi::c_int;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use rustix::process::WaitOptions;
use rustix::process::WaitStatus;
use signal_hook::consts;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use crate::exit::Result;
use crate::sys;

/// What ends us and goes to the process instead.
const FORWARDED: [c_int; 6] = [
    consts::SIGHUP,
    consts::SIGINT,
    consts::SIGQUIT,
    consts::SIGTERM,
    consts::SIGUSR1,
    consts::SIGUSR2,
];

/// Signals that came in and have not been forwarded. From its creation on, none ends us.
pub(crate) struct Signals {
    came: Vec<(c_int, Arc<AtomicBool>)>,
    interrupt: c_int,
    init: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    /// It called exit with this.
    Exited(u8),
    /// This signal killed it.
    Killed(c_int),
}

impl Signals {
    /// Starts to collect signals; `interrupt` is what SIGINT becomes.
    pub(crate) fn collect(interrupt: Option<c_int>) -> Result<Signals> {
        let mut came = Vec::new();
        // What nohup(1) made us ignore stays ignored.
        for signal in FORWARDED
            .into_iter()
            .filter(|signal| !sys::is_ignored(*signal))
        {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            came.push((signal, flag));
        }
        Ok(Signals {
            came,
            interrupt: interrupt.unwrap_or(consts::SIGINT),
            init: false,
        })
    }

    /// Reaps orphans too, as the init of a pid namespace has to.
    pub(crate) fn into_init(self) -> Signals {
        Signals { init: true, ..self }
    }

    /// The signals that came so far.
    fn came(&self) -> impl Iterator<Item = c_int> + '_ {
        let came = self.came.iter();
        came.filter_map(|(signal, flag)| flag.load(Ordering::Relaxed).then_some(*signal))
    }

    /// Whether a signal came that would have ended us.
    pub(crate) fn interrupted(&self) -> bool {
        self.came().next().is_some()
    }

    /// Forwards signals to `child` until it ends.
    pub(crate) fn wait(self, child: i32) -> Result<End> {
        let pid = Pid::from_raw(child).ok_or(Errno::SRCH)?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        let (read, write) = UnixStream::pair()?;
        let wanted = self.came.iter().map(|(signal, _)| *signal);
        let wanted = wanted.chain(self.init.then_some(consts::SIGCHLD));
        let mut delivery = SignalDelivery::with_pipe(read, write, SignalOnly, wanted)?;
        // One that comes in between is in both.
        let mut signals: BTreeSet<c_int> = self.came().collect();
        signals.extend(delivery.pending());
        loop {
            if let Some(end) = reap(pid, self.init)? {
                return Ok(end);
            }
            for signal in signals {
                let signal = match signal {
                    consts::SIGINT => self.interrupt,
                    consts::SIGCHLD => continue,
                    signal => signal,
                };
                if let Some(signal) = Signal::from_named_raw(signal) {
                    // It may just have ended.
                    let _ = rustix::process::pidfd_send_signal(&pidfd, signal);
                }
            }
            let mut fds = [
                PollFd::new(&pidfd, PollFlags::IN),
                PollFd::from_borrowed_fd(delivery.get_read().as_fd(), PollFlags::IN),
            ];
            match rustix::event::poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => (),
                Err(error) => return Err(error.into()),
            }
            signals = delivery.pending().collect();
        }
    }
}

/// Takes the end of `child` if it ended, and of all other children if `all`.
fn reap(child: Pid, all: bool) -> Result<Option<End>> {
    // A restored root may send its parent any signal at its end, or none: __WALL.
    let options = WaitOptions::NOHANG | WaitOptions::from_bits_retain(libc::__WALL as u32);
    loop {
        let ended = match all {
            true => rustix::process::wait(options),
            false => rustix::process::waitpid(Some(child), options),
        };
        match ended {
            Ok(Some((pid, status))) if pid == child => {
                if let Some(end) = end(status) {
                    return Ok(Some(end));
                }
            }
            Ok(Some(_)) => (),
            Ok(None) => return Ok(None),
            Err(Errno::INTR) => (),
            Err(error) => return Err(error.into()),
        }
    }
}

fn end(status: WaitStatus) -> Option<End> {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some(End::Exited(code as u8)),
        (None, Some(signal)) => Some(End::Killed(signal)),
        (None, None) => None,
    }
}

impl End {
    /// Ends as the process did: with its exit code, or by the same signal.
    pub(crate) fn imitate(self) -> ExitCode {
        let signal = match self {
            End::Exited(code) => return ExitCode::from(code),
            End::Killed(signal) => signal,
        };
        // The process left a core dump if there is to be one.
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = rustix::process::setrlimit(Resource::Core, none);
        if FORWARDED.contains(&signal) {
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        } else if let Some(signal) = Signal::from_named_raw(signal) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
        }
        // Real-time signals have no name.
        self.code()
    }

    /// Exits with what a shell would say. The init of a pid namespace cannot kill itself.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            End::Exited(code) => code,
            End::Killed(signal) => 128u8.wrapping_add(signal as u8),
        })
    }
}
