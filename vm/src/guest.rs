//! The first process of the test machine: mounts, reaps, and runs what the host
//! asks for.
//!
//! `/sbin/init` of the root disk has mounted the tools disk and executes this.

use anyhow::Context;
use anyhow::Result;
use rustix::mount::MountFlags;
use rustix::process;
use rustix::process::Pid;
use rustix::process::WaitOptions;
use rustix::pty;
use rustix::system;
use rustix::system::RebootCommand;
use rustix::termios;
use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::thread;
use std::time::Duration;
use vm::Event;
use vm::Request;
use vm::Size;

/// Type, where, flags and options, in the order in which they are mounted.
const FILE_SYSTEMS: [(&str, &str, MountFlags, &str); 8] = [
    ("proc", "/proc", NOTHING_SPECIAL, ""),
    ("sysfs", "/sys", NOTHING_SPECIAL, ""),
    (
        "devpts",
        "/dev/pts",
        MountFlags::NOSUID,
        "gid=5,mode=620,ptmxmode=666",
    ),
    ("tmpfs", "/dev/shm", NOTHING_SPECIAL, "mode=1777"),
    ("mqueue", "/dev/mqueue", NOTHING_SPECIAL, ""),
    ("tmpfs", "/run", MountFlags::NOSUID, "mode=755"),
    ("tmpfs", "/tmp", MountFlags::NOSUID, "mode=1777"),
    ("cgroup2", "/sys/fs/cgroup", NOTHING_SPECIAL, ""),
];
const NOTHING_SPECIAL: MountFlags = MountFlags::empty();

/// Disks by their serial number, or what an IDE disk has as its model, and where they go. `/out` is synchronous: what
/// a program wrote there comes back even if the kernel dies right after.
const DISKS: [(&str, &str, MountFlags); 3] = [
    ("extra", "/extra", MountFlags::RDONLY),
    ("out", "/out", MountFlags::SYNCHRONOUS),
    ("persist", "/persist", NOTHING_SPECIAL),
];

const ENVIRONMENT: [(&str, &str); 6] = [
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("HOME", "/root"),
    ("USER", "root"),
    ("SHELL", "/bin/bash"),
    ("LANG", "C.UTF-8"),
    ("TERM", "xterm-256color"),
];

fn main() {
    if let Err(error) = serve() {
        // The console is all that is left. The host sees the machine go.
        eprintln!("vm-guest: {error:#}");
        power_off();
    }
}

