/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What checkpoint/restart asks of x86 and only C can tell.
 */
#ifndef _ASM_X86_CHECKPOINT_H
#define _ASM_X86_CHECKPOINT_H

#include <linux/capability.h>
#include <linux/checkpoint.h>
#include <linux/crc32.h>
#include <linux/hw_breakpoint.h>
#include <linux/mm_types.h>
#include <linux/mmu_context.h>
#include <linux/nospec.h>
#include <linux/pkeys.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/regset.h>
#include <linux/security.h>
#include <linux/user.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xstate.h>
#include <asm/ia32.h>
#include <asm/io_bitmap.h>
#include <asm/msr.h>
#include <asm/prctl.h>
#include <asm/shstk.h>
#include <asm/syscall.h>
#include <asm/syscalls.h>
#include <asm/vdso.h>

/* Address of the vdso's code, or 0. */
static inline u64 arch_checkpoint_vdso(struct mm_struct *mm)
{
	return (unsigned long)mm->context.vdso;
}

/* See struct Mm of the format. */
enum {
	ARCH_CHECKPOINT_VSYSCALL = 1,
	ARCH_CHECKPOINT_UPROBE32 = 2,
	ARCH_CHECKPOINT_VDSO32 = 4,
};

/* What arch_checkpoint_mm_get() has in each place. */
enum {
	ARCH_CHECKPOINT_PKEYS,
	ARCH_CHECKPOINT_EXECUTE_ONLY,
	ARCH_CHECKPOINT_MM_FLAGS,
	ARCH_CHECKPOINT_COMPAT_BASE,
	ARCH_CHECKPOINT_COMPAT_LEGACY_BASE,
	ARCH_CHECKPOINT_TASK_SIZE,
	ARCH_CHECKPOINT_MM_WORDS = 8,
};

/* The image of the vdso that an address space has. */
static inline const struct vdso_image *arch_checkpoint_image(const u64 *state)
{
#ifdef CONFIG_IA32_EMULATION
	if (state[ARCH_CHECKPOINT_MM_FLAGS] & ARCH_CHECKPOINT_VDSO32)
		return &vdso32_image;
#endif
	return &vdso64_image;
}

/*
 * Fingerprint of the code of the vdso, which does not change once the machine
 * has booted: it is computed once, though each address space asks for it.
 */
static inline u32 arch_checkpoint_vdso_crc(const u64 *state)
{
	static u32 known[2];
	const struct vdso_image *image = arch_checkpoint_image(state);
	u32 *place = &known[image == &vdso64_image];
	u32 crc = READ_ONCE(*place);

	if (!crc) {
		crc = ~crc32_le(~0, image->data, image->size);
		WRITE_ONCE(*place, crc);
	}
	return crc;
}

/* Map the vdso with its data, the lowest page of which goes to @addr. */
static inline int arch_checkpoint_map_vdso(unsigned long addr, const u64 *state)
{
	return map_vdso_once(arch_checkpoint_image(state), addr);
}

/* The register sets: all of the first, and those that only the second has. */
static inline const struct user_regset_view *arch_checkpoint_view(unsigned int n)
{
	if (!n)
		return &user_x86_64_view;
	return IS_ENABLED(CONFIG_IA32_EMULATION) ? &user_x86_32_view : NULL;
}

/* What of x86 in a task cannot be saved; NULL if there is nothing. */
static inline const char *arch_checkpoint_refused(struct task_struct *task)
{
	const struct fpu *fpu;

#ifdef CONFIG_ADDRESS_MASKING
	if (task->mm && mm_lam_cr3_mask(task->mm))
		return "uses linear address masking (ARCH_ENABLE_TAGGED_ADDR)";
#endif
	fpu = x86_task_fpu(task->group_leader);
	if (fpu->perm.__state_perm & XFEATURE_MASK_USER_DYNAMIC)
		return "may use AMX (ARCH_REQ_XCOMP_PERM)";
	if (fpu->guest_perm.__state_perm & XFEATURE_MASK_USER_DYNAMIC)
		return "may let guests use AMX (ARCH_REQ_XCOMP_GUEST_PERM)";
	if (test_tsk_thread_flag(task, TIF_NOCPUID))
		return "may not use CPUID (ARCH_SET_CPUID)";
	return NULL;
}

