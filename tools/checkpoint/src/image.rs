// SPDX-License-Identifier: GPL-2.0

//! Reads an image from a stream, and refuses one that is damaged.
//!
//! Three steps in the order of the stream: [`Reader::header`], [`Reader::metadata`] and
//! [`Reader::data`]. Nothing here knows what a record means: that is [`crate::kind`] for one by
//! itself and [`crate::verify`] for all of them together.
//!
//! The image is hostile input: a length is believed only as far as bytes arrive.

use std::fmt;
use std::io;
use std::io::Read;

use xxhash_rust::xxh64::Xxh64;
use zerocopy::FromBytes;
use zerocopy::FromZeros;
use zerocopy::IntoBytes;

use crate::chain;
use crate::format::header;
use crate::format::Header;
use crate::format::Record;
use crate::format::RecordHeader;
use crate::format::Trailer;
use crate::format::RECORD_ALIGN;
use crate::kind::Kind;

/// Bytes that are asked for at once.
const STEP: usize = 1 << 20;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Offset of its header in the image.
    pub offset: u64,
    /// Its number, from 1.
    pub number: usize,
    /// The name of its kind, if that is known.
    pub name: &'static str,
}

/// What is wrong with an image.
#[derive(Debug, PartialEq)]
pub struct Problem {
    /// Offset in the image.
    pub offset: u64,
    /// The record that it is about: its number, from 1, and its kind.
    pub record: Option<(usize, &'static str)>,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    fn at(offset: u64, message: impl Into<String>) -> Problem {
        Problem {
            offset,
            record: None,
            message: message.into(),
        }
    }

    /// A problem of the record at `place`.
    pub fn of(place: Place, message: impl Into<String>) -> Problem {
        Problem {
            offset: place.offset,
            record: Some((place.number, place.name)),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {:#x}: ", self.offset)?;
        match self.record {
            Some((number, "")) => write!(f, "record {number}: ")?,
            Some((number, name)) => write!(f, "record {number} ({name}): ")?,
            None => (),
        }
        f.write_str(&self.message)
    }
}

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image is damaged, or not for us.
    #[error("{0}")]
    Bad(Problem),
    /// The file or the pipe that it is in failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Error {
        Error::Bad(problem)
    }
}

type Result<T> = std::result::Result<T, Error>;

/// Reads an image from its first byte to its last.
pub struct Reader<R> {
    input: R,
    offset: u64,
}

impl<R: Read> Reader<R> {
    /// An image that starts at the next byte of `input`.
    pub fn new(input: R) -> Reader<R> {
        Reader { input, offset: 0 }
    }

