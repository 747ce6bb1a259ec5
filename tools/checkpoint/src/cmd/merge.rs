// SPDX-License-Identifier: GPL-2.0

//! `cr merge`: makes one image of those that need each other.

use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;

use crate::chain;
use crate::chain::Chain;
use crate::exit::Result;
use crate::format::header;
use crate::format::Header;
use crate::image::Reader;
use crate::source;
use crate::source::Form;
use crate::store::Sink;
use crate::store::Target;
use crate::wait::Signals;

const EXAMPLES: &str = "\
Examples:
  Save everything once, and then what has changed, again and again:
      cr checkpoint --track -o 0.cr 1234
      cr checkpoint --track --parent 0.cr -o 1.cr 1234
      cr checkpoint --track --parent 1.cr -o 2.cr 1234
  Make one image of the last, which needs no other:
      cr merge -o whole.cr 2.cr && rm 0.cr 1.cr 2.cr
  Store what another machine sends while its processes still run:
      ssh other cr checkpoint --pre-copy --kill 1234 | cr merge -o job.cr

`cr restart` does the same by itself. All page data is checked on the way.";

/// Make one image of those that need each other: incremental ones, several, compressed ones
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The newest image; "-" or nothing is standard input
    image: Option<PathBuf>,

    /// An image that it needs, if that is in another folder; may be repeated
    #[arg(long, value_name = "FILE")]
    parent: Vec<PathBuf>,

    /// Write the image to FILE; "-" or nothing is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Overwrite FILE if it exists
    #[arg(short, long)]
    force: bool,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result {
    let target = match args.output {
        Some(path) if path != Path::new("-") => Target::Path(path),
        _ => Target::Stdout,
    };
    let image = args.image.filter(|path| path != Path::new("-"));
    let input = super::open_image(image.as_deref())?;
    // A file that is not complete must be removed whatever happens.
    let _signals = Signals::collect(None)?;
    let sink = Sink::open(&target, args.force)?;
    let out = File::from(sink.as_fd().try_clone_to_owned()?);
    let parents: Vec<&Path> = args.parent.iter().map(PathBuf::as_path).collect();
    let show = !args.quiet && io::stderr().is_terminal();

    merge(input, image.as_deref(), &parents, out, show)?;
    sink.commit()?;
    Ok(ExitCode::SUCCESS)
}

fn merge(
    mut input: File,
    path: Option<&Path>,
    parents: &[&Path],
    out: File,
    show: bool,
) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let bar = progress(show)?;
    if Form::sniff(&mut input)? == Form::Chain {
        return several(input, path, &mut out, &bar);
    }
    let mut reader = source::reader(input)?;
    let mut head = [0; size_of::<Header>()];
    let len = fill(&mut reader, &mut head)?;
    let start = &head[..len];
    if start.starts_with(&chain::MAGIC) {
        return several(spool(start, reader)?, path, &mut out, &bar);
    }
    let header = Reader::new(start).header()?;
    if header.flags & header::FLAG_INCREMENTAL == 0 {
        out.write_all(start)?;
        io::copy(&mut reader, &mut out)?;
        return Ok(out.flush()?);
    }
    let mut chain = match path {
        Some(path) => Chain::open(path, parents)?,
        None => Chain::of_file(spool(start, reader)?, parents)?,
    };
    write(&mut chain, &mut out, &bar)
}

/// Merges images that stand one after the other.
fn several(
    input: File,
    path: Option<&Path>,
    out: &mut impl Write,
    bar: &ProgressBar,
) -> Result<()> {
    let name = path.map_or("the stream".into(), |path| path.display().to_string());
    let mut chain = Chain::of_stream(&name, &source::seekable(input)?)?;
    write(&mut chain, out, bar)
}

fn write(chain: &mut Chain, out: &mut impl Write, bar: &ProgressBar) -> Result<()> {
    chain.write(out, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    Ok(())
}

/// A file without a name that has what was read already, and the rest.
fn spool(start: &[u8], rest: impl Read) -> Result<File> {
    let mut copy = tempfile::tempfile().context("cannot make a temporary file")?;
    io::copy(&mut start.chain(rest), &mut copy).context("cannot copy the image")?;
    Ok(copy)
}

/// Reads as much as there is room for, or as there is.
fn fill(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buf.len() {
        match reader.read(&mut buf[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

fn progress(show: bool) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
        .context("progress")?;
    let target = match show {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    Ok(ProgressBar::with_draw_target(None, target).with_style(style))
}
