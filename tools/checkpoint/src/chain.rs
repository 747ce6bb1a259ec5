// SPDX-License-Identifier: GPL-2.0

//! Images that need others: an incremental image has only what has changed since its parent was
//! written. A chain of them, from the newest to one that needs no other, is put together to one
//! image here. Every byte that goes into it is checked against the checksums of the image that it
//! comes from.
//!
//! The chain comes as one file for each image, or as one stream of all of them, the oldest first,
//! behind [`MAGIC`]: `cr checkpoint --pre-copy` writes that.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::anyhow;
use anyhow::Context;
use xxhash_rust::xxh64::xxh64;
use xxhash_rust::xxh64::Xxh64;
use zerocopy::IntoBytes;

use crate::exit::Class;
use crate::exit::Error;
use crate::exit::Result;
use crate::format::header;
use crate::format::memory;
use crate::format::memory::PageMap;
use crate::format::memory::PageRun;
use crate::format::Header;
use crate::format::Trailer;
use crate::format::RECORD_ALIGN;
use crate::image::header_crc;
use crate::image::Metadata;
use crate::image::Reader;
use crate::kind::Tail;
use crate::source;
use crate::verify;

/// The first bytes of a stream of images.
pub const MAGIC: [u8; 8] = *b"CRCHAIN\0";

/// What stands behind the last image of a stream.
pub const LAST: [u8; 8] = *b"CRLAST\0\0";

/// How many images a chain may have.
const MAX_LINKS: usize = 1024;

/// Reads a file from a place on, without moving its position.
pub struct ReadAt<'f> {
    /// The file.
    pub file: &'f File,
    /// Where the next byte is.
    pub offset: u64,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buf, self.offset)?;
        self.offset += len as u64;
        Ok(len)
    }
}

/// Where the content of a page is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Source {
    /// The index of the image in the chain.
    link: usize,
    /// The number of the page in its page data.
    page: u64,
}

/// One image of a chain.
struct Link {
    name: String,
    file: File,
    header: Header,
    metadata: Metadata,
    /// The runs of each page map, by its owner.
    maps: BTreeMap<u32, Vec<PageRun>>,
    /// Where the page data starts in the file.
    data: u64,
    /// Where the image ends.
    end: u64,
    hashes: Vec<u64>,
    /// The number of the chunk that was read last, and its bytes.
    chunk: Option<(u64, Vec<u8>)>,
}

impl Link {
    /// Reads all but the page data of the image that starts at `base`.
    fn open(name: String, file: File, base: u64) -> Result<Link> {
        Link::read(&name, file, base).map_err(|error| error.context(name))
    }

    fn read(name: &str, file: File, base: u64) -> Result<Link> {
        let mut reader = Reader::new(ReadAt {
            file: &file,
            offset: base,
        });
        let header = reader.header()?;
        let metadata = reader.metadata(&header)?;
        metadata.check_crc()?;
        verify::check(&header, &metadata)?;
        if header.flags & header::FLAG_FAILED != 0 {
            let cause = anyhow!("the image records a failed checkpoint");
            return Err(Error::new(Class::BadImage, cause));
        }
        let mut maps = BTreeMap::new();
        for entry in metadata.records() {
            let entry = entry?;
            if let Some(map) = entry.body.as_any().downcast_ref::<PageMap>() {
                let runs: &[PageRun] = Tail::new(entry.tail)
                    .list(map.runs, "page runs")
                    .map_err(|message| anyhow!(message))?;
                maps.insert(map.owner.0, runs.to_vec());
            }
        }
        let page = 1u64 << header.page_shift;
        let data = base + (size_of::<Header>() as u64 + header.meta_len).next_multiple_of(page);
        let trailer = data + header.data_pages * page;
        let chunks = header.data_pages.div_ceil(header.chunk_pages.into());
        let mut rest = Reader::new(ReadAt {
            file: &file,
            offset: trailer,
        });
        let hashes = rest.hashes(chunks)?;
        Ok(Link {
            name: name.into(),
            header,
            metadata,
            maps,
            data,
            end: trailer + (size_of::<Trailer>() + hashes.len() * size_of::<u64>()) as u64,
            hashes,
            file,
            chunk: None,
        })
    }

