// SPDX-License-Identifier: GPL-2.0

//! The CRC of Ethernet and zlib.
//!
//! C header: [`include/linux/crc32.h`](srctree/include/linux/crc32.h)

use kernel::bindings;

/// CRC32 (IEEE) of the bytes.
pub(crate) fn crc32(data: &[u8]) -> u32 {
    crc32_continue(0, data)
}

/// CRC32 (IEEE) of what `crc` covers and the bytes after it.
pub(crate) fn crc32_continue(crc: u32, data: &[u8]) -> u32 {
    // SAFETY: `data` is valid for its length.
    !unsafe { bindings::crc32_le(!crc, data.as_ptr().cast(), data.len()) }
}
