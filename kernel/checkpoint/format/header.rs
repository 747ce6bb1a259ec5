// SPDX-License-Identifier: GPL-2.0

//! The head of an image, which says whether it can be read here at all, and its end.

/// The first bytes of every image.
pub const MAGIC: [u8; 8] = *b"LinuxCR\0";

/// [`Header::byte_order`] as the writing machine stores it.
pub const BYTE_ORDER: u32 = 0x0102_0304;

/// [`Header::format`]: changes when the framing does, which is hoped to be never.
pub const FORMAT: u32 = 1;

/// [`Header::mode`]: the root is a container's init.
pub const MODE_CONTAINER: u32 = 0;
/// [`Header::mode`]: the root is any task, saved with its descendants.
pub const MODE_SUBTREE: u32 = 1;
/// [`Header::mode`]: a single task that saved itself.
pub const MODE_SELF: u32 = 2;

/// [`Header::flags`]: the checkpoint failed; the metadata is one [`super::Failure`].
pub const FLAG_FAILED: u32 = 1;
/// [`Header::flags`]: some pages are in another image, the parent, that was written before.
pub const FLAG_INCREMENTAL: u32 = 2;

/// Pages that one CRC of the trailer covers.
pub const CHUNK_PAGES: u32 = 256;

/// The largest metadata that a reader accepts, in bytes.
pub const META_MAX: u64 = 1 << 28;

plain! {
    /// The first bytes of an image.
    pub struct Header: size 192 {
        /// [`MAGIC`].
        pub magic: [u8; 8],
        /// [`BYTE_ORDER`] in the byte order of the machine that wrote the image.
        pub byte_order: u32,
        /// [`FORMAT`].
        pub format: u32,
        /// CRC32 (IEEE) of the header with this field zero.
        pub header_crc: u32,
        /// CRC32 (IEEE) of the metadata.
        pub meta_crc: u32,
        /// Bytes of metadata, which starts right after this header.
        pub meta_len: u64,
        /// The ELF machine of the tasks (`EM_*`).
        pub machine: u32,
        /// Log2 of the page size.
        pub page_shift: u32,
        /// One of the `MODE_*`.
        pub mode: u32,
        /// `FLAG_*`.
        pub flags: u32,
        /// How many pages of data follow the metadata. They start at the next multiple of the
        /// page size, counted from the first byte of the header; zeros fill the gap.
        pub data_pages: u64,
        /// The number that the system call returned.
        pub id: u64,
        /// When the tree was frozen: CLOCK_REALTIME, in ns.
        pub realtime: i64,
        /// The same moment: CLOCK_MONOTONIC, in ns.
        pub monotonic: i64,
        /// The same moment: CLOCK_BOOTTIME, in ns.
        pub boottime: i64,
        /// Fingerprint of the kernel configuration that the image depends on.
        pub config: u64,
        /// Release of the kernel that wrote the image, padded with zeros.
        pub release: [u8; 64],
        /// [`CHUNK_PAGES`].
        pub chunk_pages: u32,
        /// Zero.
        pub reserved: u32,
        /// [`Header::id`] of the parent ([`FLAG_INCREMENTAL`]), or zero.
        pub parent_id: u64,
        /// [`Header::realtime`] of the parent, or zero.
        pub parent_realtime: i64,
        /// Zero.
        pub reserved2: [u32; 2],
    }
}

/// The first bytes of every trailer.
pub const TRAILER_MAGIC: [u8; 8] = *b"EndOfCR\0";

plain! {
    /// What follows the page data; then a `u64` hash (XXH64) per chunk of [`CHUNK_PAGES`] pages.
    pub struct Trailer: size 16 {
        /// [`TRAILER_MAGIC`].
        pub magic: [u8; 8],
        /// How many hashes follow.
        pub chunks: u32,
        /// CRC32 of those hashes.
        pub crc: u32,
    }
}