/* What of x86 in how a task is traced cannot be saved; NULL if there is nothing. */
static inline const char *arch_checkpoint_ptrace_refused(struct task_struct *task)
{
	if (test_tsk_thread_flag(task, TIF_BLOCKSTEP))
		return "is traced block by block (PTRACE_SINGLEBLOCK)";
	return NULL;
}

/* How many hardware breakpoints a task has from ptrace(), which are perf events. */
static inline unsigned int arch_checkpoint_nr_breakpoints(struct task_struct *task)
{
	unsigned int i, nr = 0;

	for (i = 0; i < HBP_NUM; i++)
		nr += !!READ_ONCE(task->thread.ptrace_bps[i]);
	return nr;
}

/* What arch_checkpoint_breakpoints() has in each place, behind the addresses. */
enum {
	ARCH_CHECKPOINT_BREAKPOINT_CONTROL = HBP_NUM,
	ARCH_CHECKPOINT_BREAKPOINT_DR7,
	ARCH_CHECKPOINT_BREAKPOINT_WORDS,
};

/*
 * These breakpoints: where they are, what they are as DR7 would have it, and
 * what was written to DR7, which a child has from its parent, who may have
 * breakpoints that it has not. Returns a set of those that there are.
 */
static inline u32 arch_checkpoint_breakpoints(struct task_struct *task, u64 *state)
{
	const struct arch_hw_breakpoint *info;
	struct perf_event *bp;
	u32 i, there = 0;
	u64 control = 0;

	memset(state, 0, ARCH_CHECKPOINT_BREAKPOINT_WORDS * sizeof(*state));
	guard(rcu)();
	/* Who ends frees them before it forgets them. */
	if (READ_ONCE(task->flags) & PF_EXITING)
		return 0;
	state[ARCH_CHECKPOINT_BREAKPOINT_DR7] = READ_ONCE(task->thread.ptrace_dr7);
	for (i = 0; i < HBP_NUM; i++) {
		bp = READ_ONCE(task->thread.ptrace_bps[i]);
		if (!bp)
			continue;
		info = counter_arch_bp(bp);
		there |= BIT(i);
		state[i] = info->address;
		control |= ((info->len | info->type) & 0xfULL) <<
			   (DR_CONTROL_SHIFT + i * DR_CONTROL_SIZE);
		if (!bp->attr.disabled)
			control |= (u64)DR_GLOBAL_ENABLE << i * DR_ENABLE_SIZE;
	}
	state[ARCH_CHECKPOINT_BREAKPOINT_CONTROL] = control;
	return there;
}

/*
 * Gives such breakpoints to current, which has none, with the checks of
 * ptrace().
 */
static inline int arch_checkpoint_set_breakpoints(u32 there, const u64 *state)
{
	int i, ret;

	for (i = 0; i < HBP_NUM; i++) {
		if (!(there & BIT(i)))
			continue;
		ret = arch_ptrace(current, PTRACE_POKEUSR,
				  offsetof(struct user, u_debugreg) +
				  i * sizeof(long), state[i]);
		if (ret)
			return ret;
	}
	/* It makes no new ones: those that are not there are not enabled. */
	ret = arch_ptrace(current, PTRACE_POKEUSR,
			  offsetof(struct user, u_debugreg[7]),
			  state[ARCH_CHECKPOINT_BREAKPOINT_CONTROL]);
	if (!ret)
		current->thread.ptrace_dr7 =
			state[ARCH_CHECKPOINT_BREAKPOINT_DR7];
	return ret;
}

/* Whether there are shadow stacks for user space. */
static inline bool arch_checkpoint_has_shadow_stacks(void)
{
	return cpu_feature_enabled(X86_FEATURE_USER_SHSTK);
}

/* See struct ShadowStack of the format. */
enum {
	ARCH_CHECKPOINT_SHSTK_FEATURES,
	ARCH_CHECKPOINT_SHSTK_LOCKED,
	ARCH_CHECKPOINT_SHSTK_BASE,
	ARCH_CHECKPOINT_SHSTK_SIZE,
	ARCH_CHECKPOINT_SHSTK_POINTER,
	ARCH_CHECKPOINT_SHSTK_WORDS,
};

