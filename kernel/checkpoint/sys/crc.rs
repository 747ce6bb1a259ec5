// SPDX-License-Identifier: GPL-2.0

//! The CRC of Ethernet and zlib.
//!
//! C header: [`include/linux/crc32.h`](srctree/include/linux/crc32.h)

use kernel::bindings;

/// CRC32 (IEEE) of the bytes.
pub(crate) fn crc32(data: &[u8]) -> u32 {
    // SAFETY: `data` is valid for its length.
    !unsafe { bindings::crc32_le(!0, data.as_ptr().cast(), data.len()) }
}
