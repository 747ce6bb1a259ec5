// SPDX-License-Identifier: GPL-2.0

//! `cr info`, which is also `ckptinfo`: prints in short what an image is.

use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::PathBuf;

use clap::Parser;

use super::show::print_all;
use super::show::Contents;
use crate::exit::Result;
use crate::format::task::Task;
use crate::print;
use crate::print::Detail;

/// Print in short what an image is (the ckptinfo of Linux-CR)
#[derive(Debug, Parser)]
#[command(name = "ckptinfo")]
pub struct Args {
    /// The image; "-" or nothing is standard input
    image: Option<PathBuf>,

    /// Print only why the checkpoint failed, if it did
    #[arg(short, long)]
    error: bool,

    /// Print only the pids of the tasks
    #[arg(short, long)]
    pids_only: bool,

    /// Print every record
    #[arg(short, long)]
    verbose: bool,

    /// Print registers by name, with every record
    #[arg(long)]
    show_arch_regs: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result {
    let contents = Contents::read(args.image.as_deref())?;
    let (entries, code) = contents.entries();
    let mut out = BufWriter::new(io::stdout().lock());
    if args.error {
        print::failure(&mut out, &entries)?;
    } else if args.pids_only {
        for task in entries
            .iter()
            .filter_map(|entry| entry.body.as_any().downcast_ref::<Task>())
        {
            writeln!(out, "{}", task.tid)?;
        }
    } else if args.verbose || args.show_arch_regs {
        let detail = Detail {
            all: args.verbose,
            registers: args.show_arch_regs,
        };
        print_all(&mut out, &contents.header, &entries, detail)?;
    } else {
        print::header(&mut out, &contents.header)?;
        writeln!(out)?;
        if !print::failure(&mut out, &entries)? {
            print::tree(&mut out, &entries)?;
        }
    }
    out.flush()?;
    Ok(code)
}