fn serve() -> Result<()> {
    mount_all()?;
    process::setsid().ok();
    system::sethostname(b"checkpoint")?;
    Command::new("/usr/sbin/ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .context("ip link")?;

    let mut requests = open_port()?;
    let link = Link::new(requests.try_clone()?)?;
    let children = Arc::new(Children::default());
    let reaper = children.clone();
    thread::spawn(move || reaper.reap());

    link.send(&Event::Ready)?;
    link.send_kernel_log()?;
    let mut terminal: Option<File> = None;
    loop {
        match vm::receive(&mut requests)? {
            Request::Run(command) => {
                terminal = None;
                let run = match command.terminal {
                    Some(size) => {
                        let (run, master) = Run::on_terminal(&children, &command.line, size)?;
                        terminal = Some(master.try_clone()?);
                        run.with_output(master, Event::Stdout)
                    }
                    None => Run::on_pipes(&children, &command.line)?,
                };
                let link = link.clone();
                thread::spawn(move || run.finish(&link));
            }
            Request::Input(keys) => {
                if let Some(terminal) = &mut terminal {
                    terminal.write_all(&keys).ok();
                }
            }
            Request::Resize(size) => {
                if let Some(terminal) = &terminal {
                    resize(terminal, size).ok();
                }
            }
            Request::Sysrq(letter) => {
                fs::write("/proc/sysrq-trigger", letter.to_string()).ok();
                link.send_kernel_log()?;
            }
            Request::PowerOff => power_off(),
        }
    }
}

fn mount_all() -> Result<()> {
    for (kind, place, flags, options) in FILE_SYSTEMS {
        fs::create_dir_all(place).ok();
        let options = std::ffi::CString::new(options)?;
        rustix::mount::mount(kind, place, kind, flags, options.as_c_str())
            .with_context(|| format!("mount {place}"))?;
    }
    // Only the debug kernel has it.
    if Path::new("/sys/kernel/debug").exists() {
        rustix::mount::mount(
            "debugfs",
            "/sys/kernel/debug",
            "debugfs",
            NOTHING_SPECIAL,
            None,
        )
        .context("mount /sys/kernel/debug")?;
    }
    for (name, target) in [
        ("fd", ""),
        ("stdin", "/0"),
        ("stdout", "/1"),
        ("stderr", "/2"),
    ] {
        symlink(format!("/proc/self/fd{target}"), format!("/dev/{name}")).ok();
    }
    for disk in fs::read_dir("/sys/block")? {
        let disk = disk?;
        let name = ["serial", "device/model"]
            .iter()
            .find_map(|file| fs::read_to_string(disk.path().join(file)).ok())
            .unwrap_or_default();
        let known = DISKS.iter().find(|(known, ..)| *known == name.trim());
        if let Some((_, place, flags)) = known {
            let device = format!("/dev/{}", disk.file_name().to_string_lossy());
            rustix::mount::mount(device, *place, "ext4", *flags, None)
                .with_context(|| format!("mount {place}"))?;
        }
    }
    Ok(())
}

fn open_port() -> Result<File> {
    for port in fs::read_dir("/sys/class/virtio-ports")? {
        let port = port?;
        if fs::read_to_string(port.path().join("name"))?.trim() == vm::PORT {
            let device = format!("/dev/{}", port.file_name().to_string_lossy());
            return File::options()
                .read(true)
                .write(true)
                .open(&device)
                .context(device);
        }
    }
    // Bochs has a serial line instead.
    let device = "/dev/ttyS1";
    let line = File::options()
        .read(true)
        .write(true)
        .custom_flags(rustix::fs::OFlags::NOCTTY.bits().try_into()?)
        .open(device)
        .context(device)?;
    let mut settings = termios::tcgetattr(&line).context(device)?;
    settings.make_raw();
    settings.set_speed(115_200)?;
    termios::tcsetattr(&line, termios::OptionalActions::Now, &settings)?;
    Ok(line)
}

fn power_off() -> ! {
    for (_, place, _) in DISKS {
        rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH).ok();
    }
    rustix::fs::sync();
    // Every machine can do that, with ACPI or without, and QEMU ends then (-no-reboot).
    system::reboot(RebootCommand::Restart).ok();
    loop {
        thread::park();
    }
}

/// The way to the host, for several threads.
#[derive(Clone)]
struct Link(Arc<Mutex<LinkState>>);

struct LinkState {
    port: File,
    kernel_log: File,
}

impl Link {
    fn new(port: File) -> Result<Link> {
        let kernel_log = File::options()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().try_into()?)
            .open("/dev/kmsg")?;
        Ok(Link(Arc::new(Mutex::new(LinkState { port, kernel_log }))))
    }

    fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn send(&self, event: &Event) -> Result<()> {
        vm::send(&mut self.lock().port, event)
    }

    /// Send what the kernel has logged since the last time.
    fn send_kernel_log(&self) -> Result<()> {
        let mut state = self.lock();
        let mut lines = Vec::new();
        let mut record = [0; 8192];
        loop {
            match state.kernel_log.read(&mut record) {
                Ok(length) => lines.extend(log_lines(&record[..length]).unwrap_or_default()),
                // The ring buffer went round; the next read goes on behind.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            if lines.len() >= 256 {
                vm::send(
                    &mut state.port,
                    &Event::KernelLog(std::mem::take(&mut lines)),
                )?;
            }
        }
        vm::send(&mut state.port, &Event::KernelLog(lines))
    }
}

/// The lines of a record of `/dev/kmsg`: `priority,number,microseconds,flag;text`
/// and lines of properties, which begin with a space. The ends of the text's own
/// lines are written as four characters.
fn log_lines(record: &[u8]) -> Option<Vec<String>> {
    let record = String::from_utf8_lossy(record);
    let (header, text) = record.split_once(';')?;
    let time: u64 = header.split(',').nth(2)?.parse().ok()?;
    let time = format!("[{:5}.{:06}]", time / 1_000_000, time % 1_000_000);
    let text = text.lines().next()?.split("\\x0a");
    Some(text.map(|line| format!("{time} {line}")).collect())
}

/// The children of the first process, of which most were born elsewhere.
#[derive(Default)]
struct Children {
    running: Mutex<Option<(Pid, mpsc::Sender<i32>)>>,
    born: Condvar,
}

impl Children {
    /// Start a command. The lock keeps the reaper from seeing its end before it
    /// knows of it.
    fn spawn(&self, command: &mut Command) -> Result<(Child, mpsc::Receiver<i32>)> {
        let (sender, status) = mpsc::channel();
        let mut running = self.lock();
        let child = command.spawn()?;
        let pid = Pid::from_raw(child.id().try_into()?).context("pid")?;
        *running = Some((pid, sender));
        self.born.notify_one();
        Ok((child, status))
    }

