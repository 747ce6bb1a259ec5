// SPDX-License-Identifier: GPL-2.0

//! Where an image comes from: a file or a stream, which may be compressed, need other images, or
//! hold several.

use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use rustix::fs::OFlags;
use rustix::net::RecvFlags;
use rustix::pipe::PipeFlags;
use rustix::pipe::SpliceFlags;

use crate::chain;
use crate::exit::Result;
use crate::format::header;
use crate::format::Header;
use crate::image::Reader;

/// What a frame of zstd(1) starts with.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How something starts that is read as an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// Like an image, or like nothing that we know.
    Plain,
    /// Several images.
    Chain,
    /// A frame of zstd(1).
    Compressed,
}

impl Form {
    fn of(bytes: &[u8]) -> Form {
        if bytes.starts_with(&chain::MAGIC) {
            Form::Chain
        } else if bytes.starts_with(&ZSTD) {
            Form::Compressed
        } else {
            Form::Plain
        }
    }

    /// Looks at the first bytes, and leaves them where they are.
    pub fn sniff(file: &mut File) -> Result<Form> {
        let mut bytes = [0; 8];
        let kind = file.metadata()?.file_type();
        let len = if kind.is_file() {
            let at = file.stream_position()?;
            file.read_at(&mut bytes, at)?
        } else if kind.is_fifo() {
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            let len = rustix::pipe::tee(&*file, &write, bytes.len(), SpliceFlags::empty())?;
            File::from(read).read(&mut bytes[..len])?
        } else if kind.is_socket() {
            rustix::net::recv(&*file, &mut bytes, RecvFlags::PEEK)?.0
        } else {
            0
        };
        Ok(Form::of(&bytes[..len]))
    }
}

/// The bytes of something that may be compressed.
pub fn reader(mut file: File) -> Result<Box<dyn Read>> {
    Ok(match Form::sniff(&mut file)? {
        Form::Compressed => Box::new(decompress(file)?),
        _ => Box::new(BufReader::new(file)),
    })
}

fn decompress(file: File) -> io::Result<impl Read> {
    zstd::Decoder::new(file)
}

/// Makes a file of it in which one can go back: itself, or a copy that has no name.
pub fn seekable(mut file: File) -> Result<File> {
    let form = Form::sniff(&mut file)?;
    if form != Form::Compressed && file.metadata()?.is_file() {
        return Ok(file);
    }
    let mut copy = tempfile::tempfile().context("cannot make a temporary file")?;
    io::copy(&mut reader(file)?, &mut copy).context("cannot copy the image")?;
    copy.rewind()?;
    Ok(copy)
}

/// Lets page data go past the page cache (O_DIRECT), or no longer. Only the kernel reads and
/// writes such a file: it takes care of what is no page.
pub fn set_direct(file: impl AsFd, direct: bool) -> anyhow::Result<()> {
    let mut flags = rustix::fs::fcntl_getfl(&file)?;
    flags.set(OFlags::DIRECT, direct);
    rustix::fs::fcntl_setfl(&file, flags).context("the file takes no O_DIRECT")
}

/// The header of the image at `path`, compressed or not.
pub fn header_of(path: &Path) -> Result<Header> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Reader::new(reader(file)?).header()?)
}

/// An image as the kernel reads it.
pub struct Source {
    /// The image, or a pipe that it comes through.
    pub file: File,
    /// Who writes to that pipe.
    merge: Option<Child>,
}

impl Source {
    /// An image at `path`, or without one an image that `file` is. If it is not one that the
    /// kernel reads, `cr merge` makes one of it.
    pub fn open(mut file: File, path: Option<&Path>, parents: &[PathBuf]) -> Result<Source> {
        let plain = match Form::sniff(&mut file)? {
            Form::Plain if file.metadata()?.is_file() => !is_incremental(&mut file)?,
            form => form == Form::Plain,
        };
        if plain {
            return Ok(Source { file, merge: None });
        }
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("cr")
            .args(["merge", "--quiet", "--output", "-"]);
        for parent in parents {
            command.arg("--parent").arg(parent);
        }
        match path {
            Some(path) => command.arg("--").arg(path).stdin(Stdio::null()),
            None => command.stdin(file),
        };
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run cr merge")?;
        let out = child.stdout.take().context("no pipe")?;
        Ok(Source {
            file: std::os::fd::OwnedFd::from(out).into(),
            merge: Some(child),
        })
    }

    /// Once the image has been read, or will not be: waits for who has written it.
    pub fn close(self) {
        drop(self.file);
        if let Some(mut child) = self.merge {
            // Who waits for all children may have waited for this one. What went wrong it has said.
            let _ = child.wait();
        }
    }
}

/// Whether an image in a file needs a parent.
fn is_incremental(file: &mut File) -> Result<bool> {
    let offset = file.stream_position()?;
    let mut reader = Reader::new(chain::ReadAt { file, offset });
    // What is wrong with a header is said by those who need it.
    let flags = reader.header().map_or(0, |header| header.flags);
    Ok(flags & header::FLAG_INCREMENTAL != 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::compose::Composer;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn forms_are_seen_in_files_and_pipes() {
        let image = Composer::small().image();
        let packed = zstd::encode_all(image.as_slice(), 3).unwrap();
        for (bytes, form) in [
            (image.as_slice(), Form::Plain),
            (packed.as_slice(), Form::Compressed),
            (&chain::MAGIC[..], Form::Chain),
            (b"", Form::Plain),
        ] {
            assert_eq!(Form::sniff(&mut file(bytes)).unwrap(), form);
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
            let part = &bytes[..bytes.len().min(4000)];
            File::from(write).write_all(part).unwrap();
            let mut read = File::from(read);
            assert_eq!(Form::sniff(&mut read).unwrap(), form);
            let mut all = Vec::new();
            read.read_to_end(&mut all).unwrap();
            assert_eq!(all, part);
        }
    }

    #[test]
    fn what_is_compressed_can_be_read_twice() {
        let image = Composer::small().image();
        let packed = zstd::encode_all(image.as_slice(), 3).unwrap();
        let mut bytes = Vec::new();
        let mut copy = seekable(file(&packed)).unwrap();
        copy.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, image);
    }
}
