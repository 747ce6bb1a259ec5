// SPDX-License-Identifier: GPL-2.0

//! Records of `format/memory.rs`.

use super::check_bits;
use super::check_one_of;
use super::list;
use super::may;
use super::must;
use super::no_object;
use super::object;
use super::Fields;
use super::Kind;
use super::Reference;
use super::Result;
use super::Tail;
use crate::format::file::PathFile;
use crate::format::file::Unnamed;
use crate::format::file::UnnamedFile;
use crate::format::memory;
use crate::format::memory::AioContext;
use crate::format::memory::Guards;
use crate::format::memory::HugeReserve;
use crate::format::memory::Ldt;
use crate::format::memory::Mm;
use crate::format::memory::PageMap;
use crate::format::memory::PageRun;
use crate::format::memory::Policies;
use crate::format::memory::Policy;
use crate::format::memory::Range;
use crate::format::memory::Shmem;
use crate::format::memory::Vma;
use crate::format::namespace::ShmSegment;
use crate::format::namespace::UserNs;
use crate::format::ObjRef;
use crate::format::Record;
use crate::format::Value;
use crate::names;

/// What can be mapped or executed.
const MAPPABLE: &[u16] = &[PathFile::KIND, UnnamedFile::KIND];

/// What has pages.
const OWNERS: &[u16] = &[Mm::KIND, Shmem::KIND, Unnamed::KIND, ShmSegment::KIND];

impl Kind for Mm {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![
            may("exe", self.exe, MAPPABLE),
            may("user_ns", self.user_ns, &[UserNs::KIND]),
        ]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let auxv = tail.list::<u64>(self.auxv, "words of auxiliary vector")?;
        Ok(vec![("auxv", list(auxv))])
    }

    fn check(&self) -> Result<()> {
        let known = [
            memory::BINFMT_NONE,
            memory::BINFMT_ELF,
            memory::BINFMT_COMPAT_ELF,
        ];
        check_one_of("binfmt", self.binfmt, &known)
    }
}

impl Kind for Ldt {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("mm", self.mm, &[Mm::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        Ok(vec![(
            "descriptors",
            list(tail.list::<u64>(self.entries, "descriptors")?),
        )])
    }

    fn check(&self) -> Result<()> {
        match self.entries {
            1..=8192 => Ok(()),
            entries => Err(format!("a table of {entries} entries is impossible")),
        }
    }
}

impl Kind for AioContext {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("mm", self.mm, &[Mm::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let ring = tail.bytes(self.len as usize, "ring")?;
        Ok(vec![("ring", Value::Bytes(ring))])
    }

    fn check(&self) -> Result<()> {
        match (self.max_reqs, u64::from(self.len) > self.size) {
            (0, _) => Err("it has no requests".into()),
            (_, true) => Err("the ring is larger than it is".into()),
            _ => Ok(()),
        }
    }
}

impl Kind for Vma {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        let object = match self.kind {
            memory::VMA_FILE => must("object", self.object, MAPPABLE),
            memory::VMA_SHMEM => must("object", self.object, &[Shmem::KIND]),
            memory::VMA_SYSV => must("object", self.object, &[ShmSegment::KIND]),
            _ => may("object", self.object, &[]),
        };
        vec![must("mm", self.mm, &[Mm::KIND]), object]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        Ok(vec![("name", tail.text(self.name, "name")?)])
    }

    fn check(&self) -> Result<()> {
        let known = [
            memory::VMA_ANON,
            memory::VMA_FILE,
            memory::VMA_SHMEM,
            memory::VMA_SPECIAL,
            memory::VMA_SYSV,
            memory::VMA_AIO,
        ];
        check_one_of("kind", self.kind, &known)?;
        check_bits("flags", self.flags, names::known(names::VMA_FLAGS))?;
        if self.start >= self.end {
            return Err("it ends before it starts".into());
        }
        Ok(())
    }
}

impl Kind for Shmem {
    object!();

    fn check(&self) -> Result<()> {
        check_bits("flags", self.flags, memory::VMA_NORESERVE)
    }
}

impl Kind for Guards {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("mm", self.mm, &[Mm::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let ranges = tail.list::<Range>(self.count, "ranges")?;
        if let Some(range) = ranges.iter().find(|range| range.start >= range.end) {
            return Err(format!("the range at {:#x} is empty", range.start));
        }
        Ok(vec![("ranges", list(ranges))])
    }
}

impl Kind for HugeReserve {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must(
            "owner",
            self.owner,
            &[Unnamed::KIND, ShmSegment::KIND],
        )]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let ranges = tail.list::<Range>(self.count, "ranges")?;
        if let Some(range) = ranges.iter().find(|range| range.start >= range.end) {
            return Err(format!("the range at {:#x} is empty", range.start));
        }
        Ok(vec![("ranges", list(ranges))])
    }
}

impl Kind for Policies {
    no_object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![must("owner", self.owner, OWNERS)]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let policies = tail.list::<Policy>(self.count, "policies")?;
        for policy in policies {
            if policy.start >= policy.end {
                return Err(format!("the range at {:#x} is empty", policy.start));
            }
            if policy.home < -1 {
                return Err(format!("the home node {} is impossible", policy.home));
            }
        }
        Ok(vec![("policies", list(policies))])
    }
}

impl Kind for PageMap {
    no_object!();

    fn references(&self, tail: &[u8]) -> Vec<Reference> {
        let mut references = vec![must("owner", self.owner, OWNERS)];
        let runs = Tail::new(tail).list::<PageRun>(self.runs, "page runs");
        for run in runs
            .unwrap_or_default()
            .iter()
            .filter(|run| run.kind == memory::RUN_SHARED)
        {
            let source = ObjRef(run.data.try_into().unwrap_or(u32::MAX));
            references.push(must("a shared run", source, &[Mm::KIND]));
        }
        references
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let runs = tail.list::<PageRun>(self.runs, "page runs")?;
        runs.iter().try_for_each(check_run)?;
        Ok(vec![("runs", list(runs))])
    }
}

fn check_run(run: &PageRun) -> Result<()> {
    check_one_of(
        "a run's kind",
        run.kind,
        &[memory::RUN_DATA, memory::RUN_SHARED, memory::RUN_PARENT],
    )?;
    if run.pages == 0 {
        return Err("a run has no pages".into());
    }
    Ok(())
}