    /// The run of an address space that has the page with a number.
    fn run(&self, owner: u32, page: u64) -> Option<&PageRun> {
        let runs = self.maps.get(&owner)?;
        let after = runs.partition_point(|run| run.start <= page);
        let run = runs.get(after.checked_sub(1)?)?;
        (page - run.start < u64::from(run.pages)).then_some(run)
    }

    /// The bytes of a page of the page data.
    fn page(&mut self, page: u64) -> Result<&[u8]> {
        let per_chunk = u64::from(self.header.chunk_pages);
        let size = 1usize << self.header.page_shift;
        let number = page / per_chunk;
        if self.chunk.as_ref().map(|(number, _)| *number) != Some(number) {
            self.chunk = Some((number, self.read_chunk(number)?));
        }
        let bytes = self.chunk.as_ref().map_or(&[][..], |(_, bytes)| bytes);
        let start = (page % per_chunk) as usize * size;
        let found = bytes.get(start..start + size);
        found.ok_or_else(|| anyhow!("{}: there is no page {page}", self.name).into())
    }

    /// Reads and checks a chunk of the page data.
    fn read_chunk(&self, number: u64) -> Result<Vec<u8>> {
        let per_chunk = u64::from(self.header.chunk_pages);
        let first = number * per_chunk;
        let pages = per_chunk.min(self.header.data_pages.saturating_sub(first));
        let mut bytes = vec![0; (pages << self.header.page_shift) as usize];
        let at = self.data + (first << self.header.page_shift);
        self.file
            .read_exact_at(&mut bytes, at)
            .with_context(|| format!("cannot read {}", self.name))?;
        if self.hashes.get(number as usize) == Some(&xxh64(&bytes, 0)) {
            return Ok(bytes);
        }
        let cause = anyhow!(
            "{}: offset {at:#x}: page data, chunk {number}: its hash is wrong",
            self.name
        );
        Err(Error::new(Class::BadImage, cause))
    }

    fn is_incremental(&self) -> bool {
        self.header.flags & header::FLAG_INCREMENTAL != 0
    }
}

/// Whether `header` is that of the image that `of` names as its parent.
pub fn is_parent(header: &Header, of: &Header) -> bool {
    (header.id, header.realtime) == (of.parent_id, of.parent_realtime)
}

/// An image with all images that it needs, the newest first.
pub struct Chain {
    links: Vec<Link>,
}

impl Chain {
    /// The image in the file at `path`. Its parents are those of `parents` that fit, and then
    /// those that are found in the folder that each is in.
    pub fn open(path: &Path, parents: &[&Path]) -> Result<Chain> {
        let link = Link::open(path.display().to_string(), open(path)?, 0)?;
        Chain::of(link, path, parents)
    }

    /// The image in a file without a name.
    pub fn of_file(file: File, parents: &[&Path]) -> Result<Chain> {
        Chain::of(
            Link::open("the image".into(), file, 0)?,
            Path::new("."),
            parents,
        )
    }

    fn of(mut link: Link, path: &Path, parents: &[&Path]) -> Result<Chain> {
        let mut chain = Chain { links: Vec::new() };
        let mut path = path.to_owned();
        while let Some(of) = chain.push(link)? {
            let named = parents.iter().find(|parent| fits(parent, &of));
            path = match named {
                Some(parent) => parent.to_path_buf(),
                None => search(&path, &of)?,
            };
            link = Link::open(path.display().to_string(), open(&path)?, 0)?;
        }
        Ok(chain)
    }

    /// The images that stand one after the other in a file, the oldest first.
    pub fn of_stream(name: &str, file: &File) -> Result<Chain> {
        let bad = |what: &str| Error::new(Class::BadImage, anyhow!("{name}: {what}"));
        let mut links = Vec::new();
        let mut at = MAGIC.len() as u64;
        loop {
            let mut next = [0; LAST.len()];
            file.read_exact_at(&mut next, at)
                .map_err(|_| bad("it is cut off, or was not finished"))?;
            if next == LAST {
                break;
            }
            if links.len() == MAX_LINKS {
                return Err(bad("there are too many images"));
            }
            let part = format!("{name}, image {}", links.len() + 1);
            let link = Link::open(part, file.try_clone()?, at)?;
            at = link.end;
            links.push(link);
        }
        let mut chain = Chain { links: Vec::new() };
        let mut needed: Option<Header> = None;
        for link in links.into_iter().rev() {
            if needed.is_some_and(|of| !is_parent(&link.header, &of)) {
                continue;
            }
            needed = chain.push(link)?;
            if needed.is_none() {
                return Ok(chain);
            }
        }
        Err(bad("an image that is needed is not there"))
    }