#ifdef CONFIG_X86_USER_SHADOW_STACK
/* The shadow stack of a task, all but the pointer, which is a register set. */
static inline void arch_checkpoint_shadow_stack(struct task_struct *task, u64 *state)
{
	const struct thread_struct *thread = &task->thread;

	memset(state, 0, ARCH_CHECKPOINT_SHSTK_WORDS * sizeof(*state));
	state[ARCH_CHECKPOINT_SHSTK_LOCKED] = thread->features_locked;
	if (!(thread->features & ARCH_SHSTK_SHSTK))
		return;
	state[ARCH_CHECKPOINT_SHSTK_FEATURES] = thread->features;
	/* One that was made by vfork(2) unmaps nothing. */
	if (thread->shstk.base) {
		state[ARCH_CHECKPOINT_SHSTK_BASE] = thread->shstk.base;
		state[ARCH_CHECKPOINT_SHSTK_SIZE] = thread->shstk.size;
	}
}

/* Lets current, which has none, use a shadow stack, see shstk_setup(). */
static inline int arch_checkpoint_set_shadow_stack(const u64 *state)
{
	struct thread_struct *thread = &current->thread;
	const u64 features = state[ARCH_CHECKPOINT_SHSTK_FEATURES];
	const u64 pointer = state[ARCH_CHECKPOINT_SHSTK_POINTER];

	if (features && !arch_checkpoint_has_shadow_stacks())
		return -EOPNOTSUPP;
	/* As in ssp_set(): what the CPU would not take. */
	if (pointer >= TASK_SIZE_MAX || !IS_ALIGNED(pointer, 8) ||
	    state[ARCH_CHECKPOINT_SHSTK_BASE] +
	    state[ARCH_CHECKPOINT_SHSTK_SIZE] > TASK_SIZE_MAX)
		return -EINVAL;
	if (features & ARCH_SHSTK_SHSTK) {
		fpregs_lock_and_load();
		wrmsrq(MSR_IA32_PL3_SSP, pointer);
		wrmsrq(MSR_IA32_U_CET, CET_SHSTK_EN |
		       (features & ARCH_SHSTK_WRSS ? CET_WRSS_EN : 0));
		fpregs_unlock();
		thread->shstk.base = state[ARCH_CHECKPOINT_SHSTK_BASE];
		thread->shstk.size = state[ARCH_CHECKPOINT_SHSTK_SIZE];
	}
	thread->features = features;
	thread->features_locked = state[ARCH_CHECKPOINT_SHSTK_LOCKED];
	return 0;
}
#else
static inline void arch_checkpoint_shadow_stack(struct task_struct *task, u64 *state)
{
	memset(state, 0, ARCH_CHECKPOINT_SHSTK_WORDS * sizeof(*state));
}

static inline int arch_checkpoint_set_shadow_stack(const u64 *state)
{
	/* What can never be enabled need not be locked. */
	return state[ARCH_CHECKPOINT_SHSTK_FEATURES] ? -EOPNOTSUPP : 0;
}
#endif

/* Whether its tracer has the task trap after an instruction. */
static inline bool arch_checkpoint_is_stepped(struct task_struct *task)
{
	return test_tsk_thread_flag(task, TIF_SINGLESTEP);
}

/* Makes the system call that @regs are at the entry of. */
static inline void arch_checkpoint_syscall(struct pt_regs *regs)
{
	unsigned long nr = syscall_get_nr(current, regs);

#ifdef CONFIG_IA32_EMULATION
	if (in_ia32_syscall()) {
		regs->ax = ia32_sys_call(regs, nr);
		return;
	}
#endif
	if (nr < NR_syscalls)
		regs->ax = sys_call_table[array_index_nospec(nr, NR_syscalls)](regs);
}

/* See struct Task of the format. */
enum {
	ARCH_CHECKPOINT_ADDR32 = 1,
	ARCH_CHECKPOINT_CALL32 = 2,
	ARCH_CHECKPOINT_POKED32 = 4,
	ARCH_CHECKPOINT_RESTART32 = 8,
};

#define ARCH_CHECKPOINT_TASK_WORDS 6

/*
 * What the last exception has left for the handler of its signal, and for a
 * tracer; and how far the task is one of 32 bits.
 */
static inline void arch_checkpoint_get_state(struct task_struct *task, u64 *state)
{
	memset(state, 0, ARCH_CHECKPOINT_TASK_WORDS * sizeof(*state));
	state[0] = task->thread.trap_nr;
	state[1] = task->thread.error_code;
	state[2] = task->thread.cr2;
	state[3] = task->thread.virtual_dr6;
#ifdef CONFIG_IA32_EMULATION
	if (test_tsk_thread_flag(task, TIF_ADDR32))
		state[4] |= ARCH_CHECKPOINT_ADDR32;
	if (task->thread_info.status & TS_COMPAT)
		state[4] |= ARCH_CHECKPOINT_CALL32;
	if (task->thread_info.status & TS_I386_REGS_POKED)
		state[4] |= ARCH_CHECKPOINT_POKED32;
	if (task->restart_block.arch_data & TS_COMPAT)
		state[4] |= ARCH_CHECKPOINT_RESTART32;
#endif
}

