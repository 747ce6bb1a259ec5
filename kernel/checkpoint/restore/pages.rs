// SPDX-License-Identifier: GPL-2.0

//! The part of the coordinator of a restart in the content of memory.

use super::objects::Built;
use super::Restart;
use crate::error::Result;
use crate::format::memory;
use crate::mm::pages::Owner;
use crate::mm::reader::PageReader;
use crate::sys::lazy;
use crate::sys::stream::InStream;
use kernel::bindings;
use kernel::prelude::*;

/// Where to read page data from.
fn page_reader<'a>(
    restart: &'a Restart,
    stream: &'a mut InStream,
    flags: u64,
) -> Result<PageReader<'a>> {
    let pages = restart.plan.header.data_pages;

    if flags & u64::from(bindings::RESTART_LAZY) == 0 {
        return PageReader::new(restart, stream, pages);
    }
    PageReader::new_lazy(restart, stream, pages).map_err(|error| {
        let why = if error.errno() == ESPIPE {
            "memory can be read later only from a regular file (RESTART_LAZY)"
        } else {
            "the trailer of the image is damaged or missing"
        };

        restart.explain(error, fmt!("{why}"))
    })
}

/// Has memory read that shall never be touched for the first time.
fn read_locked(restart: &Restart) -> Result {
    for record in restart.plan.records::<memory::Vma>() {
        let (vma, _) = record.parse::<memory::Vma>()?;

        if vma.flags & memory::VMA_LOCKED == 0 {
            continue;
        }
        if let Built::Mm(mm) = restart.made(vma.mm)? {
            lazy::pull(&mm, vma.start, vma.end).map_err(|errno| {
                restart
                    .log
                    .error(errno, fmt!("object {}: its locked memory", vma.mm.0))
            })?;
        }
    }
    Ok(())
}

/// Reads the content of all memory, while the tasks whose mappings are there go on building; or
/// makes sure that it will be read, from the image that is given. All tasks are built then.
pub(super) fn read(
    restart: &Restart,
    stream: &mut InStream,
    flags: u64,
) -> Result<Option<lazy::Image>> {
    let mut reader = page_reader(restart, stream, flags)?;

    for record in restart.plan.records::<memory::PageMap>() {
        let (map, _) = record.parse::<memory::PageMap>()?;
        let owner = match restart.empty(map.owner)? {
            Built::Mm(mm) => Owner::NewMm(mm),
            Built::File(file) => Owner::new_file(file)?,
            _ => return Err(EINVAL.into()),
        };

        reader.read(&record, &owner)?;
        restart.check_failed()?;
    }
    restart.pass(&restart.all_built)?;
    let later = reader.finish().map_err(|error| {
        restart.explain(
            error,
            fmt!("the page data of the image is damaged or incomplete"),
        )
    })?;

    if later.is_some() {
        read_locked(restart)?;
    }
    Ok(later)
}
