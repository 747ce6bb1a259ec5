//! CRIU: its command, and its service, which container runtimes use.

use super::run;
use super::Dump;
use crate::victim::Victim;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use prost::Message;
use rustix::net;
use rustix::net::AddressFamily;
use rustix::net::RecvFlags;
use rustix::net::SendFlags;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketType;
use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

pub(super) fn dump(victim: &Victim, image: &Path) -> Result<Dump> {
    let pid = victim.pid().to_string();
    let mut command = Command::new("criu");
    command
        .args(["dump", "--leave-running", "--tree", &pid, "--images-dir"])
        .arg(image);
    let (time, _) = run(&mut command, &image.with_extension("log"))?;
    described(time, image)
}

fn described(time: Duration, image: &Path) -> Result<Dump> {
    let stats = fs::read(image.join("stats-dump"))?;
    let details = criu_stats(&stats).context("stats-dump")?;
    let frozen = |key: &str| details.get(key).copied().unwrap_or_default();
    Ok(Dump {
        time,
        frozen_ns: frozen("freezing_us")
            .saturating_add(frozen("frozen_us"))
            .saturating_mul(1000),
        details,
    })
}

/// Also gives the pid of the root.
pub(super) fn restore(image: &Path) -> Result<(Duration, i32)> {
    let mut command = Command::new("criu");
    let pidfile = image.join("pid");
    command.args(["restore", "--restore-detached", "--images-dir"]);
    command.arg(image).arg("--pidfile").arg(&pidfile);
    let (time, _) = run(&mut command, &image.with_extension("log"))?;
    let pid = fs::read_to_string(pidfile)?;
    Ok((time, pid.trim().parse().context("no pid")?))
}

/// Where the service listens.
const SERVICE: &str = "/run/criu.service";

/// Start the service, once.
pub fn serve() -> Result<()> {
    let mut command = Command::new("criu");
    command.args(["service", "--daemon", "--address", SERVICE]);
    run(&mut command, Path::new("/run/criu.log"))?;
    Ok(())
}

pub(super) fn call_dump(victim: &Victim, image: &Path) -> Result<Dump> {
    let (time, _) = ask(image, |options| Request {
        kind: DUMP,
        options: Some(Options {
            pid: Some(victim.pid()),
            leave_running: Some(true),
            ..options
        }),
    })?;
    described(time, image)
}

pub(super) fn call_restore(image: &Path) -> Result<(Duration, i32)> {
    let (time, response) = ask(image, |options| Request {
        kind: RESTORE,
        options: Some(options),
    })?;
    Ok((time, response.restore.context("no pid")?.pid))
}

/// Have the service do something.
fn ask(image: &Path, request: impl FnOnce(Options) -> Request) -> Result<(Duration, Response)> {
    let started = Instant::now();
    let folder = File::open(image)?;
    let request = request(Options {
        images: folder.as_raw_fd(),
        ..Options::default()
    });
    let socket = net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None)?;
    net::connect(&socket, &SocketAddrUnix::new(SERVICE)?).context("the service of CRIU")?;
    net::send(&socket, &request.encode_to_vec(), SendFlags::empty())?;
    let mut answer = [0; 4096];
    let (length, _) = net::recv(&socket, &mut answer, RecvFlags::empty())?;
    let time = started.elapsed();
    let response = Response::decode(answer.get(..length).unwrap_or_default())?;
    ensure!(
        response.success,
        "the service of CRIU says no: {}",
        response.message.unwrap_or_default()
    );
    Ok((time, response))
}

/// `criu/images/rpc.proto`: what is asked for, with few of its fields.
#[derive(prost::Message)]
struct Request {
    #[prost(int32, required, tag = "1")]
    kind: i32,
    #[prost(message, optional, tag = "2")]
    options: Option<Options>,
}

const DUMP: i32 = 1;
const RESTORE: i32 = 2;

#[derive(prost::Message)]
struct Options {
    /// A descriptor of who asks.
    #[prost(int32, required, tag = "1")]
    images: i32,
    #[prost(int32, optional, tag = "2")]
    pid: Option<i32>,
    #[prost(bool, optional, tag = "3")]
    leave_running: Option<bool>,
}

#[derive(prost::Message)]
struct Response {
    #[prost(int32, required, tag = "1")]
    kind: i32,
    #[prost(bool, required, tag = "2")]
    success: bool,
    #[prost(message, optional, tag = "4")]
    restore: Option<Restored>,
    #[prost(string, optional, tag = "9")]
    message: Option<String>,
}

#[derive(prost::Message)]
struct Restored {
    #[prost(int32, required, tag = "1")]
    pid: i32,
}

/// `criu/images/stats.proto`: a file of two magic numbers, a length and this.
#[derive(prost::Message)]
struct StatsEntry {
    #[prost(message, optional, tag = "1")]
    dump: Option<DumpStatsEntry>,
}

/// Times are in microseconds.
#[derive(prost::Message)]
struct DumpStatsEntry {
    #[prost(uint32, required, tag = "1")]
    freezing_time: u32,
    #[prost(uint32, required, tag = "2")]
    frozen_time: u32,
    #[prost(uint32, required, tag = "3")]
    memdump_time: u32,
    #[prost(uint32, required, tag = "4")]
    memwrite_time: u32,
    #[prost(uint64, required, tag = "7")]
    pages_written: u64,
}

const STATS_HEADER: usize = 3 * size_of::<u32>();

fn criu_stats(file: &[u8]) -> Result<BTreeMap<String, u64>> {
    let entry = StatsEntry::decode(file.get(STATS_HEADER..).context("it is short")?)?;
    let dump = entry.dump.context("it is not of a dump")?;
    let pairs = [
        ("freezing_us", u64::from(dump.freezing_time)),
        ("frozen_us", u64::from(dump.frozen_time)),
        ("memdump_us", u64::from(dump.memdump_time)),
        ("memwrite_us", u64::from(dump.memwrite_time)),
        ("pages_written", dump.pages_written),
    ];
    Ok(pairs.map(|(key, value)| (key.to_owned(), value)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stats_of_criu_are_read() {
        let entry = StatsEntry {
            dump: Some(DumpStatsEntry {
                freezing_time: 5,
                frozen_time: 300,
                memdump_time: 200,
                memwrite_time: 100,
                pages_written: 77,
            }),
        };
        let mut file = vec![0; STATS_HEADER];
        entry.encode(&mut file).unwrap();
        let stats = criu_stats(&file).unwrap();
        assert_eq!(stats["frozen_us"], 300);
        assert_eq!(stats["pages_written"], 77);
        assert!(criu_stats(&[0; 3]).is_err());
    }
}