static inline void arch_checkpoint_set_state(const u64 *state)
{
	current->thread.trap_nr = state[0];
	current->thread.error_code = state[1];
	current->thread.cr2 = state[2];
	current->thread.virtual_dr6 = state[3];
#ifdef CONFIG_IA32_EMULATION
	if (state[4] & ARCH_CHECKPOINT_ADDR32)
		set_thread_flag(TIF_ADDR32);
	if (state[4] & ARCH_CHECKPOINT_CALL32)
		current_thread_info()->status |= TS_COMPAT;
	if (state[4] & ARCH_CHECKPOINT_POKED32)
		current_thread_info()->status |= TS_I386_REGS_POKED;
	current->restart_block.arch_data =
		state[4] & ARCH_CHECKPOINT_RESTART32 ? TS_COMPAT : 0;
#endif
}

/* What a task that is as @state says cannot have here; NULL if there is nothing. */
static inline const char *arch_checkpoint_lacks(const u64 *state)
{
	if (state[4] && !(IS_ENABLED(CONFIG_IA32_EMULATION) && ia32_enabled()))
		return "32-bit code, which this kernel does not run";
	return NULL;
}

/*
 * Takes the shadow stack from current. One that clone(2) has made for it is in
 * the memory of the restarter still.
 */
static inline void arch_checkpoint_reset_shadow_stack(void)
{
#ifdef CONFIG_X86_USER_SHADOW_STACK
	if (shstk_is_enabled()) {
		fpregs_lock_and_load();
		wrmsrq(MSR_IA32_U_CET, 0);
		wrmsrq(MSR_IA32_PL3_SSP, 0);
		fpregs_unlock();
		shstk_free(current);
	}
#endif
	reset_thread_features();
}

/* Takes from current, a task of a restart, what it has from the restarter. */
static inline void arch_checkpoint_reset(void)
{
#ifdef CONFIG_IA32_EMULATION
	clear_thread_flag(TIF_ADDR32);
	current_thread_info()->status &= ~(TS_COMPAT | TS_I386_REGS_POKED);
#endif
	memset(current->thread.tls_array, 0, sizeof(current->thread.tls_array));
	preempt_disable();
	load_TLS(&current->thread, smp_processor_id());
	preempt_enable();
	flush_ptrace_hw_breakpoint(current);
	arch_checkpoint_reset_shadow_stack();
#ifdef CONFIG_X86_IOPL_IOPERM
	current->thread.iopl_emul = 0;
	io_bitmap_exit(current);
#endif
}

/*
 * Who asks for an action of a signal decides which frame its handler gets.
 * Returns what is to be given to arch_checkpoint_leave_abi().
 */
static inline u32 arch_checkpoint_enter_abi(unsigned long *sa_flags)
{
	u32 status = 0;

#ifdef CONFIG_IA32_EMULATION
	status = current_thread_info()->status;
	current_thread_info()->status &= ~TS_COMPAT;
	if (*sa_flags & SA_IA32_ABI)
		current_thread_info()->status |= TS_COMPAT;
	*sa_flags &= ~SA_IA32_ABI;
#endif
	return status;
}

static inline void arch_checkpoint_leave_abi(u32 status)
{
#ifdef CONFIG_IA32_EMULATION
	current_thread_info()->status = status;
#endif
}

#ifdef CONFIG_X86_IOPL_IOPERM
/* The level of iopl(), and the bitmap of ioperm() if there is one. */
static inline unsigned int
arch_checkpoint_io(struct task_struct *task, const unsigned long **bitmap,
		   unsigned int *longs)
{
	const struct io_bitmap *iobm = task->thread.io_bitmap;

	*bitmap = iobm ? iobm->bitmap : NULL;
	*longs = iobm ? iobm->max / sizeof(long) : 0;
	return task->thread.iopl_emul;
}