    /// Fills `buf` with the next bytes, which are a part of `what`.
    fn fill(&mut self, buf: &mut [u8], what: &str) -> Result<()> {
        let mut rest = &mut buf[..];
        while !rest.is_empty() {
            match self.input.read(rest) {
                Ok(0) => {
                    return Err(Problem::at(
                        self.offset,
                        format!("the image is cut off in the {what}"),
                    )
                    .into())
                }
                Ok(n) => {
                    self.offset += n as u64;
                    rest = &mut rest[n..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads and checks the header.
    pub fn header(&mut self) -> Result<Header> {
        let mut header = Header::new_zeroed();
        self.fill(header.as_mut_bytes(), "header")?;
        check_header(&header).map_err(|message| Problem::at(0, message))?;
        Ok(header)
    }

    /// Reads the metadata, whether its CRC is right or not: see [`Metadata::check_crc`].
    pub fn metadata(&mut self, header: &Header) -> Result<Metadata> {
        let base = self.offset;
        let mut words: Vec<u64> = Vec::new();
        let mut left = header.meta_len as usize;
        while left > 0 {
            let step = left.min(STEP);
            let from = words.len();
            words.resize(from + step / RECORD_ALIGN, 0);
            self.fill(words[from..].as_mut_bytes(), "metadata")?;
            left -= step;
        }
        Ok(Metadata {
            words,
            base,
            crc: header.meta_crc,
        })
    }

    /// Reads and checks what follows the metadata; `progress` is told how many bytes of page data
    /// have been read so far.
    pub fn data(&mut self, header: &Header, mut progress: impl FnMut(u64)) -> Result<()> {
        let page = 1u64 << header.page_shift;
        let mut gap = vec![0; (self.offset.next_multiple_of(page) - self.offset) as usize];
        let start = self.offset;
        self.fill(&mut gap, "padding before the page data")?;
        if let Some(at) = gap.iter().position(|byte| *byte != 0) {
            return Err(Problem::at(start + at as u64, "padding is not zero").into());
        }

        let chunk = u64::from(header.chunk_pages) * page;
        let mut left = header.data_pages * page;
        let mut total = 0;
        let mut found = Vec::new();
        let mut buf = vec![0; STEP.min(left as usize)];
        while left > 0 {
            let mut hash = Xxh64::new(0);
            let mut part = left.min(chunk);
            left -= part;
            while part > 0 {
                let step = part.min(buf.len() as u64) as usize;
                self.fill(&mut buf[..step], "page data")?;
                hash.update(&buf[..step]);
                part -= step as u64;
                total += step as u64;
                progress(total);
            }
            found.push(hash.digest());
        }
        self.trailer(&found, start + gap.len() as u64, chunk)
    }

    /// Reads and checks the trailer, which has the hashes of so many `chunks` of page data.
    pub fn hashes(&mut self, chunks: u64) -> Result<Vec<u64>> {
        let start = self.offset;
        let mut trailer = Trailer::new_zeroed();
        self.fill(trailer.as_mut_bytes(), "trailer")?;
        let bad = |message: String| Err(Problem::at(start, message).into());
        if trailer.magic != header::TRAILER_MAGIC {
            return bad("no trailer after the page data".into());
        }
        if u64::from(trailer.chunks) != chunks {
            return bad(format!(
                "the trailer has {} hashes, not {chunks}",
                trailer.chunks
            ));
        }
        let mut hashes: Vec<u64> = Vec::new();
        let mut left = chunks as usize;
        while left > 0 {
            let step = left.min(STEP / size_of::<u64>());
            let from = hashes.len();
            hashes.resize(from + step, 0);
            self.fill(hashes[from..].as_mut_bytes(), "trailer")?;
            left -= step;
        }
        if crc32fast::hash(hashes.as_bytes()) != trailer.crc {
            return bad("the CRC of the trailer is wrong".into());
        }
        Ok(hashes)
    }

    /// Reads the trailer and compares it with the hashes that were `found`.
    fn trailer(&mut self, found: &[u64], data: u64, chunk: u64) -> Result<()> {
        let hashes = self.hashes(found.len() as u64)?;
        for (index, (expected, found)) in hashes.iter().zip(found).enumerate() {
            if expected != found {
                let offset = data + index as u64 * chunk;
                return Err(Problem::at(
                    offset,
                    format!(
                        "page data, chunk {index}: its hash is {found:016x}, not {expected:016x}"
                    ),
                )
                .into());
            }
        }
        self.end()
    }

    /// Checks that the image ends here.
    pub fn end(&mut self) -> Result<()> {
        let at = self.offset;
        match self.fill(&mut [0], "end") {
            Err(Error::Bad(_)) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(Problem::at(at, "there are bytes after the end of the image").into()),
        }
    }
}

/// The CRC that the header should have.
pub fn header_crc(header: &Header) -> u32 {
    let mut blank = *header;
    blank.header_crc = 0;
    crc32fast::hash(blank.as_bytes())
}

fn check_header(header: &Header) -> std::result::Result<(), String> {
    if header.magic == chain::MAGIC {
        return Err("these are several images; `cr merge` makes one of them".into());
    }
    if header.magic != header::MAGIC {
        return Err("this is not an image: it does not start with \"LinuxCR\"".into());
    }
    if header.byte_order == header::BYTE_ORDER.swap_bytes() {
        return Err("the image was written by a machine of the other byte order".into());
    }
    if header.byte_order != header::BYTE_ORDER {
        return Err(format!("byte order {:#x} is unknown", header.byte_order));
    }
    if header.format != header::FORMAT {
        return Err(format!(
            "the image has format {}; this cr knows format {}",
            header.format,
            header::FORMAT
        ));
    }
    let crc = header_crc(header);
    if crc != header.header_crc {
        return Err(format!(
            "the CRC of the header is {crc:08x}, not {:08x}",
            header.header_crc
        ));
    }
    if header.meta_len > header::META_MAX || header.meta_len % RECORD_ALIGN as u64 != 0 {
        return Err(format!("impossible metadata length {}", header.meta_len));
    }
    if !(12..=18).contains(&header.page_shift) {
        return Err(format!("impossible page shift {}", header.page_shift));
    }
    if header.data_pages > (i64::MAX as u64) >> header.page_shift {
        return Err(format!("impossible number of pages {}", header.data_pages));
    }
    if header.mode > header::MODE_SELF {
        return Err(format!("mode {} is unknown", header.mode));
    }
    if header.flags & !(header::FLAG_FAILED | header::FLAG_INCREMENTAL) != 0 {
        return Err(format!("flags {:#x} are unknown", header.flags));
    }
    if header.chunk_pages != header::CHUNK_PAGES {
        return Err(format!("impossible chunks of {} pages", header.chunk_pages));
    }
    if header.reserved != 0 || header.reserved2 != [0; 2] {
        return Err("reserved fields are not zero".into());
    }
    Ok(())
}

/// The metadata of an image.
pub struct Metadata {
    /// Aligned as records are.
    words: Vec<u64>,
    base: u64,
    crc: u32,
}

impl Metadata {
    /// Checks the CRC.
    pub fn check_crc(&self) -> std::result::Result<(), Problem> {
        let found = crc32fast::hash(self.words.as_bytes());
        if found == self.crc {
            return Ok(());
        }
        Err(Problem::at(
            self.base,
            format!(
                "the CRC of the metadata is {found:08x}, not {:08x}",
                self.crc
            ),
        ))
    }

    /// Every record, in order, up to the first that cannot be read.
    pub fn records(&self) -> Records<'_> {
        Records {
            rest: self.words.as_bytes(),
            offset: self.base,
            number: 0,
        }
    }
}

/// A record of an image.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Where it stands.
    pub place: Place,
    /// Kind, version, length and object number.
    pub head: &'a RecordHeader,
    /// Its fixed part and its tail, as bytes.
    pub payload: &'a [u8],
    /// Its fixed part.
    pub body: &'a dyn Kind,
    /// Its tail.
    pub tail: &'a [u8],
}

/// Iterates over the records of a [`Metadata`].
pub struct Records<'a> {
    rest: &'a [u8],
    offset: u64,
    number: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = std::result::Result<Entry<'a>, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        self.number += 1;
        let mut place = Place {
            offset: self.offset,
            number: self.number,
            name: "",
        };
        match split(rest, &mut place) {
            Ok((entry, rest, size)) => {
                self.rest = rest;
                self.offset += size;
                Some(Ok(entry))
            }
            Err(message) => Some(Err(Problem::of(place, message))),
        }
    }
}

/// Takes the first record off `bytes`; returns it, what follows it, and its size with padding.
fn split<'a>(
    bytes: &'a [u8],
    place: &mut Place,
) -> std::result::Result<(Entry<'a>, &'a [u8], u64), String> {
    let (head, rest) =
        RecordHeader::ref_from_prefix(bytes).map_err(|_| "the metadata ends in its header")?;
    let padded = (head.len as u64).next_multiple_of(RECORD_ALIGN as u64);
    if padded > rest.len() as u64 {
        return Err(format!(
            "it is {} bytes long, but the metadata ends after {}",
            head.len,
            rest.len()
        ));
    }
    let (padded, rest) = rest.split_at(padded as usize);
    let (payload, padding) = padded.split_at(head.len as usize);
    let (name, body, tail) = view(head, payload)?;
    place.name = name;
    if head.reserved != 0 {
        return Err("reserved fields are not zero".into());
    }
    if padding.iter().any(|byte| *byte != 0) {
        return Err("its padding is not zero".into());
    }
    let size = (size_of::<RecordHeader>() + padded.len()) as u64;
    let entry = Entry {
        place: *place,
        head,
        payload,
        body,
        tail,
    };
    Ok((entry, rest, size))
}

