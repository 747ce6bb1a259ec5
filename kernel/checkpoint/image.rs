// SPDX-License-Identifier: GPL-2.0

//! Framing: metadata is collected in memory, checked as a whole, and read forward only.

use crate::error::Result;
use crate::format::header;
use crate::format::Header;
use crate::format::ObjRef;
use crate::format::Record;
use crate::format::RecordHeader;
use crate::format::RECORD_ALIGN;
use crate::sys;
use crate::sys::stream::InStream;
use kernel::alloc::allocator::KVmalloc;
use kernel::alloc::Vec;
use kernel::prelude::*;

/// Bytes that may be many.
pub(crate) type Bytes = Vec<u8, KVmalloc>;

/// Collects the metadata of an image.
pub(crate) struct Writer {
    bytes: Bytes,
    objects: u32,
}

impl Writer {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            objects: 0,
        }
    }

    /// Nothing yet, with room for so many bytes if there is memory for them.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self {
            bytes: Bytes::with_capacity(bytes, GFP_KERNEL | __GFP_NOWARN).unwrap_or_default(),
            objects: 0,
        }
    }

    /// How many objects have a number.
    pub(crate) fn objects(&self) -> u32 {
        self.objects
    }

    /// Appends a record that defines no object. The tail is the concatenation of `tail`.
    pub(crate) fn record<T: Record>(&mut self, fixed: &T, tail: &[&[u8]]) -> Result {
        self.append(ObjRef::NONE, fixed, tail)
    }

    /// Appends a record that defines the next object, and gives its number.
    pub(crate) fn object<T: Record>(&mut self, fixed: &T, tail: &[&[u8]]) -> Result<ObjRef> {
        let object = ObjRef(self.objects.checked_add(1).ok_or(EOVERFLOW)?);

        self.append(object, fixed, tail)?;
        self.objects = object.0;
        Ok(object)
    }

    fn append<T: Record>(&mut self, object: ObjRef, fixed: &T, tail: &[&[u8]]) -> Result {
        let len = tail
            .iter()
            .try_fold(size_of::<T>(), |len, part| len.checked_add(part.len()))
            .and_then(|len| u32::try_from(len).ok())
            .ok_or(EOVERFLOW)?;
        let head = RecordHeader {
            kind: T::KIND,
            version: T::VERSION,
            len,
            object,
            reserved: 0,
        };

        self.bytes.extend_from_slice(head.as_bytes(), GFP_KERNEL)?;
        self.bytes.extend_from_slice(fixed.as_bytes(), GFP_KERNEL)?;
        for part in tail {
            self.bytes.extend_from_slice(part, GFP_KERNEL)?;
        }
        let padded = self
            .bytes
            .len()
            .checked_next_multiple_of(RECORD_ALIGN)
            .ok_or(EOVERFLOW)?;
        self.bytes.resize(padded, 0, GFP_KERNEL)?;
        Ok(())
    }

    /// All of the metadata.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Fills in what only the finished metadata tells, and the CRCs.
pub(crate) fn seal(header: &mut Header, metadata: &[u8]) {
    header.meta_len = metadata.len() as u64;
    header.meta_crc = sys::crc::crc32(metadata);
    header.header_crc = 0;
    header.header_crc = sys::crc::crc32(header.as_bytes());
}

/// Bytes of zeros between `len` bytes of header and metadata and the page data.
pub(crate) fn padding(len: u64) -> Result<usize> {
    let page = sys::page::SIZE as u64;

    Ok(usize::try_from(
        len.checked_next_multiple_of(page)
            .and_then(|end| end.checked_sub(len))
            .ok_or(EINVAL)?,
    )
    .map_err(|_| EINVAL)?)
}

/// A record of an image: where its fixed part and its tail are.
#[derive(Clone, Copy)]
pub(crate) struct RawRecord<'a> {
    pub(crate) kind: u16,
    pub(crate) version: u16,
    pub(crate) object: ObjRef,
    start: usize,
    body: &'a [u8],
}

impl<'a> RawRecord<'a> {
    /// A record that was read before, where [`RawRecord::span`] says that it is.
    pub(crate) fn at(
        metadata: &'a [u8],
        kind: u16,
        version: u16,
        object: ObjRef,
        start: usize,
        len: usize,
    ) -> Result<Self> {
        let end = start.checked_add(len).ok_or(EINVAL)?;

        Ok(Self {
            kind,
            version,
            object,
            start,
            body: metadata.get(start..end).ok_or(EINVAL)?,
        })
    }

