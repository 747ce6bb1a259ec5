// SPDX-License-Identifier: GPL-2.0

//! Errors that remember where they came from.

use core::panic::Location;
use kernel::alloc::AllocError;
use kernel::prelude::*;

/// An errno, the place that it came from, and whether the log tells of it already.
pub(crate) struct Error {
    errno: kernel::error::Error,
    place: &'static Location<'static>,
    told: bool,
}

/// What fallible functions of the subsystem return.
pub(crate) type Result<T = (), E = Error> = core::result::Result<T, E>;

impl Error {
    /// An error that has been explained in the log.
    #[track_caller]
    pub(crate) fn told(errno: kernel::error::Error) -> Self {
        Self {
            errno,
            place: Location::caller(),
            told: true,
        }
    }

    /// What the system call returns.
    pub(crate) fn errno(&self) -> kernel::error::Error {
        self.errno
    }

    /// Whether the log has a sentence about it.
    pub(crate) fn is_told(&self) -> bool {
        self.told
    }

    /// The file, without the way to it, and the line.
    pub(crate) fn place(&self) -> (&'static str, u32) {
        let file = self.place.file();

        (file.rsplit("../").next().unwrap_or(file), self.place.line())
    }
}

impl From<kernel::error::Error> for Error {
    #[track_caller]
    fn from(errno: kernel::error::Error) -> Self {
        Self {
            errno,
            place: Location::caller(),
            told: false,
        }
    }
}

impl From<AllocError> for Error {
    #[track_caller]
    fn from(_: AllocError) -> Self {
        ENOMEM.into()
    }
}
