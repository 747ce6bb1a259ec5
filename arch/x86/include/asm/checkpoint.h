/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What checkpoint/restart asks of x86 and only C can tell.
 */
#ifndef _ASM_X86_CHECKPOINT_H
#define _ASM_X86_CHECKPOINT_H

#include <linux/crc32.h>
#include <linux/mm_types.h>
#include <linux/mmu_context.h>
#include <linux/nospec.h>
#include <linux/pkeys.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <asm/fpu/xstate.h>
#include <asm/syscall.h>
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

/* What of x86 in a task cannot be saved; NULL if there is nothing. */
static inline const char *arch_checkpoint_refused(struct task_struct *task)
{
	struct mm_struct *mm = task->mm;

#ifdef CONFIG_MODIFY_LDT_SYSCALL
	if (mm && mm->context.ldt)
		return "has a local descriptor table (modify_ldt(2))";
#endif
#ifdef CONFIG_X86_IOPL_IOPERM
	if (task->thread.iopl_emul)
		return "has an I/O privilege level (iopl(2))";
#endif
#ifdef CONFIG_ADDRESS_MASKING
	if (mm && mm_lam_cr3_mask(mm))
		return "uses linear address masking (ARCH_ENABLE_TAGGED_ADDR)";
#endif
	if (x86_task_fpu(task->group_leader)->perm.__state_perm &
	    XFEATURE_MASK_USER_DYNAMIC)
		return "may use AMX (ARCH_REQ_XCOMP_PERM)";
	if (test_tsk_thread_flag(task, TIF_NOCPUID))
		return "may not use CPUID (ARCH_SET_CPUID)";
	return NULL;
}

/* What of x86 in how a task is traced cannot be saved; NULL if there is nothing. */
static inline const char *arch_checkpoint_ptrace_refused(struct task_struct *task)
{
	if (test_tsk_thread_flag(task, TIF_BLOCKSTEP))
		return "is traced block by block (PTRACE_SINGLEBLOCK)";
	if (task->thread.ptrace_dr7)
		return "is traced with hardware breakpoints";
	return NULL;
}

/* Whether its tracer has the task trap after an instruction. */
static inline bool arch_checkpoint_is_stepped(struct task_struct *task)
{
	return test_tsk_thread_flag(task, TIF_SINGLESTEP);
}

/* Makes the system call that @regs are at the entry of. */
static inline void arch_checkpoint_syscall(struct pt_regs *regs)
{
	unsigned long nr = syscall_get_nr(current, regs);

	if (nr < NR_syscalls)
		regs->ax = sys_call_table[array_index_nospec(nr, NR_syscalls)](regs);
}

/*
 * What the last exception has left for the handler of its signal, and for a
 * tracer.
 */
static inline void arch_checkpoint_get_state(struct task_struct *task, u64 state[4])
{
	state[0] = task->thread.trap_nr;
	state[1] = task->thread.error_code;
	state[2] = task->thread.cr2;
	state[3] = task->thread.virtual_dr6;
}

static inline void arch_checkpoint_set_state(const u64 state[4])
{
	current->thread.trap_nr = state[0];
	current->thread.error_code = state[1];
	current->thread.cr2 = state[2];
	current->thread.virtual_dr6 = state[3];
}

/* Whether the task may not read the time stamp counter (PR_SET_TSC). */
static inline bool arch_checkpoint_no_tsc(struct task_struct *task)
{
	return test_tsk_thread_flag(task, TIF_NOTSC);
}

static inline void arch_checkpoint_set_no_tsc(bool no_tsc)
{
	if (no_tsc != arch_checkpoint_no_tsc(current))
		set_tsc_mode(no_tsc ? PR_TSC_SIGSEGV : PR_TSC_ENABLE);
}

/* Protection keys: which are allocated, and that of memory that is only executed. */
static inline void arch_checkpoint_mm_get(struct mm_struct *mm, u64 state[3])
{
	memset(state, 0, 3 * sizeof(*state));
#ifdef CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS
	if (arch_pkeys_enabled()) {
		state[0] = mm_pkey_allocation_map(mm);
		state[1] = mm->context.execute_only_pkey + 1;
	}
#endif
}

/* Sets them, of an address space that is new. */
static inline int arch_checkpoint_mm_set(struct mm_struct *mm, const u64 state[3])
{
	/* One that has the default key alone is the same on any machine. */
	if (state[0] <= 1 && !state[1])
		return 0;
#ifdef CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS
	if (arch_pkeys_enabled()) {
		mm_pkey_allocation_map(mm) = state[0];
		mm->context.execute_only_pkey = (s16)state[1] - 1;
		return 0;
	}
#endif
	return -EOPNOTSUPP;
}

/* What execve() does for a 64-bit program to an address space that is new. */
static inline void arch_checkpoint_init_mm(struct mm_struct *mm)
{
	__set_bit(MM_CONTEXT_HAS_VSYSCALL, &mm->context.flags);
}

#endif /* _ASM_X86_CHECKPOINT_H */
