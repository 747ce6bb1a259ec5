//! Memory that the kernel has lost, when kmemleak looks for it.

use super::Guest;
use crate::report::Outcome;
use crate::report::Report;
use anyhow::Result;
use std::time::Instant;
use vm::Command;
use vm::Event;

/// Objects count when they are some seconds old and two scans have found them
/// unchanged; what waits for a grace period shall be gone.
const SCAN: &str = "cd /sys/kernel/debug && sleep 8 && echo scan >kmemleak && \
                    echo scan >kmemleak && cat kmemleak";

/// What the traces of our memory have in common.
const OURS: &str = "checkpoint";

/// Look at the machine that has run the tests, if there is still one.
pub fn test(guest: &mut Guest, report: &mut Report) -> Result<()> {
    let patience = guest.patience;
    let Some(machine) = &mut guest.machine else {
        return Ok(());
    };
    let started = Instant::now();
    let mut said = Vec::new();
    let end = machine.run(Command::new(SCAN), patience, |event| {
        if let Event::Stdout(data) | Event::Stderr(data) = event {
            said.extend(data);
        }
    });
    match end {
        Ok(0) => {}
        Ok(status) => {
            let said = String::from_utf8_lossy(&said);
            report.fail("kmemleak", &format!("{said}exit status {status}"));
            return Ok(());
        }
        Err(gone) => {
            report.fail("kmemleak", &machine.obituary(&gone));
            guest.bury();
            return Ok(());
        }
    }
    let said = String::from_utf8_lossy(&said);
    let (ours, others): (Vec<&str>, Vec<&str>) = leaks(&said)
        .into_iter()
        .partition(|leak| leak.contains(OURS));
    let outcome = match ours.is_empty() {
        true => Outcome::Passed,
        false => Outcome::Failed,
    };
    let lines: Vec<String> = ours
        .iter()
        .flat_map(|leak| leak.lines())
        .map(str::to_owned)
        .collect();
    let name = format!("kmemleak: {} of ours, {} others", ours.len(), others.len());
    report.tell(outcome, &name, started.elapsed(), &lines);
    Ok(())
}

/// The objects of a report: each begins with a line that is not indented.
fn leaks(report: &str) -> Vec<&str> {
    let mut leaks = Vec::new();
    let mut rest = report;
    while let Some(next) = rest.find("unreferenced object") {
        rest = &rest[next..];
        let end = rest
            .match_indices('\n')
            .map(|(at, _)| at + 1)
            .find(|at| !rest[*at..].starts_with(' '))
            .unwrap_or(rest.len());
        leaks.push(&rest[..end]);
        rest = &rest[end..];
    }
    leaks
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
unreferenced object 0xffff888104c5a900 (size 192):
  comm \"faults\", pid 77, jiffies 4294937296
  hex dump (first 32 bytes):
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
  backtrace (crc 0):
    kmem_cache_alloc_noprof+0x1e2/0x300
    _RNvMs_NtCs7_10checkpoint4save+0x10/0x20
unreferenced object 0xffff888104c5b000 (size 8):
  comm \"init\", pid 1, jiffies 4294937000
  backtrace (crc 0):
    __kmalloc_noprof+0x1e2/0x300
";

    #[test]
    fn a_leak_ends_where_the_next_begins() {
        let leaks = leaks(REPORT);
        assert_eq!(leaks.len(), 2);
        assert!(leaks
            .iter()
            .all(|leak| leak.ends_with("0x300\n") != leak.contains(OURS)));
    }

    #[test]
    fn nothing_is_no_leak() {
        assert!(leaks("").is_empty());
    }
}
