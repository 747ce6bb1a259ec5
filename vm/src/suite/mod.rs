//! `vm test`: every test, where it belongs.
//!
//! - `host`: the unit tests of the user tools, on the host.
//! - `kunit`: the unit tests in the kernel, while it boots.
//! - `selftest`: the kselftest programs, in the machine.
//! - `moves`: programs that come to a machine with another CPU.
//! - `leaks`: what they made the kernel lose, when it is the debug kernel.

mod host;
mod kunit;
mod leaks;
mod moves;
mod selftest;

use crate::disk;
use crate::disk::Disk;
use crate::layout::Layout;
use crate::layout::Scratch;
use crate::layout::Variant;
use crate::machine::Boot;
use crate::machine::Hardware;
use crate::machine::Machine;
use crate::report::Report;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use clap::Args;
use glob::Pattern;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Args)]
pub struct Test {
    /// Only tests, suites and programs that match one of these patterns, which
    /// spaces separate.
    #[arg(long, env = "T", default_value = "*", value_name = "GLOBS")]
    tests: String,

    /// A test that says nothing for so many seconds hangs; the debug kernel
    /// gets more.
    #[arg(long, env = "PATIENCE", default_value_t = 120, value_name = "SECONDS")]
    patience: u64,

    /// Leave the unit tests of the user tools out.
    #[arg(long)]
    no_host: bool,
}

impl Test {
    pub fn perform(self, layout: &Layout, hardware: &Hardware) -> Result<ExitCode> {
        let wanted = Wanted::new(&self.tests)?;
        let mut report = Report::default();
        // They know of no kernel; the ordinary one's run has them.
        if !self.no_host && layout.variant == Variant::Plain {
            host::test(&wanted, &mut report)?;
        }
        let patience = Duration::from_secs(self.patience) * hardware.slowness(layout);
        let mut guest = Guest::new(layout, hardware, patience)?;
        kunit::test(&mut guest, &wanted, &mut report)?;
        selftest::test(&mut guest, &wanted, &mut report)?;
        if layout.variant == Variant::Debug {
            leaks::test(&mut guest, &mut report)?;
        }
        guest.power_off(&mut report);
        moves::test(layout, hardware, patience, &wanted, &mut report)?;
        Ok(report.finish())
    }
}

/// The tests that were asked for.
struct Wanted(Vec<Pattern>);

impl Wanted {
    fn new(patterns: &str) -> Result<Wanted> {
        let patterns: Result<Vec<Pattern>, _> =
            patterns.split_whitespace().map(Pattern::new).collect();
        let patterns = patterns.context("T is not a pattern")?;
        ensure!(!patterns.is_empty(), "T has no pattern");
        Ok(Wanted(patterns))
    }

    /// Whether one of these names of a test, of its suite or of its program
    /// matches.
    fn has(&self, names: &[&str]) -> bool {
        let has = |name: &&str| self.0.iter().any(|pattern| pattern.matches(name));
        names.iter().any(has)
    }

    fn everything(&self) -> bool {
        self.0.iter().any(|pattern| pattern.as_str() == "*")
    }
}

/// The machine of the tests, started again when a test has broken it.
struct Guest<'a> {
    layout: &'a Layout,
    hardware: &'a Hardware,
    patience: Duration,
    disks: Vec<Disk>,
    scratch: Scratch,
    machine: Option<Machine>,
}

impl<'a> Guest<'a> {
    fn new(layout: &'a Layout, hardware: &'a Hardware, patience: Duration) -> Result<Guest<'a>> {
        let scratch = layout.scratch()?;
        let disks = vec![disk::tools(layout, scratch.path(), &[])?];
        Ok(Guest {
            layout,
            hardware,
            patience,
            disks,
            scratch,
            machine: None,
        })
    }

    /// Start a machine, whatever became of the last one.
    fn boot(&mut self, boot: Boot) -> Result<&mut Machine> {
        self.machine = None;
        let path = self.scratch.path();
        let machine = Machine::boot(self.layout, self.hardware, boot, &self.disks, path)?;
        Ok(self.machine.insert(machine))
    }

    /// The machine that is there, or a new one.
    fn machine(&mut self) -> Result<&mut Machine> {
        match self.machine.is_some() {
            true => self.machine.as_mut().context("a machine"),
            false => self.boot(Boot::Quiet),
        }
    }

    /// Take the machine for broken.
    fn bury(&mut self) {
        self.machine = None;
    }

    fn power_off(&mut self, report: &mut Report) {
        let Some(machine) = &mut self.machine else {
            return;
        };
        if let Err(error) = machine.power_off() {
            report.fail("machine: power off", &error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_patterns_is_enough() {
        let wanted = Wanted::new("calls cow*").expect("patterns");
        assert!(wanted.has(&["selftests", "cow"]));
        assert!(wanted.has(&["selftests", "calls"]));
        assert!(!wanted.has(&["selftests", "files"]));
        assert!(!wanted.everything());
        assert!(Wanted::new("*").expect("a pattern").everything());
        assert!(Wanted::new(" ").is_err());
    }
}
