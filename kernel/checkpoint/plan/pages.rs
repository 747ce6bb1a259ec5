// SPDX-License-Identifier: GPL-2.0

//! Where page data can go.

use super::Plan;
use crate::error::Result;
use crate::format::file;
use crate::format::memory;
use crate::format::namespace;
use crate::format::Record;
use crate::image;
use kernel::prelude::*;

impl Plan {
    /// Page data goes only where private memory is mapped: anything else could write to a file.
    pub(super) fn check_vmas_cover_pages(&self) -> Result {
        for record in self.records::<memory::PageMap>() {
            let (map, tail) = record.parse::<memory::PageMap>()?;
            let owner = self.object(map.owner)?;
            let runs = image::all::<memory::PageRun>(tail, map.runs)?;

            let size = match owner.kind {
                memory::Shmem::KIND => Some(owner.parse::<memory::Shmem>()?.0.size),
                namespace::ShmSegment::KIND => {
                    let (segment, _) = owner.parse::<namespace::ShmSegment>()?;

                    1u64.checked_shl(segment.huge)
                        .and_then(|page| segment.size.checked_next_multiple_of(page))
                }
                file::Unnamed::KIND => Some(owner.parse::<file::Unnamed>()?.0.size),
                _ => None,
            };

            if let Some(size) = size {
                let end = size.div_ceil(crate::sys::page::SIZE as u64);

                if runs.last().is_some_and(|run| run_end(run) > end) {
                    return Err(EINVAL.into());
                }
                continue;
            }
            let mut vmas = self
                .belonging::<memory::Vma>(map.owner)
                .filter_map(|vma| vma.parse::<memory::Vma>().ok())
                .map(|(vma, _)| vma)
                .filter(holds_pages)
                .peekable();

            for run in &runs {
                let (mut start, end) = (run.start, run_end(run));

                // A run may go on in the next mapping.
                while start < end {
                    while vmas
                        .next_if(|vma| vma.end >> crate::sys::page::SHIFT <= start)
                        .is_some()
                    {}
                    let vma = vmas.peek().ok_or(EINVAL)?;

                    if start < vma.start >> crate::sys::page::SHIFT {
                        return Err(EINVAL.into());
                    }
                    start = vma.end >> crate::sys::page::SHIFT;
                }
            }
        }
        Ok(())
    }
}

fn run_end(run: &memory::PageRun) -> u64 {
    run.start.saturating_add(u64::from(run.pages))
}

fn holds_pages(vma: &memory::Vma) -> bool {
    matches!(vma.kind, memory::VMA_ANON | memory::VMA_FILE)
        && vma.flags & (memory::VMA_MAYSHARE | memory::VMA_DROPPABLE) == 0
}
