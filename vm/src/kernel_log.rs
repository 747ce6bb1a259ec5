//! The lines of a kernel log that no test may cause.

/// What the kernel says when it has found a bug in itself.
const COMPLAINTS: [&str; 31] = [
    "BUG:",
    "WARNING:",
    "Oops",
    "Kernel panic",
    "kernel BUG at",
    "general protection fault, ",
    "unable to handle",
    "Bad page",
    "Bad rss-counter",
    "scheduling while atomic",
    "sleeping function called",
    "possible recursive locking",
    "possible circular locking",
    "possible irq lock inversion",
    "inconsistent lock state",
    "suspicious RCU usage",
    "lock held when returning to user space",
    "bad unlock balance",
    "held lock freed",
    "DEBUG_LOCKS_WARN_ON",
    "lockdep is turned off",
    "refcount_t:",
    "KASAN:",
    "UBSAN:",
    "KCSAN:",
    "suspected memory leaks",
    "list_add corruption",
    "list_del corruption",
    "self-detected stall",
    "detected stalls",
    "blocked for more than",
];

/// How many lines of a report are worth showing: the call trace is among them.
const CONTEXT: usize = 40;

/// The first complaint among these lines, with what follows it.
pub fn complaint(lines: &[String]) -> Option<&[String]> {
    let start = lines
        .iter()
        .position(|line| COMPLAINTS.iter().any(|sign| line.contains(sign)))?;
    let end = lines.len().min(start.saturating_add(CONTEXT));
    lines.get(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_found_with_its_trace() {
        let lines = ["boot", "WARNING: CPU: 0 PID: 1 at mm/x.c:1", "Call Trace:"].map(String::from);
        assert_eq!(complaint(&lines).map(<[String]>::len), Some(2));
    }

    #[test]
    fn an_ordinary_log_is_fine() {
        let lines = [
            "EXT4-fs (vda): mounted filesystem",
            "random: crng init done",
        ];
        assert_eq!(complaint(&lines.map(String::from)), None);
    }
}
