//! The kernel's test output, line by line (`Documentation/dev-tools/ktap.rst`).

use crate::report::Outcome;

/// What a line of KTAP says.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// `1..5`: so many results will follow.
    Plan(usize),
    /// `# Subtest: suite`: whose results follow.
    Subtest(&'a str),
    /// `ok 1 name`, `not ok 1 name`, `ok 1 name # SKIP why`: what, which, why.
    Result(Outcome, &'a str, &'a str),
    /// Anything else that a test says.
    Other,
}

/// How deep a line is nested, and what it says.
pub fn parse(line: &str) -> (usize, Line<'_>) {
    let text = line.trim_start_matches(' ');
    let depth = (line.len() - text.len()) / 4;
    (depth, parse_text(text))
}

fn parse_text(text: &str) -> Line<'_> {
    if let Some(suite) = text.strip_prefix("# Subtest: ") {
        return Line::Subtest(suite.trim());
    }
    if let Some(count) = text.strip_prefix("1..") {
        return count.trim().parse().map_or(Line::Other, Line::Plan);
    }
    if let Some(rest) = text.strip_prefix("ok ") {
        return parse_result(rest, Outcome::Passed);
    }
    if let Some(rest) = text.strip_prefix("not ok ") {
        return parse_result(rest, Outcome::Failed);
    }
    Line::Other
}

fn parse_result(rest: &str, outcome: Outcome) -> Line<'_> {
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    if number.parse::<usize>().is_err() {
        return Line::Other;
    }
    let (name, directive) = rest.split_once(" # ").unwrap_or((rest, ""));
    let name = name.trim_start_matches("- ").trim();
    let (directive, why) = directive.split_once(' ').unwrap_or((directive, ""));
    match directive {
        // One that is expected to fail, and did, shows as little as a skipped one.
        "SKIP" | "XFAIL" => Line::Result(Outcome::Skipped, name, why),
        _ => Line::Result(outcome, name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_both_harnesses() {
        use Outcome::*;
        for (line, depth, (outcome, name, why)) in [
            (
                "ok 1 pipe.subtree.keeps_contents",
                0,
                (Passed, "pipe.subtree.keeps_contents", ""),
            ),
            ("not ok 12 pipe.lost", 0, (Failed, "pipe.lost", "")),
            (
                "ok 3 fpu.avx512 # SKIP no such registers",
                0,
                (Skipped, "fpu.avx512", "no such registers"),
            ),
            ("    ok 2 round_trip", 1, (Passed, "round_trip", "")),
            ("ok 4 - with a dash", 0, (Passed, "with a dash", "")),
        ] {
            assert_eq!(
                parse(line),
                (depth, Line::Result(outcome, name, why)),
                "{line}"
            );
        }
    }

    #[test]
    fn other_lines() {
        assert_eq!(parse("1..7"), (0, Line::Plan(7)));
        assert_eq!(
            parse("    # Subtest: checkpoint_format"),
            (1, Line::Subtest("checkpoint_format"))
        );
        assert_eq!(parse("#  RUN           pipe.keeps ..."), (0, Line::Other));
        assert_eq!(parse("ok then, let us see"), (0, Line::Other));
    }
}
