//! The file systems that the machine gets besides its root disk.
//!
//! They are ext4 disks made from folders, and not shared folders, because what
//! the tests checkpoint must live on a file system like a real machine's.

use crate::layout::Layout;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// A disk of the machine. The guest mounts it by its serial number.
pub struct Disk {
    pub serial: &'static str,
    pub path: PathBuf,
    pub access: Access,
}

/// What the machine may do with a disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    /// Write, but to nowhere: the file does not change.
    Forget,
}

const MEGABYTE: u64 = 1 << 20;

/// The disk that the guest has at `/usr/local`: its first process, the tools
/// and the tests, and some files by name and content. It is made for every boot,
/// which costs a fraction of a second.
pub fn tools(layout: &Layout, scratch: &Path, files: &[(&str, &str)]) -> Result<Disk> {
    let folder = scratch.join("tools");
    fs::create_dir_all(folder.join("sbin"))?;
    let guest = folder.join("sbin/vm-guest");
    fs::copy(layout.guest()?, &guest)?;
    fs::set_permissions(&guest, fs::Permissions::from_mode(0o755))?;
    for (from, to) in [
        (layout.tools(), "bin"),
        (layout.selftests(), "libexec/selftests"),
    ] {
        if from.is_dir() {
            let to = folder.join(to);
            fs::create_dir_all(&to)?;
            copy(&from, &to)?;
        }
    }
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        fs::write(path, content)?;
    }
    from_folder("tools", &folder, scratch, Access::Read, 16 * MEGABYTE)
}

/// A folder of the host, for the guest to read at `/extra`.
pub fn extra(folder: &Path, scratch: &Path) -> Result<Disk> {
    ensure!(
        folder.is_dir(),
        "EXTRA={} is not a folder",
        folder.display()
    );
    from_folder("extra", folder, scratch, Access::Read, 16 * MEGABYTE)
}

/// The disk at `/out`, with what earlier machines left there.
pub fn out(folder: &Path, scratch: &Path) -> Result<Disk> {
    fs::create_dir_all(folder)?;
    from_folder("out", folder, scratch, Access::Write, 4096 * MEGABYTE)
}

/// Bring what the machine wrote to `/out` back to a folder.
pub fn fetch_out(disk: &Disk, folder: &Path, scratch: &Path) -> Result<()> {
    let copied = scratch.join("out");
    fs::create_dir_all(&copied)?;
    // A kernel that died left the file system in use, but complete.
    Command::new("e2fsck")
        .args(["-fy"])
        .arg(&disk.path)
        .output()
        .context("e2fsck")?;
    let dump = format!("rdump / \"{}\"", copied.display());
    run(Command::new("debugfs").args(["-R", &dump]).arg(&disk.path))?;
    fs::remove_dir(copied.join("lost+found")).ok();
    copy(&copied, folder)
}

/// An empty disk that survives the machine.
pub fn persistent(path: PathBuf) -> Result<Disk> {
    make(&path, None, 2048 * MEGABYTE)?;
    Ok(Disk {
        serial: "persist",
        path,
        access: Access::Write,
    })
}

fn from_folder(
    serial: &'static str,
    folder: &Path,
    scratch: &Path,
    access: Access,
    room: u64,
) -> Result<Disk> {
    let path = scratch.join(format!("{serial}.ext4"));
    // Inodes, directories and the last blocks of files come on top.
    let size = (contents(folder)? / 10 * 12 + room).next_multiple_of(MEGABYTE);
    make(&path, Some(folder), size)?;
    Ok(Disk {
        serial,
        path,
        access,
    })
}

fn make(path: &Path, folder: Option<&Path>, size: u64) -> Result<()> {
    fs::remove_file(path).ok();
    let mut command = Command::new("mke2fs");
    command.args(["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0"]);
    if let Some(folder) = folder {
        command.arg("-d").arg(folder);
    }
    run(command.arg(path).arg(format!("{}k", size / 1024)))
}

/// Bytes in the files of a folder, each with a block for its inode.
fn contents(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let kind = entry.file_type()?;
        sum += 4096;
        if kind.is_dir() {
            sum += contents(&entry.path())?;
        } else if kind.is_file() {
            sum += entry.metadata()?.len();
        }
    }
    Ok(sum)
}

/// Copy what is in a folder into another, with links, times and modes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp")
        .args(["-a", "-T"])
        .arg(from.join("."))
        .arg(to))
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| program.clone())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {errors}");
    Ok(())
}