type View<'a> = (&'static str, &'a dyn Kind, &'a [u8]);

/// `payload` as the fixed part of `T` and its tail.
fn view_as<'a, T: Kind + Record>(
    head: &RecordHeader,
    payload: &'a [u8],
) -> std::result::Result<View<'a>, String> {
    if head.version != T::VERSION {
        return Err(format!(
            "version {} of {}; this cr knows version {}",
            head.version,
            T::NAME,
            T::VERSION
        ));
    }
    let (body, tail) = T::ref_from_prefix(payload)
        .map_err(|_| format!("{} bytes are too few for a {}", payload.len(), T::NAME))?;
    Ok((T::NAME, body, tail))
}

macro_rules! define_view {
    ($($($segment:ident)::+),* $(,)?) => {
        /// `payload` as what the header says that it is.
        fn view<'a>(
            head: &RecordHeader,
            payload: &'a [u8],
        ) -> std::result::Result<View<'a>, String> {
            match head.kind {
                $(<crate::format::$($segment)::+ as Record>::KIND => {
                    view_as::<crate::format::$($segment)::+>(head, payload)
                })*
                kind => Err(format!(
                    "kind {kind:#x} is unknown; the image may be of a newer kernel than this cr"
                )),
            }
        }
    };
}
for_each_record!(define_view);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::Composer;
    use crate::format::ObjRef;

    fn read(bytes: &[u8]) -> Result<usize> {
        let mut reader = Reader::new(bytes);
        let header = reader.header()?;
        let metadata = reader.metadata(&header)?;
        metadata.check_crc()?;
        let count = metadata
            .records()
            .collect::<std::result::Result<Vec<_>, _>>()?
            .len();
        reader.data(&header, |_| ())?;
        Ok(count)
    }

    fn problem(bytes: &[u8]) -> String {
        match read(bytes) {
            Err(Error::Bad(problem)) => problem.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// An image whose header was changed and is otherwise right.
    fn with_header(change: impl FnOnce(&mut Header)) -> Vec<u8> {
        let mut bytes = Composer::small().image();
        let (mut header, _) = Header::read_from_prefix(&bytes).unwrap();
        change(&mut header);
        header.header_crc = header_crc(&header);
        bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        bytes
    }

    #[test]
    fn a_small_image_is_read() {
        assert!(read(&Composer::small().image()).unwrap() > 10);
    }

    #[test]
    fn every_cut_is_seen() {
        let image = Composer::small().image();
        for len in 0..image.len() {
            assert!(problem(&image[..len]).contains("cut off"), "{len}");
        }
    }

    #[test]
    fn every_flipped_byte_is_seen() {
        let image = Composer::small().image();
        for at in 0..image.len() {
            let mut bad = image.clone();
            bad[at] ^= 0x10;
            problem(&bad);
        }
    }

    #[test]
    fn bytes_after_the_end_are_seen() {
        let mut image = Composer::small().image();
        image.push(0);
        assert!(problem(&image).contains("after the end"));
    }

    #[test]
    fn headers_are_checked() {
        type Change = fn(&mut Header);
        let table: [(Change, &str); 9] = [
            (|h| h.magic[0] = b'l', "not an image"),
            (
                |h| h.byte_order = h.byte_order.swap_bytes(),
                "other byte order",
            ),
            (|h| h.byte_order = 7, "byte order 0x7"),
            (|h| h.format = 9, "format 9"),
            (|h| h.meta_len = 1 << 40, "metadata length"),
            (|h| h.page_shift = 3, "page shift 3"),
            (|h| h.data_pages = u64::MAX, "number of pages"),
            (|h| h.mode = 8, "mode 8"),
            (|h| h.reserved2[1] = 1, "reserved"),
        ];
        for (change, message) in table {
            let found = problem(&with_header(change));
            assert!(found.contains(message), "{found}");
        }
    }

    #[test]
    fn a_hostile_length_allocates_nothing() {
        let image = with_header(|h| h.meta_len = header::META_MAX);
        assert!(problem(&image).contains("cut off in the metadata"));
    }

    #[test]
    fn records_are_checked() {
        let head = |kind, version, len| RecordHeader {
            kind,
            version,
            len,
            object: ObjRef::NONE,
            reserved: 0,
        };
        let table: [(RecordHeader, &str); 4] = [
            (head(0x7777, 1, 8), "kind 0x7777 is unknown"),
            (head(2, 9, 8), "version 9 of End"),
            (head(2, 1, 4), "too few for a End"),
            (head(2, 1, 4096), "metadata ends after"),
        ];
        for (head, message) in table {
            let mut composer = Composer::new();
            composer.raw(head.as_bytes());
            composer.raw(&[0; 8]);
            let found = problem(&composer.image());
            assert!(found.contains(message), "{found}");
            assert!(found.starts_with("offset 0xc0: record 1"), "{found}");
        }
    }
}
