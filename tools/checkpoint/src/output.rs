// SPDX-License-Identifier: GPL-2.0

//! Where the kernel writes images to: into a [`Sink`], at once or through a compressor.

use std::fs::File;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::thread;
use std::thread::JoinHandle;

use anyhow::anyhow;
use rustix::pipe::PipeFlags;

use crate::exit::Result;
use crate::source;
use crate::store::Sink;

/// How much may wait in the pipe to the compressor, in bytes.
const PIPE: usize = 1 << 20;

/// How images are compressed, by zstd(1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compression {
    /// 1 is fast, 19 is small.
    pub level: i32,
}

/// What the kernel writes to.
pub struct Output {
    sink: Sink,
    pipe: Option<Pipe>,
}

/// The end of a pipe, and who reads the other one.
struct Pipe {
    file: File,
    thread: JoinHandle<io::Result<()>>,
}

impl Output {
    /// Into `sink`.
    pub fn new(sink: Sink, compression: Option<Compression>) -> Result<Output> {
        let pipe = match compression {
            Some(compression) => Some(Pipe::new(&sink, compression)?),
            None => None,
        };
        Ok(Output { sink, pipe })
    }

    /// Where to write.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.pipe {
            Some(pipe) => pipe.file.as_fd(),
            None => self.sink.as_fd(),
        }
    }

    /// The file, if it is one whose length grows.
    pub fn growing(&self) -> Option<io::Result<File>> {
        self.sink.growing()
    }

    /// See [`source::set_direct`].
    pub fn set_direct(&self, direct: bool) -> Result<()> {
        Ok(source::set_direct(self.sink.as_fd(), direct)?)
    }

    /// Writes what is not from the kernel.
    pub fn write_all(&self, bytes: &[u8]) -> Result<()> {
        Ok(File::from(self.as_fd().try_clone_to_owned()?).write_all(bytes)?)
    }

    /// Everything has been written: gives the file, which is complete but for its name.
    pub fn finish(self) -> Result<Sink> {
        if let Some(Pipe { file, thread }) = self.pipe {
            drop(file);
            thread
                .join()
                .map_err(|_| anyhow!("the compressor failed"))??;
        }
        Ok(self.sink)
    }
}

impl Pipe {
    fn new(sink: &Sink, compression: Compression) -> Result<Pipe> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        // A small pipe is only slower.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE);
        let out = File::from(sink.as_fd().try_clone_to_owned()?);
        let mut encoder = zstd::Encoder::new(out, compression.level)?;
        let threads = thread::available_parallelism().map_or(1, |count| count.get());
        encoder.multithread(threads as u32)?;
        encoder.include_checksum(true)?;
        let thread = thread::spawn(move || {
            io::copy(&mut File::from(read), &mut encoder)?;
            encoder.finish()?.flush()
        });
        Ok(Pipe {
            file: write.into(),
            thread,
        })
    }
}
