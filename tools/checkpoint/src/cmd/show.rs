// SPDX-License-Identifier: GPL-2.0

//! `cr show`: prints what is in an image.

use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;

use crate::exit::Class;
use crate::exit::Result;
use crate::format::Header;
use crate::image::Entry;
use crate::image::Metadata;
use crate::image::Reader;
use crate::print;
use crate::print::Detail;
use crate::source;
use crate::verify;

const EXAMPLES: &str = "\
Examples:
  cr show --tree job.cr
  cr show job.cr | less
  Which files does it have open?
      cr show --json job.cr | jq -r '.records[] | select(.kind == \"PathFile\") | .fields.path'
  Why did a checkpoint into a pipe fail?
      cr show --error job.cr

Each record is shown with its offset, its number, its kind and the number of the object that it
defines, which is how other records refer to it (#7). Fields that are zero are left out unless
--verbose asks for them. An image that is damaged is shown as far as it can be; the exit code is
then 4. Page data is not read: see `cr verify`.";

/// Print what is in an image: the tree of processes first, then every record
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The image; "-" or nothing is standard input
    image: Option<PathBuf>,

    /// Print everything as JSON: an object with header, tasks and records
    #[arg(long)]
    json: bool,

    /// Print the tree of processes only
    #[arg(long, conflicts_with = "error")]
    tree: bool,

    /// Print only why the checkpoint failed, if it did
    #[arg(long, conflicts_with = "json")]
    error: bool,

    /// Print registers by name
    #[arg(long)]
    registers: bool,

    /// Print every field and every element
    #[arg(short, long)]
    verbose: bool,
}

/// The metadata of an image, which may be damaged.
pub(super) struct Contents {
    pub header: Header,
    pub metadata: Metadata,
}

impl Contents {
    pub fn read(path: Option<&std::path::Path>) -> Result<Contents> {
        let mut reader = Reader::new(source::reader(super::open_image(path)?)?);
        let header = reader.header()?;
        let metadata = reader.metadata(&header)?;
        Ok(Contents { header, metadata })
    }

    /// The records that can be read. What is wrong is said once they are printed.
    pub fn entries(&self) -> (Vec<Entry<'_>>, ExitCode) {
        let mut entries = Vec::new();
        let mut problem = self.metadata.check_crc().err();
        for entry in self.metadata.records() {
            match entry {
                Ok(entry) => entries.push(entry),
                Err(found) => problem = Some(found),
            }
        }
        let problem = problem.or_else(|| verify::check(&self.header, &self.metadata).err());
        let code = match problem {
            None => ExitCode::SUCCESS,
            Some(problem) => {
                eprintln!("cr: the image is damaged: {problem}");
                Class::BadImage.code(crate::exit::Codes::Own).into()
            }
        };
        (entries, code)
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result {
    let contents = Contents::read(args.image.as_deref())?;
    let (entries, code) = contents.entries();
    let header = &contents.header;
    let mut out = BufWriter::new(io::stdout().lock());
    if args.error {
        print::failure(&mut out, &entries)?;
    } else if args.json {
        let mut json = json!({
            "header": print::header_json(header),
            "tasks": print::tree_json(&entries),
        });
        if !args.tree {
            let records = entries.iter();
            json["records"] = records
                .map(|entry| print::record_json(header, entry))
                .collect();
        }
        serde_json::to_writer_pretty(&mut out, &json).map_err(io::Error::from)?;
        writeln!(out)?;
    } else if args.tree {
        print::tree(&mut out, &entries)?;
    } else {
        let detail = Detail {
            all: args.verbose,
            registers: args.registers,
        };
        print_all(&mut out, header, &entries, detail)?;
    }
    out.flush()?;
    Ok(code)
}

/// The header, the tree, and every record.
pub(super) fn print_all(
    out: &mut dyn Write,
    header: &Header,
    entries: &[Entry<'_>],
    detail: Detail,
) -> Result<()> {
    print::header(out, header)?;
    writeln!(out)?;
    if !print::failure(out, entries)? {
        print::tree(out, entries)?;
    }
    writeln!(out)?;
    for entry in entries {
        print::record(out, header, entry, detail)?;
    }
    Ok(())
}
