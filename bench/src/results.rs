//! What is measured, and how the guest tells the host: a line of JSON for each
//! event.

use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the guest says, as it happens.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Where it is measured.
    Setting(BTreeMap<String, String>),
    /// A program that does nothing takes so many nanoseconds.
    Empty(u64),
    /// So many measurements are to be made.
    Plan(usize),
    /// What is measured now.
    Doing(String),
    /// One is made.
    Measured(Measurement),
    /// One is not made: this workload does not fit into the machine.
    Skipped { workload: String, why: String },
    /// One could not be made.
    Failed {
        workload: String,
        tool: Tool,
        round: usize,
        why: String,
    },
}

/// Who saves and restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// checkpoint(2) and restart(2), by `cr`.
    Cr,
    /// CRIU.
    Criu,
    /// Nobody: the bytes of the image of `cr` are written from memory to a file,
    /// and read into new memory. It is a scale for what can be reached.
    Copy,
}

impl Tool {
    pub const ALL: [Tool; 3] = [Tool::Cr, Tool::Criu, Tool::Copy];

    pub fn name(self) -> &'static str {
        match self {
            Tool::Cr => "cr",
            Tool::Criu => "criu",
            Tool::Copy => "copy",
        }
    }
}

/// One save and restore of one workload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measurement {
    pub workload: String,
    pub tool: Tool,
    pub round: usize,
    /// From the moment at which the tree stands still to its end.
    pub frozen_ns: Option<u64>,
    /// The whole command.
    pub dump_ns: u64,
    /// The whole command, at whose end the tree runs.
    pub restore_ns: u64,
    /// All files of the image.
    pub bytes: u64,
    /// What the tool reports of itself.
    pub details: BTreeMap<String, u64>,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    Frozen,
    Dump,
    Restore,
    Bytes,
}

impl Quantity {
    pub fn of(self, measurement: &Measurement) -> Option<u64> {
        match self {
            Quantity::Frozen => measurement.frozen_ns,
            Quantity::Dump => Some(measurement.dump_ns),
            Quantity::Restore => Some(measurement.restore_ns),
            Quantity::Bytes => Some(measurement.bytes),
        }
    }
}

/// All of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    pub setting: BTreeMap<String, String>,
    /// What a program takes that does nothing: no command takes less.
    pub empty_ns: Option<u64>,
    /// By workload, in the order of the run.
    pub summary: Vec<Summary>,
    pub skipped: Vec<String>,
    pub failed: Vec<String>,
    pub measurements: Vec<Measurement>,
}