    /// Where in the metadata the fixed part starts, and how many bytes it has with the tail.
    pub(crate) fn span(&self) -> (usize, usize) {
        (self.start, self.body.len())
    }

    /// The fixed part and the tail. `EINVAL`: it is of another kind or version, or too short.
    pub(crate) fn parse<T: Record>(&self) -> Result<(T, &'a [u8])> {
        if self.kind != T::KIND || self.version != T::VERSION {
            return Err(EINVAL.into());
        }
        Ok(T::read_from_prefix(self.body).map_err(|_| EINVAL)?)
    }
}

/// Reads a head of an image and all of its metadata, and checks the CRCs.
///
/// Memory grows with what really arrives, never with what the header claims.
pub(crate) fn read_metadata(stream: &mut InStream) -> Result<(Header, Bytes)> {
    const STEP: usize = 1 << 20;
    let mut raw = [0u8; size_of::<Header>()];

    stream.read_exact(&mut raw)?;
    let header = Header::read_from_bytes(&raw).map_err(|_| EINVAL)?;
    check_header(&header)?;

    let len = usize::try_from(header.meta_len).map_err(|_| EINVAL)?;
    let mut bytes = Bytes::new();

    while bytes.len() < len {
        let old = bytes.len();
        // What has arrived may be copied when there is more: that shall not be often.
        let new = old.checked_add(old.max(STEP)).ok_or(EINVAL)?.min(len);

        bytes.resize(new, 0, GFP_KERNEL)?;
        stream.read_exact(bytes.get_mut(old..).ok_or(EINVAL)?)?;
    }
    if sys::crc::crc32(&bytes) != header.meta_crc {
        return Err(EBADMSG.into());
    }
    Ok((header, bytes))
}

fn check_header(header: &Header) -> Result {
    let unsealed = Header {
        header_crc: 0,
        ..*header
    };

    if header.magic != header::MAGIC
        || header.byte_order != header::BYTE_ORDER
        || header.format != header::FORMAT
    {
        return Err(EINVAL.into());
    }
    if sys::crc::crc32(unsealed.as_bytes()) != header.header_crc {
        return Err(EBADMSG.into());
    }
    if header.meta_len > header::META_MAX
        || header.page_shift != sys::page::SHIFT
        || header.machine != crate::arch::MACHINE
        || header.mode > header::MODE_SELF
        || header.flags & !(header::FLAG_FAILED | header::FLAG_INCREMENTAL) != 0
        || header.chunk_pages != header::CHUNK_PAGES
        || header.reserved != 0
        || header.reserved2 != [0; 2]
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// The records of an image, one after the other.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// From the first record on.
    pub(crate) fn new(metadata: &'a [u8]) -> Self {
        Self {
            rest: metadata,
            position: 0,
        }
    }

    /// Offset in the metadata of the next record.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(EINVAL)?;

        self.rest = rest;
        self.position = self.position.checked_add(len).ok_or(EINVAL)?;
        Ok(head)
    }

    /// The next record; none at the end. `EINVAL`: the framing is broken.
    pub(crate) fn next_record(&mut self) -> Result<Option<RawRecord<'a>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let head = RecordHeader::read_from_bytes(self.take(size_of::<RecordHeader>())?)
            .map_err(|_| EINVAL)?;
        let len = head.len as usize;
        let start = self.position;
        let body = self.take(len)?;
        let padding = len
            .checked_next_multiple_of(RECORD_ALIGN)
            .and_then(|padded| padded.checked_sub(len))
            .ok_or(EINVAL)?;

        if head.reserved != 0 || self.take(padding)?.iter().any(|&byte| byte != 0) {
            return Err(EINVAL.into());
        }
        Ok(Some(RawRecord {
            kind: head.kind,
            version: head.version,
            object: head.object,
            start,
            body,
        }))
    }
}

/// Splits `count` values of plain data off the front of a tail.
pub(crate) fn split<T: FromBytes + Copy>(tail: &[u8], count: u32) -> Result<(KVVec<T>, &[u8])> {
    let bytes = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(size_of::<T>()))
        .ok_or(EINVAL)?;
    let (head, rest) = tail.split_at_checked(bytes).ok_or(EINVAL)?;
    let mut values = KVVec::with_capacity(count as usize, GFP_KERNEL)?;

    for chunk in head.chunks_exact(size_of::<T>()) {
        values.push(T::read_from_bytes(chunk).map_err(|_| EINVAL)?, GFP_KERNEL)?;
    }
    Ok((values, rest))
}

/// All of a tail as `count` values of plain data.
pub(crate) fn all<T: FromBytes + Copy>(tail: &[u8], count: u32) -> Result<KVVec<T>> {
    match split(tail, count)? {
        (values, []) => Ok(values),
        _ => Err(EINVAL.into()),
    }
}

