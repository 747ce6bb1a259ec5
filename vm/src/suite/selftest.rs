//! The kselftest programs, one after the other in one machine.

use super::Guest;
use super::Wanted;
use crate::kernel_log;
use crate::ktap;
use crate::ktap::Line;
use crate::report::Outcome;
use crate::report::Report;
use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::time::Instant;
use vm::Command;
use vm::Event;

/// Where the programs are in the machine.
const FOLDER: &str = "/usr/local/libexec/selftests";

/// What a program exits with when it has skipped everything.
const SKIP: i32 = 4;

pub fn test(guest: &mut Guest, wanted: &Wanted, report: &mut Report) -> Result<()> {
    // Written by the Makefile from the kselftest target emit_tests.
    let list = guest.layout.selftests().join("tests");
    let list = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    for program in list.split_whitespace() {
        if wanted.has(&["selftests", program]) {
            run(guest, program, "", report)?;
        } else if let Some(filter) = select(guest, program, wanted)? {
            run(guest, program, &filter, report)?;
        }
    }
    Ok(())
}

/// The arguments that make a program run only its wanted tests, if it has any.
fn select(guest: &mut Guest, program: &str, wanted: &Wanted) -> Result<Option<String>> {
    let mut listing = Vec::new();
    let patience = guest.patience;
    let line = format!("{FOLDER}/{program} -l 2>&1");
    let status = guest
        .machine()?
        .run(Command::new(&line), patience, |event| {
            if let Event::Stdout(data) = event {
                listing.extend(data);
            }
        });
    // A program that is not of the harness has no list.
    if status != Ok(SKIP) {
        return Ok(None);
    }
    let tests = tests_in(&String::from_utf8_lossy(&listing));
    let filter: Vec<String> = tests
        .iter()
        .filter(|test| wanted.has(&[test, test.rsplit('.').next().unwrap_or(test)]))
        .map(|test| format!("-r {test}"))
        .collect();
    Ok((!filter.is_empty()).then(|| filter.join(" ")))
}

/// The full names in the table that the option `-l` of the harness prints: for
/// each fixture a column with its variants and a column with its tests.
fn tests_in(listing: &str) -> Vec<String> {
    let mut names = Vec::new();
    let body = listing
        .lines()
        .skip_while(|line| !line.starts_with("# FIXTURE"))
        .skip(1);
    let body: Vec<&str> = body.collect();
    for table in body.split(|line| line.starts_with("----")) {
        let mut fixture = String::new();
        let (mut variants, mut tests) = (Vec::new(), Vec::new());
        for line in table {
            let (first, rest) = column(line, 20);
            let (variant, test) = column(rest, 25);
            fixture.push_str(first);
            variants.extend((!variant.is_empty()).then_some(variant));
            tests.extend((!test.is_empty()).then_some(test.trim()));
        }
        if variants.is_empty() {
            names.extend(tests.iter().map(|test| format!("{fixture}.{test}")));
        }
        for variant in variants {
            names.extend(
                tests
                    .iter()
                    .map(|test| format!("{fixture}.{variant}.{test}")),
            );
        }
    }
    names
}

/// Split off what `printf("%-WIDTHs ")` has printed.
fn column(line: &str, width: usize) -> (&str, &str) {
    let word = line.split(' ').next().unwrap_or(line);
    let end = word.len().max(width);
    (word, line.get(end + 1..).unwrap_or_default())
}

fn run(guest: &mut Guest, program: &str, filter: &str, report: &mut Report) -> Result<()> {
    let patience = guest.patience;
    let slowness = guest.hardware.slowness(guest.layout);
    let machine = guest.machine()?;
    let mut results = Results::new(program, report);
    let mut log = Vec::new();
    let line =
        format!("cd $(mktemp -d) && CR_SLOW={slowness} exec {FOLDER}/{program} {filter} 2>&1");
    let end = machine.run(Command::new(&line), patience, |event| match event {
        Event::Stdout(data) => results.hear(&data),
        Event::KernelLog(lines) => log.extend(lines),
        _ => {}
    });
    match &end {
        Ok(status) => results.finish(*status),
        Err(gone) => results.fail_running(&machine.obituary(gone)),
    }
    let complaint = kernel_log::complaint(&log);
    if let Some(lines) = complaint {
        report.fail(&format!("{program}: kernel log"), &lines.join("\n"));
    }
    // What a test leaves behind must not meet the next. A kernel that has
    // complained once does not always do so again.
    let swept = end.is_ok()
        && machine
            .run(Command::new("kill -9 -1"), patience, |_| {})
            .is_ok();
    if complaint.is_some() || !swept {
        guest.bury();
    }
    Ok(())
}

