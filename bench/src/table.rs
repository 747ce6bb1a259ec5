//! Medians and ratios, for a terminal.

use crate::results::Medians;
use crate::results::Results;
use crate::results::Tool;
use std::fmt::Write;

const MILLISECOND: f64 = 1e6;
const MEGABYTE: f64 = (1 << 20) as f64;

/// All results as lines of text.
pub fn table(results: &Results) -> String {
    let mut text = String::from(
        "                   frozen, ms              dump, ms             restore, ms          image, MB      copy, ms\n\
         workload         cr    criu     x       cr    criu     x       cr    criu     x       cr    criu   write   read\n",
    );
    for summary in &results.summary {
        let ours = summary.medians.get(&Tool::Cr);
        let theirs = summary.medians.get(&Tool::Criu);
        let copy = summary.medians.get(&Tool::Copy);
        let mut line = format!("{:12}", summary.workload);
        let frozen = |one: &Medians| one.frozen_ns;
        let dump = |one: &Medians| Some(one.dump_ns);
        let restore = |one: &Medians| Some(one.restore_ns);
        let ratio = summary.ratio.as_ref();
        line += &pair(ours, theirs, frozen, ratio.map(|ratio| ratio.frozen));
        line += &pair(ours, theirs, dump, ratio.map(|ratio| ratio.dump));
        line += &pair(ours, theirs, restore, ratio.map(|ratio| ratio.restore));
        for one in [ours, theirs] {
            line += &cell(one.map(|one| one.bytes as f64 / MEGABYTE), 8);
        }
        line += &cell(copy.map(|one| one.dump_ns as f64 / MILLISECOND), 8);
        line += &cell(copy.map(|one| one.restore_ns as f64 / MILLISECOND), 7);
        text += &line;
        text.push('\n');
    }
    if let Some(empty) = results.empty_ns {
        let time = cell(Some(empty as f64 / MILLISECOND), 0);
        writeln!(text, "a program that does nothing takes {time} ms").ok();
    }
    for skipped in &results.skipped {
        writeln!(text, "not measured: {skipped}").ok();
    }
    for failed in &results.failed {
        writeln!(text, "FAILED: {failed}").ok();
    }
    text
}

fn pair(
    ours: Option<&Medians>,
    theirs: Option<&Medians>,
    nanoseconds: impl Fn(&Medians) -> Option<u64>,
    ratio: Option<f64>,
) -> String {
    let time = |one: Option<&Medians>| {
        let time = one.and_then(&nanoseconds);
        cell(time.map(|time| time as f64 / MILLISECOND), 8)
    };
    let ratio = ratio.map_or(String::from("-"), |ratio| format!("{ratio:.1}"));
    format!("{}{}{ratio:>6} ", time(ours), time(theirs))
}

/// Three digits that mean something.
fn cell(number: Option<f64>, width: usize) -> String {
    let text = match number {
        None => String::from("-"),
        Some(number) if number < 9.995 => format!("{number:.2}"),
        Some(number) if number < 99.95 => format!("{number:.1}"),
        Some(number) => format!("{number:.0}"),
    };
    format!("{text:>width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_three_digits() {
        let cells = [Some(0.5), Some(12.34), Some(1234.5), None].map(|number| cell(number, 6));
        assert_eq!(cells, ["  0.50", "  12.3", "  1234", "     -"]);
    }
}
