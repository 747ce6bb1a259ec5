//! Bochs: a PC with IDE disks, which starts a boot loader from a CD.
//!
//! It is slower than QEMU, and has one processor. That knows shadow stacks and AVX-512.

use super::Boot;
use super::Emulator;
use super::Hardware;
use crate::disk::Access;
use crate::disk::Disk;
use crate::layout::Layout;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use std::fmt::Write;
use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

/// Megabytes of memory that it can have.
pub(super) const MEMORY_MAX: u32 = 2048;

/// The processor unless another one is asked for: it has the most that Linux can use.
const PROCESSOR: &str = "tigerlake";

/// The one before it, which has no shadow stacks.
pub(super) const OLDER_PROCESSOR: &str = "corei7_icelake_u";

/// The four places of disks; the CD has the last.
const PLACES: [&str; 4] = ["ata0-master", "ata0-slave", "ata1-master", "ata1-slave"];

/// A cylinder has 16 heads and 32 sectors. All of our disks are whole megabytes.
const CYLINDER: u64 = 16 * 32 * 512;

pub(super) fn start(
    layout: &Layout,
    hardware: &Hardware,
    boot: Boot,
    disks: &[Disk],
    scratch: &Path,
) -> Result<Emulator> {
    ensure!(!hardware.icount, "ACCEL=bochs has no ICOUNT");
    let console = Line::new()?;
    let port = Line::new()?;
    let cd = cd(layout, hardware, boot, scratch)?;
    let file = scratch.join("bochsrc");
    let settings = settings(layout, hardware, disks, scratch, [&console, &port], &cd)?;
    fs::write(&file, settings)?;
    // It has a debugger, which waits for a command.
    let commands = scratch.join("commands");
    fs::write(&commands, "continue\n")?;
    let root = layout.bochs()?;
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let mut child = Command::new(libraries.join("ld-linux-x86-64.so.2"))
        .arg("--library-path")
        .arg(&libraries)
        .arg(root.join("usr/bin/bochs-bin"))
        .arg("-q")
        .arg("-f")
        .arg(&file)
        .arg("-rc")
        .arg(&commands)
        .env("BXSHARE", root.join("usr/share/bochs"))
        .env("LTDL_LIBRARY_PATH", libraries.join("bochs/plugins"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("bochs")?;
    let log = scratch.join("bochs.log");
    let console = console.accept(&mut child, &log)?;
    let port = port.accept(&mut child, &log)?;
    Ok(Emulator {
        child,
        port: File::from(OwnedFd::from(port)),
        console: Box::new(console),
    })
}

/// A serial line of the machine, to which Bochs connects.
struct Line(TcpListener);

impl Line {
    fn new() -> Result<Line> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        Ok(Line(listener))
    }

    /// The setting for the line with that number.
    fn setting(&self, number: u32) -> Result<String> {
        let address = self.0.local_addr()?;
        Ok(format!(
            "com{number}: enabled=1, mode=socket-client, dev={address}\n"
        ))
    }

    fn accept(&self, child: &mut Child, log: &Path) -> Result<TcpStream> {
        loop {
            match self.0.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if child.try_wait()?.is_some() {
                let log = fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().rev().take(10).collect();
                bail!(
                    "Bochs does not start; it says, last line first:\n{}",
                    lines.join("\n")
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A CD with the kernel and a boot loader.
fn cd(layout: &Layout, hardware: &Hardware, boot: Boot, scratch: &Path) -> Result<PathBuf> {
    let folder = scratch.join("cd");
    let grub = folder.join("boot/grub");
    fs::create_dir_all(&grub)?;
    fs::copy(layout.boot_image()?, folder.join("boot/bzImage"))?;
    // Bochs ends with an error that the processor cannot handle, by which the kernel reboots. When
    // it loads registers behind those of protection keys and leaves these out, as Linux does, it
    // looks in the wrong place.
    let line = format!(
        "console=ttyS0 root=/dev/sda rw panic=-1 reboot=t nopku log_buf_len=4M {} {} {}",
        boot.arguments(),
        layout.variant.arguments(),
        hardware.append
    );
    fs::write(
        grub.join("grub.cfg"),
        format!("linux /boot/bzImage {line}\nboot\n"),
    )?;
    let path = scratch.join("boot.iso");
    let output = Command::new("grub-mkrescue")
        .arg("-o")
        .arg(&path)
        .arg(&folder)
        .output()
        .context("grub-mkrescue")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "grub-mkrescue: {errors}");
    Ok(path)
}

/// The configuration file.
fn settings(
    layout: &Layout,
    hardware: &Hardware,
    disks: &[Disk],
    scratch: &Path,
    lines: [&Line; 2],
    cd: &Path,
) -> Result<String> {
    let memory = hardware.memory(layout).min(MEMORY_MAX);
    let processor = match hardware.cpu.as_str() {
        "max" => PROCESSOR,
        other => other,
    };
    // Debian's has no display that is none; this one waits for nobody to look (VNC, port 5900).
    let mut text = format!(
        "romimage: file=\"{0}/BIOS-bochs-latest\"\n\
         vgaromimage: file=\"{0}/VGABIOS-lgpl-latest\"\n\
         megs: {memory}\n\
         cpu: model={processor}, count=1, ips=50000000, reset_on_triple_fault=0\n\
         clock: sync=none\n\
         boot: cdrom\n\
         display_library: rfb, options=\"timeout=0\"\n\
         sound: driver=dummy\n\
         log: {1}\n\
         panic: action=fatal\nerror: action=ignore\ninfo: action=ignore\n\
         ata0: enabled=1\nata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15\n",
        layout.bochs()?.join("usr/share/bochs").display(),
        scratch.join("bochs.log").display(),
    );
    for (number, line) in (1..).zip(lines) {
        text += &line.setting(number)?;
    }
    let root = Disk {
        serial: "root",
        path: layout.root_disk()?,
        access: Access::Forget,
    };
    let mut places = PLACES.into_iter();
    let last = places.next_back().context("a place for the CD")?;
    for disk in std::iter::once(&root).chain(disks) {
        let place = places.next().context("Bochs has too few disks for this")?;
        let cylinders = disk.path.metadata()?.len() / CYLINDER;
        // One that was killed leaves it.
        fs::remove_file(disk.path.with_extension("ext4.lock")).ok();
        let mode = match disk.access {
            Access::Forget => "volatile",
            Access::Read | Access::Write => "flat",
        };
        writeln!(
            text,
            "{place}: type=disk, path=\"{}\", mode={mode}, journal=\"{}\", \
             cylinders={cylinders}, heads=16, spt=32, translation=auto, model=\"{}\"",
            disk.path.display(),
            scratch.join(place).display(),
            disk.serial,
        )?;
    }
    let cd = cd.display();
    writeln!(text, "{last}: type=cdrom, path=\"{cd}\", status=inserted")?;
    Ok(text)
}