/// The results of one program, told as they come.
struct Results<'a> {
    program: &'a str,
    report: &'a mut Report,
    partial: Vec<u8>,
    said: Vec<String>,
    running: String,
    planned: Option<usize>,
    seen: usize,
    failed: usize,
    started: Instant,
}

impl<'a> Results<'a> {
    fn new(program: &'a str, report: &'a mut Report) -> Results<'a> {
        Results {
            program,
            report,
            partial: Vec::new(),
            said: Vec::new(),
            running: String::new(),
            planned: None,
            seen: 0,
            failed: 0,
            started: Instant::now(),
        }
    }

    fn hear(&mut self, data: &[u8]) {
        self.partial.extend_from_slice(data);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            self.hear_line(String::from_utf8_lossy(&line).trim_end());
        }
    }

    fn hear_line(&mut self, line: &str) {
        match ktap::parse(line) {
            (0, Line::Plan(count)) => self.planned = Some(count),
            (0, Line::Result(outcome, name, why)) => {
                self.said.extend((!why.is_empty()).then(|| why.to_owned()));
                self.tell(outcome, name);
            }
            _ => {
                if let Some(name) = line.strip_prefix("#  RUN ") {
                    self.running = name.trim_end_matches("...").trim().to_owned();
                }
                self.said.push(line.to_owned());
            }
        }
    }

    fn tell(&mut self, outcome: Outcome, name: &str) {
        self.seen += 1;
        self.failed += usize::from(outcome == Outcome::Failed);
        let name = format!("{}: {name}", self.program);
        self.report
            .tell(outcome, &name, self.started.elapsed(), &self.said);
        self.said.clear();
        self.running.clear();
        self.started = Instant::now();
    }

    /// The program ended. One that speaks no KTAP is one test.
    fn finish(mut self, status: i32) {
        match (self.planned, status) {
            (None, 0) => self.tell(Outcome::Passed, "exit status"),
            (None, SKIP) => self.tell(Outcome::Skipped, "exit status"),
            (Some(planned), _) if planned > self.seen => {
                let lost = format!("{planned} tests were planned, {} ran", self.seen);
                self.said.push(lost);
                self.fail_running(&format!("exit status {status}"));
            }
            (Some(_), 0 | SKIP) => {}
            _ if self.failed > 0 => {}
            _ => {
                self.said.push(format!("exit status {status}"));
                self.tell(Outcome::Failed, "exit status");
            }
        }
    }

    /// The test that was running did not end.
    fn fail_running(mut self, why: &str) {
        self.said.extend(why.lines().map(str::to_owned));
        let running = match self.running.as_str() {
            "" => String::from("before its first test"),
            running => running.to_owned(),
        };
        self.tell(Outcome::Failed, &running);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_the_harness() {
        let line = |fixture, variant, test| format!("{fixture:<20} {variant:<25} {test}\n");
        let listing = line("# FIXTURE", "VARIANT", "TEST")
            + &line("pipe", "container", "keeps_contents")
            + &line("", "subtree", "")
            + "--------------------------------\n"
            + &line("a_fixture_with_a_long_name", "", "first")
            + &line("", "", "second");
        assert_eq!(
            tests_in(&listing),
            [
                "pipe.container.keeps_contents",
                "pipe.subtree.keeps_contents",
                "a_fixture_with_a_long_name.first",
                "a_fixture_with_a_long_name.second",
            ]
        );
    }

    #[test]
    fn a_plan_that_is_not_kept_is_a_failure() {
        let mut report = Report::default();
        let mut results = Results::new("program", &mut report);
        results.hear(b"1..2\nok 1 a.first\n#  RUN           a.second ...\n");
        results.finish(0);
        assert_eq!(report.counts(), (1, 1, 0));
    }

    #[test]
    fn a_bad_exit_status_is_a_failure() {
        let mut report = Report::default();
        let mut results = Results::new("program", &mut report);
        results.hear(b"1..1\nok 1 a.first\n");
        results.finish(1);
        assert_eq!(report.counts(), (1, 1, 0));
    }
}
