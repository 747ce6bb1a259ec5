//! QEMU: it boots vmlinux itself, and its devices are virtio.

use super::Boot;
use super::Emulator;
use super::Hardware;
use crate::disk::Access;
use crate::disk::Disk;
use crate::layout::Layout;
use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use rustix::io::fcntl_setfd;
use rustix::io::FdFlags;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

pub(super) fn start(
    layout: &Layout,
    hardware: &Hardware,
    boot: Boot,
    disks: &[Disk],
    scratch: &Path,
) -> Result<Emulator> {
    let (port, guest_end) = UnixStream::pair()?;
    fcntl_setfd(&guest_end, FdFlags::empty())?;
    let mut command = command(layout, hardware, boot, disks, &guest_end)?;
    // QEMU keeps what the machine writes to its root disk in TMPDIR.
    let mut child = command
        .env("TMPDIR", scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{:?}", command.get_program()))?;
    let console = child.stdout.take().context("stdout of QEMU")?;
    Ok(Emulator {
        child,
        port: File::from(OwnedFd::from(port)),
        console: Box::new(console),
    })
}

fn command(
    layout: &Layout,
    hardware: &Hardware,
    boot: Boot,
    disks: &[Disk],
    port: &UnixStream,
) -> Result<Command> {
    let (program, board) = match layout.arch.as_str() {
        "x86_64" => ("qemu-system-x86_64", "q35"),
        other => bail!("no machine is known for ARCH={other}"),
    };
    let accel = match (hardware.accel.as_str(), hardware.icount) {
        // Instructions are counted in one order only.
        ("tcg", true) => "tcg,thread=single",
        ("tcg", false) => "tcg,thread=multi",
        (other, true) => bail!("ACCEL={other} counts no instructions"),
        (other, false) => other,
    };
    let mut command = Command::new(program);
    command.args(["-machine", board, "-accel", accel, "-cpu", &hardware.cpu]);
    if hardware.icount {
        command.args(["-icount", "shift=0,sleep=off"]);
    }
    command.args([
        "-smp",
        &hardware.cpus.to_string(),
        "-m",
        &format!("{}M", hardware.memory(layout)),
    ]);
    command.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ]);
    command.args(["-serial", "stdio", "-device", "virtio-rng-pci"]);

    let root = Disk {
        serial: "root",
        path: layout.root_disk()?,
        access: Access::Forget,
    };
    for (index, disk) in std::iter::once(&root).chain(disks).enumerate() {
        add_disk(&mut command, index, disk);
    }

    let port = port.as_raw_fd();
    command
        .arg("-chardev")
        .arg(format!("socket,id=port,fd={port}"));
    command.args(["-device", "virtio-serial-pci"]);
    command
        .arg("-device")
        .arg(format!("virtserialport,chardev=port,name={}", vm::PORT));

    command
        .arg("-kernel")
        .arg(layout.kernel()?)
        .arg("-append")
        .arg(format!(
            "console=ttyS0 root=/dev/vda rw panic=-1 log_buf_len=4M {} {} {}",
            boot.arguments(),
            layout.variant.arguments(),
            hardware.append
        ));
    Ok(command)
}

fn add_disk(command: &mut Command, index: usize, disk: &Disk) {
    let access = match disk.access {
        Access::Read => "read-only=on",
        Access::Write => "cache=unsafe",
        Access::Forget => "snapshot=on",
    };
    // A comma in a path is doubled, as in all of QEMU's options.
    let path = disk.path.display().to_string().replace(',', ",,");
    let drive = format!("if=none,id=disk{index},format=raw,{access},file={path}");
    let device = format!("virtio-blk-pci,drive=disk{index},serial={}", disk.serial);
    command.args(["-drive", &drive, "-device", &device]);
}
