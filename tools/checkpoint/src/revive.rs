// SPDX-License-Identifier: GPL-2.0

//! A restart as the commands ask for it: where it happens, and what we do while the tree runs.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use anyhow::Context;
use rustix::pipe::PipeFlags;
use serde_json::json;

use crate::chain::ReadAt;
use crate::exit::Class;
use crate::exit::Codes;
use crate::exit::Error;
use crate::exit::Result;
use crate::format::header;
use crate::format::Header;
use crate::freezer;
use crate::image::Reader;
use crate::kernel;
use crate::namespace;
use crate::print;
use crate::source;
use crate::source::Source;
use crate::store::LogTo;
use crate::sys;
use crate::wait::End;
use crate::wait::Signals;

/// What we do once the tree runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    /// End at once.
    Detach,
    /// Wait for the root, and end as it did.
    Imitate,
    /// Wait for the root, and end well.
    Wait,
}

/// What is new around the tree.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// A pid namespace, with us as its init.
    pub pids: bool,
    /// A mount namespace.
    pub mounts: bool,
    /// Pseudo-terminals, in a mount namespace.
    pub ptys: bool,
    /// A root directory.
    pub root: Option<PathBuf>,
}

/// A restart to be made.
pub(crate) struct Request {
    pub image: Option<Source>,
    pub flags: u32,
    /// Read page data past the page cache.
    pub direct: bool,
    pub ending: Ending,
    pub print_pid: bool,
    /// What the root is sent on SIGINT.
    pub interrupt: Option<c_int>,
    pub json: bool,
    pub verbose: bool,
    /// Say on standard error how the root ended.
    pub show_status: bool,
    pub surroundings: Surroundings,
    /// A cgroup in which the tree is left frozen.
    pub freezer: Option<PathBuf>,
    pub log: LogTo,
    /// The exit codes of our own failures.
    pub codes: Codes,
}

impl Request {
    /// A restart in the foreground, as `cr restart` does it.
    pub(crate) fn new(image: Source) -> Request {
        Request {
            image: Some(image),
            flags: 0,
            direct: false,
            ending: Ending::Imitate,
            print_pid: false,
            interrupt: None,
            json: false,
            verbose: false,
            show_status: false,
            surroundings: Surroundings::default(),
            freezer: None,
            log: LogTo::default(),
            codes: Codes::Passed,
        }
    }

    pub(crate) fn run(mut self) -> Result {
        let image = self.image.as_mut().context("no image")?;
        if let Some(header) = peek(&mut image.file)? {
            // The kernel makes the pid namespace of a container.
            self.surroundings.pids &= header.mode != header::MODE_CONTAINER;
        }
        self.enter_mounts()?;
        if self.surroundings.pids {
            return self.run_as_init();
        }
        self.enter_root()?;
        let signals = Signals::collect(self.interrupt)?;
        let root = self.restart(&signals)?;
        self.running(root)?;
        self.finish(root, signals)
    }

    /// Restarts in a new pid namespace, in a child that is its init.
    fn run_as_init(mut self) -> Result {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let init = sys::fork(libc::CLONE_NEWPID, None).context("cannot make a pid namespace")?;
        if init == 0 {
            drop(read);
            let codes = self.codes;
            return Ok(self.init(write).unwrap_or_else(|error| {
                error.print();
                error.class.code(codes).into()
            }));
        }
        drop(write);
        // Who writes to it must see when the child reads no more.
        drop(self.image.take());
        let signals = Signals::collect(self.interrupt)?;
        let mut ready = Vec::new();
        File::from(read).read_to_end(&mut ready)?;
        if self.ending == Ending::Detach && !ready.is_empty() {
            self.running(init)?;
            return Ok(ExitCode::SUCCESS);
        }
        Ok(signals.wait(init)?.imitate())
    }

    /// What the init does: it says on `ready` that the tree runs, and waits for the root.
    fn init(mut self, ready: OwnedFd) -> Result {
        if self.surroundings.mounts {
            namespace::mount_proc()?;
        }
        self.enter_root()?;
        let signals = Signals::collect(self.interrupt)?;
        let root = self.restart(&signals)?;
        if self.ending == Ending::Detach {
            self.ending = Ending::Wait;
        } else {
            self.running(root)?;
        }
        File::from(ready).write_all(b"1")?;
        self.finish(root, signals.into_init())
    }

