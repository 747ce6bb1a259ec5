// SPDX-License-Identifier: GPL-2.0

//! Names of the general registers, in the order of `NT_PRSTATUS`.

/// `struct user_regs_struct` of x86_64.
const X86_64: &[&str] = &[
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi",
    "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs",
    "gs",
];

/// `struct user_regs_struct` of i386.
const I386: &[&str] = &[
    "ebx", "ecx", "edx", "esi", "edi", "ebp", "eax", "ds", "es", "fs", "gs", "orig_eax", "eip",
    "cs", "eflags", "esp", "ss",
];

/// `struct user_pt_regs` of arm64.
const AARCH64: &[&str] = &[
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
    "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "x29", "x30", "sp", "pc", "pstate",
];

/// `NT_PRSTATUS` by name and value; `None` if the layout is not known.
pub(crate) fn general(machine: u32, bytes: &[u8]) -> Option<Vec<(&'static str, u64)>> {
    let (names, width): (&[_], _) = match (machine, bytes.len()) {
        // A 64-bit kernel saves 32-bit tasks too.
        (62, len) if len == I386.len() * 4 => (I386, 4),
        (62, _) => (X86_64, 8),
        (3, _) => (I386, 4),
        (183, _) => (AARCH64, 8),
        _ => return None,
    };
    if bytes.len() != names.len() * width {
        return None;
    }
    let values = bytes.chunks(width).map(|bytes| match bytes.try_into() {
        Ok(bytes) => u64::from_ne_bytes(bytes),
        Err(_) => bytes
            .try_into()
            .map_or(0, |bytes| u64::from(u32::from_ne_bytes(bytes))),
    });
    Some(names.iter().copied().zip(values).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_have_names() {
        let mut bytes = [0; 27 * 8];
        bytes[16 * 8..17 * 8].copy_from_slice(&0x401000u64.to_ne_bytes());
        let registers = general(62, &bytes).unwrap();
        assert_eq!(registers[16], ("rip", 0x401000));
        assert_eq!(general(62, &[0; 17 * 4]).unwrap()[12].0, "eip");
        assert_eq!(general(62, &bytes[1..]), None);
        assert_eq!(general(9999, &bytes), None);
    }
}
