//! What ordinary work costs in a kernel: with and without the subsystem.

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;
use std::fmt::Write;

/// What the program `idle` finds in one kernel, in a line of JSON.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Nanoseconds of each kind of work; instructions, where the clock counts those.
    pub work: Vec<(String, u64)>,
    /// Bytes of each part of the kernel.
    pub size: Vec<(String, u64)>,
}

/// What two kernels cost, for a terminal.
pub fn table(with: &Costs, without: &Costs) -> Result<String> {
    let mut text = format!(
        "{:34}{:>12}{:>12}{:>9}\n",
        "instructions of", "without", "with", "more"
    );
    rows(&mut text, &with.work, &without.work)?;
    write!(text, "\n{:34}{:>12}{:>12}{:>9}\n", "bytes of", "", "", "")?;
    rows(&mut text, &with.size, &without.size)?;
    Ok(text)
}

fn rows(text: &mut String, with: &[(String, u64)], without: &[(String, u64)]) -> Result<()> {
    for (name, ours) in with {
        let plain = without.iter().find(|(other, _)| other == name);
        let plain = plain
            .with_context(|| format!("{name}: not measured in both"))?
            .1;
        let more = (*ours as f64 / plain as f64 - 1.0) * 100.0;
        writeln!(text, "{name:34}{plain:>12}{ours:>12}{more:>+8.2}%")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(fork: u64) -> Costs {
        Costs {
            work: vec![(String::from("fork"), fork)],
            size: vec![(String::from("code"), 1000)],
        }
    }

    #[test]
    fn a_difference_is_in_percent() {
        let text = table(&costs(1010), &costs(1000)).unwrap();
        assert!(text.contains("fork"));
        assert!(text.contains("+1.00%"), "{text}");
        assert!(text.contains("+0.00%"), "{text}");
    }

    #[test]
    fn what_is_measured_in_one_kernel_only_is_an_error() {
        assert!(table(&costs(1), &Costs::default()).is_err());
    }
}
