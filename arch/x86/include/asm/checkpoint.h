/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What checkpoint/restart asks of x86 and only C can tell.
 */
#ifndef _ASM_X86_CHECKPOINT_H
#define _ASM_X86_CHECKPOINT_H

#include <linux/crc32.h>
#include <linux/mm_types.h>
#include <asm/vdso.h>

/* Address of the vdso's code, or 0. */
static inline u64 arch_checkpoint_vdso(struct mm_struct *mm)
{
	return (unsigned long)mm->context.vdso;
}

/* Fingerprint of the code of the vdso that 64-bit programs get. */
static inline u32 arch_checkpoint_vdso_crc(void)
{
	return ~crc32_le(~0, vdso64_image.data, vdso64_image.size);
}

/* Map the vdso with its data, the lowest page of which goes to @addr. */
static inline int arch_checkpoint_map_vdso(unsigned long addr)
{
	return map_vdso_once(&vdso64_image, addr);
}

#endif /* _ASM_X86_CHECKPOINT_H */
