// SPDX-License-Identifier: GPL-2.0

//! The extended state: x87, SSE, AVX and what else XSAVE saves.
//!
//! The register set is the XSAVE area of this CPU in the standard format. Which components it has
//! room for, and where, differs from CPU to CPU. So an image has the components by their numbers, and
//! only those that hold something: it can be restarted by any CPU that has these. A component that
//! holds zeros is in its initial state.
//!
//! C functions: `copy_xstate_to_uabi_buf()`, `copy_uabi_to_xstate()`

use crate::error::Result;
use crate::sys;
use kernel::bindings;
use kernel::prelude::*;

/// Bytes of the x87 and SSE state, which every area begins with.
const LEGACY: usize = 512;
/// Where that has what the kernel tells of the size of the area, which is not state. Behind it is the
/// header, which begins with the components that are in use.
const RESERVED: usize = 464;
/// The number of the first component that is not in the legacy area.
const EXTENDED: u32 = 2;
/// The components that may be in use.
const COMPONENTS: u32 = 63;
/// More than any component has.
const SIZE_MAX: usize = 1 << 14;
/// What a component of an image begins with: its number and its bytes.
const HEAD: usize = 8;

fn word(data: &[u8], at: usize) -> Option<u64> {
    let bytes = data.get(at..)?.first_chunk()?;

    Some(u64::from_ne_bytes(*bytes))
}

/// The components of a register set in an image, and the legacy area.
struct Packed<'a> {
    /// Those that are in use.
    used: u64,
    legacy: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Packed<'a> {
    fn new(data: &'a [u8]) -> Result<Self> {
        let (used, data) = data.split_first_chunk().ok_or(EINVAL)?;
        let (legacy, rest) = data.split_at_checked(LEGACY).ok_or(EINVAL)?;

        Ok(Self {
            used: u64::from_ne_bytes(*used),
            legacy,
            rest,
        })
    }

    /// The next extended component: its number and what it holds.
    fn next(&mut self) -> Result<Option<(u32, &'a [u8])>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (head, rest) = self.rest.split_first_chunk::<HEAD>().ok_or(EINVAL)?;
        let [a, b, c, d, e, f, g, h] = *head;
        let number = u32::from_ne_bytes([a, b, c, d]);
        let size = u32::from_ne_bytes([e, f, g, h]) as usize;

        if !(EXTENDED..COMPONENTS).contains(&number)
            || self.used & 1 << number == 0
            || size > SIZE_MAX
        {
            return Err(EINVAL.into());
        }
        let (data, _) = rest.split_at_checked(size).ok_or(EINVAL)?;
        let (_, rest) = rest
            .split_at_checked(size.next_multiple_of(size_of::<u64>()))
            .ok_or(EINVAL)?;

        self.rest = rest;
        Ok(Some((number, data)))
    }
}

/// What an image has of the register set of a task.
pub(super) fn pack(data: &[u8]) -> Result<KVVec<u8>> {
    let legacy = data.get(..RESERVED).ok_or(EINVAL)?;
    let mut used = word(data, LEGACY).ok_or(EINVAL)?;
    let mut packed = KVVec::new();

    packed.extend_from_slice(&[0; size_of::<u64>()], GFP_KERNEL)?;
    packed.extend_from_slice(legacy, GFP_KERNEL)?;
    packed.extend_from_slice(&[0; LEGACY - RESERVED], GFP_KERNEL)?;
    for number in EXTENDED..COMPONENTS {
        if used & 1 << number == 0 {
            continue;
        }
        let (at, size) = sys::xstate::place(number).ok_or(EINVAL)?;
        let component = data
            .get(at..)
            .and_then(|data| data.get(..size))
            .ok_or(EINVAL)?;

        // Zero is not what the rights of protection keys are before anybody has set them.
        if number != bindings::xfeature_XFEATURE_PKRU && component.iter().all(|byte| *byte == 0) {
            used &= !(1 << number);
            continue;
        }
        packed.extend_from_slice(&number.to_ne_bytes(), GFP_KERNEL)?;
        packed.extend_from_slice(
            &u32::try_from(size).map_err(|_| EINVAL)?.to_ne_bytes(),
            GFP_KERNEL,
        )?;
        packed.extend_from_slice(component, GFP_KERNEL)?;
        packed.resize(
            packed.len().next_multiple_of(size_of::<u64>()),
            0,
            GFP_KERNEL,
        )?;
    }
    if let Some(word) = packed.first_chunk_mut() {
        *word = used.to_ne_bytes();
    }
    Ok(packed)
}

/// Checks what an image has of it.
pub(super) fn check(data: &[u8]) -> Result {
    let mut packed = Packed::new(data)?;
    let mut left = packed.used >> EXTENDED << EXTENDED;

    while let Some((number, _)) = packed.next()? {
        // In their order, each once.
        if left.trailing_zeros() != number {
            return Err(EINVAL.into());
        }
        left &= left.wrapping_sub(1);
    }
    if left == 0 {
        Ok(())
    } else {
        Err(EINVAL.into())
    }
}

/// What the rights of protection keys are on a CPU that has none: the default key can be used, and no
/// other is.
fn has_default_key_only(number: u32, component: &[u8]) -> bool {
    let rights = component
        .first_chunk()
        .map(|rights| u32::from_ne_bytes(*rights));

    number == bindings::xfeature_XFEATURE_PKRU && rights.is_some_and(|rights| rights & 3 == 0)
}

