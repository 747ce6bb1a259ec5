// SPDX-License-Identifier: GPL-2.0

//! New namespaces for a command or a restart, and what has to be mounted in them.

use std::ffi::c_int;
use std::fs;
use std::path::Path;

use anyhow::Context;
use rustix::mount::MountFlags;
use rustix::mount::MountPropagationFlags;
use rustix::mount::UnmountFlags;

/// Keeps what is mounted from now on to this mount namespace.
pub(crate) fn private_mounts() -> anyhow::Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).context("cannot make the mounts private")
}

/// Mounts a new /proc, which shows the pid namespace of the caller.
pub(crate) fn mount_proc() -> anyhow::Result<()> {
    // There may be none.
    let _ = rustix::mount::unmount("/proc", UnmountFlags::DETACH);
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, None).context("cannot mount /proc")
}

/// Mounts new pseudo-terminals under `root`.
pub(crate) fn mount_devpts(root: &Path) -> anyhow::Result<()> {
    let pts = root.join("dev/pts");
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount(
        "devpts",
        &pts,
        "devpts",
        flags,
        Some(c"newinstance,ptmxmode=0666,mode=0620"),
    )
    .with_context(|| format!("cannot mount {}", pts.display()))?;
    let ptmx = root.join("dev/ptmx");
    rustix::mount::mount_bind(pts.join("ptmx"), &ptmx)
        .with_context(|| format!("cannot mount {}", ptmx.display()))
}

/// Makes the user and group that the caller was, `uid` and `gid`, root of its new user namespace.
pub(crate) fn map_root(uid: u32, gid: u32) -> anyhow::Result<()> {
    let write = |file: &str, text: String| {
        let path = format!("/proc/self/{file}");
        fs::write(&path, text).with_context(|| format!("cannot write {path}"))
    };
    write("setgroups", "deny".into())?;
    write("uid_map", format!("0 {uid} 1"))?;
    write("gid_map", format!("0 {gid} 1"))
}

/// The names of namespaces, for messages.
pub(crate) fn names(flags: c_int) -> String {
    let all = [
        (libc::CLONE_NEWNS, "mount"),
        (libc::CLONE_NEWNET, "net"),
        (libc::CLONE_NEWUTS, "uts"),
        (libc::CLONE_NEWIPC, "ipc"),
        (libc::CLONE_NEWUSER, "user"),
        (libc::CLONE_NEWPID, "pid"),
    ];
    let names: Vec<&str> = all
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, name)| *name)
        .collect();
    names.join(", ")
}
