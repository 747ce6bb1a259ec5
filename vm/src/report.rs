//! The results of tests, as a person reads them.

use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// Counts, and a line for each result.
#[derive(Default)]
pub struct Report {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Report {
    /// Tell of a test; of a failed one also what it said, of a skipped one the
    /// last that it said.
    pub fn tell(&mut self, outcome: Outcome, name: &str, time: Duration, said: &[String]) {
        let (count, word) = match outcome {
            Outcome::Passed => (&mut self.passed, "ok"),
            Outcome::Failed => (&mut self.failed, "FAIL"),
            Outcome::Skipped => (&mut self.skipped, "skip"),
        };
        *count += 1;
        println!("{word:4}  {name}  ({:.2} s)", time.as_secs_f64());
        let shown = match outcome {
            Outcome::Passed => &[],
            Outcome::Failed => said,
            Outcome::Skipped => said.last().map(std::slice::from_ref).unwrap_or_default(),
        };
        for line in shown {
            println!("      | {line}");
        }
    }

    /// Tell of something that went wrong beside the tests.
    pub fn fail(&mut self, name: &str, said: &str) {
        let said: Vec<String> = said.lines().map(str::to_owned).collect();
        self.tell(Outcome::Failed, name, Duration::ZERO, &said);
    }

    /// Passed, failed, skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.passed, self.failed, self.skipped)
    }

    /// The last line, and the exit status.
    pub fn finish(self) -> ExitCode {
        let (passed, failed, skipped) = self.counts();
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        // Nothing failed when nothing was tested, but nothing was shown either.
        match (passed, failed) {
            (1.., 0) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}
