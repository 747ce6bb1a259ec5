//! The unit tests of the user tools and of this program, run by cargo.

use super::Wanted;
use crate::report::Outcome;
use crate::report::Report;
use anyhow::Context;
use anyhow::Result;
use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

pub fn test(wanted: &Wanted, report: &mut Report) -> Result<()> {
    let mut cargo = Command::new("cargo")
        .args([
            "test",
            "--workspace",
            "--locked",
            "--quiet",
            "--no-fail-fast",
        ])
        .args(["--", "--format=pretty"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo")?;
    let output = cargo.stdout.take().context("stdout of cargo")?;
    let mut said = Vec::new();
    let mut failed = Vec::new();
    let mut started = Instant::now();
    for line in BufReader::new(output).lines() {
        let line = line?;
        match parse(&line) {
            Some((name, outcome)) if wanted.has(&["tools", name]) => {
                let name = format!("tools: {name}");
                let time = started.elapsed();
                started = Instant::now();
                match outcome {
                    // Cargo shows what a test has said when all have run.
                    Outcome::Failed => failed.push((name, time)),
                    _ => report.tell(outcome, &name, time, &[]),
                }
            }
            _ => said.push(line),
        }
    }
    let status = cargo.wait()?;
    for (name, time) in &failed {
        report.tell(Outcome::Failed, name, *time, &said);
        said.clear();
    }
    if !status.success() && failed.is_empty() && wanted.everything() {
        report.tell(Outcome::Failed, "tools: cargo test", Duration::ZERO, &said);
    }
    Ok(())
}

/// A line of libtest: `test name ... ok`.
fn parse(line: &str) -> Option<(&str, Outcome)> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let outcome = match result.split([',', ' ']).next()? {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Skipped,
        _ => return None,
    };
    Some((name, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_libtest() {
        assert_eq!(parse("test a::b ... ok"), Some(("a::b", Outcome::Passed)));
        assert_eq!(
            parse("test a::b ... FAILED"),
            Some(("a::b", Outcome::Failed))
        );
        assert_eq!(
            parse("test c ... ignored, slow"),
            Some(("c", Outcome::Skipped))
        );
        assert_eq!(parse("test result: ok. 3 passed; 0 failed"), None);
    }
}