/// The medians of a workload.
#[derive(Debug, Serialize, Deserialize)]
pub struct Summary {
    pub workload: String,
    pub medians: BTreeMap<Tool, Medians>,
    /// CRIU's medians in units of ours.
    pub ratio: Option<Ratio>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Medians {
    pub rounds: usize,
    pub frozen_ns: Option<u64>,
    pub dump_ns: u64,
    pub restore_ns: u64,
    pub bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Ratio {
    pub frozen: f64,
    pub dump: f64,
    pub restore: f64,
    pub bytes: f64,
}

impl Results {
    /// Take what the guest said.
    pub fn add(&mut self, line: Line) {
        match line {
            Line::Setting(setting) => self.setting.extend(setting),
            Line::Empty(nanoseconds) => self.empty_ns = Some(nanoseconds),
            Line::Plan(_) | Line::Doing(_) => {}
            Line::Measured(measurement) => self.measurements.push(measurement),
            Line::Skipped { workload, why } => self.skipped.push(format!("{workload}: {why}")),
            Line::Failed {
                workload,
                tool,
                round,
                why,
            } => {
                let tool = tool.name();
                self.failed
                    .push(format!("{workload}, {tool}, round {round}: {why}"));
            }
        }
    }

    /// Compute the medians from all that was measured.
    pub fn summarize(&mut self) {
        let mut workloads: Vec<&str> = Vec::new();
        for measurement in &self.measurements {
            if !workloads.contains(&measurement.workload.as_str()) {
                workloads.push(&measurement.workload);
            }
        }
        self.summary = workloads
            .into_iter()
            .map(|workload| Summary::of(workload, &self.measurements))
            .collect();
    }
}

impl Summary {
    fn of(workload: &str, measurements: &[Measurement]) -> Summary {
        let medians: BTreeMap<Tool, Medians> = Tool::ALL
            .into_iter()
            .filter_map(|tool| {
                let those: Vec<&Measurement> = measurements
                    .iter()
                    .filter(|one| one.workload == workload && one.tool == tool)
                    .collect();
                let of = |quantity: Quantity| {
                    median(those.iter().filter_map(|one| quantity.of(one)).collect())
                };
                Some((
                    tool,
                    Medians {
                        rounds: those.len(),
                        frozen_ns: of(Quantity::Frozen),
                        dump_ns: of(Quantity::Dump)?,
                        restore_ns: of(Quantity::Restore)?,
                        bytes: of(Quantity::Bytes)?,
                    },
                ))
            })
            .collect();
        let ratio = medians
            .get(&Tool::Cr)
            .zip(medians.get(&Tool::Criu))
            .and_then(|(ours, theirs)| {
                Some(Ratio {
                    frozen: ratio(theirs.frozen_ns?, ours.frozen_ns?),
                    dump: ratio(theirs.dump_ns, ours.dump_ns),
                    restore: ratio(theirs.restore_ns, ours.restore_ns),
                    bytes: ratio(theirs.bytes, ours.bytes),
                })
            });
        Summary {
            workload: workload.to_owned(),
            medians,
            ratio,
        }
    }
}

/// The middle one; of an even number the mean of both.
pub fn median(mut numbers: Vec<u64>) -> Option<u64> {
    numbers.sort_unstable();
    let half = numbers.len() / 2;
    let upper = *numbers.get(half)?;
    match numbers.len() % 2 {
        1 => Some(upper),
        _ => Some(u64::midpoint(*numbers.get(half - 1)?, upper)),
    }
}

fn ratio(theirs: u64, ours: u64) -> f64 {
    theirs as f64 / ours.max(1) as f64
}

/// For [`Measurement`], which has room for 584 years.
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(tool: Tool, round: usize, dump_ns: u64) -> Measurement {
        Measurement {
            workload: String::from("w"),
            tool,
            round,
            frozen_ns: Some(dump_ns / 2),
            dump_ns,
            restore_ns: 10,
            bytes: 100,
            details: BTreeMap::new(),
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3, 1, 2]), Some(2));
        assert_eq!(median(vec![4, 1]), Some(2));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn a_summary_compares_medians() {
        let mut results = Results::default();
        for (round, time) in [(1, 100), (2, 900), (3, 200)] {
            results.add(Line::Measured(measurement(Tool::Cr, round, time)));
            results.add(Line::Measured(measurement(Tool::Criu, round, time * 10)));
        }
        results.summarize();
        let summary = results.summary.first().unwrap();
        assert_eq!(summary.medians[&Tool::Cr].dump_ns, 200);
        assert_eq!(summary.medians[&Tool::Criu].rounds, 3);
        assert!(!summary.medians.contains_key(&Tool::Copy));
        let ratio = summary.ratio.as_ref().unwrap();
        assert_eq!((ratio.dump, ratio.frozen, ratio.bytes), (10.0, 10.0, 1.0));
    }

    #[test]
    fn a_line_survives_the_way_to_the_host() {
        let line = Line::Measured(measurement(Tool::Criu, 1, 7));
        let text = serde_json::to_string(&line).unwrap();
        let back: Line = serde_json::from_str(&text).unwrap();
        assert!(matches!(back, Line::Measured(one) if one.tool == Tool::Criu && one.dump_ns == 7));
    }
}
