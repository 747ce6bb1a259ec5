// SPDX-License-Identifier: GPL-2.0

//! `cr verify`: checks an image from its first byte to its last.

use std::io;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use indicatif::HumanBytes;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde::Serialize;

use crate::exit::Class;
use crate::exit::Error;
use crate::exit::Result;
use crate::format::header;
use crate::format::Header;
use crate::image;
use crate::image::Reader;
use crate::print;
use crate::source;
use crate::verify;
use crate::verify::Summary;

/// Images with more page data than this get a progress bar.
const LARGE: u64 = 64 << 20;

const EXAMPLES: &str = "\
Examples:
  cr verify job.cr
  ssh other cat job.cr | cr verify --quiet && echo whole

Exit code 0: the image is whole. 1: it is not, or cannot be read; the first problem is printed, with
its offset and the number of the record.";

/// Check an image: every checksum, every record, every reference, all page data
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The image; "-" or nothing is standard input
    image: Option<PathBuf>,

    /// Print nothing if the image is whole
    #[arg(short, long)]
    quiet: bool,

    /// Print the result as JSON
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

/// The result as JSON.
#[derive(Serialize)]
struct Report {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
}

#[derive(Serialize)]
struct Problem {
    offset: u64,
    record: Option<usize>,
    kind: Option<&'static str>,
    message: String,
}

/// Runs the command.
pub fn run(args: Args) -> Result {
    let input = super::open_image(args.image.as_deref())?;
    let result = check(source::reader(input)?);
    if args.json {
        return json(result);
    }
    match result {
        Ok((header, summary)) => {
            if !args.quiet {
                println!("{}", describe(&header, &summary));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let name = args
                .image
                .map_or("-".into(), |path| path.display().to_string());
            Err(Error {
                class: Class::Failure,
                cause: error.cause.context(name),
            })
        }
    }
}

fn json(result: Result<(Header, Summary)>) -> Result {
    let report = match result {
        Ok((_, summary)) => Report {
            ok: true,
            problem: None,
            summary: Some(summary),
        },
        Err(error) => match error.cause.downcast::<image::Error>() {
            Ok(image::Error::Bad(problem)) => Report {
                ok: false,
                problem: Some(Problem {
                    offset: problem.offset,
                    record: problem.record.map(|(number, _)| number),
                    kind: problem.record.map(|(_, kind)| kind),
                    message: problem.message,
                }),
                summary: None,
            },
            Ok(error) => return Err(error.into()),
            Err(cause) => return Err(cause.into()),
        },
    };
    let text = serde_json::to_string(&report).map_err(io::Error::from)?;
    println!("{text}");
    Ok(ExitCode::from(u8::from(!report.ok)))
}

/// Checks all of an image.
fn check(input: impl Read) -> Result<(Header, Summary)> {
    let mut reader = Reader::new(input);
    let header = reader.header()?;
    let metadata = reader.metadata(&header)?;
    metadata.check_crc()?;
    let summary = verify::check(&header, &metadata)?;
    if header.flags & header::FLAG_FAILED != 0 {
        let entries: Vec<_> = metadata.records().collect::<std::result::Result<_, _>>()?;
        let mut text = Vec::new();
        print::failure(&mut text, &entries)?;
        let text = String::from_utf8_lossy(&text);
        let cause = anyhow::anyhow!("the image records a failed checkpoint\n{}", text.trim_end());
        return Err(Error::new(Class::BadImage, cause));
    }
    let bar = progress(header.data_pages << header.page_shift)?;
    let result = reader.data(&header, |bytes| bar.set_position(bytes));
    bar.finish_and_clear();
    result?;
    Ok((header, summary))
}

fn progress(total: u64) -> Result<ProgressBar> {
    if total < LARGE {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
        .context("progress")?;
    Ok(ProgressBar::new(total).with_style(style))
}

fn describe(header: &Header, summary: &Summary) -> String {
    let size = HumanBytes(header.data_pages << header.page_shift);
    format!(
        "whole: {} tasks, {} objects, {} records; metadata {}, page data {size}",
        summary.tasks,
        summary.objects,
        summary.records,
        HumanBytes(header.meta_len),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::Composer;

    #[test]
    fn all_of_an_image_is_checked() {
        let image = Composer::small().image();
        let (header, summary) = check(image.as_slice()).unwrap();
        let text = describe(&header, &summary);
        assert!(text.starts_with("whole: 3 tasks, "), "{text}");
        assert!(text.ends_with("page data 8.00 KiB"), "{text}");
        let mut bad = image.clone();
        let last_page = bad.len() - 4096;
        bad[last_page] ^= 1;
        let error = check(bad.as_slice()).unwrap_err();
        assert_eq!(error.class, Class::BadImage);
        assert!(error.cause.to_string().contains("chunk 0"), "{error:?}");
    }

    #[test]
    fn a_failed_checkpoint_is_no_image() {
        let image = Composer::failed(16, 7, "error: pid 7 (sh): why\n").image();
        let error = check(image.as_slice()).unwrap_err().cause.to_string();
        assert!(error.contains("error: pid 7 (sh): why"), "{error}");
        assert!(error.contains("at pid 7"), "{error}");
    }
}
