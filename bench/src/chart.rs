//! Medians as a picture (SVG): a row for each workload, and a logarithmic axis,
//! on which equal ratios are equal distances.

use crate::results::Medians;
use crate::results::Results;
use crate::results::Summary;
use crate::results::Tool;
use std::fmt::Write;

/// What a panel of the picture shows.
struct Panel {
    title: &'static str,
    unit: Unit,
    of: fn(&Medians) -> Option<u64>,
    /// Whether a copy of the bytes does the same work.
    copy: bool,
}

#[derive(Clone, Copy)]
enum Unit {
    Nanoseconds,
    Bytes,
}

const PANELS: [Panel; 4] = [
    Panel {
        title: "Frozen: the tree stands still",
        unit: Unit::Nanoseconds,
        // A copy freezes nobody, but the tree stands still for one.
        of: |medians| medians.frozen_ns.or(Some(medians.dump_ns)),
        copy: true,
    },
    Panel {
        title: "Dump: the whole command",
        unit: Unit::Nanoseconds,
        of: |medians| Some(medians.dump_ns),
        copy: true,
    },
    Panel {
        title: "Restore: the whole command, until the tree runs",
        unit: Unit::Nanoseconds,
        of: |medians| Some(medians.restore_ns),
        copy: true,
    },
    Panel {
        title: "Image",
        unit: Unit::Bytes,
        of: |medians| Some(medians.bytes),
        copy: false,
    },
];

const WIDTH: f64 = 900.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 90.0;
const ROW: f64 = 20.0;
const HEAD: f64 = 84.0;
const PANEL_HEAD: f64 = 46.0;
const PANEL_FOOT: f64 = 20.0;

/// Colours that people tell apart who do not see all.
fn colour(tool: Tool) -> &'static str {
    match tool {
        Tool::Cr => "#0072b2",
        Tool::Criu => "#d55e00",
        Tool::Copy => "#888888",
    }
}

fn label(tool: Tool) -> &'static str {
    match tool {
        Tool::Cr => "cr",
        Tool::Criu => "CRIU",
        Tool::Copy => "copy of the bytes",
    }
}

/// The picture.
pub fn chart(results: &Results) -> String {
    let rows = results.summary.len() as f64;
    let panel = PANEL_HEAD + rows * ROW + PANEL_FOOT;
    let height = HEAD + PANELS.len() as f64 * panel;
    let mut svg = Svg(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    ));
    svg.text(
        16.0,
        26.0,
        "font-size=\"17\" font-weight=\"bold\"",
        "Checkpoint and restart, cr and CRIU",
    );
    let said = |key: &str| results.setting.get(key).map_or("?", String::as_str);
    let setting = format!(
        "{}, version {}, Linux {}, CRIU {}, {}. Medians; the number is CRIU in units of cr.",
        said("date"),
        said("version"),
        said("kernel"),
        said("criu"),
        said("machine")
    );
    svg.text(16.0, 46.0, "fill=\"#555\"", &setting);
    let mut x = 22.0;
    for tool in Tool::ALL {
        svg.mark(tool, x, 64.0);
        svg.text(x + 10.0, 68.0, "", label(tool));
        x += 80.0;
    }
    for (number, one) in PANELS.iter().enumerate() {
        svg.panel(one, &results.summary, HEAD + number as f64 * panel);
    }
    svg.0 += "</svg>\n";
    svg.0
}

/// The text of the picture so far.
struct Svg(String);

impl Svg {
    fn panel(&mut self, panel: &Panel, rows: &[Summary], top: f64) {
        self.text(
            16.0,
            top + 18.0,
            "font-size=\"14\" font-weight=\"bold\"",
            panel.title,
        );
        let values = rows
            .iter()
            .flat_map(|row| Tool::ALL.map(|tool| panel.value(row, tool)));
        let Some(axis) = Axis::over(values.flatten()) else {
            return;
        };
        let first = top + PANEL_HEAD;
        let bottom = first + rows.len() as f64 * ROW;
        for decade in axis.from..=axis.to {
            let x = axis.x(10f64.powi(decade));
            self.line((x, first - 6.0), (x, bottom), "stroke=\"#ddd\"");
            let name = panel.unit.name(decade);
            let style = "text-anchor=\"middle\" fill=\"#555\" font-size=\"10\"";
            self.text(x, first - 10.0, style, &name);
        }
        for (number, row) in rows.iter().enumerate() {
            let y = first + (number as f64 + 0.5) * ROW;
            self.row(panel, row, &axis, y);
        }
    }

