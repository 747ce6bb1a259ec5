// SPDX-License-Identifier: GPL-2.0

/* What only x86 has. */

#include <asm/cpuid/api.h>

/* The level of iopl(), and the bitmap of ioperm() as words; NULL for none. */
__rust_helper u32 rust_helper_checkpoint_io(struct task_struct *task,
					    const unsigned long **bitmap,
					    u32 *longs)
{
	return arch_checkpoint_io(task, bitmap, longs);
}

__rust_helper int rust_helper_checkpoint_set_iopl(u32 level)
{
	return arch_checkpoint_set_iopl(level);
}

__rust_helper u32 rust_helper_checkpoint_breakpoints(struct task_struct *task,
						     u64 *state)
{
	return arch_checkpoint_breakpoints(task, state);
}

__rust_helper int rust_helper_checkpoint_set_breakpoints(u32 there,
							 const u64 *state)
{
	return arch_checkpoint_set_breakpoints(there, state);
}

__rust_helper void rust_helper_checkpoint_shadow_stack(struct task_struct *task,
						       u64 *state)
{
	arch_checkpoint_shadow_stack(task, state);
}

__rust_helper bool rust_helper_checkpoint_has_shadow_stacks(void)
{
	return arch_checkpoint_has_shadow_stacks();
}

__rust_helper int rust_helper_checkpoint_set_shadow_stack(const u64 *state)
{
	return arch_checkpoint_set_shadow_stack(state);
}

__rust_helper u32 rust_helper_checkpoint_read_ldt(struct mm_struct *mm,
						  u64 *entries, u32 max)
{
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	return checkpoint_get_ldt(mm, entries, max);
#else
	return 0;
#endif
}

__rust_helper int rust_helper_checkpoint_write_ldt(const u64 *entries, u32 count)
{
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	return checkpoint_set_ldt(entries, count);
#else
	return -EOPNOTSUPP;
#endif
}

/*
 * Where the XSAVE area, in the standard format, has a component, and its size;
 * 0 if it is none of user space.
 */
__rust_helper u32 rust_helper_checkpoint_xstate_place(u32 nr, u32 *size)
{
	u32 offset, ecx, edx;

	if (nr >= XFEATURE_MAX || !(fpu_user_cfg.max_features & BIT_ULL(nr)))
		return 0;
	cpuid_count(CPUID_LEAF_XSTATE, nr, size, &offset, &ecx, &edx);
	return offset;
}

__rust_helper u32 rust_helper_checkpoint_initial_pkru(void)
{
	return pkru_get_init_value();
}