/// What this CPU lacks of what a task uses, in words.
pub(super) fn lacks(data: &[u8]) -> Result<Option<&'static str>> {
    let mut packed = Packed::new(data)?;

    while let Some((number, component)) = packed.next()? {
        match sys::xstate::place(number) {
            Some((_, size)) if size == component.len() => (),
            None if has_default_key_only(number, component) => (),
            _ => return Ok(Some(name(number))),
        }
    }
    Ok(None)
}

fn name(number: u32) -> &'static str {
    match number {
        bindings::xfeature_XFEATURE_YMM => "AVX",
        bindings::xfeature_XFEATURE_OPMASK
        | bindings::xfeature_XFEATURE_ZMM_Hi256
        | bindings::xfeature_XFEATURE_Hi16_ZMM => "AVX-512",
        bindings::xfeature_XFEATURE_PKRU => "protection keys",
        bindings::xfeature_XFEATURE_XTILE_CFG | bindings::xfeature_XFEATURE_XTILE_DATA => "AMX",
        bindings::xfeature_XFEATURE_APX => "APX",
        _ => "registers of another CPU",
    }
}

/// The register set of `size` bytes on this CPU, which lacks nothing.
pub(super) fn unpack(data: &[u8], size: usize) -> Result<KVVec<u8>> {
    let mut packed = Packed::new(data)?;
    let mut area = KVVec::from_elem(0u8, size, GFP_KERNEL)?;
    let mut used = packed.used;
    let mut put = |at: usize, bytes: &[u8]| -> Result {
        area.get_mut(at..)
            .and_then(|area| area.get_mut(..bytes.len()))
            .ok_or(EINVAL)?
            .copy_from_slice(bytes);
        Ok(())
    };
    let mut has_rights = false;

    put(0, packed.legacy)?;
    while let Some((number, component)) = packed.next()? {
        has_rights |= number == bindings::xfeature_XFEATURE_PKRU;
        match sys::xstate::place(number) {
            Some((at, size)) if size == component.len() => put(at, component)?,
            None if has_default_key_only(number, component) => used &= !(1 << number),
            _ => return Err(EOPNOTSUPP.into()),
        }
    }
    // The CPU of the image had no protection keys: nobody has set any rights.
    if let (false, Some((at, _))) = (
        has_rights,
        sys::xstate::place(bindings::xfeature_XFEATURE_PKRU),
    ) {
        used |= 1 << bindings::xfeature_XFEATURE_PKRU;
        put(at, &sys::xstate::initial_rights().to_ne_bytes())?;
    }
    put(LEGACY, &used.to_ne_bytes())?;
    Ok(area)
}

#[cfg(CONFIG_CHECKPOINT_KUNIT_TEST)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#[kunit_tests(checkpoint_xstate)]
mod tests {
    use super::*;

    /// An area with AVX in use, as far as this CPU has that.
    fn area() -> Result<KVVec<u8>> {
        let size = sys::regset::all()
            .find(|regset| regset.note() == bindings::NT_X86_XSTATE)
            .ok_or(ENODEV)?
            .bytes();
        let mut area = KVVec::from_elem(0u8, size, GFP_KERNEL)?;
        let mut used = 3u64;

        area[..RESERVED].fill(0x11);
        for number in [
            bindings::xfeature_XFEATURE_YMM,
            bindings::xfeature_XFEATURE_PKRU,
        ] {
            if let Some((at, size)) = sys::xstate::place(number) {
                used |= 1 << number;
                area[at..at + size].fill(0x54);
            }
        }
        area[LEGACY..LEGACY + 8].copy_from_slice(&used.to_ne_bytes());
        Ok(area)
    }

    #[test]
    fn what_is_packed_comes_back() -> core::result::Result<(), kernel::error::Error> {
        let area = area().map_err(|error| error.errno())?;
        let packed = pack(&area).map_err(|error| error.errno())?;

        assert!(check(&packed).is_ok());
        assert!(lacks(&packed).is_ok_and(|lacks| lacks.is_none()));
        assert!(unpack(&packed, area.len()).is_ok_and(|again| *again == *area));
        Ok(())
    }

    #[test]
    fn no_truncation_passes() -> core::result::Result<(), kernel::error::Error> {
        let area = area().map_err(|error| error.errno())?;
        let packed = pack(&area).map_err(|error| error.errno())?;

        for len in 0..packed.len() {
            assert!(check(&packed[..len]).is_err());
        }
        Ok(())
    }

    #[test]
    fn what_the_cpu_lacks_has_a_name() -> core::result::Result<(), kernel::error::Error> {
        let area = area().map_err(|error| error.errno())?;
        let mut packed = pack(&area).map_err(|error| error.errno())?;
        let unknown = COMPONENTS - 1;
        let used = word(&packed, 0).ok_or(EINVAL)? | 1 << unknown;

        packed[..8].copy_from_slice(&used.to_ne_bytes());
        packed.extend_from_slice(&unknown.to_ne_bytes(), GFP_KERNEL)?;
        packed.extend_from_slice(&8u32.to_ne_bytes(), GFP_KERNEL)?;
        packed.extend_from_slice(&[1; 8], GFP_KERNEL)?;
        assert!(check(&packed).is_ok());
        assert!(lacks(&packed).is_ok_and(|lacks| lacks.is_some()));
        assert!(unpack(&packed, area.len()).is_err());
        Ok(())
    }
}
