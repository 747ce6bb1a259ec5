// SPDX-License-Identifier: GPL-2.0

//! The log of a call: one line per event, for people.
//!
//! Lines go to the file that the caller passed, and into a buffer that becomes the
//! [`Failure`](crate::format::Failure) record of an image that cannot be made.

use crate::error::Error;
use crate::sys::stream::OutStream;
use kernel::alloc::allocator::KVmalloc;
use kernel::alloc::Vec;
use kernel::fmt;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::new_mutex;
use kernel::sync::Mutex;

/// Bytes of log that a [`Failure`](crate::format::Failure) record keeps.
const KEPT: usize = 4096;

/// Where the messages of one system call go.
#[pin_data]
pub(crate) struct Log {
    #[pin]
    inner: Mutex<Inner>,
}

struct Inner {
    file: Option<OutStream>,
    kept: Vec<u8, KVmalloc>,
}

impl Log {
    /// A log that is written to `file`, if there is one.
    pub(crate) fn new(file: Option<OutStream>) -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- new_mutex!(Inner { file, kept: Vec::new() }),
        })
    }

    /// Writes a line. What cannot be written is lost: a log must not make a call fail.
    pub(crate) fn line(&self, args: fmt::Arguments<'_>) {
        let Ok(text) = CString::try_from_fmt(fmt!("{args}\n")) else {
            return;
        };
        let mut inner = self.inner.lock();

        if inner.kept.len() < KEPT {
            let _ = inner.kept.extend_from_slice(text.to_bytes(), GFP_KERNEL);
        }
        if let Some(file) = &mut inner.file {
            let _ = file.write_all(text.to_bytes());
        }
    }

    /// Writes the sentence that explains an error, and gives the error.
    #[track_caller]
    pub(crate) fn error(&self, errno: kernel::error::Error, args: fmt::Arguments<'_>) -> Error {
        self.line(fmt!("error: {args}: {errno:?}"));
        Error::told(errno)
    }

    /// Makes sure that an error has its line.
    pub(crate) fn finish(&self, error: &Error) {
        if !error.is_told() {
            let (file, line) = error.place();

            self.line(fmt!("error: {file}:{line}: {:?}", error.errno()));
        }
    }

    /// What has been written so far.
    pub(crate) fn kept(&self) -> Vec<u8, KVmalloc> {
        let mut copy = Vec::new();
        let inner = self.inner.lock();

        let _ = copy.extend_from_slice(&inner.kept, GFP_KERNEL);
        copy
    }
}