    /// Adds an image. If it needs another one, that is the parent of the header that it gives.
    fn push(&mut self, link: Link) -> Result<Option<Header>> {
        if let Some(newest) = self.links.first() {
            if newest.header.page_shift != link.header.page_shift
                || newest.header.machine != link.header.machine
            {
                return Err(anyhow!("{} is of another machine", link.name).into());
            }
        }
        if self.links.len() == MAX_LINKS {
            return Err(anyhow!("the chain has more than {MAX_LINKS} images").into());
        }
        let needs = link.is_incremental().then_some(link.header);
        self.links.push(link);
        Ok(needs)
    }

    /// Where the page of an address space is that an image says is its parent's.
    fn resolve(&self, mut link: usize, mut owner: u32, page: u64) -> Result<Option<Source>> {
        // A run that shares refers to a map before its own, so that this ends.
        loop {
            let Some(at) = self.links.get(link) else {
                let cause = anyhow!("the oldest image of the chain has no parent, and needs one");
                return Err(Error::new(Class::BadImage, cause));
            };
            let Some(run) = at.run(owner, page) else {
                return Ok(None);
            };
            match run.kind {
                memory::RUN_DATA => {
                    let page = run.data + (page - run.start);
                    return Ok(Some(Source { link, page }));
                }
                memory::RUN_PARENT => link += 1,
                _ => (),
            }
            owner = run.data as u32;
        }
    }

    /// The runs of a page map of the newest image, and where the pages are that it has data for.
    fn merge_runs(&self, runs: &[PageRun], sources: &mut Vec<Source>) -> Result<Vec<PageRun>> {
        let mut merged: Vec<PageRun> = Vec::new();
        for run in runs {
            if run.kind == memory::RUN_SHARED {
                merged.push(*run);
                continue;
            }
            for page in run.start..run.start + u64::from(run.pages) {
                let source = match run.kind {
                    memory::RUN_DATA => Some(Source {
                        link: 0,
                        page: run.data + (page - run.start),
                    }),
                    _ => self.resolve(1, run.data as u32, page)?,
                };
                let Some(source) = source else {
                    continue;
                };
                match merged.last_mut() {
                    Some(last)
                        if last.kind == memory::RUN_DATA
                            && last.start + u64::from(last.pages) == page
                            && last.pages < u32::MAX =>
                    {
                        last.pages += 1;
                    }
                    _ => merged.push(PageRun {
                        start: page,
                        pages: 1,
                        kind: memory::RUN_DATA,
                        data: sources.len() as u64,
                    }),
                }
                sources.push(source);
            }
        }
        Ok(merged)
    }

