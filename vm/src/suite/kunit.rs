//! The unit tests in the kernel. They run while it boots; their results are in
//! its log.

use super::Guest;
use super::Wanted;
use crate::kernel_log;
use crate::ktap;
use crate::ktap::Line;
use crate::machine::Boot;
use crate::report::Report;
use anyhow::Result;
use std::time::Duration;
use vm::Command;
use vm::Event;

/// Boot with the unit tests on. The machine stays for the tests that follow.
pub fn test(guest: &mut Guest, wanted: &Wanted, report: &mut Report) -> Result<()> {
    let patience = guest.patience;
    let machine = match guest.boot(Boot::Kunit) {
        Ok(machine) => machine,
        Err(error) => {
            report.fail("kunit: boot", &format!("{error:#}"));
            return Ok(());
        }
    };
    let mut log = Vec::new();
    // The log of the boot comes with the first command.
    let end = machine.run(Command::new("true"), patience, |event| {
        if let Event::KernelLog(lines) = event {
            log.extend(lines);
        }
    });
    if let Err(gone) = end {
        report.fail("kunit: boot", &machine.obituary(&gone));
        guest.bury();
        return Ok(());
    }
    let seen = tell_results(&log, wanted, report);
    if seen == 0 && wanted.everything() {
        report.fail(
            "kunit: no suite ran",
            "CONFIG_CHECKPOINT_KUNIT_TEST brings the suites",
        );
    }
    if let Some(lines) = kernel_log::complaint(&log) {
        report.fail("kunit: kernel log", &lines.join("\n"));
    }
    Ok(())
}

/// Tell the results of the wanted tests; returns how many there are in all.
fn tell_results(log: &[String], wanted: &Wanted, report: &mut Report) -> usize {
    let mut suite = "";
    let mut said = Vec::new();
    let mut seen = 0;
    let mut before = 0.0;
    for line in log {
        let Some((time, text)) = split_time(line) else {
            continue;
        };
        match ktap::parse(text) {
            (1, Line::Subtest(name)) => {
                suite = name;
                said.clear();
                before = time;
            }
            (1, Line::Result(outcome, name, why)) => {
                said.extend((!why.is_empty()).then(|| why.to_owned()));
                seen += 1;
                if wanted.has(&["kunit", suite, name]) {
                    let spent = Duration::try_from_secs_f64(time - before).unwrap_or_default();
                    report.tell(outcome, &format!("kunit: {suite}.{name}"), spent, &said);
                }
                said.clear();
                before = time;
            }
            _ => said.push(text.to_owned()),
        }
    }
    seen
}

/// `[   12.345678] text`
fn split_time(line: &str) -> Option<(f64, &str)> {
    let (time, text) = line.strip_prefix('[')?.split_once("] ")?;
    Some((time.trim().parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
[    0.100000] KTAP version 1
[    0.100001] 1..1
[    0.100002]     KTAP version 1
[    0.100003]     # Subtest: checkpoint_format
[    0.100004]     # module: checkpoint
[    0.100005]     1..3
[    0.200000]     ok 1 round_trip
[    0.200001]     # sizes: ASSERTION FAILED at format.rs:7
[    0.300000]     not ok 2 sizes
[    0.400000]     ok 3 big_endian # SKIP not here
[    0.400001] # checkpoint_format: pass:1 fail:1 skip:1 total:3
[    0.400002] not ok 1 checkpoint_format";

    fn count(pattern: &str) -> (usize, usize, usize) {
        let log: Vec<String> = LOG.lines().map(str::to_owned).collect();
        let mut report = Report::default();
        let wanted = Wanted::new(pattern).expect("a pattern");
        assert_eq!(tell_results(&log, &wanted, &mut report), 3);
        report.counts()
    }

    #[test]
    fn tests_are_counted_and_suites_are_not() {
        assert_eq!(count("*"), (1, 1, 1));
    }

    #[test]
    fn a_suite_and_a_test_can_be_chosen() {
        assert_eq!(count("checkpoint_*"), (1, 1, 1));
        assert_eq!(count("sizes"), (0, 1, 0));
    }
}