    fn reap(&self) {
        loop {
            match process::wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) => {
                    let status = match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => code,
                        (None, Some(signal)) => 128 + signal,
                        (None, None) => continue,
                    };
                    let mut running = self.lock();
                    if running.as_ref().is_some_and(|(command, _)| *command == pid) {
                        if let Some((_, sender)) = running.take() {
                            sender.send(status).ok();
                        }
                    }
                }
                _ => self.wait_for_birth(),
            }
        }
    }

    fn wait_for_birth(&self) {
        let running = self.lock();
        if running.is_none() {
            drop(self.born.wait(running));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Pid, mpsc::Sender<i32>)>> {
        self.running
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Which stream it is that was written.
type Output = fn(Vec<u8>) -> Event;

/// A command that runs, and what it writes.
struct Run {
    status: mpsc::Receiver<i32>,
    outputs: Vec<(File, Output)>,
}

impl Run {
    fn on_pipes(children: &Children, line: &str) -> Result<Run> {
        let (mut child, status) = children.spawn(
            shell("setsid", &["bash", "-c", line])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        )?;
        let stdout = child.stdout.take().map(OwnedFd::from).context("stdout")?;
        let stderr = child.stderr.take().map(OwnedFd::from).context("stderr")?;
        let run = Run {
            status,
            outputs: Vec::new(),
        };
        Ok(run
            .with_output(stdout.into(), Event::Stdout)
            .with_output(stderr.into(), Event::Stderr))
    }

    /// Also returns the master side of the terminal.
    fn on_terminal(children: &Children, line: &str, size: Size) -> Result<(Run, File)> {
        let master = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY)?;
        pty::grantpt(&master)?;
        pty::unlockpt(&master)?;
        let name = pty::ptsname(&master, Vec::new())?;
        let slave = File::options()
            .read(true)
            .write(true)
            .open(name.to_str()?)?;
        let master = File::from(master);
        resize(&master, size)?;
        let (_, status) = children.spawn(
            shell("setsid", &["--ctty", "bash", "-c", line])
                .stdin(slave.try_clone()?)
                .stdout(slave.try_clone()?)
                .stderr(slave),
        )?;
        Ok((
            Run {
                status,
                outputs: Vec::new(),
            },
            master,
        ))
    }

    fn with_output(mut self, file: File, event: Output) -> Run {
        self.outputs.push((file, event));
        self
    }

    /// Pass on what the command writes; when it ends, report. A daemon that it
    /// left behind may hold its pipes for ever, so a silent pipe counts as ended.
    fn finish(self, link: &Link) -> Result<()> {
        let (sender, activity) = mpsc::channel::<Activity>();
        let mut open = self.outputs.len();
        for (file, event) in self.outputs {
            let (link, sender) = (link.clone(), sender.clone());
            thread::spawn(move || forward(file, event, &link, &sender));
        }
        let status = self.status.recv()?;
        while open > 0 {
            match activity.recv_timeout(SILENCE) {
                Ok(Activity::Wrote) => {}
                Ok(Activity::Closed) => open -= 1,
                Err(_) => break,
            }
        }
        link.send_kernel_log()?;
        link.send(&Event::Exit(status))
    }
}

/// What a command's output does.
enum Activity {
    Wrote,
    Closed,
}

const SILENCE: Duration = Duration::from_millis(200);

fn forward(mut output: File, event: Output, link: &Link, activity: &mpsc::Sender<Activity>) {
    let mut data = [0; 16384];
    while let Ok(length @ 1..) = output.read(&mut data) {
        if link.send(&event(data[..length].to_vec())).is_err() {
            break;
        }
        activity.send(Activity::Wrote).ok();
    }
    activity.send(Activity::Closed).ok();
}

fn shell(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(ENVIRONMENT)
        .current_dir("/root");
    command
}

fn resize(terminal: &File, size: Size) -> Result<()> {
    let size = termios::Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(termios::tcsetwinsize(terminal, size)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_lines_that_were_logged() {
        let record = b"4,77,1348310,-;Expected this\\x0a    to be that\n SUBSYSTEM=x\n";
        let lines = [
            "[    1.348310] Expected this",
            "[    1.348310]     to be that",
        ];
        assert_eq!(log_lines(record), Some(lines.map(String::from).to_vec()));
    }
}