#[cfg(CONFIG_CHECKPOINT_KUNIT_TEST)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#[kunit_tests(checkpoint_image)]
mod tests {
    use super::*;
    use crate::format::End;

    /// Metadata of one record without an object and two objects with tails.
    fn metadata() -> Result<Writer> {
        let mut writer = Writer::new();
        let end = End {
            objects: 2,
            tasks: 0,
        };

        writer.record(&end, &[])?;
        writer.object(&end, &[b"abc", b"de"])?;
        writer.object(&end, &[b"12345678"])?;
        Ok(writer)
    }

    #[test]
    fn what_is_written_is_read() -> core::result::Result<(), kernel::error::Error> {
        let writer = metadata().map_err(|error| error.errno())?;
        let mut reader = Reader::new(writer.bytes());
        let mut seen = 0u32;

        while let Some(record) = reader.next_record().map_err(|error| error.errno())? {
            let (end, tail) = record.parse::<End>().map_err(|error| error.errno())?;

            assert_eq!(end.objects, 2);
            assert_eq!(record.object, ObjRef(seen));
            assert_eq!(tail, [b"".as_slice(), b"abcde", b"12345678"][seen as usize]);
            seen = seen.saturating_add(1);
        }
        assert_eq!(seen, 3);
        assert_eq!(writer.objects(), 2);
        assert_eq!(reader.position(), writer.bytes().len());
        Ok(())
    }

    #[test]
    fn every_truncation_is_an_error() -> core::result::Result<(), kernel::error::Error> {
        let writer = metadata().map_err(|error| error.errno())?;
        let bytes = writer.bytes();
        // Where a record ends, nothing is missing.
        let ends = [0, 24, 24 + 32, bytes.len()];

        for len in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..len]);
            let result = loop {
                match reader.next_record() {
                    Ok(Some(_)) => (),
                    Ok(None) => break true,
                    Err(_) => break false,
                }
            };

            assert_eq!(result, ends.contains(&len));
        }
        Ok(())
    }

    #[test]
    fn padding_and_reserved_fields_are_zero() -> core::result::Result<(), kernel::error::Error> {
        let writer = metadata().map_err(|error| error.errno())?;

        // The padding of the second record, and the reserved field of the first.
        for position in [24 + 16 + 8 + 5, 12] {
            let mut bytes = Bytes::new();

            bytes.extend_from_slice(writer.bytes(), GFP_KERNEL)?;
            bytes[position] = 1;
            let mut reader = Reader::new(&bytes);
            let broken = (0..3).any(|_| reader.next_record().is_err());

            assert!(broken);
        }
        Ok(())
    }

    #[test]
    fn a_record_of_another_kind_is_not_parsed() -> core::result::Result<(), kernel::error::Error> {
        let writer = metadata().map_err(|error| error.errno())?;
        let mut reader = Reader::new(writer.bytes());
        let record = reader
            .next_record()
            .map_err(|error| error.errno())?
            .ok_or(EINVAL)?;

        assert!(record.parse::<crate::format::Failure>().is_err());
        assert!(record.parse::<crate::format::task::Task>().is_err());
        Ok(())
    }

    #[test]
    fn counts_have_to_match_the_tail() {
        assert!(all::<u32>(&[0; 8], 2).is_ok());
        assert!(all::<u32>(&[0; 8], 1).is_err());
        assert!(all::<u32>(&[0; 8], 3).is_err());
        assert!(all::<u64>(&[0; 8], u32::MAX).is_err());
    }

    #[test]
    fn padding_goes_up_to_a_page() {
        let page = sys::page::SIZE as u64;

        assert!(padding(0).is_ok_and(|n| n == 0));
        assert!(padding(1).is_ok_and(|n| n as u64 == page - 1));
        assert!(padding(page).is_ok_and(|n| n == 0));
        assert!(padding(u64::MAX).is_err());
    }

    #[test]
    fn a_header_is_sealed_by_its_crc() -> core::result::Result<(), kernel::error::Error> {
        let writer = metadata().map_err(|error| error.errno())?;
        let mut header = crate::save::new_header(header::MODE_SUBTREE, sys::time::now());

        seal(&mut header, writer.bytes());
        assert!(check_header(&header).is_ok());
        for (index, _) in header.as_bytes().iter().enumerate() {
            let mut damaged = header;

            damaged.as_mut_bytes()[index] ^= 0x10;
            assert!(check_header(&damaged).is_err());
        }
        Ok(())
    }
}