/* iopl() of current, which has no level. */
static inline int arch_checkpoint_set_iopl(unsigned int level)
{
	if (level > 3)
		return -EINVAL;
	if (!level)
		return 0;
	if (!capable(CAP_SYS_RAWIO) || security_locked_down(LOCKDOWN_IOPORT))
		return -EPERM;
	current->thread.iopl_emul = level;
	if (level == 3)
		set_thread_flag(TIF_IO_BITMAP);
	return 0;
}
#else
static inline unsigned int
arch_checkpoint_io(struct task_struct *task, const unsigned long **bitmap,
		   unsigned int *longs)
{
	*bitmap = NULL;
	*longs = 0;
	return 0;
}

static inline int arch_checkpoint_set_iopl(unsigned int level)
{
	return level ? -EOPNOTSUPP : 0;
}
#endif

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

/*
 * Protection keys: which are allocated, and that of memory that is only
 * executed; what is different for 32-bit programs.
 */
static inline void arch_checkpoint_mm_get(struct mm_struct *mm, u64 *state)
{
	u64 flags = 0;

	memset(state, 0, ARCH_CHECKPOINT_MM_WORDS * sizeof(*state));
#ifdef CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS
	if (arch_pkeys_enabled()) {
		state[ARCH_CHECKPOINT_PKEYS] = mm_pkey_allocation_map(mm);
		state[ARCH_CHECKPOINT_EXECUTE_ONLY] = mm->context.execute_only_pkey + 1;
	}
#endif
	if (test_bit(MM_CONTEXT_HAS_VSYSCALL, &mm->context.flags))
		flags |= ARCH_CHECKPOINT_VSYSCALL;
	if (test_bit(MM_CONTEXT_UPROBE_IA32, &mm->context.flags))
		flags |= ARCH_CHECKPOINT_UPROBE32;
#ifdef CONFIG_IA32_EMULATION
	if (mm->context.vdso_image == &vdso32_image)
		flags |= ARCH_CHECKPOINT_VDSO32;
#endif
	state[ARCH_CHECKPOINT_MM_FLAGS] = flags;
#ifdef CONFIG_HAVE_ARCH_COMPAT_MMAP_BASES
	state[ARCH_CHECKPOINT_COMPAT_BASE] = mm->mmap_compat_base;
	state[ARCH_CHECKPOINT_COMPAT_LEGACY_BASE] = mm->mmap_compat_legacy_base;
#endif
	state[ARCH_CHECKPOINT_TASK_SIZE] = mm->task_size;
}

/* Sets of them what a machine may lack, of an address space that is new. */
static inline int arch_checkpoint_mm_set(struct mm_struct *mm, const u64 *state)
{
	u64 flags = state[ARCH_CHECKPOINT_MM_FLAGS];

	if (flags & (ARCH_CHECKPOINT_VDSO32 | ARCH_CHECKPOINT_UPROBE32) &&
	    !(IS_ENABLED(CONFIG_IA32_EMULATION) && ia32_enabled()))
		return -EOPNOTSUPP;
	/* One that has the default key alone is the same on any machine. */
	if (state[ARCH_CHECKPOINT_PKEYS] <= 1 && !state[ARCH_CHECKPOINT_EXECUTE_ONLY])
		return 0;
#ifdef CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS
	if (arch_pkeys_enabled()) {
		mm_pkey_allocation_map(mm) = state[ARCH_CHECKPOINT_PKEYS];
		mm->context.execute_only_pkey =
			(s16)state[ARCH_CHECKPOINT_EXECUTE_ONLY] - 1;
		return 0;
	}
#endif
	return -EOPNOTSUPP;
}

/* Sets the others, which have been checked. */
static inline void arch_checkpoint_init_mm(struct mm_struct *mm, const u64 *state)
{
	u64 flags = state[ARCH_CHECKPOINT_MM_FLAGS];

	if (flags & ARCH_CHECKPOINT_VSYSCALL)
		__set_bit(MM_CONTEXT_HAS_VSYSCALL, &mm->context.flags);
	if (flags & ARCH_CHECKPOINT_UPROBE32)
		__set_bit(MM_CONTEXT_UPROBE_IA32, &mm->context.flags);
#ifdef CONFIG_HAVE_ARCH_COMPAT_MMAP_BASES
	mm->mmap_compat_base = state[ARCH_CHECKPOINT_COMPAT_BASE];
	mm->mmap_compat_legacy_base = state[ARCH_CHECKPOINT_COMPAT_LEGACY_BASE];
#endif
	mm->task_size = min(state[ARCH_CHECKPOINT_TASK_SIZE], TASK_SIZE_MAX);
}

#endif /* _ASM_X86_CHECKPOINT_H */