    fn restart(&mut self, signals: &Signals) -> Result<i32> {
        if self.freezer.is_some() {
            self.flags |= kernel::RESTART_FROZEN;
        }
        let image = self.image.take().context("no image")?;
        if self.direct {
            source::set_direct(&image.file, true)?;
        }
        let result = kernel::restart(image.file.as_fd(), self.flags);
        image.close();
        let log = match &result {
            Ok((_, log)) => log,
            Err(failed) => &failed.log,
        };
        self.log.write(log)?;
        let (root, log) = match result {
            Err(failed) if signals.interrupted() => {
                return Err(anyhow!("interrupted").context(failed.error.cause).into())
            }
            result => result?,
        };
        if self.verbose {
            log.print();
        }
        if let Some(cgroup) = &self.freezer {
            freezer::hold(root, cgroup)?;
        }
        Ok(root)
    }

    fn enter_mounts(&self) -> Result<()> {
        let around = &self.surroundings;
        if !around.mounts && !around.ptys {
            return Ok(());
        }
        sys::unshare(libc::CLONE_NEWNS).context("cannot make a mount namespace")?;
        namespace::private_mounts()?;
        if around.ptys {
            let root = around.root.as_deref().unwrap_or(Path::new("/"));
            namespace::mount_devpts(root)?;
        }
        Ok(())
    }

    fn enter_root(&self) -> Result<()> {
        let Some(root) = &self.surroundings.root else {
            return Ok(());
        };
        let cannot = || format!("cannot make {} the root", root.display());
        rustix::process::chroot(root).with_context(cannot)?;
        rustix::process::chdir("/").with_context(cannot)?;
        Ok(())
    }

    /// Says that the tree runs.
    fn running(&self, root: i32) -> Result<()> {
        if self.json {
            println!("{}", json!({ "pid": root, "running": true }));
        } else if self.print_pid {
            println!("{root}");
        }
        io::stdout().flush()?;
        Ok(())
    }

    fn finish(&self, root: i32, signals: Signals) -> Result {
        if self.ending == Ending::Detach {
            return Ok(ExitCode::SUCCESS);
        }
        let end = signals
            .wait(root)
            .map_err(|error| error.context(format!("cannot wait for {root}")))?;
        let (what, number) = match end {
            End::Exited(code) => ("exit_code", i32::from(code)),
            End::Killed(signal) => ("signal", signal),
        };
        if self.json {
            println!("{}", json!({ "pid": root, "running": false, what: number }));
            io::stdout().flush()?;
        }
        if self.show_status {
            match end {
                End::Exited(code) => eprintln!("cr: {root} exited with {code}"),
                End::Killed(signal) => eprintln!("cr: {root} was killed by signal {signal}"),
            }
        }
        Ok(match self.ending {
            Ending::Imitate if self.surroundings.pids => end.code(),
            Ending::Imitate => end.imitate(),
            _ => ExitCode::SUCCESS,
        })
    }
}

/// The header of an image in a file, which stays where it is; `None` for a stream.
fn peek(image: &mut File) -> Result<Option<Header>> {
    if !image.metadata()?.is_file() {
        return Ok(None);
    }
    let offset = image.stream_position()?;
    let mut reader = Reader::new(ReadAt {
        file: image,
        offset,
    });
    let header = reader.header()?;
    if header.flags & header::FLAG_FAILED == 0 {
        return Ok(Some(header));
    }
    let metadata = reader.metadata(&header)?;
    let entries: Vec<_> = metadata.records().collect::<std::result::Result<_, _>>()?;
    let mut text = Vec::new();
    print::failure(&mut text, &entries)?;
    let text = String::from_utf8_lossy(&text);
    let cause = anyhow!("the image records a failed checkpoint\n{}", text.trim_end());
    Err(Error::new(Class::BadImage, cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::Composer;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before").unwrap();
        file.write_all(bytes).unwrap();
        file.seek(io::SeekFrom::Start(6)).unwrap();
        file
    }

    #[test]
    fn a_header_is_peeked_at() {
        let mut image = file(&Composer::small().image());
        let header = peek(&mut image).unwrap().unwrap();
        assert_eq!(header.mode, header::MODE_SUBTREE);
        assert_eq!(image.stream_position().unwrap(), 6);
    }

    #[test]
    fn what_is_no_image_is_refused_early() {
        let error = peek(&mut file(b"#!/bin/sh")).unwrap_err();
        assert_eq!(error.class, Class::BadImage);
        let failed = Composer::failed(16, 7, "error: pid 7 (sh): why\n").image();
        let error = peek(&mut file(&failed)).unwrap_err();
        assert_eq!(error.class, Class::BadImage);
        assert!(error.cause.to_string().contains("(sh): why"));
    }
}