    /// Writes the image that all of them make; `progress` is told how many bytes of page data
    /// have been written, and how many there will be.
    pub fn write(
        &mut self,
        out: &mut impl Write,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<()> {
        let newest = self.links.first().context("no image")?;
        let mut header = newest.header;
        let mut sources = Vec::new();
        let mut meta = Vec::new();
        for entry in newest.metadata.records() {
            let entry = entry?;
            let mut head = *entry.head;
            let payload = match entry.body.as_any().downcast_ref::<PageMap>() {
                Some(map) => {
                    let old = newest.maps.get(&map.owner.0).map_or(&[][..], Vec::as_slice);
                    let runs = self.merge_runs(old, &mut sources)?;
                    let map = PageMap {
                        runs: u32::try_from(runs.len()).context("too many runs")?,
                        ..*map
                    };
                    Cow::Owned([map.as_bytes(), runs.as_bytes()].concat())
                }
                None => Cow::Borrowed(entry.payload),
            };
            head.len = u32::try_from(payload.len()).context("a page map is too long")?;
            meta.extend_from_slice(head.as_bytes());
            meta.extend_from_slice(&payload);
            meta.resize(meta.len().next_multiple_of(RECORD_ALIGN), 0);
        }
        header.flags &= !header::FLAG_INCREMENTAL;
        header.parent_id = 0;
        header.parent_realtime = 0;
        header.data_pages = sources.len() as u64;
        header.meta_len = meta.len() as u64;
        header.meta_crc = crc32fast::hash(&meta);
        header.header_crc = header_crc(&header);
        out.write_all(header.as_bytes())?;
        out.write_all(&meta)?;
        let written = size_of::<Header>() + meta.len();
        let page = 1usize << header.page_shift;
        out.write_all(&vec![0; written.next_multiple_of(page) - written])?;
        let total = (sources.len() * page) as u64;
        let mut done = 0;
        let mut hashes = Vec::new();
        for chunk in sources.chunks(header.chunk_pages as usize) {
            let mut hash = Xxh64::new(0);
            for source in chunk {
                let link = self.links.get_mut(source.link).context("no such image")?;
                let bytes = link.page(source.page)?;
                hash.update(bytes);
                out.write_all(bytes)?;
            }
            hashes.push(hash.digest());
            done += (chunk.len() * page) as u64;
            progress(done, total);
        }
        let trailer = Trailer {
            magic: header::TRAILER_MAGIC,
            chunks: u32::try_from(hashes.len()).context("too much page data")?,
            crc: crc32fast::hash(hashes.as_bytes()),
        };
        out.write_all(trailer.as_bytes())?;
        out.write_all(hashes.as_bytes())?;
        Ok(out.flush()?)
    }
}

fn open(path: &Path) -> Result<File> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    source::seekable(file)
}

/// Whether the file at `path` is the parent of the image with header `of`.
fn fits(path: &Path, of: &Header) -> bool {
    header_of(path).is_some_and(|header| is_parent(&header, of))
}

/// The header of an image, if the file is one.
fn header_of(path: &Path) -> Option<Header> {
    // Not a fifo, which would wait for a writer.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    source::header_of(path).ok()
}

