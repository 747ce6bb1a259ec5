//! What is checkpointed.

/// One tree of processes.
pub struct Workload {
    pub name: &'static str,
    pub kind: Kind,
    /// Also part of the short run.
    pub quick: bool,
    /// Whether `cr` lets it run before its memory has been read.
    pub lazy: bool,
    /// Whether it is saved and restored by calls, and not by commands.
    pub by_calls: bool,
}

pub enum Kind {
    /// `makeprocs`.
    Processes {
        processes: usize,
        /// Of each process.
        megabytes: usize,
        threads: usize,
        descriptors: usize,
        /// Whether the memory is written to.
        dirty: bool,
    },
    /// python3 with data: many small objects, and so many of a megabyte.
    Python { megabytes: usize },
    /// redis with so many values of a megabyte.
    Redis { megabytes: usize },
}

/// One process that sleeps, to be varied.
const fn makeprocs(
    name: &'static str,
    processes: usize,
    megabytes: usize,
    threads: usize,
    descriptors: usize,
    quick: bool,
) -> Workload {
    Workload {
        name,
        kind: Kind::Processes {
            processes,
            megabytes,
            threads,
            descriptors,
            dirty: true,
        },
        quick,
        lazy: false,
        by_calls: false,
    }
}

/// A process with memory that is read when it is touched.
const fn lazy(name: &'static str, megabytes: usize) -> Workload {
    Workload {
        lazy: true,
        ..makeprocs(name, 1, megabytes, 1, 0, false)
    }
}

/// Processes that sleep, without the start of a program.
const fn calls(name: &'static str, processes: usize, quick: bool) -> Workload {
    Workload {
        by_calls: true,
        ..makeprocs(name, processes, 0, 1, 0, quick)
    }
}

/// python3, to be varied.
const fn python(name: &'static str, megabytes: usize, quick: bool) -> Workload {
    Workload {
        name,
        kind: Kind::Python { megabytes },
        quick,
        lazy: false,
        by_calls: false,
    }
}

pub const ALL: [Workload; 23] = [
    makeprocs("1 process", 1, 0, 1, 0, true),
    makeprocs("10 processes", 10, 0, 1, 0, true),
    makeprocs("100 processes", 100, 0, 1, 0, false),
    makeprocs("1000 processes", 1000, 0, 1, 0, false),
    makeprocs("10000 processes", 10000, 0, 1, 0, false),
    calls("1 proc., calls", 1, true),
    calls("100 proc., calls", 100, false),
    makeprocs("10 x 1 MB", 10, 1, 1, 0, false),
    makeprocs("10 x 10 MB", 10, 10, 1, 0, false),
    makeprocs("10 x 100 MB", 10, 100, 1, 0, false),
    makeprocs("64 MB", 1, 64, 1, 0, true),
    makeprocs("512 MB", 1, 512, 1, 0, false),
    makeprocs("2048 MB", 1, 2048, 1, 0, false),
    Workload {
        name: "512 MB clean",
        kind: Kind::Processes {
            processes: 1,
            megabytes: 512,
            threads: 1,
            descriptors: 0,
            dirty: false,
        },
        quick: false,
        lazy: false,
        by_calls: false,
    },
    lazy("512 MB lazy", 512),
    lazy("1024 MB lazy", 1024),
    makeprocs("100 threads", 1, 0, 100, 0, true),
    makeprocs("1000 threads", 1, 0, 1000, 0, false),
    makeprocs("10000 threads", 1, 0, 10000, 0, false),
    makeprocs("1000 files", 1, 0, 1, 1000, true),
    python("python3", 0, true),
    python("python3 200 MB", 200, false),
    Workload {
        name: "redis 200 MB",
        kind: Kind::Redis { megabytes: 200 },
        quick: false,
        lazy: false,
        by_calls: false,
    },
];

/// What a sleeping process has of its own, in bytes; an upper bound.
const SMALL: u64 = 224 << 10;

impl Workload {
    pub fn processes(&self) -> usize {
        match self.kind {
            Kind::Processes { processes, .. } => processes,
            Kind::Python { .. } | Kind::Redis { .. } => 1,
        }
    }

    /// How much memory it takes to run it, save it in memory and measure a copy.
    pub fn needs(&self) -> u64 {
        let once = match self.kind {
            Kind::Processes {
                processes,
                megabytes,
                threads,
                ..
            } => {
                let megabytes = u64::try_from(megabytes).unwrap_or(u64::MAX);
                let threads = u64::try_from(threads).unwrap_or(u64::MAX);
                let each = SMALL
                    .saturating_add(megabytes.saturating_mul(1 << 20))
                    .saturating_add(threads.saturating_mul(32 << 10));
                each.saturating_mul(u64::try_from(processes).unwrap_or(u64::MAX))
            }
            Kind::Python { megabytes } | Kind::Redis { megabytes } => {
                let megabytes = u64::try_from(megabytes).unwrap_or(u64::MAX);
                megabytes.saturating_add(64).saturating_mul(1 << 20)
            }
        };
        once.saturating_mul(2).saturating_add(128 << 20)
    }

    /// The command that runs it.
    pub fn command(&self) -> Vec<String> {
        match &self.kind {
            Kind::Processes {
                processes,
                megabytes,
                threads,
                descriptors,
                dirty,
            } => {
                let mut command = vec![String::from("makeprocs")];
                for (option, number) in [
                    ("--processes", processes),
                    ("--megabytes", megabytes),
                    ("--threads", threads),
                    ("--descriptors", descriptors),
                ] {
                    command.extend([option.to_owned(), number.to_string()]);
                }
                if !dirty {
                    command.push(String::from("--clean"));
                }
                command
            }
            Kind::Python { megabytes } => {
                let megabytes = megabytes.to_string();
                ["python3", "-c", include_str!("data.py"), &megabytes]
                    .map(String::from)
                    .to_vec()
            }
            Kind::Redis { .. } => {
                let options = ["--save", "", "--enable-debug-command", "local"];
                let mut command = vec![String::from("redis-server")];
                command.extend(options.map(String::from));
                command
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = ALL.iter().map(|workload| workload.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn the_short_run_needs_little() {
        let most = ALL.iter().filter(|one| one.quick).map(Workload::needs);
        assert!(most.max().is_some_and(|bytes| bytes < 512 << 20));
    }
}
