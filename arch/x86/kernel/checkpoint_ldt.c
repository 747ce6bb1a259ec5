// SPDX-License-Identifier: GPL-2.0-only
/*
 * Local descriptor tables for checkpoint/restart. Included by ldt.c, whose
 * functions are its own.
 */
#include <linux/checkpoint.h>

unsigned int checkpoint_get_ldt(struct mm_struct *mm, u64 *entries,
				unsigned int max)
{
	struct ldt_struct *ldt;

	guard(rwsem_read)(&mm->context.ldt_usr_sem);
	ldt = mm->context.ldt;
	if (!ldt)
		return 0;
	if (max)
		memcpy(entries, ldt->entries,
		       min(ldt->nr_entries, max) * LDT_ENTRY_SIZE);
	return ldt->nr_entries;
}

/* Whether write_ldt() makes such a descriptor. */
static bool checkpoint_ldt_okay(u64 entry)
{
	struct desc_struct desc;

	memcpy(&desc, &entry, sizeof(desc));
	if (!entry)
		return true;
	/* A code segment that conforms is never present. */
	if (desc.type >> 2 == 3 && desc.p)
		return false;
	return desc.s && desc.dpl == 3 && desc.type & 1 && !desc.l &&
	       (desc.d || allow_16bit_segments());
}

int checkpoint_set_ldt(const u64 *entries, unsigned int count)
{
	struct mm_struct *mm = current->mm;
	struct ldt_struct *ldt;
	unsigned int i;
	int error;

	if (!count || count > LDT_ENTRIES)
		return -EINVAL;
	for (i = 0; i < count; i++)
		if (!checkpoint_ldt_okay(entries[i]))
			return -EINVAL;

	ldt = alloc_ldt_struct(count);
	if (!ldt)
		return -ENOMEM;
	memcpy(ldt->entries, entries, count * LDT_ENTRY_SIZE);
	finalize_ldt_struct(ldt);

	guard(rwsem_write)(&mm->context.ldt_usr_sem);
	error = -EEXIST;
	if (mm->context.ldt)
		goto free;
	error = map_ldt_struct(mm, ldt, 0);
	if (error) {
		free_ldt_pgtables(mm);
		goto free;
	}
	install_ldt(mm, ldt);
	return 0;
free:
	free_ldt_struct(ldt);
	return error;
}
