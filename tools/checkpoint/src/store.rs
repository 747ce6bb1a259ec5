// SPDX-License-Identifier: GPL-2.0

//! Where an image goes to: a file that appears only when it is complete, or a stream; and where
//! the log of the kernel goes.

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::anyhow;
use anyhow::Context;
use tempfile::NamedTempFile;

use crate::exit::Error;
use crate::exit::Result;
use crate::kernel::Log;
use crate::sys;

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A descriptor that we were started with.
    Fd(i32),
    /// A file.
    Path(PathBuf),
}

/// An image that is being written.
pub enum Sink {
    /// To a pipe, a socket, a device or a descriptor of the caller.
    Stream(File),
    /// To a file that has another name until it is complete.
    File {
        /// The file; removed when it is dropped.
        file: NamedTempFile,
        /// The name that it gets.
        path: PathBuf,
        /// Whether it may replace another.
        force: bool,
    },
}

impl Sink {
    /// Opens the target.
    pub fn open(target: &Target, force: bool) -> Result<Sink> {
        let stream = match target {
            Target::Stdout => std::io::stdout().as_fd().try_clone_to_owned()?,
            Target::Fd(fd) => {
                sys::inherited(*fd).with_context(|| format!("cannot write to descriptor {fd}"))?
            }
            Target::Path(path) => return Sink::open_path(path, force),
        };
        if stream.is_terminal() {
            return Err(Error::usage(
                "an image is not for a terminal: use -o FILE, or a pipe",
            ));
        }
        Ok(Sink::Stream(stream.into()))
    }

    fn open_path(path: &Path, force: bool) -> Result<Sink> {
        let cannot = || format!("cannot write {}", path.display());
        if let Ok(metadata) = path.metadata() {
            let kind = metadata.file_type();
            if kind.is_fifo() || kind.is_char_device() || kind.is_block_device() {
                let file = File::options()
                    .write(true)
                    .open(path)
                    .with_context(cannot)?;
                return Ok(Sink::Stream(file));
            }
            if !kind.is_file() {
                return Err(anyhow!("{} is not a file", path.display()).into());
            }
            if !force {
                return Err(exists(path));
            }
        }
        let file = tempfile::Builder::new()
            .prefix(".cr-")
            .suffix(".partial")
            .tempfile_in(folder(path))
            .with_context(cannot)?;
        Ok(Sink::File {
            file,
            path: path.into(),
            force,
        })
    }

    /// Where to write.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Sink::Stream(file) => file.as_fd(),
            Sink::File { file, .. } => file.as_file().as_fd(),
        }
    }

    /// The file, if it is one whose length grows.
    pub fn growing(&self) -> Option<std::io::Result<File>> {
        match self {
            Sink::Stream(_) => None,
            Sink::File { file, .. } => Some(file.as_file().try_clone()),
        }
    }

    /// Gives a complete image its name, once it is on the disk.
    pub fn commit(self) -> Result<()> {
        let Sink::File { file, path, force } = self else {
            return Ok(());
        };
        let cannot = || format!("cannot write {}", path.display());
        file.as_file().sync_all().with_context(cannot)?;
        let persisted = match force {
            true => file.persist(&path),
            false => file.persist_noclobber(&path),
        };
        persisted
            .map_err(|error| error.error)
            .with_context(cannot)?;
        let folder = File::open(folder(&path)).with_context(cannot)?;
        match folder.sync_all() {
            // Some file systems cannot, such as those of another machine.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => Ok(result.with_context(cannot)?),
        }
    }
}

fn exists(path: &Path) -> Error {
    anyhow!("{} exists; --force overwrites it", path.display()).into()
}

/// Where the kernel's log goes besides: a file or a descriptor.
#[derive(Debug, Default)]
pub struct LogTo {
    /// A file.
    pub path: Option<PathBuf>,
    /// A descriptor.
    pub fd: Option<i32>,
}

impl LogTo {
    /// Writes the log there.
    pub fn write(&self, log: &Log) -> Result<()> {
        let text: String = log.lines.iter().map(|line| format!("{line}\n")).collect();
        if let Some(path) = &self.path {
            std::fs::write(path, &text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if let Some(fd) = self.fd {
            File::from(sys::inherited(fd)?).write_all(text.as_bytes())?;
        }
        Ok(())
    }
}

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(path: &Path, force: bool, text: &str) -> Result<Sink> {
        let sink = Sink::open(&Target::Path(path.into()), force)?;
        let mut file = File::from(sink.as_fd().try_clone_to_owned()?);
        file.write_all(text.as_bytes())?;
        Ok(sink)
    }

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let sink = write(&path, false, "one").unwrap();
        assert!(!path.exists());
        sink.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert!(write(&path, false, "two").is_err());
        write(&path, true, "three").unwrap().commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        drop(write(&path, false, "one").unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn nobody_is_overwritten_in_between() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let sink = write(&path, false, "one").unwrap();
        fs::write(&path, "other").unwrap();
        assert!(sink.commit().is_err());
        assert_eq!(fs::read(&path).unwrap(), b"other");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn devices_are_streams() {
        let sink = Sink::open(&Target::Path("/dev/null".into()), false).unwrap();
        assert!(matches!(sink, Sink::Stream(_)));
        assert!(Sink::open(&Target::Path("/tmp".into()), true).is_err());
    }
}