    fn row(&mut self, panel: &Panel, row: &Summary, axis: &Axis, y: f64) {
        self.text(LEFT - 12.0, y + 4.0, "text-anchor=\"end\"", &row.workload);
        let ours = panel.value(row, Tool::Cr);
        let theirs = panel.value(row, Tool::Criu);
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            let ends = ((axis.x(ours), y), (axis.x(theirs), y));
            self.line(ends.0, ends.1, "stroke=\"#bbb\" stroke-width=\"2\"");
            let ratio = format!("× {:.1}", theirs / ours);
            let style = "text-anchor=\"end\" fill=\"#333\"";
            self.text(WIDTH - 16.0, y + 4.0, style, &ratio);
        }
        for tool in [Tool::Copy, Tool::Criu, Tool::Cr] {
            if let Some(value) = panel.value(row, tool) {
                self.mark(tool, axis.x(value), y);
            }
        }
    }

    fn mark(&mut self, tool: Tool, x: f64, y: f64) {
        let colour = colour(tool);
        match tool {
            Tool::Copy => {
                let style = format!("stroke=\"{colour}\" stroke-width=\"2\"");
                self.line((x, y - 7.0), (x, y + 7.0), &style);
            }
            _ => {
                writeln!(
                    self.0,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\"/>"
                )
                .ok();
            }
        }
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), style: &str) {
        writeln!(
            self.0,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" {style}/>",
            from.0, from.1, to.0, to.1
        )
        .ok();
    }

    fn text(&mut self, x: f64, y: f64, style: &str, text: &str) {
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{text}</text>"
        )
        .ok();
    }
}

impl Panel {
    /// What a logarithm can be taken of.
    fn value(&self, row: &Summary, tool: Tool) -> Option<f64> {
        if tool == Tool::Copy && !self.copy {
            return None;
        }
        let value = (self.of)(row.medians.get(&tool)?)?;
        Some(value as f64).filter(|value| *value > 0.0)
    }
}

impl Unit {
    /// How a power of ten is called.
    fn name(self, decade: i32) -> String {
        let (names, step) = match self {
            Unit::Nanoseconds => (["ns", "µs", "ms", "s"], decade.clamp(0, 11) / 3),
            Unit::Bytes => (["B", "kB", "MB", "GB"], decade.clamp(0, 11) / 3),
        };
        let name = usize::try_from(step).ok().and_then(|step| names.get(step));
        format!("{} {}", 10f64.powi(decade - step * 3), name.unwrap_or(&""))
    }
}

/// Whole powers of ten.
struct Axis {
    from: i32,
    to: i32,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>) -> Option<Axis> {
        let (least, most) = values.fold((f64::INFINITY, 0f64), |(least, most), value| {
            (least.min(value), most.max(value))
        });
        (most > 0.0).then(|| {
            let from = least.log10().floor() as i32;
            let to = most.log10().ceil() as i32;
            Axis {
                from,
                to: to.max(from + 1),
            }
        })
    }

    fn x(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.from)) / f64::from(self.to - self.from);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_whole_decades() {
        let axis = Axis::over([30.0, 4000.0].into_iter()).unwrap();
        assert_eq!((axis.from, axis.to), (1, 4));
        assert_eq!(axis.x(10.0), LEFT);
        assert_eq!(axis.x(10_000.0), WIDTH - RIGHT);
        assert!(Axis::over(std::iter::empty()).is_none());
    }

    #[test]
    fn decades_have_names() {
        let names = [3, 5, 9, 10].map(|decade| Unit::Nanoseconds.name(decade));
        assert_eq!(names, ["1 µs", "100 µs", "1 s", "10 s"]);
    }

    #[test]
    fn no_results_make_a_picture_too() {
        assert!(chart(&Results::default()).ends_with("</svg>\n"));
    }
}