/// Looks for the parent of an image in the folder that the image is in.
fn search(path: &Path, of: &Header) -> Result<PathBuf> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let found = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|candidate| fits(candidate, of));
    found.ok_or_else(|| {
        let cause = anyhow!(
            "{} has only what has changed since image {}, which is not in {}: name it",
            path.display(),
            of.parent_id,
            folder.display()
        );
        Error::new(Class::BadImage, cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::Composer;
    use crate::compose::Shared;

    const PAGE: usize = 4096;

    /// An image of one process with the given runs (first page, pages, kind, data), as checkpoint
    /// `id`, and of a parent if that is not 0.
    fn image(id: u64, parent: u64, runs: &[(u64, u32, u32, u64)], pages: &[u8]) -> Vec<u8> {
        let mut composer = Composer::new();
        let shared: Shared = composer.shared();
        let process = composer.process(100, 0);
        composer.task(100, process, &shared);
        let runs: Vec<PageRun> = runs
            .iter()
            .map(|&(start, pages, kind, data)| PageRun {
                start,
                pages,
                kind,
                data: match kind {
                    memory::RUN_DATA => data,
                    _ => shared.mm.0.into(),
                },
            })
            .collect();
        composer.page_map(shared.mm, &runs);
        for byte in pages {
            composer.page(*byte);
        }
        composer.end(1);
        composer.header.id = id;
        if parent != 0 {
            composer.header.flags = header::FLAG_INCREMENTAL;
            composer.header.parent_id = parent;
            composer.header.parent_realtime = composer.header.realtime;
        }
        composer.image()
    }

    const DATA: u32 = memory::RUN_DATA;
    const PARENT: u32 = memory::RUN_PARENT;

    /// Three images: pages 1, 2, 3; then the second is changed; then the first is gone, a fourth
    /// is there, and the rest is as before.
    fn images() -> [Vec<u8>; 3] {
        [
            image(1, 0, &[(0x10, 3, DATA, 0)], &[1, 2, 3]),
            image(
                2,
                1,
                &[
                    (0x10, 1, PARENT, 0),
                    (0x11, 1, DATA, 0),
                    (0x12, 1, PARENT, 0),
                ],
                &[22],
            ),
            image(3, 2, &[(0x11, 2, PARENT, 0), (0x13, 1, DATA, 0)], &[4]),
        ]
    }

    /// The pages of a merged image, and its runs.
    fn content(bytes: &[u8]) -> (Vec<u8>, Vec<PageRun>) {
        let mut reader = Reader::new(bytes);
        let header = reader.header().unwrap();
        assert_eq!(header.flags, 0);
        let metadata = reader.metadata(&header).unwrap();
        metadata.check_crc().unwrap();
        verify::check(&header, &metadata).unwrap();
        reader.data(&header, |_| ()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut link = Link::open("merged".into(), file, 0).unwrap();
        let pages = (0..header.data_pages)
            .map(|page| {
                let bytes = link.page(page).unwrap();
                assert!(bytes.iter().all(|byte| *byte == bytes[0]) && bytes.len() == PAGE);
                bytes[0]
            })
            .collect();
        (pages, link.maps.into_values().next().unwrap())
    }

    fn merged(chain: &mut Chain) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        chain.write(&mut out, |_, _| ())?;
        Ok(out)
    }

    fn files(images: &[Vec<u8>]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (index, image) in images.iter().enumerate() {
            fs::write(folder.path().join(index.to_string()), image).unwrap();
        }
        folder
    }

    #[test]
    fn a_chain_of_files_makes_one_image() {
        let folder = files(&images());
        let mut chain = Chain::open(&folder.path().join("2"), &[]).unwrap();
        let (pages, runs) = content(&merged(&mut chain).unwrap());
        assert_eq!(pages, [22, 3, 4]);
        let runs: Vec<_> = runs.iter().map(|run| (run.start, run.pages)).collect();
        assert_eq!(runs, [(0x11, 3)]);
    }

    #[test]
    fn compressed_parents_will_do() {
        let [a, b, c] = images();
        let packed = zstd::encode_all(a.as_slice(), 3).unwrap();
        let elsewhere = files(&[packed]);
        let folder = files(&[b, c]);
        let open = |parents: &[&Path]| Chain::open(&folder.path().join("1"), parents);
        assert!(open(&[]).is_err());
        let mut chain = open(&[&elsewhere.path().join("0")]).unwrap();
        assert_eq!(content(&merged(&mut chain).unwrap()).0, [22, 3, 4]);
    }

    #[test]
    fn a_stream_of_images_makes_one() {
        let all = |images: &[Vec<u8>], last: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&MAGIC).unwrap();
            for image in images {
                file.write_all(image).unwrap();
            }
            file.write_all(last).unwrap();
            Chain::of_stream("it", &file)
        };
        let images = images();
        let mut chain = all(&images, &LAST).unwrap();
        assert_eq!(content(&merged(&mut chain).unwrap()).0, [22, 3, 4]);
        // Not finished; without the first; nothing.
        assert!(all(&images, &LAST[..4]).is_err());
        assert!(all(&images[1..], &LAST).is_err());
        assert!(all(&[], &LAST).is_err());
    }

    #[test]
    fn what_the_parent_lacks_was_never_touched() {
        let folder = files(&[
            image(1, 0, &[(0x10, 1, DATA, 0)], &[1]),
            image(2, 1, &[(0x10, 2, PARENT, 0)], &[]),
        ]);
        let mut chain = Chain::open(&folder.path().join("1"), &[]).unwrap();
        assert_eq!(content(&merged(&mut chain).unwrap()).0, [1]);
    }

    #[test]
    fn damage_of_a_parent_is_seen() {
        let mut images = images();
        let at = images[0].iter().position(|byte| *byte == 3).unwrap();
        let at = images[0].len() - 2 * PAGE + at % 8;
        images[0][at] ^= 1;
        let folder = files(&images);
        let mut chain = Chain::open(&folder.path().join("2"), &[]).unwrap();
        let error = merged(&mut chain).unwrap_err();
        assert_eq!(error.class, Class::BadImage);
        assert!(error.cause.to_string().contains("chunk 0"), "{error:?}");
    }
}
