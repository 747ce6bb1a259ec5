// SPDX-License-Identifier: GPL-2.0

/* What only x86 has. */

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
